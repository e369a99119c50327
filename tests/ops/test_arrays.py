"""Maps at odd addresses: compiled code never reads them there, and makes of them what it makes of others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ohlora_fast import HairStylist, NaturalDye, apply_ombre
from ohlora_fast.ombre import has_hair
from ohlora_fast.ops.arrays import aligned
from ohlora_fast.ops.planes_op import Yuv, dye_planes
from ohlora_fast.refine import refine_map
from ohlora_fast.student.preprocess import unsquash


def shifted(array: np.ndarray[Any, Any], by: int = 1) -> np.ndarray[Any, Any]:
    """The same values at an address that is no multiple of their size."""
    memory = np.zeros(array.nbytes + by, np.uint8)
    moved: np.ndarray[Any, Any] = np.ndarray(array.shape, array.dtype, memory.data, offset=by)
    moved[...] = array
    assert not moved.flags.aligned
    return moved


@pytest.fixture
def prob() -> np.ndarray[Any, Any]:
    rows, columns = np.mgrid[0:64, 0:48]
    return np.clip(1.3 - np.hypot(rows - 20, columns - 24) / 25, 0, 1).astype(np.float32)


@pytest.fixture
def image() -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 256, (90, 70, 3), np.uint8)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("by", [1, 2, 3])
def test_what_is_not_aligned_is_copied_and_the_rest_is_not(dtype: Any, by: int) -> None:
    values = np.arange(12, dtype=dtype).reshape(3, 4)
    assert aligned(values) is values
    if by % values.itemsize:
        copy = aligned(shifted(values, by))
        assert copy.flags.aligned
        assert copy.flags.c_contiguous
        assert np.array_equal(copy, values)
    assert np.array_equal(aligned(values[:, ::2]), values[:, ::2])
    assert aligned(values[:, ::2]).flags.c_contiguous
    assert aligned(values.astype(values.dtype.newbyteorder()), values.dtype).dtype == values.dtype


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("method", ["seed", NaturalDye("copper")])
def test_maps_at_odd_addresses_dye_as_others(prob: Any, image: Any, dtype: Any, method: Any) -> None:
    given = prob.astype(dtype)
    assert has_hair(shifted(given), (64, 48)).all()
    expected = apply_ombre(image, given, 0.5, method=method)
    assert np.array_equal(apply_ombre(image, shifted(given), 0.5, method=method), expected)
    assert np.array_equal(apply_ombre(image, shifted(np.stack([given])), 0.5, method=method), expected)


def test_they_are_resized_and_refined_as_others(prob: Any, image: Any) -> None:
    assert np.array_equal(unsquash(shifted(prob), 90, 70), unsquash(prob, 90, 70))
    assert np.array_equal(refine_map(image, shifted(prob)), refine_map(image, prob))


def test_tensors_on_odd_addresses_dye_as_others(prob: Any, image: Any) -> None:
    torch = pytest.importorskip("torch")
    photo = torch.from_numpy(image).permute(2, 0, 1)
    dyed = apply_ombre(photo, torch.from_numpy(shifted(prob)), 0.5)
    assert torch.equal(dyed, apply_ombre(photo, torch.from_numpy(prob), 0.5))


def test_planes_of_ten_bits_at_odd_addresses_are_dyed_in_place(prob: Any) -> None:
    planes = [np.full(size, 400, np.uint16) for size in ((64, 48), (32, 24), (32, 24))]
    moved = [shifted(plane) for plane in planes]
    for given in (planes, moved):
        dye_planes(given, shifted(prob), np.linspace(1, 0, 64), np.array([255, 0, 0]), Yuv(bits=10))
    for plane, other in zip(planes, moved, strict=True):
        assert (plane != 400).any()
        assert abs(plane.astype(int) - other).max() <= 1


def test_photos_that_begin_anywhere_are_segmented_as_others(image: Any) -> None:
    stylist = HairStylist(threads=1)
    memory = np.zeros(image.nbytes + 1, np.uint8)
    moved = memory[1:].reshape(image.shape)
    moved[...] = image
    assert np.array_equal(stylist.segment(moved), stylist.segment(image))
