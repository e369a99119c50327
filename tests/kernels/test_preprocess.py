"""The preprocessing kernel against PyTorch, over sizes nobody likes, layouts and types.

Most results are 64×64 or 32×32 instead of 224×224: the interpreter takes some 20 ms a tile.
"""

from __future__ import annotations

import pytest

pytest.importorskip("triton")

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ohlora_fast.kernels.preprocess import preprocess, resize_windows

from ohlora_fast.ops.preprocess_op import preprocess_torch, preprocess_triton

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
CLOSE = 2e-3
"""The share of results that may be rounded to the next byte: sums differ by up to 3e-4, the order being another."""


def noise(count, channels, height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, channels, height, width), dtype=torch.uint8, generator=generator).to(DEVICE)


def interleaved(image):
    return image.contiguous(memory_format=torch.channels_last)


def difference(image, size, dtype=torch.float32, **options):
    """The share of results that differ from PyTorch's, none by more than a byte.

    PyTorch computes on the CPU, whatever the kernel runs on.
    """
    expected = preprocess_torch(image.cpu(), torch.float32, size)
    apart = (preprocess(image, dtype, size, **options).float().cpu() - expected).abs()
    assert apart.max() <= 1
    return (apart > 0).float().mean()


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (1, 300), (63, 65), (128, 64), (64, 333), (517, 1023), (9, 8000)])
def test_sizes(shape):
    assert difference(noise(1, 3, *shape), 32) < CLOSE


@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    count=st.integers(1, 3),
    channels=st.sampled_from([3, 4]),
    height=st.integers(1, 150),
    width=st.integers(1, 150),
    layout=st.sampled_from([torch.contiguous_format, torch.channels_last]),
    seed=st.integers(0, 99),
)
def test_batches(count, channels, height, width, layout, seed):
    image = noise(count, channels, height, width, seed).contiguous(memory_format=layout)
    assert difference(image, 32) < CLOSE


@pytest.mark.parametrize(
    "view",
    [
        lambda image: image[:, :, 3:40, 5:71],
        lambda image: interleaved(image)[:, :, 3:40, 5:71],
        lambda image: image.transpose(2, 3),
        lambda image: image[:, :, ::2, ::3],
        lambda image: image[1:2].expand(3, -1, -1, -1),
        lambda image: image.flip(1)[:, 1:],
    ],
    ids=["crop", "interleaved crop", "transposed", "every other", "expanded", "last channels"],
)
def test_strides(view):
    assert difference(view(noise(2, 4, 50, 80)), 32) < CLOSE


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_types_and_layouts(dtype, channels_last):
    """Every type holds the results exactly."""
    image = interleaved(noise(2, 3, 40, 90))
    got = preprocess(image, dtype, 32, channels_last)
    assert got.dtype == dtype
    assert got.is_contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    assert difference(image, 32, dtype, channels_last=channels_last) < CLOSE


def test_alpha_is_not_read():
    image = noise(1, 4, 30, 30)
    other = image.clone()
    other[:, 3] = 255 - other[:, 3]
    assert torch.equal(preprocess(image, torch.float32, 32), preprocess(other, torch.float32, 32))


def test_a_photo_of_the_size_is_only_centred():
    image = interleaved(noise(1, 3, 224, 224))
    assert torch.equal(preprocess_triton(image, torch.float16), image.half() - 127.5)


def test_windows_are_those_of_a_resize_of_unit_impulses():
    """Each column of the weights, spelled out, is what PyTorch makes of one white pixel in a black row."""
    for source, size in ((5, 32), (32, 32), (100, 32), (1, 32), (301, 64)):
        windows, shape, narrow = resize_windows(source, size)
        pixel = np.arange(source)
        distance = pixel[:, None] - windows[0] + shape[0]
        weight = np.maximum(shape[1] * (1 - np.abs(distance) * narrow), 0)
        impulses = torch.eye(source)[:, None, None, :]
        expected = torch.nn.functional.interpolate(impulses, (1, size), mode="bilinear", antialias=True)[:, 0, 0]
        np.testing.assert_allclose(weight, expected.numpy(), atol=2e-6)
        outside = (pixel[:, None] < windows[0]) | (pixel[:, None] >= windows[1])
        assert (weight[outside] == 0).all()
