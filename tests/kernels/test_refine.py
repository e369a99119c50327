"""Refining maps with Triton, against the reference."""

import os

import numpy as np
import pytest
import torch

from ohlora_fast.ops.refine_op import TOLERANCE, refine_numpy
from ohlora_fast.refine import refine_map

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available() and os.environ.get("TRITON_INTERPRET") != "1", reason="neither GPU nor interpreter"
)
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.mark.parametrize(
    ("count", "shape", "grid", "maps"),
    [(1, (3, 1, 1), (1, 1), 1), (2, (4, 7, 5), (3, 2), 2), (2, (3, 5, 530), (9, 20), 1), (1, (4, 17, 20), (9, 13), 1)],
)
@pytest.mark.parametrize("interleaved", [False, True])
def test_triton_equals_the_reference(count, shape, grid, maps, interleaved):
    from ohlora_fast.kernels.refine import refine_triton

    draw = torch.Generator().manual_seed(shape[1])
    image = torch.randint(0, 256, (count, *shape), generator=draw, dtype=torch.uint8)
    guide = torch.randint(0, 256, (count, 3, *grid), generator=draw, dtype=torch.uint8)
    coarse, prob = torch.rand((maps, *grid), generator=draw), torch.rand((count, *shape[1:]), generator=draw)
    wanted = prob.numpy().copy()
    bytes_ = (one.permute(0, 2, 3, 1).numpy() for one in (image, guide))
    refine_numpy(*bytes_, coarse.numpy(), wanted)
    for photos in (image, image.float()):
        if interleaved:
            photos = photos.contiguous(memory_format=torch.channels_last)
        got = prob.clone().to(DEVICE)
        refine_triton(photos.to(DEVICE), guide.to(DEVICE) / 255, coarse.to(DEVICE), got)
        assert np.abs(got.cpu().numpy() - wanted).max() < TOLERANCE


@pytest.mark.skipif(DEVICE == "cpu", reason="no GPU")
def test_tensors_on_a_gpu_come_out_as_arrays_do():
    draw = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (1, 3, 300, 400), generator=draw, dtype=torch.uint8)
    maps = torch.rand((1, 224, 224), generator=draw)
    got = refine_map(image.to(DEVICE), maps.to(DEVICE)).cpu()
    assert (got - refine_map(image, maps)).abs().max() < 0.01  # of a guide that is rounded elsewhere
