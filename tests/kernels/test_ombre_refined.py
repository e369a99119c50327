"""Dyeing by refined maps in one kernel, against the references; without a GPU under the interpreter.

The interpreter's time goes by the photos' rows, so most photos are wide.
"""

import cv2
import numpy as np
import pytest
import torch
from ohlora_fast.kernels.ombre import ombre_refined_triton, ombre_triton
from ohlora_fast.kernels.refine import on_grid

from ohlora_fast import apply_ombre
from ohlora_fast.ops.ombre_op import pack_settings
from ohlora_fast.ops.ombre_torch import ombre_torch, resized_torch
from ohlora_fast.ops.refine_op import TOLERANCE, ombre_refined_numpy, refine_numpy

from .conftest import DEVICE, laid_out


def portraits(count, height, width, channels, cells, maps=1):
    """Dark patches on a light ground, noisy, (N, H, W, C), and how much of each cell of a coarse map they cover."""
    rng = np.random.default_rng(height)
    shapes = [cv2.resize(rng.random((4, 5)), (width, height), interpolation=cv2.INTER_CUBIC) for _ in range(count)]
    hair = np.stack(shapes) > 0.4
    image = np.where(hair[..., None], 60, 190) + rng.normal(0, 20, (count, height, width, channels))
    covered = [cv2.resize(one.astype(np.float32), cells[::-1], interpolation=cv2.INTER_AREA) for one in hair[:maps]]
    return np.clip(image, 0, 255).astype(np.uint8), np.stack(covered)


def parameters(count):
    rng = np.random.default_rng(count)
    return pack_settings(rng.random(count), rng.uniform(0.6, 1, count), rng.random(count))


def dye(function, image, maps, settings, layout="planar"):
    """What a kernel makes of (N, H, W, C), as an array."""
    photos = laid_out(image, layout)
    out = function(photos, torch.from_numpy(maps).to(DEVICE), torch.from_numpy(settings).to(DEVICE))
    assert out.dtype == photos.dtype
    assert layout == "strided" or out.stride() == photos.stride()
    return out.permute(0, 2, 3, 1).cpu().numpy()


def fused(image, maps, settings, layout="planar"):
    return dye(ombre_refined_triton, image, maps, settings, layout)


def unrefined(image, maps, settings):
    return dye(ombre_triton, image, maps, settings)


def reference(image, maps, settings):
    """The same on the CPU: refining, and then the blend with the gradient of the maps as they are.

    The grid is the kernel's, since a GPU may round a byte of it another way.
    """
    photos, coarse = torch.from_numpy(image).permute(0, 3, 1, 2), torch.from_numpy(maps)
    guide, grid = (one.cpu() for one in on_grid(photos.to(DEVICE), coarse.to(DEVICE)))
    guide = 255 * guide.permute(0, 2, 3, 1).numpy()
    if image.dtype == np.uint8:
        return ombre_refined_numpy(image, np.round(guide).astype(np.uint8), grid.numpy(), maps, settings)
    prob = (resized_torch(coarse * 255, *photos.shape[2:]) / 255).clamp(0, 1)
    prob = prob.expand(len(image), -1, -1).contiguous()
    refine_numpy(image, guide, grid.numpy(), prob.numpy())
    return ombre_torch(photos, prob, torch.from_numpy(settings), extent_of=coarse).permute(0, 2, 3, 1).numpy()


def assert_close(got, expected):
    """Equal but for float32.

    Refined maps differ by `TOLERANCE` at most, so values by 4 · 255 times that, 0.1. Mostly it is a hundredth of both:
    of the bytes of half-transparent hair, one in a thousand is truncated to another one.
    """
    difference = np.abs(got.astype(np.float64) - expected)
    if got.dtype == np.float32:
        assert difference.max() <= 4 * 255 * TOLERANCE
    else:
        assert difference.max() <= 1
        assert (difference > 0).mean() <= 0.002
    np.testing.assert_array_equal(got[..., 3:], expected[..., 3:])


