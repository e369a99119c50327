"""The Triton kernel of natural dyeing against the reference; without a GPU under the interpreter."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from ohlora_fast.kernels.natural import natural_triton

from ohlora_fast import InputError, NaturalDye, apply_ombre
from ohlora_fast.ops.natural_op import natural_numpy
from ohlora_fast.ops.natural_torch import natural_torch
from ohlora_fast.student.engines import device_problem

DEVICE = "cuda" if device_problem("cuda") is None else "cpu"
POOLED = runpy.run_path(str(Path(__file__).parents[1] / "ops" / "pooled_natural.py"))


def dye(image, maps, packed):
    tensors = [torch.from_numpy(one).to(DEVICE) for one in (image, maps, packed)]
    return natural_triton(tensors[0].permute(0, 3, 1, 2), *tensors[1:]).permute(0, 2, 3, 1).cpu().numpy()


def test_close_to_the_reference():
    rng = np.random.default_rng(0)
    different = values = 0
    for kind in (0, 0, 3, 7):  # wide: the interpreter's time goes by the rows
        image = rng.integers(0, 256, (1, 85, 1000, 3), dtype=np.uint8)
        maps = rng.random((1, 33, 40), dtype=np.float32) ** 0.3
        packed = POOLED["random_mixtures"](rng, 1, kind)
        difference = np.abs(dye(image, maps, packed).astype(int) - natural_numpy(image, maps, packed))
        assert difference.max() <= 1
        different += int((difference > 0).sum())
        values += difference.size
    assert values > 1_000_000
    assert different <= 0.002 * values


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (1, 1025), (70, 1)])
def test_odd_shapes(size):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (2, *size, 4), dtype=np.uint8)
    for kind, maps in enumerate((np.ones((1, 1, 1)), np.zeros((2, 3, 2)), rng.random((2, 5, 7)))):
        maps, packed = maps.astype(np.float32), POOLED["random_mixtures"](rng, 2, 3 * kind)
        expected = natural_numpy(image, maps, packed)
        got = dye(image, maps, packed)
        assert np.abs(got.astype(int) - expected).max() <= 1
        np.testing.assert_array_equal(got[..., 3], image[..., 3])


@pytest.mark.parametrize("interleaved", [False, True])
def test_floats_are_those_of_the_plain_form(interleaved):
    torch.manual_seed(0)
    layout = torch.channels_last if interleaved else torch.contiguous_format
    image = (255 * torch.rand(2, 4, 21, 35)).to(DEVICE).contiguous(memory_format=layout)
    maps = torch.rand(2, 9, 8).to(DEVICE)
    packed = torch.from_numpy(POOLED["random_mixtures"](np.random.default_rng(2), 2, 5)).to(DEVICE)
    got = natural_triton(image, maps, packed)
    assert got.stride() == image.stride()
    assert torch.allclose(got, natural_torch(image, maps, packed), atol=0.02)


def test_the_public_function():
    rng = np.random.default_rng(4)
    image, prob = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8), np.ones((8, 8), np.float32)
    method = NaturalDye("mermaid", highlights="gold")
    expected = apply_ombre(image, prob, method=method, backend="numpy")
    assert np.abs(apply_ombre(image, prob, method=method, backend="triton").astype(int) - expected).max() <= 1
    leaf = torch.zeros(3, 9, 9, device=DEVICE, requires_grad=True)
    with pytest.raises(InputError, match=r"^backend: got 'triton' for torch.float32 on .*, with gradients, allowed"):
        apply_ombre(leaf, torch.ones(4, 4, device=DEVICE), method=method, backend="triton")
