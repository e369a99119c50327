"""HairStylist: every way in and out, on a photo with hair and on one without."""

import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

from ohlora_fast import HairStylist, InputError, apply_ombre
from ohlora_fast.errors import NoHairWarning
from ohlora_fast.student.preprocess import unsquash

skimage_data = pytest.importorskip("skimage.data")


@pytest.fixture(scope="module")
def stylist():
    return HairStylist(device="cpu")


@pytest.fixture(scope="module")
def astronaut():
    """Head and shoulders."""
    return skimage_data.astronaut()[0:320, 60:380].copy()


@pytest.fixture(scope="module")
def grey():
    return np.full((90, 70, 3), 128, np.uint8)


def test_segment_finds_the_astronauts_hair_and_not_her_face_or_suit(stylist, astronaut):
    prob = stylist.segment(astronaut)
    assert prob.shape == (320, 320)
    assert prob.dtype == np.float32
    assert prob.min() >= 0
    assert prob.max() <= 1
    assert prob[30:60, 145:185].mean() > 0.9  # the hair above her forehead
    assert prob[110:150, 140:180].mean() < 0.1  # her face
    assert prob[230:].mean() < 0.02  # her suit


def test_segment_is_the_map_resized_and_dye_takes_the_map_itself(stylist, astronaut):
    photo = astronaut[:300, 50:250]
    prob_map = stylist.segment_map(photo)
    assert prob_map.shape == (224, 224)
    assert np.array_equal(stylist.segment(photo), unsquash(prob_map, 300, 200))
    assert np.array_equal(stylist.dye(photo, 0.9, 0.8, 0.2), apply_ombre(photo, prob_map, 0.9, 0.8, 0.2))


def test_dye_changes_hair_alone(stylist, astronaut):
    dyed = stylist.dye(astronaut, color=0.9, ombre_height=1.0, ombre_grad_height=0.0)
    changed = (dyed != astronaut).any(axis=2)
    prob = stylist.segment(astronaut)
    assert changed[prob > 0.9].mean() > 0.95
    assert not changed[prob < 0.7].any()


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (30, 900), (225, 223)])
def test_any_size_goes_in_and_comes_out(stylist, size):
    photo = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    assert stylist.segment(photo).shape == size
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoHairWarning)
        assert stylist.dye(photo).shape == photo.shape


def test_batches_equal_single_photos(stylist, astronaut):
    batch = np.stack([astronaut, astronaut[:, ::-1]])
    colors, heights = [0.1, 0.9], [1.0, 0.5]
    dyed = stylist.dye(batch, color=colors, ombre_height=heights)
    assert stylist.segment(batch).shape == (2, 320, 320)
    for index in range(2):
        single = stylist.dye(batch[index], color=colors[index], ombre_height=heights[index])
        assert np.array_equal(dyed[index], single)


def test_lists_take_photos_of_many_kinds_and_sizes(stylist, astronaut, tmp_path):
    Image.fromarray(astronaut).save(tmp_path / "a.png")
    tensor = torch.from_numpy(astronaut).permute(2, 0, 1)
    photos = [astronaut, tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(astronaut), tensor]
    photos.append(astronaut[:200])
    dyed = stylist.dye(photos, color=[0.3, 0.3, 0.3, 0.3, 0.3, 0.7])
    for one in dyed[1:4]:
        assert np.array_equal(one, dyed[0])
    assert np.abs(dyed[4].permute(1, 2, 0).numpy().astype(int) - dyed[0]).max() <= 1
    assert dyed[5].shape == (200, 320, 3)
    assert [prob.shape for prob in stylist.segment(photos)] == [(320, 320)] * 5 + [(200, 320)]


def test_transparency_passes_through(stylist, astronaut):
    alpha = np.random.default_rng(0).integers(0, 256, (320, 320, 1), dtype=np.uint8)
    dyed = stylist.dye(np.concatenate([astronaut, alpha], axis=2))
    assert np.array_equal(dyed[..., 3:], alpha)
    assert np.array_equal(dyed[..., :3], stylist.dye(astronaut))


def test_tensors_come_back_as_tensors_and_carry_gradients(stylist, astronaut):
    photo = torch.from_numpy(astronaut).permute(2, 0, 1)
    dyed = stylist.dye(photo)
    assert dyed.dtype == torch.uint8
    difference = np.abs(dyed.permute(1, 2, 0).numpy().astype(int) - stylist.dye(astronaut))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.002
    assert stylist.segment(photo[None]).shape == (1, 320, 320)
    assert np.abs(stylist.segment(photo).numpy() - stylist.segment(astronaut)).max() < 1e-4
    floats = photo.float().requires_grad_()
    stylist.dye(floats).sum().backward()
    assert floats.grad.shape == photo.shape
    assert floats.grad.max() > 1.2  # dyed pixels gain 1.35 times theirs


