"""Every backend against the plain reference, on shapes nobody likes."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from ohlora_fast.kernels.cubic import cubic_taps

from ohlora_fast import _core, apply_ombre
from ohlora_fast.ops.ombre_op import hair_rows, hue_colors, pack_settings
from ohlora_fast.ops.ombre_torch import ombre_torch, resized_torch

HERE = Path(__file__).parent
GOLDEN = HERE.parent / "golden" / "ombre.npz"
FAST = ["cpp", "torch"]


def pooled(backend, level=None):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if level:
        environment["OHLORA_SIMD"] = level
    script = HERE / "pooled_ombre.py"
    run = subprocess.run(
        [sys.executable, script, backend, "0"], env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(run.stdout)


def assert_close(count):
    assert count["values"] >= 1_000_000
    assert count["largest"] <= 1
    assert count["different"] <= 0.002 * count["values"], count
    assert count["left_out"] < count["cases"] / 4, count


@pytest.mark.parametrize("level", _core.build_info()["simd_compiled"])
def test_cpp_is_close_to_the_reference_at_every_vector_level(level):
    count = pooled("cpp", level)
    if count["simd"] != level:
        pytest.skip(f"this CPU has no {level}")
    assert_close(count)
    assert count["different_at_own_size"] == 0


def test_torch_is_close_to_the_reference():
    assert_close(pooled("torch"))


@pytest.mark.parametrize("backend", FAST)
def test_golden_cases(backend):
    golden = np.load(GOLDEN)
    different = values = 0
    for n in range(16):
        prob, image, expected = (golden[f"{name}_{n:02d}"] for name in ("prob", "image", "ombre"))
        got = apply_ombre(image, prob, *golden[f"params_{n:02d}"], backend=backend)
        difference = np.abs(got.astype(int) - expected)
        assert difference.max() <= 1
        different += int((difference > 0).sum())
        values += expected.size
    assert values > 1_000_000
    assert different <= 0.002 * values


def test_hue_table_equals_the_golden_one():
    degrees = (np.arange(360) + 0.5) / 360
    np.testing.assert_array_equal(hue_colors(degrees), np.load(GOLDEN)["hue_colors"])


def test_integer_dye_equals_the_float_formula_for_every_value_and_hue():
    value, hue = np.mgrid[0:256, 0:256]
    expected = np.clip(1.35 * value + 0.25 * hue - 38.25, 0, 255).astype(int)
    np.testing.assert_array_equal(np.clip((27 * value + 5 * hue - 765) // 20, 0, 255), expected)


@st.composite
def odd_cases(draw):
    count = draw(st.integers(1, 3))
    height, width = draw(st.sampled_from([(1, 1), (7, 5), (1, 64), (64, 1), (17, 65), (33, 63), (2, 129), (5, 4)]))
    map_height, map_width = draw(st.sampled_from([(1, 1), (2, 3), (4, 4), (7, 5), (31, 33), (64, 1)]))
    channels = draw(st.sampled_from([3, 4]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    image = rng.integers(0, 256, (count, height, width, channels), dtype=np.uint8)
    maps = rng.random((count, map_height, map_width), dtype=np.float32)
    kind = draw(st.sampled_from(["any", "saturated", "all", "none"]))
    if kind == "saturated":
        maps = np.round(maps)
    elif kind != "any":
        maps = np.full_like(maps, kind == "all")
    fraction = st.sampled_from([0.0, 1.0, 0.5, 0.7]) | st.floats(0, 1)
    parameters = [[draw(fraction) for _ in range(count)] for _ in range(3)]
    return image, maps, parameters


def threshold_is_near(maps, height, width):
    for one in maps:
        resized = cv2.resize(one * np.float32(255), (width, height), interpolation=cv2.INTER_CUBIC)
        rows = np.clip(4.0 * resized.reshape(height, width).astype(np.float64) - 765, 0, 255).max(axis=1)
        if (np.abs(rows - 191.25) < 0.01).any():
            return True
    return False


@pytest.mark.parametrize("backend", FAST)
@settings(max_examples=60, deadline=None)
@given(case=odd_cases())
def test_odd_shapes_differ_by_at_most_one(backend, case):
    image, maps, parameters = case
    assume(not threshold_is_near(maps, *image.shape[1:3]))
    expected = apply_ombre(image, maps, *parameters, backend="numpy")
    got = apply_ombre(image, maps, *parameters, backend=backend)
    assert got.shape == image.shape
    assert got.dtype == np.uint8
    assert np.abs(got.astype(int) - expected).max() <= 1
    np.testing.assert_array_equal(got[..., 3:], image[..., 3:])


@pytest.mark.parametrize("size", [(1024, 1024), (256, 256), (517, 333), (100, 103)])
def test_resized_map_equals_opencv_off_the_border(size):
    """The reason for the particular order of operations: a map of ones must give what OpenCV gives."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    maps = np.stack([rng.random((224, 224), dtype=np.float32), np.ones((224, 224), np.float32)]) * np.float32(255)
    got = resized_torch(torch.from_numpy(maps), *size).numpy()
    expected = np.stack([cv2.resize(one, size[::-1], interpolation=cv2.INTER_CUBIC) for one in maps])
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4)
    if platform.machine() in ("x86_64", "AMD64") and cv2.__version__.startswith("5."):
        # Equal to the last bit, but for a few values in the border's rows and columns.
        assert (got != expected).mean() < 0.01
        assert (got[:, 12:-12, 12:-12] == expected[:, 12:-12, 12:-12]).all()


