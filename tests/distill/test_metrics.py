"""Scores against what they are defined to be."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, astuple
from pathlib import Path

import cv2
import numpy as np
import pytest

from ohlora_fast.distill.data import Pair
from ohlora_fast.distill.metrics import (
    OVERALL,
    Counts,
    Scores,
    boundary,
    count_pixels,
    iou,
    pair_counts,
    pool,
    summarise,
)


def pair(name: str) -> Pair:
    return Pair(name, name.split("_")[0], Path(), Path())


def test_iou() -> None:
    a, b = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    assert iou(a, b) == 1.0
    a[:2] = True
    assert iou(a, b) == 0.0
    b[1:3] = True
    assert iou(a, b) == pytest.approx(4 / 12)
    assert iou(a, a) == 1.0


def test_every_score_by_hand() -> None:
    """The student finds 4 pixels of 12, 6 are hair, 3 are both; in so small a mask all are boundary."""
    prob = np.array([[0.9, 0.6, 0.51, 0.5, 0.2, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0, 0.8]])
    mask = np.array([[255, 255, 128, 255, 255, 255], [0, 0, 0, 0, 127, 0]], np.uint8)
    counts = count_pixels(prob, mask)
    soft = 128 / 255
    squares = [0.01, 0.16, (0.51 - soft) ** 2, 0.25, 0.64, 1.0, (127 / 255) ** 2, 0.64]
    assert astuple(counts)[:6] == (12, 3, 4, 6, 3, 7)
    assert counts.squared_error == pytest.approx(sum(squares))
    scores = counts.scores()
    assert scores.mse == pytest.approx(sum(squares) / 12)
    assert astuple(scores)[1:] == pytest.approx((3 / 7, 6 / 10, 3 / 6, 3 / 4, 3 / 7))


def test_half_is_no_hair_for_the_student_and_128_is_hair_for_the_mask() -> None:
    counts = count_pixels(np.float32([[0.5, 0.5001]]), np.array([[127, 128]], np.uint8))
    assert (counts.predicted, counts.actual, counts.overlap) == (1, 1, 1)


@pytest.mark.parametrize(
    ("found", "true", "expected"),
    [(0, 0, (1, 1, 1, 1, 1)), (1, 0, (0, 0, 0, 0, 0)), (0, 1, (0, 0, 0, 0, 0)), (1, 1, (1, 1, 1, 1, 1))],
)
def test_masks_without_hair(found: int, true: int, expected: tuple[int, ...]) -> None:
    scores = count_pixels(np.full((5, 7), found, np.float32), np.full((5, 7), 255 * true, np.uint8)).scores()
    assert astuple(scores)[1:] == expected
    assert scores.mse == (0 if found == true else 1)


def near_rim(mask: np.ndarray, width: int) -> np.ndarray:
    """The boundary by its definition, pixel by pixel: what lies outside the photo is not hair."""
    height, length = mask.shape
    result = np.zeros_like(mask)
    for y in range(height):
        for x in range(length):
            for j in range(y - width, y + width + 1):
                for i in range(x - width, x + width + 1):
                    outside = not (0 <= j < height and 0 <= i < length)
                    if mask[y, x] and (outside or not mask[j, i]):
                        result[y, x] = True
    return result


@pytest.mark.parametrize(
    ("height", "length", "width"), [(1, 1, 1), (7, 5, 1), (1, 40, 1), (40, 60, 1), (60, 45, 2), (90, 120, 3)]
)
def test_boundary_against_brute_force(height: int, length: int, width: int) -> None:
    """2 % of the diagonals are 0.03, 0.17, 0.80, 1.44, 1.50 and 3.00."""
    rng = np.random.default_rng(height)
    blobs = cv2.GaussianBlur(rng.standard_normal((height, length)), (0, 0), 4).reshape(height, length)
    for mask in (blobs > 0, blobs > -9, blobs > 9):
        np.testing.assert_array_equal(boundary(mask), near_rim(mask, width))


def test_boundary_iou_sees_a_rim_that_iou_hardly_sees() -> None:
    """A square of 80 within 100 × 100, and one of 78: width 2.83 → 3."""
    mask = np.zeros((100, 100), np.uint8)
    mask[10:90, 10:90] = 255
    prob = np.zeros((100, 100), np.float32)
    prob[11:89, 11:89] = 1
    scores = count_pixels(prob, mask).scores()
    ours, theirs, both = 78**2 - 72**2, 80**2 - 74**2, 78**2 - 74**2
    assert scores.iou == 78**2 / 80**2
    assert scores.boundary_iou == both / (ours + theirs - both)


def test_pooled_scores_weigh_pixels_and_means_weigh_photos() -> None:
    """A large photo with IoU 1/4 and a small one with IoU 1; and a source of one photo, where both are the same."""
    large, small = Counts(1000, 100, 200, 300, 10, 40, 50.0), Counts(10, 4, 4, 4, 4, 4, 0.0)
    other = Counts(100, 0, 0, 50, 0, 20, 25.0)
    assert pool([large, small]) == Counts(1010, 104, 204, 304, 14, 44, 50.0)
    summary = summarise([pair("b_1"), pair("a_1"), pair("b_2")], [large, other, small])
    assert list(summary) == ["a", "b", OVERALL]
    assert [one.photos for one in summary.values()] == [1, 2, 3]
    b = summary["b"]
    assert astuple(b.mean) == pytest.approx((0.025, 0.625, 0.7, (1 / 3 + 1) / 2, 0.75, 0.625))
    assert astuple(b.pooled) == pytest.approx((50 / 1010, 104 / 404, 208 / 508, 104 / 304, 104 / 204, 14 / 44))
    assert summary["a"].mean == summary["a"].pooled == Scores(0.25, 0.0, 0.0, 0.0, 0.0, 0.0)
    assert summary[OVERALL].mean.iou == pytest.approx((0.25 + 1 + 0) / 3)
    assert summary[OVERALL].pooled.iou == pytest.approx(104 / 454)


def test_the_recorded_tables_kl_row_is_pooled() -> None:
    """A student that takes every pixel for hair: its IoU is its precision, and Dice is 2 IoU / (1 + IoU)."""
    scores = pool([Counts(10000, 5673, 10000, 5673, 0, 1, 0.0)]).scores()
    assert [round(value, 4) for value in astuple(scores)[1:5]] == [0.5673, 0.7239, 1.0, 0.5673]


def test_pairs_are_scored_from_their_files(tmp_path: Path) -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[:, :10] = 255
    image = np.zeros((20, 30, 3), np.uint8)
    image[:, :15, 2] = 255  # OpenCV's red
    cv2.imwrite(str(tmp_path / "i.png"), image)
    cv2.imwrite(str(tmp_path / "m.png"), mask)
    pairs = [Pair("a_0", "a", tmp_path / "i.png", tmp_path / "m.png")]

    def red(photo: np.ndarray) -> np.ndarray:
        return photo[..., 0] / np.float32(255)

    (counts,) = pair_counts(red, pairs)
    assert (counts.pixels, counts.overlap, counts.predicted, counts.actual) == (600, 200, 300, 200)
    assert summarise(pairs, [counts])["a"].mean.iou == pytest.approx(10 / 15)


def test_results_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Counts(1, 1, 1, 1, 1, 1, 0.0).pixels = 2  # type: ignore[misc]
