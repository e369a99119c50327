"""The Triton ombre against the reference, on shapes and strides nobody likes; without a GPU under the interpreter."""

import runpy
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from ohlora_fast.kernels.ombre import hair_extents, ombre_triton

from ohlora_fast import InputError, apply_ombre
from ohlora_fast.ops.ombre_op import hair_rows, ombre_numpy, pack_settings
from ohlora_fast.ops.ombre_torch import ombre_torch

from .conftest import DEVICE, examples, laid_out

HERE = Path(__file__).parent
POOLED = runpy.run_path(str(HERE.parent / "ops" / "pooled_ombre.py"))
LAYOUTS = ["planar", "interleaved", "strided"]


def dye(image, maps, parameters, layout, in_place=False):
    """What the kernel makes of (N, H, W, C), as an array."""
    tensor = laid_out(image, layout)
    packed = torch.from_numpy(pack_settings(*map(np.array, parameters))).to(DEVICE)
    out = ombre_triton(tensor, torch.from_numpy(maps).to(DEVICE), packed, tensor if in_place else None)
    assert out is tensor or not in_place
    return out.permute(0, 2, 3, 1).cpu().numpy()


@pytest.mark.parametrize("layout", ["planar", "interleaved"])
def test_close_to_the_reference(layout):
    rng = np.random.default_rng(0)
    different = values = 0
    while values < 1_000_000:
        kinds = [kind for kind in POOLED["KINDS"] for _ in range(2)]
        maps = np.stack([POOLED["hair_map"](rng, kind, 56, 60) for kind in kinds])
        image = rng.integers(0, 256, (len(kinds), 70, 420, 3), dtype=np.uint8)
        parameters = rng.random((3, len(kinds)))
        clear = [not POOLED["near_threshold"](one, 70, 420) for one in maps]
        difference = np.abs(
            dye(image, maps, parameters, layout).astype(int) - ombre_numpy(image, maps, *parameters)
        )[clear]  # fmt: skip
        assert difference.max() <= 1
        different += int((difference > 0).sum())
        values += difference.size
    assert different <= 0.002 * values


@pytest.mark.parametrize("number", [3, 8])
def test_golden_cases(number):
    golden = np.load(HERE.parent / "golden" / "ombre.npz")
    prob, image, expected, parameters = (
        golden[f"{name}_{number:02d}"] for name in ("prob", "image", "ombre", "params")
    )
    got = dye(image[None], prob[None].astype(np.float32), parameters[:, None], "interleaved")[0]
    difference = np.abs(got.astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() <= 0.002


@st.composite
def odd_cases(draw):
    count = draw(st.integers(1, 3))
    height, width = draw(st.sampled_from([(1, 1), (7, 5), (1, 64), (40, 1), (17, 65), (2, 129), (5, 4)]))
    map_height, map_width = draw(st.sampled_from([(1, 1), (2, 3), (4, 4), (7, 5), (31, 33), (64, 1)]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    image = rng.integers(0, 256, (count, height, width, draw(st.sampled_from([3, 4]))), dtype=np.uint8)
    maps = rng.random((draw(st.sampled_from([1, count])), map_height, map_width), dtype=np.float32)
    kind = draw(st.sampled_from(["any", "saturated", "all", "none"]))
    if kind == "saturated":
        maps = np.round(maps)
    elif kind != "any":
        maps = np.full_like(maps, kind == "all")
    fraction = st.sampled_from([0.0, 1.0, 0.5, 0.7]) | st.floats(0, 1)
    return image, maps, [[draw(fraction) for _ in range(count)] for _ in range(3)]


@settings(max_examples=examples(60), deadline=None)
@given(case=odd_cases(), layout=st.sampled_from(LAYOUTS), in_place=st.booleans())
def test_odd_shapes_differ_by_at_most_one(case, layout, in_place):
    image, maps, parameters = case
    assume(not any(POOLED["near_threshold"](one, *image.shape[1:3]) for one in maps))
    expected = ombre_numpy(image, maps, *map(np.array, parameters))
    got = dye(image, maps, parameters, layout, in_place)
    assert np.abs(got.astype(int) - expected).max() <= 1
    np.testing.assert_array_equal(got[..., 3:], image[..., 3:])


def test_a_view_is_dyed_in_place_and_nothing_beside_it():
    rng = np.random.default_rng(1)
    whole = torch.from_numpy(rng.integers(0, 256, (2, 3, 40, 60), dtype=np.uint8)).to(DEVICE)
    before = whole.clone()
    view = whole[:, :, 5:33, 7:50]
    packed = torch.from_numpy(pack_settings(*rng.random((3, 2)))).to(DEVICE)
    maps = torch.ones(1, 9, 9, device=DEVICE)
    expected = ombre_triton(view, maps, packed)
    assert not torch.equal(expected, view)
    ombre_triton(view, maps, packed, view)
    assert torch.equal(view, expected)
    view.copy_(before[:, :, 5:33, 7:50])
    assert torch.equal(whole, before)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("channels", [3, 4])
def test_floats_are_those_of_the_plain_form(channels, layout):
    rng = np.random.default_rng(2)
    image = (255 * rng.random((2, 21, 35, channels))).astype(np.float32)
    maps = torch.from_numpy(rng.random((2, 9, 8), dtype=np.float32) * 0.3 + 0.7).to(DEVICE)
    packed = torch.from_numpy(pack_settings(*rng.random((3, 2)))).to(DEVICE)
    tensor = laid_out(image, layout)
    assert torch.allclose(ombre_triton(tensor, maps, packed), ombre_torch(tensor, maps, packed), atol=1e-3)


def test_hair_rows_are_the_reference_s():
    rng = np.random.default_rng(3)
    maps = np.zeros((6, 40, 30), np.float32)
    for n in range(1, 6):
        top, bottom = sorted(rng.integers(0, 40, 2))
        maps[n, top : bottom + 1, rng.integers(0, 30)] = 1.0
    found = hair_extents(torch.from_numpy(maps).to(DEVICE), 200, 77).cpu().numpy()
    rows = np.where(found[:, :1] > 0, np.column_stack([200 - found[:, 0], found[:, 1] - 1]), -1)
    np.testing.assert_array_equal(rows, hair_rows(maps, 200, 77))


def test_the_public_function_takes_arrays_and_tensors():
    rng = np.random.default_rng(4)
    image, prob = rng.integers(0, 256, (20, 30, 4), dtype=np.uint8), rng.random((8, 8), dtype=np.float32)
    prob = cv2.GaussianBlur(np.round(prob), (3, 3), 0)
    expected = apply_ombre(image, prob, 0.9, 0.8, 0.3, backend="cpp")
    assert np.abs(apply_ombre(image, prob, 0.9, 0.8, 0.3, backend="triton").astype(int) - expected).max() <= 1
    tensors = torch.from_numpy(image).permute(2, 0, 1).to(DEVICE), torch.from_numpy(prob).to(DEVICE)
    got = apply_ombre(*tensors, 0.9, 0.8, 0.3, backend="triton")
    assert np.abs(got.permute(1, 2, 0).cpu().numpy().astype(int) - expected).max() <= 1
    with pytest.raises(InputError, match=r"^backend: got 'triton' for torch.float32 on .*, with gradients, allowed"):
        apply_ombre(tensors[0].float().requires_grad_(), tensors[1], backend="triton")
