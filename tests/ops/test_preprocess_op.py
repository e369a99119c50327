"""The preprocessing as an operation: against the CPU's path, registration, costs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ohlora_fast.ops import preprocess_op
from ohlora_fast.ops.preprocess_op import preprocess_cost, preprocess_torch
from ohlora_fast.student.preprocess import squash

DTYPES = [torch.float16, torch.bfloat16, torch.float32]


def photo(height, width, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (224, 224), (223, 226), (517, 1023), (1500, 40)])
@pytest.mark.parametrize("channels", [3, 4])
def test_difference_to_the_cpu_path(size, channels):
    """Pillow rounds to bytes after each axis: half a byte each, and a little for its weights; then come ours."""
    image = photo(*size, channels)
    expected = torch.from_numpy(squash(image).astype(np.float32)).permute(2, 0, 1) - 127.5
    got = torch.ops.ohlora_fast.preprocess(torch.from_numpy(image).permute(2, 0, 1)[None], torch.float32)
    assert (got - expected).abs().max() <= 2


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [3, 4])
def test_registration(dtype, channels):
    image = torch.from_numpy(photo(40, 30, channels)).permute(2, 0, 1)[None]
    torch.library.opcheck(preprocess_op.preprocess, (image, dtype))
    got = torch.ops.ohlora_fast.preprocess(image, dtype)
    assert got.dtype == dtype
    assert got.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(got, preprocess_torch(image, torch.float32).to(dtype))


class Brightness(torch.nn.Module):
    """The operation before another."""

    def forward(self, image):
        return torch.ops.ohlora_fast.preprocess(image, torch.float16).float().mean((1, 2, 3))


def test_compile_and_export():
    model, image = Brightness(), torch.from_numpy(photo(60, 50)).permute(2, 0, 1).repeat(2, 1, 1, 1)
    expected = model(image)
    assert torch.equal(torch.compile(model, fullgraph=True, backend="aot_eager")(image), expected)
    batch = torch.export.Dim("batch", min=2, max=64)
    exported = torch.export.export(model, (image,), dynamic_shapes={"image": {0: batch}}).module()
    assert torch.equal(exported(image), expected)
    assert torch.equal(exported(image.repeat(2, 1, 1, 1)), expected.repeat(2))


def test_cost():
    """A photo of the student's size: bytes in and out, two weights an output and axis."""
    assert preprocess_cost(1, 224, 224, 4) == (224**2 * 3 * 5, 2 * 3 * 224**2 * 4)
    assert preprocess_cost(3, 448, 224, 2, channels=4)[0] == 3 * (448 * 224 * 4 + 224**2 * 6)
    assert preprocess_cost(1, 448, 224, 2)[1] == 2 * 3 * 224**2 * (4 + 2)
