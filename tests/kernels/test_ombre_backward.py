"""The ombre's gradients in Triton against the plain formula; without a GPU under the interpreter."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ohlora_fast.ops.ombre_custom_op import backward_on_gpu
from ohlora_fast.ops.ombre_op import pack_settings
from ohlora_fast.ops.ombre_torch import ombre_gradients, ombre_torch

from .conftest import DEVICE, examples

LAYOUTS = ["planar", "interleaved", "strided"]


def laid_out(tensor, layout):
    if layout == "interleaved":
        return tensor.contiguous(memory_format=torch.channels_last)
    if layout == "planar":
        return tensor
    spread = torch.zeros([2 * size + 1 for size in tensor.shape])
    spread[1::2, 1::2, 1::2, 1::2] = tensor
    return spread[1::2, 1::2, 1::2, 1::2]


def case(count, channels, size, maps, map_size, layout, seed):
    """Gradient, image, map and settings: values with clipped dyes, and clear, half-clear and opaque hair."""
    rng = torch.Generator().manual_seed(seed)
    image = 255 * torch.rand(count, channels, *size, generator=rng)
    grad = torch.randn(image.shape, generator=rng)
    prob = 0.6 + 0.4 * torch.rand(maps, *map_size, generator=rng)
    parameters = np.random.default_rng(seed).random((3, count))
    packed = torch.from_numpy(pack_settings(*parameters))
    return tuple(one.to(DEVICE) for one in (laid_out(grad, layout), laid_out(image, layout), prob, packed))


def close(found, expected):
    for ours, plain in zip(found, expected, strict=True):
        assert ours.shape == plain.shape
        assert torch.allclose(ours, plain, rtol=1e-4, atol=1e-5 * float(plain.abs().max().clamp(min=1)))


@settings(max_examples=examples(25), deadline=None)
@given(
    count=st.integers(1, 3), channels=st.sampled_from([3, 4]), one_map=st.booleans(),
    size=st.sampled_from([(1, 1), (7, 5), (1, 64), (40, 1), (17, 65), (2, 129)]),
    map_size=st.sampled_from([(1, 1), (2, 3), (4, 4), (7, 5), (31, 33)]),
    layout=st.sampled_from(LAYOUTS), seed=st.integers(0, 2**16),
)  # fmt: skip
def test_gradients_are_those_of_the_plain_formula(count, channels, one_map, size, map_size, layout, seed):
    arguments = case(count, channels, size, 1 if one_map else count, map_size, layout, seed)
    close(backward_on_gpu(*arguments), ombre_gradients(*arguments))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradients_are_autograd_s(layout):
    grad, image, prob, packed = case(2, 4, (70, 150), 2, (20, 24), layout, 0)
    leaves = image.clone().requires_grad_(), prob.clone().requires_grad_()
    expected = torch.autograd.grad(ombre_torch(*leaves, packed), leaves, grad)
    assert all(float(one.abs().max()) > 0 for one in expected)
    close(backward_on_gpu(grad, image, prob, packed), expected)
