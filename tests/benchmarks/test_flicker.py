"""The measures of flicker and lag, on maps of which both are known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from ohlora_fast.benchmarks import clips, flicker

PHOTO = (200, 180)


@pytest.fixture(scope="module")
def mask() -> np.ndarray:
    disc = np.zeros(PHOTO, np.float32)
    cv2.circle(disc, (90, 90), 40, 1.0, -1)
    return disc


def test_true_masks_have_no_flicker_and_no_lag(mask: np.ndarray) -> None:
    placed = clips.placements("fast", 24, PHOTO, flicker.FRAME)
    truth = [flicker.small(clips.place(mask, placement, flicker.FRAME)) for placement in placed]
    found, iou, lag, shake = flicker.score(truth, truth, placed)
    assert found < 0.02
    assert iou == 1
    assert abs(lag) < 0.2
    assert 0 < shake < 20


def test_late_masks_lag(mask: np.ndarray) -> None:
    placed = clips.placements("fast", 24, PHOTO, flicker.FRAME)
    truth = [flicker.small(clips.place(mask, placement, flicker.FRAME)) for placement in placed]
    late = [truth[max(number - 2, 0)] for number in range(24)]
    _, iou, lag, _ = flicker.score(late, truth, placed)
    assert iou < 0.95
    assert abs(lag - 2) < 0.2


def test_noise_is_flicker(mask: np.ndarray) -> None:
    placed = clips.placements("still", 24, PHOTO, flicker.FRAME)
    truth = [flicker.small(clips.place(mask, placement, flicker.FRAME)) for placement in placed]
    noisy = [one + 0.1 * (-1) ** number for number, one in enumerate(truth)]
    assert flicker.score(noisy, truth, placed)[0] == pytest.approx(0.2, abs=1e-3)


def test_colours_that_come_and_go_are_flicker_and_those_that_move_are_not(mask: np.ndarray) -> None:
    photo = np.dstack([90 + 80 * mask] * 3).astype(np.uint8)
    placed = clips.placements("slow", 12, PHOTO, flicker.FRAME)
    still = [clips.place(photo, placement, flicker.FRAME) for placement in placed]
    sure = [clips.place(mask, placement, flicker.FRAME) >= flicker.SURE for placement in placed]
    assert flicker.color_flicker(still, sure, placed) < 0.3
    steps = [np.uint8(one + 10 * (number % 2)) for number, one in enumerate(still)]
    assert 3 < flicker.color_flicker(steps, sure, placed) < 5  # ten of 255 levels near 170


def test_frames_show_the_photo_where_they_say() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (20, 18, 3), np.uint8).repeat(10, 0).repeat(10, 1)
    placed = clips.placements("fast", 8, PHOTO, (96, 128))
    *_, last = clips.frames(photo, placed, (96, 128))
    assert last.shape == (96, 128, 3)
    back = cv2.warpAffine(last, placed[-1], PHOTO[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    inside = slice(80, 120)
    assert abs(back[inside, inside].astype(int) - photo[inside, inside]).mean() < 30
