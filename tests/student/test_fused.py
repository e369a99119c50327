"""The form that the GPU runs, on the CPU: against the student's other forms, in every type."""

import numpy as np
import pytest
import torch
from skimage.data import astronaut

from ohlora_fast.student.engines import TorchEngine
from ohlora_fast.student.fused import FusedStudent
from ohlora_fast.student.model import ENCODERS, HEAD_STRIDES, UPSAMPLINGS, EffiSegNet
from ohlora_fast.student.preprocess import squash
from ohlora_fast.student.weights import load_student


@pytest.fixture(scope="module")
def photos():
    """Squashed crops of a portrait, mirrored and not: uint8 (4, 224, 224, 3)."""
    whole = astronaut()
    crops = [whole, whole[:300, 80:380], whole[:, ::-1], whole[20:200, 120:320]]
    return np.stack([squash(crop) for crop in crops])


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("stride", HEAD_STRIDES)
@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
def test_float32_is_the_training_form(fill, photos, encoder, stride, upsampling):
    model = fill(EffiSegNet(encoder, stride, upsampling=upsampling))
    planes = torch.from_numpy(photos[:1]).permute(0, 3, 1, 2)
    with torch.inference_mode():
        expected = model(planes * (2 / 255) - 1)[:, 0]
        # Folding changes the rounding of deep random weights: see `InferenceEffiSegNet`.
        assert (FusedStudent(model)(planes) - expected).abs().max() < 5e-4


@pytest.mark.parametrize(("dtype", "most", "usual"), [(torch.float16, 0.03, 2e-3), (torch.bfloat16, 0.3, 2e-2)])
def test_half_precision_is_near_float32(photos, dtype, most, usual):
    """`usual` is the bound of 99 of 100 pixels; at an edge of hair the largest difference is some times that."""
    expected = TorchEngine(None, "cpu").predict(photos)
    with torch.inference_mode():
        got = FusedStudent(load_student(), dtype)(torch.from_numpy(photos).permute(0, 3, 1, 2)).numpy()
    difference = np.abs(got - expected)
    assert difference.max() < most
    assert np.quantile(difference, 0.99) < usual
    hair, found = expected > 0.5, got > 0.5
    assert (hair & found).sum() / (hair | found).sum() > 0.99


def test_photos_of_any_size_and_layout():
    student = FusedStudent(load_student())
    photo = torch.from_numpy(astronaut())
    with torch.inference_mode():
        interleaved = student(photo.permute(2, 0, 1)[None])
        assert torch.equal(student(photo.permute(2, 0, 1)[None].contiguous()), interleaved)
        assert student(photo.permute(2, 0, 1)[None, :, :50, :1]).shape == (1, 224, 224)
