"""The ombre on planes: the compiled form against the reference, and both against the ombre of photos."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from ohlora_fast import _core, apply_ombre
from ohlora_fast.ops.ombre_op import hue_colors
from ohlora_fast.ops.planes_op import Yuv, dye_planes_cpp, dye_planes_numpy, row_weights

SHAPES = [(1, 1), (7, 5), (64, 1), (1, 130), (33, 66), (211, 318)]
KINDS = [("709", False, 8), ("601", True, 8), ("2020", False, 10), ("709", True, 12), ("240", False, 16)]
PINK = hue_colors(np.array([0.9]))[0]


def random_planes(
    draw: np.random.Generator, size: tuple[int, int], down: int, across: int, bits: int
) -> list[np.ndarray]:
    sizes = [size, *2 * [(-(-size[0] // down), -(-size[1] // across))]]
    return [draw.integers(0, 1 << bits, one).astype(np.uint8 if bits == 8 else np.uint16) for one in sizes]


def random_prob(draw: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    return np.clip(draw.uniform(-0.5, 1.5, size), 0, 1).astype(np.float32)


@pytest.mark.parametrize(("down", "across"), [(2, 2), (1, 2), (1, 1)])
@pytest.mark.parametrize("kind", KINDS)
def test_compiled_equals_the_reference(kind: tuple[str, bool, int], down: int, across: int) -> None:
    draw = np.random.default_rng(down + across)
    yuv = Yuv(*kind)
    different = count = 0
    for size in SHAPES:
        for threads in (1, 3):
            planes = random_planes(draw, size, down, across, yuv.bits)
            compiled = [np.pad(plane, ((0, 0), (0, 3)))[:, : plane.shape[1]] for plane in planes]  # rows apart
            prob, weight = random_prob(draw, size), row_weights(0.3, size[0], 0.8, 0.6, size[0])
            dye_planes_numpy(planes, prob, weight, PINK, yuv)
            dye_planes_cpp(compiled, prob, weight, PINK, yuv, threads)
            for got, wanted in zip(compiled, planes, strict=True):
                assert abs(got.astype(int) - wanted).max() <= 1
                different += np.count_nonzero(got != wanted)
                count += wanted.size
    assert different <= max(0.002 * count, 2)


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("level", _core.build_info()["simd_compiled"])
def test_what_is_not_hair_keeps_every_bit(bits: int, level: str) -> None:
    program = (
        "import numpy as np\n"
        "from ohlora_fast.ops.planes_op import *\n"
        "draw = np.random.default_rng(0)\n"
        f"planes = [draw.integers(0, {1 << bits}, size).astype('u{1 if bits == 8 else 2}') for size in"
        " ((90, 130), (45, 65), (45, 65))]\n"
        "before = [plane.copy() for plane in planes]\n"
        "prob = np.full((90, 130), 0.75, np.float32); prob[40:50, 60:70] = 1\n"
        f"dye_planes_cpp(planes, prob, np.ones(90), np.array([255, 0, 80]), Yuv(bits={bits}))\n"
        "for number, (now, was) in enumerate(zip(planes, before)):\n"
        "    share = 2 if number else 1\n"
        "    y, x = np.nonzero(now != was)\n"
        "    assert y.min() >= 40 // share and y.max() < 50 // share\n"
        "    assert x.min() >= 60 // share and x.max() < 70 // share\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env=os.environ | {"OHLORA_SIMD": level})


def test_it_is_the_ombre_of_photos() -> None:
    """On frames whose chroma is not subsampled, both give the same, but for what rounding to 8 bits does."""
    photo = np.random.default_rng(0).integers(40, 216, (60, 50, 3), np.uint8)
    prob = np.ones((60, 50), np.float32)
    yuv = Yuv("601", full=True, bits=16)
    inside = photo.transpose(2, 0, 1).reshape(3, -1).astype(np.float64)
    planes = list(np.rint(yuv.to_yuv @ inside + yuv.zero[:, None]).astype(np.uint16).reshape(3, 60, 50))
    dye_planes_cpp(planes, prob, row_weights(0, 59, 1, 1, 60), PINK, yuv)
    rgb = (yuv.to_rgb @ (np.stack(planes).reshape(3, -1) - yuv.zero[:, None])).reshape(3, 60, 50).transpose(1, 2, 0)
    truncated = rgb - apply_ombre(photo, prob, 0.9, 1, 1)
    assert truncated.min() > -0.1
    assert truncated.max() < 2.1


def test_ten_bits_show_no_bands() -> None:
    """A ramp of all 10-bit values stays one; by way of 8 bits 196 levels would be left, at steps of 4."""
    ramp = np.arange(64, 940, dtype=np.uint16)[None].repeat(2, 0)
    planes = [ramp.copy(), *2 * [np.full((1, 438), 512, np.uint16)]]
    dye_planes_cpp(planes, np.ones((2, 876), np.float32), np.full(2, 0.5), PINK, Yuv(bits=10))
    steps = np.diff(planes[0][0].astype(int))
    assert steps.max() <= 2
    assert steps.min() >= 0
    assert len(np.unique(planes[0])) > 770


def test_rows_of_the_gradient_may_be_fractions() -> None:
    whole, half = (row_weights(top, top + 8, 1, 1, 20) for top in (4, 4.5))
    assert whole[3:6].tolist() == [0, 0, 0.125]
    assert half[3:6].tolist() == [0, 0, 0.0625]
    assert row_weights(4, 8, 1, 0, 10).tolist() == [0] * 4 + [1] * 6
    assert row_weights(4, 4, 0.5, 0.5, 6).tolist() == [0] * 4 + [1] * 2