@pytest.mark.parametrize("tiny", [False, True])
def test_taps_sum_to_one_and_stay_inside(tiny):
    for source, size in [(1, 7), (3, 10), (224, 1024), (224, 333), (300, 17)]:
        index, weight, begin, end = cubic_taps(source, size, tiny)
        assert index.shape == weight.shape == (size, 4)
        assert index.min() >= 0
        assert index.max() < source
        assert 0 <= begin <= end <= size
        np.testing.assert_allclose(weight.sum(axis=1), 1, atol=1e-6)


def test_hair_rows_of_cpp_equal_the_reference():
    rng = np.random.default_rng(1)
    maps = np.zeros((6, 40, 30), np.float32)
    for n in range(1, 6):
        top, bottom = sorted(rng.integers(0, 40, 2))
        maps[n, top : bottom + 1, rng.integers(0, 30)] = 1.0
    rows = hair_rows(maps, 200, 77)
    assert rows[0].tolist() == [-1, -1]
    for one, (top, bottom) in zip(maps, rows.tolist(), strict=True):
        resized = cv2.resize(one * np.float32(255), (77, 200), interpolation=cv2.INTER_CUBIC).astype(np.float64)
        found = np.flatnonzero((4 * resized - 765).max(axis=1) >= 191.25)
        assert (top, bottom) == ((found[0], found[-1]) if found.size else (-1, -1))


def float_case():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    # Off the kinks: the map neither clear nor opaque, the dye not clipped.
    prob = 0.76 + 0.2 * torch.rand(2, 6, 5, dtype=torch.float64)
    image = 60 + 60 * torch.rand(2, 3, 9, 8, dtype=torch.float64)
    parameters = [np.array([0.5, 0.1]), np.array([0.9, 0.6]), np.array([0.5, 0.8])]
    return torch, image, prob, torch.from_numpy(pack_settings(*parameters))


def test_torch_gradients_reach_image_and_map():
    torch, image, prob, parameters = float_case()
    image.requires_grad_()
    prob.requires_grad_()
    assert torch.autograd.gradcheck(lambda i, p: ombre_torch(i, p, parameters), (image, prob))
    ombre_torch(image, prob, parameters).sum().backward()
    assert image.grad.abs().sum() > 0
    assert prob.grad.abs().sum() > 0


def test_float_tensors_skip_the_truncations():
    torch, image, prob, parameters = float_case()
    rounded = image.round()
    exact = ombre_torch(rounded, prob, parameters)
    truncated = ombre_torch(rounded.byte(), prob.float(), parameters)
    assert not torch.equal(exact, exact.round())
    # Two truncations, each of less than 1.
    assert float((exact - truncated).min()) > -0.01
    assert float((exact - truncated).max()) < 2
