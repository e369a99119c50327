"""Every backend of natural dyeing against the plain reference, on shapes nobody likes; and the reference itself."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ohlora_fast import _core
from ohlora_fast.natural import NaturalDye, pack_natural
from ohlora_fast.ops.natural_op import natural_cpp, natural_numpy, plan_of
from ohlora_fast.ops.natural_plan import COLUMNS, Mixture, make_plan, measure
from ohlora_fast.ops.natural_torch import _planned, natural_torch, plan_tensors
from ohlora_fast.ops.oklab import from_oklab, to_oklab
from ohlora_fast.ops.ombre_op import hair_rows

HERE = Path(__file__).parent
POOLED = runpy.run_path(str(HERE / "pooled_natural.py"))
GOLDEN = HERE.parent / "golden" / "natural.npz"
ALL_KINDS = NaturalDye("sunset", lift=0.7, direction="flow", highlights="gold", undercolor="teal")


def assert_close(count):
    assert count["values"] >= 1_000_000
    assert count["dyed"] >= count["values"] / 20
    assert count["largest"] <= 1
    assert count["different"] <= 0.002 * count["values"], count


def packed(dye, count=1, color=0.9, height=1.0, grad_height=0.0):
    return pack_natural(dye, *(np.full(count, one) for one in (color, height, grad_height)))


def lightness(pixels):
    return to_oklab(pixels)[..., 0]


@pytest.mark.parametrize("level", _core.build_info()["simd_compiled"])
def test_cpp_is_close_to_the_reference_at_every_vector_level(level):
    environment = os.environ | {"OHLORA_SIMD": level, "OMP_NUM_THREADS": "1"}
    script = [sys.executable, HERE / "pooled_natural.py"]
    count = json.loads(subprocess.run(script, env=environment, capture_output=True, text=True, check=True).stdout)
    if count["simd"] != level:
        pytest.skip(f"this CPU has no {level}")
    assert_close(count)


def test_torch_is_close_to_the_reference():
    assert_close(POOLED["compare"](POOLED["tensors"](natural_torch), 1_000_000))


@pytest.mark.parametrize("dye", [natural_numpy, natural_cpp, POOLED["tensors"](natural_torch)])
def test_golden_cases(dye):
    golden = np.load(GOLDEN)
    for n in range(4):
        image, prob, settings, expected = (golden[f"{name}_{n}"] for name in ("image", "prob", "packed", "dyed"))
        difference = np.abs(dye(image, prob.astype(np.float32), settings).astype(int) - expected)
        assert difference.max() <= 1
        assert (difference > 0).mean() <= 0.002


@pytest.mark.parametrize("kind", [0, 1, 2, 4, 7])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (1, 65), (70, 1), (2, 129)])
def test_odd_shapes(size, kind):
    rng = np.random.default_rng(kind)
    image = rng.integers(0, 256, (2, *size, 4), dtype=np.uint8)
    settings = POOLED["random_mixtures"](rng, 2, kind)
    for maps in (np.ones((1, 1, 1)), np.zeros((2, 3, 2)), rng.random((2, 5, 7)), np.round(rng.random((1, 224, 9)))):
        maps = maps.astype(np.float32)
        expected = natural_numpy(image, maps, settings)
        np.testing.assert_array_equal(expected[..., 3], image[..., 3])
        for dye in (natural_cpp, POOLED["tensors"](natural_torch)):
            assert np.abs(dye(image, maps, settings).astype(int) - expected).max() <= 1


def test_threads_change_nothing():
    rng = np.random.default_rng(0)
    image, maps = rng.integers(0, 256, (1, 300, 200, 3), dtype=np.uint8), np.ones((1, 9, 9), np.float32)
    one, three = (natural_cpp(image, maps, packed(ALL_KINDS), threads) for threads in (1, 3))
    np.testing.assert_array_equal(one, three)


def test_any_strides():
    big = np.random.default_rng(0).integers(0, 256, (2, 60, 50, 4), dtype=np.uint8)
    maps = np.ones((1, 4, 4), np.float32)
    for view in (big[:, ::2, ::2], big[:, ::-1], big[:, :, :, 2::-1], big[:, 5:30, 7:33, :3]):
        expected = natural_numpy(view.copy(), maps, packed(NaturalDye(), 2))
        assert np.abs(natural_cpp(view, maps, packed(NaturalDye(), 2)).astype(int) - expected).max() <= 1


def test_oklab_there_and_back():
    pixels = np.random.default_rng(0).integers(0, 256, (5000, 3), dtype=np.uint8)
    assert np.abs(from_oklab(to_oklab(pixels)) - pixels).max() < 1e-2
    np.testing.assert_allclose(to_oklab(pixels.astype(float)), to_oklab(pixels), atol=1e-12)
    # Björn Ottosson's own values, for the corners of sRGB.
    np.testing.assert_allclose(to_oklab(np.uint8([[0, 0, 255]])), [[0.452, -0.032, -0.312]], atol=1e-3)


def test_a_table_has_a_row_for_each_row_of_the_photo_or_for_each_mix():
    image, maps = np.full((2, 40, 30, 3), 90, np.uint8), np.ones((1, 8, 8), np.float32)
    plain = plan_of(image, maps, packed(NaturalDye("sunset"), 2))
    assert plain.table.shape == (2, 40, COLUMNS)
    assert plain.index is None
    mixed = plan_of(image, maps, packed(ALL_KINDS, 2))
    assert mixed.table.shape == (2, 256 * 16 * 16, COLUMNS)
    assert mixed.index.shape == (2, 40, 30)
    assert mixed.index.max() < 256 * 16 * 16


def test_a_plan_takes_what_was_measured_elsewhere():
    rng = np.random.default_rng(0)
    image, maps = rng.integers(0, 256, (2, 64, 48, 3), dtype=np.uint8), np.ones((1, 8, 8), np.float32)
    settings = packed(ALL_KINDS, 2)
    found = [measure(Mixture.unpacked(row), one, maps[0]) for row, one in zip(settings, image, strict=True)]
    hair = hair_rows(maps, 64, 48)
    own = make_plan(image, maps, hair, (64, 48), settings)
    for given, same in ((found, True), (found[::-1], False)):
        plan = make_plan(image, maps, hair, (64, 48), settings, given)
        assert np.array_equal(plan.table, own.table) is same
        assert np.array_equal(plan.index, own.index) is same


def test_black_hair_without_lift_takes_a_tint_and_lift_makes_it_lighter():
    rng = np.random.default_rng(0)
    image = rng.integers(8, 40, (1, 64, 64, 3), dtype=np.uint8)
    maps = np.ones((1, 4, 4), np.float32)
    means, chromas = [], []
    for lift in (0.0, 0.4, 1.0):
        lab = to_oklab(natural_numpy(image, maps, packed(NaturalDye("hotpink", lift=lift, strength=1))))
        means.append(lab[..., 0].mean())
        chromas.append(np.hypot(lab[..., 1], lab[..., 2]).max())
    assert abs(means[0] - lightness(image).mean()) < 0.02
    assert means[0] < means[1] < means[2]
    assert abs(means[2] - to_oklab(np.uint8([255, 105, 180]))[0]) < 0.05
    assert chromas[0] < 0.1  # no neon: the pure dye has 0.2


def test_strands_stay_in_order_and_grey_hair_takes_the_dye_s_hue():
    grey = np.repeat(np.arange(60, 240, dtype=np.uint8)[None, :, None], 3, axis=2)[None]
    maps = np.ones((1, 1, 1), np.float32)
    for color in ("black", "teal", "platinum"):
        dyed = natural_numpy(grey, maps, packed(NaturalDye(color, lift=0.8)))
        assert (np.diff(lightness(dyed)[0, 0]) > -2e-3).all(), color
        assert np.ptp(lightness(dyed)) > 0.25, color
    teal = to_oklab(natural_numpy(grey, maps, packed(NaturalDye("teal", strength=1))))[0, 0]
    wanted = to_oklab(np.uint8([0, 128, 128]))
    hue = np.arctan2(teal[:, 2], teal[:, 1]) - np.arctan2(wanted[2], wanted[1])
    assert np.abs(hue[20:-20]).max() < 0.1
    assert np.hypot(teal[-1, 1], teal[-1, 2]) < 0.7 * np.hypot(wanted[1], wanted[2])  # the brightest is less tinted


def test_strength_zero_and_height_zero_change_nothing():
    image = np.random.default_rng(0).integers(0, 256, (1, 50, 40, 3), dtype=np.uint8)
    maps = np.ones((1, 4, 4), np.float32)
    for dye in (natural_numpy, natural_cpp, POOLED["tensors"](natural_torch)):
        np.testing.assert_array_equal(dye(image, maps, packed(NaturalDye(strength=0))), image)
        np.testing.assert_array_equal(dye(image, maps, packed(NaturalDye(), height=0.0)), image)


def test_gradients_reach_image_and_map():
    torch.manual_seed(0)
    image = 60 + 60 * torch.rand(1, 3, 6, 5, dtype=torch.float64)
    prob = 0.6 + 0.2 * torch.rand(1, 4, 4, dtype=torch.float64)
    plan = plan_tensors(image, prob, torch.from_numpy(packed(NaturalDye("teal"))))
    leaves = image.requires_grad_(), prob.requires_grad_()
    assert torch.autograd.gradcheck(lambda i, p: _planned(i, p, *plan), leaves)


def test_floats_are_not_rounded():
    torch.manual_seed(0)
    image, prob = torch.randint(0, 256, (1, 4, 9, 8)), torch.ones(1, 3, 3)
    settings = torch.from_numpy(packed(NaturalDye("teal")))
    exact, rounded = natural_torch(image.float(), prob, settings), natural_torch(image.byte(), prob, settings)
    assert not torch.equal(exact, exact.round())
    assert float((exact - rounded).abs().max()) <= 0.501
