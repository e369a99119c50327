"""The CUDA ombre's arithmetic, compiled for the host: `ombre_host.cpp` calls what each lane of the GPU runs.

What this cannot show is what only a GPU has: launches, barriers, votes. `tests/gpu/test_ombre_cuda.py` runs those.
"""

from __future__ import annotations

import ctypes
import runpy
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from ohlora_fast.ops.ombre_op import _extent, hue_colors, ombre_numpy, opacity_of, resized_numpy

torch = pytest.importorskip("torch")

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
GOLDEN = HERE.parent / "golden" / "ombre.npz"
POOLED = runpy.run_path(str(HERE.parent / "ops" / "pooled_ombre.py"))
FLAGS = ["-std=c++17", "-O2", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
LAYOUTS = ["planar", "interleaved", "strided"]


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler c++ on this machine")
    path = tmp_path_factory.mktemp("host") / "ombre_host.so"
    subprocess.run([compiler, *FLAGS, f"-I{ROOT / 'csrc'}", HERE / "ombre_host.cpp", "-o", path], check=True)
    return ctypes.CDLL(str(path))


def pointer(array):
    return array.ctypes.data_as(ctypes.c_void_p)  # keeps the array alive


def tables(maps, height, width):
    from ohlora_fast.kernels.cubic import tap_table

    tiny = min(maps.shape[1:]) < 4
    sizes = [(maps.shape[1], height), (maps.shape[2], width)]
    return [tap_table(source, size, tiny, 1, torch.device("cpu")).numpy() for source, size in sizes]


def strides(image):
    """Of (N, H, W, C), as the kernel takes them: sample, channel, row, column."""
    sample, row, column, channel = image.strides
    return np.array([sample, channel, row, column], np.int64)


def dye(library, image, maps, settings, out=None, rows=0):
    """Dye (N, H, W, C) of any strides into ``out``; returns the name of the layout that was taken."""
    out = image if out is None else out
    count, height, width, channels = image.shape
    row_table, column_table = tables(maps, height, width)
    packed = np.column_stack([hue_colors(settings[0]), settings[1], settings[2]]).astype(np.float64)
    layout = library.ombre_host(
        pointer(image), pointer(strides(image)), pointer(out), pointer(strides(out)), count, channels,
        pointer(row_table), height, pointer(column_table), width, pointer(maps), *maps.shape, pointer(packed), rows,
    )  # fmt: skip
    return LAYOUTS[layout]


def laid_out(image, layout):
    """The same pixels (N, H, W, C), laid out in memory another way."""
    if layout == "planar":
        return image.transpose(0, 3, 1, 2).copy().transpose(0, 2, 3, 1)
    if layout == "interleaved":
        return image.copy()
    spread = np.zeros([2 * size for size in image.shape], np.uint8)
    spread[1::2, ::2, 1::2, ::2] = image
    return spread[1::2, ::2, 1::2, ::2]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_close_to_the_reference(library, layout):
    values = different = largest = left_out = cases = 0
    for image, maps, parameters in POOLED["cases"](np.random.default_rng(LAYOUTS.index(layout)), 1_500_000):
        if any(POOLED["near_threshold"](one, *image.shape[1:3]) for one in maps):
            left_out += 1
            continue
        got = laid_out(image, layout)
        dye(library, got, maps, parameters)
        difference = np.abs(got.astype(int) - ombre_numpy(image, maps, *parameters))
        values += difference.size
        different += int((difference > 0).sum())
        largest = max(largest, int(difference.max()))
        cases += 1
    assert values >= 1_000_000
    assert largest <= 1
    assert different <= 0.002 * values
    assert left_out < cases / 4


@pytest.mark.parametrize("layout", LAYOUTS)
def test_golden_cases(library, layout):
    golden = np.load(GOLDEN)
    different = values = 0
    for n in range(16):
        prob, image, expected = (golden[f"{name}_{n:02d}"] for name in ("prob", "image", "ombre"))
        got = laid_out(image[None], layout)
        parameters = golden[f"params_{n:02d}"].astype(np.float64)[:, None]
        assert dye(library, got, prob[None].astype(np.float32), parameters) == layout
        difference = np.abs(got[0].astype(int) - expected)
        assert difference.max() <= 1
        different += int((difference > 0).sum())
        values += expected.size
    assert values > 1_000_000
    assert different <= 0.002 * values


@st.composite
def odd_cases(draw):
    count = draw(st.integers(1, 3))
    height, width = draw(st.sampled_from([(1, 1), (7, 5), (1, 64), (37, 4), (33, 132), (2, 129), (130, 12), (300, 8)]))
    shape = draw(st.sampled_from([(1, 1), (2, 3), (4, 4), (7, 5), (31, 33), (64, 1), (400, 90)]))
    channels = draw(st.sampled_from([3, 4]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    image = rng.integers(0, 256, (count, height, width, channels), dtype=np.uint8)
    maps = rng.random((draw(st.sampled_from([1, count])), *shape), dtype=np.float32)
    kind = draw(st.sampled_from(["any", "saturated", "spots", "all", "none"]))
    if kind == "saturated":
        maps = np.round(maps)
    elif kind == "spots":
        maps = (maps > 0.97).astype(np.float32)
    elif kind != "any":
        maps = np.full_like(maps, kind == "all")
    fraction = st.sampled_from([0.0, 1.0, 0.5, 0.7]) | st.floats(0, 1)
    parameters = np.array([[draw(fraction) for _ in range(count)] for _ in range(3)])
    return image, maps, parameters, draw(st.sampled_from(LAYOUTS)), draw(st.sampled_from([0, 1, 4, 32]))


NO_HAIR = (
    np.full((1, 8, 8, 3), 200, np.uint8), np.full((1, 4, 4), 0.9, np.float32), np.full((3, 1), 0.5), "planar", 4
)  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(case=odd_cases())
@example(case=NO_HAIR)
def test_odd_shapes_differ_by_at_most_one(library, case):
    image, maps, parameters, layout, rows = case
    assume(not any(POOLED["near_threshold"](one, *image.shape[1:3]) for one in maps))
    expected = ombre_numpy(image, maps, *parameters)
    start = laid_out(image, layout)
    out = laid_out(np.zeros_like(image), layout)
    taken = dye(library, start, maps, parameters, out, rows)
    assert np.array_equal(start, image)
    assert np.abs(out.astype(int) - expected).max() <= 1
    assert np.array_equal(out[..., 3:], image[..., 3:])
    assert (taken == "strided") == (layout == "strided" or image.shape[2] % 4 != 0)
    dye(library, start, maps, parameters, rows=rows)
    assert np.array_equal(start, out)
    # What lies between the pixels stays as it was.
    assert layout != "strided" or not start.base[::2].any()


def test_results_do_not_depend_on_how_rows_are_cut(library):
    rng = np.random.default_rng(5)
    image = rng.integers(0, 256, (2, 150, 140, 3), dtype=np.uint8)
    maps = np.stack([POOLED["hair_map"](rng, "smooth", 56, 60) for _ in range(2)])
    parameters = np.array([[0.1, 0.5], [0.9, 0.6], [0.8, 0.4]])
    results = []
    for rows in (1, 3, 4, 8, 16, 32):
        results.append(image.copy())
        dye(library, results[-1], maps, parameters, rows=rows)
    assert all(np.array_equal(one, results[0]) for one in results)


def test_hair_rows_are_the_reference_s(library):
    rng = np.random.default_rng(1)
    maps = np.zeros((40, 40, 30), np.float32)
    for one in maps[1:]:
        for _ in range(rng.integers(1, 4)):
            one[rng.integers(0, 40), rng.integers(0, 30)] = rng.choice([0.7, 0.8, 0.9, 1.0])
    for height, width in [(200, 77), (1, 1), (13, 300)]:
        rows, columns = tables(maps, height, width)
        found = np.zeros((len(maps), 2), np.int32)
        library.hair_rows_host(
            pointer(rows), height, pointer(columns), width, pointer(maps), *maps.shape, pointer(found)
        )
        for one, extent in zip(maps, found.tolist(), strict=True):
            if POOLED["near_threshold"](one, height, width):
                continue
            assert tuple(extent) == _extent(opacity_of(resized_numpy(one, height, width)))


RANDOM = [(float(q), float(w)) for q, w in np.random.default_rng(0).uniform((195, 0.1), (255, 1), (40, 2))]
OPACITIES = [
    *RANDOM,
    *[(float(q), 1.0) for q in range(190, 257)],
    *[(255.0, step / rows) for rows in (2, 3, 7, 100, 307) for step in range(1, rows, max(1, rows // 6))],
    (float(np.nextafter(np.float32(191.25), np.float32(255))), 1.0),
    (float(np.nextafter(np.float32(255), np.float32(0))), 1.0),
    (float(np.nextafter(np.float32(255), np.float32(0))), 0.5),
    (255.0, 1e-6),
]


def test_float32_with_a_bound_blends_as_float64_does(library):
    got, expected = np.zeros((2, 256, 256), np.uint8)
    left = {}
    for opacity in OPACITIES:
        q, weight = ctypes.c_float(opacity[0]), ctypes.c_double(opacity[1])
        left[opacity] = library.blend_pairs(q, weight, pointer(got), pointer(expected))
        assert np.array_equal(got, expected), opacity
    assert left[255.0, 1.0] == 0
    assert left[190.0, 1.0] == 0
    # Equal values, 256 pairs, are undecided at any other opacity; of the rest 4 in 32,768 are.
    assert min(left[opacity] for opacity in RANDOM) >= 256
    assert np.mean([left[opacity] for opacity in RANDOM]) < 256 + 16
    assert left[255.0, 0.5] > 20_000


def test_dye_is_the_definition_s_for_every_value_and_hue(library):
    value, hue = np.mgrid[0:256, 0:256]
    expected = np.clip(1.35 * value + 0.25 * hue - 38.25, 0, 255).astype(np.uint8)
    got = np.zeros((256, 256), np.uint8)
    library.dye_pairs(pointer(got))
    np.testing.assert_array_equal(got, expected)


def test_quotients_by_255_are_correctly_rounded(library):
    rng = np.random.default_rng(0)
    values = np.concatenate([
        255 * rng.random(500_000), rng.random(500_000) * 2.0 ** rng.integers(-30, 8, 500_000),
        np.arange(256.0), np.outer(np.arange(1, 256), 1 / np.arange(1, 256)).ravel(),
    ])  # fmt: skip
    assert library.wrong_quotients(pointer(values), len(values)) == 0


@pytest.mark.parametrize("width", [4, 8, 124, 128, 132, 300])
def test_lanes_exchange_the_words_of_whole_lines(library, width):
    row = np.random.default_rng(width).integers(0, 256, 3 * width, dtype=np.uint8)
    out = np.zeros(3 * width + 64, np.uint8)
    assert library.copy_lines(pointer(row), pointer(out), width) == 0
    assert np.array_equal(out[: 3 * width], row)
    assert not out[3 * width :].any()


def test_the_module_loads_without_a_driver_and_names_what_failed():
    module = pytest.importorskip("ohlora_fast._cuda")
    assert set(module.build_info()) == {"nvcc", "architectures"}
    assert [module.search_strips(height) for height in (1, 32, 33, 1024, 5000, 2**20)] == [1, 1, 2, 32, 128, 128]
    if torch.cuda.is_available():
        pytest.skip("there is a GPU: tests/gpu runs the kernels")
    strides, shape = (192, 64, 8, 1), (1, 3, 8, 8)
    with pytest.raises(RuntimeError, match=r"^cudaSetDevice: .*\(cudaError"):
        module.ombre(0, strides, 0, strides, shape, 0, (1, 4, 4), 0, 0, 0, 0, 0, 0)
