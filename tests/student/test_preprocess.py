"""Squashing photos and unsquashing maps, against PyTorch's own resizes."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ohlora_fast.student.preprocess import squash, to_input, unsquash


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (224, 224), (300, 200), (100, 900), (1000, 1000)])
@pytest.mark.parametrize("channels", [3, 4])
def test_squash_is_antialiased_bilinear(shape, channels):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*shape, channels), dtype=np.uint8)
    squashed = squash(image)
    assert squashed.shape == (224, 224, 3)
    assert squashed.dtype == np.uint8
    planes = torch.from_numpy(image[..., :3].copy()).permute(2, 0, 1)[None].float()
    expected = F.interpolate(planes, (224, 224), mode="bilinear", antialias=True)[0].permute(1, 2, 0).numpy()
    assert np.abs(squashed - expected).max() <= 1.01


def test_to_input_scales_to_minus_one_and_one():
    image = np.array([0, 51, 255], np.uint8).reshape(1, 1, 1, 3)
    assert np.allclose(to_input(image).ravel(), [-1, -0.6, 1])
    assert to_input(np.zeros((2, 224, 224, 3), np.uint8)).shape == (2, 3, 224, 224)


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (224, 224), (500, 333)])
def test_unsquash_is_bicubic_and_clipped(shape):
    prob = np.random.default_rng(1).integers(0, 2, (224, 224)).astype(np.float32)
    resized = unsquash(prob, *shape)
    expected = F.interpolate(torch.from_numpy(prob)[None, None], shape, mode="bicubic", align_corners=False)
    assert resized.shape == shape
    assert np.abs(resized - expected[0, 0].clamp(0, 1).numpy()).max() < 1e-4
    assert resized.min() >= 0
    assert resized.max() <= 1