def test_engines_agree(stylist, astronaut):
    others = {name: HairStylist(engine=name, device="cpu") for name in ("torch", "onnx")}
    assert all(other.engine.name == name for name, other in others.items())
    assert stylist.engine.name in ("onnx", "onnx-int8")
    batch = np.stack([astronaut, astronaut[::-1]])
    exact = others["torch"].segment(batch)
    assert np.abs(others["onnx"].segment(batch) - exact).max() < 1e-4
    assert np.abs(stylist.segment(batch) - exact).mean() < 5e-3


def test_threads_at_once(stylist, astronaut):
    shots = [astronaut[row : row + 250, column : column + 240] for row in range(0, 60, 20) for column in (0, 40, 80)]
    expected = [stylist.dye(shot) for shot in shots]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(stylist.dye, shots * 4))
    assert all(np.array_equal(one, expected[index % len(shots)]) for index, one in enumerate(found))


def test_no_hair_comes_back_unchanged_with_a_warning(stylist, astronaut, grey):
    with pytest.warns(NoHairWarning, match=r"^no hair found; left unchanged$") as caught:
        assert np.array_equal(stylist.dye(grey), grey)
    assert caught[0].filename == __file__
    bald = np.full_like(astronaut, 128)
    batch = np.stack([bald, astronaut])
    with pytest.warns(NoHairWarning, match=r"^no hair found in photo 0; left unchanged$"):
        dyed = stylist.dye(batch)
    with pytest.warns(NoHairWarning, match=r"^no hair found in photo 1, 2; left unchanged$") as caught:
        stylist.dye([astronaut, grey, bald])
    assert [warning.filename for warning in caught] == [__file__]
    assert np.array_equal(dyed[0], bald)
    assert np.array_equal(dyed[1], stylist.dye(astronaut))
    tensor = torch.from_numpy(grey).permute(2, 0, 1)
    with pytest.warns(NoHairWarning):
        assert torch.equal(stylist.dye(tensor), tensor)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (3, "image: got int"),
        (None, "image: got NoneType"),
        (np.zeros((4, 4), np.uint8), r"image: got shape \(4, 4\)"),
        (np.zeros((4, 4, 3), np.float32), "image: got dtype float32"),
        (np.zeros((0, 4, 3), np.uint8), r"image: got shape \(0, 4, 3\)"),
        (torch.zeros(2, 4, 3, dtype=torch.uint8), r"image: got shape \(2, 4, 3\)"),
        (torch.full((3, 4, 4), torch.nan), "image: got NaN"),
        ("nowhere.jpg", "nowhere.jpg"),
    ],
)
@pytest.mark.parametrize("call", ["segment", "dye"])
def test_bad_images_are_named(stylist, call, image, message):
    with pytest.raises(InputError, match=message) as caught:
        getattr(stylist, call)(image)
    assert "\n" not in str(caught.value)


def test_bad_parameters_are_named(stylist, grey):
    for name in ("color", "ombre_height", "ombre_grad_height"):
        for value in (-0.1, 1.1, float("nan"), "red", True, [0.5, 0.5]):
            with pytest.raises(InputError, match=rf"^{name}"):
                stylist.dye(grey, **{name: value})
        with pytest.raises(InputError, match=rf"^{name}: got shape \(3,\)"):
            stylist.dye([grey, grey], **{name: [0.1, 0.2, 0.3]})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"engine": "tensorrt"}, "engine: got 'tensorrt'"),
        ({"device": "tpu"}, "device: got 'tpu'"),
        ({"device": 0}, "device: got 0"),
        ({"threads": 0}, "threads: got 0"),
        ({"threads": True}, "threads: got True"),
        ({"checkpoint": "nowhere.pth"}, "checkpoint nowhere.pth: no such file"),
        ({"engine": "onnx", "device": "cuda"}, "onnx engine runs on cpu alone"),
    ],
)
def test_bad_settings_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        HairStylist(**arguments)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_missing_gpu_is_told():
    with pytest.raises(InputError, match="device: 'cuda' does not run here: "):
        HairStylist(device="cuda")


def test_the_cpu_path_loads_neither_torch_nor_triton():
    code = (
        "import sys, numpy, ohlora_fast; s = ohlora_fast.HairStylist(device='cpu');"
        "s.dye(numpy.zeros((9, 9, 3), 'u1')); s.segment(numpy.zeros((9, 9, 3), 'u1'));"
        "print([name for name in ('torch', 'triton') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