@pytest.mark.parametrize(
    ("case", "layout", "dtype"),
    [
        ((1, 24, 500, 3, (224, 224)), "planar", np.uint8),
        ((1, 24, 500, 4, (224, 224)), "planar", np.float32),
        ((2, 13, 333, 4, (56, 60)), "interleaved", np.uint8),  # one map for both
        ((2, 13, 333, 3, (56, 60)), "interleaved", np.float32),
        ((2, 18, 129, 3, (5, 7), 2), "strided", np.uint8),
        ((1, 10, 1100, 4, (30, 300)), "planar", np.uint8),  # more than a block of columns
        ((1, 20, 70, 3, (3, 3)), "interleaved", np.uint8),  # a tiny map, of no hair row
        ((2, 7, 5, 3, (4, 4), 2), "interleaved", np.uint8),
    ],
)
def test_equal_to_refining_first(case, layout, dtype):
    image, maps = portraits(*case)
    image, settings = image.astype(dtype), parameters(len(image))
    got = fused(image, maps, settings, layout)
    assert_close(got, reference(image, maps, settings))
    assert np.abs(got.astype(np.float64) - unrefined(image, maps, settings)).max() >= 1


def test_flat_maps_are_dyed_as_if_not_refined():
    image, _ = portraits(3, 12, 260, 4, (1, 1))
    maps = np.stack([np.full((40, 30), value, np.float32) for value in (0, 0.03, 1)])
    settings = parameters(3)
    got = fused(image, maps, settings)
    np.testing.assert_array_equal(got[:2], image[:2])
    # A 1 that was resized to a little less may become 1 again when it is divided by 255 and multiplied.
    assert np.abs(got[2].astype(int) - unrefined(image, maps, settings)[2]).max() <= 1
    assert (got[2] != image[2])[..., :3].mean() > 0.1


def test_the_public_function():
    image, maps = portraits(1, 9, 120, 3, (20, 30))
    got = apply_ombre(image, maps, 0.9, 0.8, 0.3, backend="triton", refine=True)
    np.testing.assert_array_equal(got, fused(image, maps, pack_settings(*np.array([[0.9], [0.8], [0.3]]))))


def test_one_pixel():
    image, maps = np.full((1, 1, 1, 3), 77, np.uint8), np.ones((1, 1, 1), np.float32)
    got = fused(image, maps, parameters(1))
    assert_close(got, reference(image, maps, parameters(1)))
    assert (got != image).any()


def test_strands_that_the_map_does_not_show():
    """Where the map alone dyes nothing, refining does: such blocks are not skipped. There is no gradient then."""
    dark = np.arange(2000) % 45 < 4  # a cell of the map is 9 wide
    image = np.where(dark[None, None, :, None], np.uint8(40), np.uint8(200)) + np.zeros((1, 9, 1, 3), np.uint8)
    maps = cv2.resize(dark[None].astype(np.float32), (224, 1), interpolation=cv2.INTER_AREA)[None]
    maps = np.repeat(maps, 224, axis=1)
    settings = pack_settings(np.array([0.3]), np.array([0.5]), np.array([0.5]))
    np.testing.assert_array_equal(unrefined(image, maps, settings), image)
    got = fused(image, maps, settings)
    assert_close(got, reference(image, maps, settings))
    changed = (got != image).any(axis=(0, 1, 3))
    assert changed[dark].mean() > 0.5
    assert not changed[~dark].any()


@pytest.mark.parametrize("layout", ["planar", "interleaved"])
def test_a_view_is_dyed_in_place_and_nothing_beside_it(layout):
    image, maps = portraits(1, 20, 300, 3, (56, 60))
    whole = laid_out(image, layout)
    before, view = whole.clone(), whole[:, :, 2:11, 7:290]
    others = torch.from_numpy(maps).to(DEVICE), torch.from_numpy(parameters(1)).to(DEVICE)
    expected = ombre_refined_triton(view, *others)
    assert not torch.equal(expected, view)
    assert ombre_refined_triton(view, *others, view) is view
    assert torch.equal(view, expected)
    view.copy_(before[:, :, 2:11, 7:290])
    assert torch.equal(whole, before)


@pytest.mark.skipif(DEVICE == "cpu", reason="no GPU")
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("layout", ["planar", "interleaved", "strided"])
@pytest.mark.parametrize("channels", [3, 4])
def test_photos_on_a_gpu_come_out_as_on_the_cpu(channels, layout, dtype):
    image, maps = portraits(3, 448, 672, channels, (224, 224), 3)
    image, settings = image.astype(dtype), parameters(3)
    got = fused(image, maps, settings, layout)
    assert_close(got, reference(image, maps, settings))
    assert np.abs(got.astype(np.float64) - unrefined(image, maps, settings)).max() >= 1
