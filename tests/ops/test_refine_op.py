"""Refining maps: what the reference does, and the compiled form held to it on shapes nobody likes."""

import os
import subprocess
import sys

import numpy as np
import pytest

from ohlora_fast import _core
from ohlora_fast.ops.refine_op import TOLERANCE, refine_cpp, refine_numpy

SHAPES = [
    (1, (1, 1, 3), (1, 1)), (2, (7, 5, 4), (3, 2)), (1, (130, 67, 3), (56, 56)), (2, (90, 301, 4), (224, 224)),
    (1, (3, 400, 3), (70, 65)), (1, (400, 2, 4), (5, 129)),
]  # fmt: skip
"""Photos, their shape, and the grid's."""


def arguments(count, shape, grid, maps=None):
    rng = np.random.default_rng(shape[0])
    image = rng.integers(0, 256, (count, *shape), np.uint8)
    guide = rng.integers(0, 256, (count, *grid, 3), np.uint8)
    guide[:, :, grid[1] // 2 :] = 200  # plain colours beside noise
    return image, guide, rng.random((maps or count, *grid), np.float32), rng.random((count, *shape[:2]), np.float32)


def refined(form, image, guide, maps, prob, **options):
    out = prob.copy()
    form(image, guide, maps, out, **options)
    return out


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("shape", SHAPES)
def test_compiled_equals_the_reference(shape, threads):
    given = arguments(*shape)
    got = refined(refine_cpp, *given, threads=threads)
    assert np.abs(got - refined(refine_numpy, *given)).max() < TOLERANCE
    assert min(shape[2]) < 5 or np.abs(got - given[3]).max() > 0.01


def test_compiled_takes_one_map_for_all_other_windows_and_any_strides():
    image, guide, maps, prob = arguments(3, (40, 50, 3), (20, 30), maps=1)
    options = {"radius": 2, "eps": 0.01}
    wanted = refined(refine_numpy, image[:, ::-1, ::2], guide, maps, prob[..., ::2].copy(), **options)
    got = refined(refine_cpp, image[:, ::-1, ::2], guide, maps, prob[..., ::2].copy(), **options)
    assert np.abs(got - wanted).max() < TOLERANCE


def test_the_result_does_not_depend_on_threads():
    given = arguments(1, (200, 150, 3), (64, 64))
    one, several = (refined(refine_cpp, *given, threads=threads) for threads in (1, 4))
    np.testing.assert_array_equal(one, several)


@pytest.mark.parametrize("form", [refine_numpy, refine_cpp])
def test_flat_and_sure_maps_stay(form):
    image, guide, _, prob = arguments(1, (60, 60, 3), (24, 24))
    flat = np.full((1, 24, 24), 0.3, np.float32)
    np.testing.assert_allclose(refined(form, image, guide, flat, prob), prob, atol=TOLERANCE)
    sure = np.round(prob)
    ragged = np.round(np.random.default_rng(0).random((1, 24, 24), np.float32))
    np.testing.assert_array_equal(refined(form, image, guide, ragged, sure), sure)


@pytest.mark.parametrize("form", [refine_numpy, refine_cpp])
def test_a_border_of_the_map_moves_to_that_of_the_colours(form):
    image = np.zeros((1, 128, 128, 3), np.uint8)
    image[:, :, 67:] = (40, 200, 90)
    guide = image.reshape(1, 32, 4, 32, 4, 3).mean(axis=(2, 4)).astype(np.uint8)
    step = image[..., 1] / np.float32(200)
    maps = step.reshape(1, 32, 4, 32, 4).mean(axis=(2, 4)).astype(np.float32)
    prob = np.repeat(np.repeat(maps, 4, axis=1), 4, axis=2)
    got = refined(form, image, guide, maps, prob)
    assert (prob[0, 64, 64:68] == 0.25).all()
    assert got[0, 64, 64:67].max() < 0.05
    assert got[0, 64, 67] > 0.6


def test_levels_of_instructions_agree(tmp_path):
    code = (
        "import sys, numpy as np\n"
        "from ohlora_fast.ops.refine_op import refine_cpp\n"
        "rng = np.random.default_rng(0)\n"
        "image, guide = (rng.integers(0, 256, (1, *size, 3), np.uint8) for size in ((37, 83), (19, 70)))\n"
        "prob = rng.random((1, 37, 83), np.float32)\n"
        "refine_cpp(image, guide, rng.random((1, 19, 70), np.float32), prob, threads=1)\n"
        "np.save(sys.argv[1], prob)\n"
    )
    found = []
    for level in _core.build_info()["simd_compiled"]:
        file = str(tmp_path / f"{level}.npy")
        subprocess.run([sys.executable, "-c", code, file], env=os.environ | {"OHLORA_SIMD": level}, check=True)
        found.append(np.load(file))
    assert all(np.abs(found[0] - other).max() < TOLERANCE for other in found)
