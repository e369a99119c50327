"""Maps at full resolution, as users get them."""

import numpy as np
import pytest
import torch

from ohlora_fast import HairStylist, InputError, apply_ombre
from ohlora_fast.ops.refine_op import TOLERANCE
from ohlora_fast.refine import refine_map
from ohlora_fast.student.preprocess import unsquash

skimage_data = pytest.importorskip("skimage.data")


@pytest.fixture(scope="module")
def stylist():
    return HairStylist(device="cpu", engine="onnx")


@pytest.fixture(scope="module")
def astronaut():
    """Head and shoulders."""
    return skimage_data.astronaut()[0:320, 60:380].copy()


@pytest.fixture(scope="module")
def hair(stylist, astronaut):
    return stylist.segment_map(astronaut)


def test_segment_and_dye_refine_the_students_map(stylist, astronaut, hair):
    refined = refine_map(astronaut, hair)
    assert refined.shape == (320, 320)
    assert refined.dtype == np.float32
    assert refined.min() >= 0
    assert refined.max() <= 1
    np.testing.assert_array_equal(stylist.segment(astronaut, refine=True), refined)
    np.testing.assert_array_equal(
        stylist.dye(astronaut, 0.9, refine=True), apply_ombre(astronaut, hair, 0.9, refine=True)
    )
    np.testing.assert_array_equal(
        stylist.dye(astronaut, 0.9, method="natural", refine=True),
        apply_ombre(astronaut, refined, 0.9, method="natural"),
    )
    moved = np.abs(refined - unsquash(hair, 320, 320))
    assert moved.max() > 0.1
    assert moved[200:].max() < 0.1  # her suit
    assert moved.mean() < 0.02


def test_a_coarse_map_of_dark_hair_gains_its_border():
    photo = np.full((300, 300, 3), (180, 170, 150), np.uint8)
    rows, columns = np.indices((300, 300))
    hair = np.hypot(rows - 150, columns - 150) < 90
    photo[hair] = (50, 35, 30)
    coarse = hair.reshape(30, 10, 30, 10).mean(axis=(1, 3)).astype(np.float32)
    assert ((unsquash(coarse, 300, 300) > 0.5) != hair).mean() > 0.002
    np.testing.assert_array_equal(refine_map(photo, coarse) > 0.5, hair)


def test_batches_channels_strides_and_one_map_for_all(astronaut, hair):
    wanted = refine_map(astronaut, hair)
    mirrored = astronaut[:, ::-1]
    batch = np.stack([astronaut, mirrored])
    np.testing.assert_array_equal(refine_map(batch, hair)[0], wanted)
    np.testing.assert_array_equal(refine_map(batch, np.stack([hair, hair[:, ::-1]]))[0], wanted)
    np.testing.assert_array_equal(refine_map(mirrored, hair), refine_map(batch, hair)[1])
    rgba = np.dstack([astronaut, np.zeros((320, 320), np.uint8)])
    np.testing.assert_array_equal(refine_map(rgba, hair), wanted)
    assert refine_map(astronaut[:1, :1], hair).shape == (1, 1)


def test_tensors(stylist, astronaut, hair):
    photo = torch.from_numpy(astronaut).permute(2, 0, 1)
    wanted = refine_map(astronaut, hair)
    for image in (photo, photo.float(), photo.float().requires_grad_()):
        got = refine_map(image, torch.from_numpy(hair))
        assert isinstance(got, torch.Tensor)
        np.testing.assert_array_equal(got.numpy(), wanted)
    np.testing.assert_allclose(stylist.segment(photo[None], refine=True)[0].numpy(), wanted, atol=1e-3)


def test_without_the_extension_the_reference_does_it(astronaut, hair, monkeypatch):
    wanted = refine_map(astronaut, hair)
    monkeypatch.setattr("ohlora_fast.refine.backend_problem", lambda name: "gone")
    assert np.abs(refine_map(astronaut, hair) - wanted).max() < TOLERANCE


@pytest.mark.parametrize(
    ("image", "prob", "message"),
    [
        (np.zeros((9, 9), np.uint8), np.zeros((3, 3)), "image: got shape"),
        (np.zeros((9, 9, 3), np.uint8), np.full((3, 3), 1.5), "prob: got values"),
        (np.zeros((9, 9, 3), np.uint8), np.zeros((3, 3), np.uint8), "prob: got dtype"),
        (np.zeros((2, 9, 9, 3), np.uint8), np.zeros((3, 3, 3)), "prob: got shape"),
        (np.zeros((9, 9, 3), np.uint8), torch.zeros(3, 3), "prob: got a torch tensor"),
    ],
)
def test_wrong_arguments(image, prob, message):
    with pytest.raises(InputError, match=message):
        refine_map(image, prob)
