"""Smoothed maps: still where the picture is, and in place where it moves."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ohlora_fast import InputError
from ohlora_fast.heads.crops import Window
from ohlora_fast.video.smoothing import MaskSmoother

SIZE = 224


def scene(shift: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture with something to hold on to, and the mask of a disc in it, both moved to the right."""
    draw = np.random.default_rng(0)
    ground = cv2.resize(draw.integers(0, 256, (40, 60, 3), np.uint8), (SIZE + 112, SIZE), interpolation=cv2.INTER_CUBIC)
    mask = np.zeros((SIZE, SIZE + 112), np.float32)
    cv2.circle(mask, (168, 112), 50, 1.0, -1)
    start = 56 - shift
    return np.ascontiguousarray(ground[:, start : start + SIZE]), cv2.blur(mask, (5, 5))[:, start : start + SIZE]


def band(mask: np.ndarray) -> np.ndarray:
    around = np.ones((9, 9))
    return (cv2.dilate(mask, around) > 0.5) & (cv2.erode(mask, around) < 0.5)


def noisy(mask: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """The mask with an edge that is somewhere else in every frame."""
    blobs = cv2.resize(draw.normal(0, 0.25, (28, 28)).astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    return np.clip(mask + blobs * (cv2.blur(band(mask).astype(np.float32), (5, 5))), 0, 1).astype(np.float32)


@pytest.mark.parametrize("speed", [0, 4])
def test_flicker_goes_and_nothing_lags(speed: int) -> None:
    draw, smoother = np.random.default_rng(1), MaskSmoother(0.8)
    errors, plain = [], []
    for number in range(12):
        view, mask = scene(speed * number)
        found = noisy(mask, draw)
        smoothed = smoother(found, view)
        if number >= 4:
            plain.append(abs(found - mask)[band(mask)].mean())
            errors.append(abs(smoothed - mask)[band(mask)].mean())
    assert np.mean(errors) < 0.75 * np.mean(plain)


def test_a_cut_takes_effect_at_once() -> None:
    smoother = MaskSmoother(0.9)
    view, mask = scene(0)
    for _ in range(5):
        smoother(mask, view)
    other = np.ascontiguousarray(255 - view[::-1, ::-1])
    assert (smoother(1 - mask, other) == 1 - mask).all()


def test_without_strength_maps_stay_as_they_are() -> None:
    smoother, draw = MaskSmoother(0), np.random.default_rng(0)
    for number in range(3):
        view, mask = scene(number)
        found = noisy(mask, draw)
        assert smoother(found, view) is found


def test_other_measurements_are_smoothed_along() -> None:
    """Numbers by their share; planes move as the picture does; a cut takes effect at once."""
    smoother, speed = MaskSmoother(0.75), 4
    view, mask = scene(0)
    smoother(mask, view)
    before = cv2.resize(mask, (112, 96), interpolation=cv2.INTER_AREA)
    assert smoother.blend(before, 1 - before) is not before  # nothing came before the first frame
    assert (smoother.blend(before, 1 - before) == 1 - before).all()
    view, mask = scene(speed)
    smoother(mask, view)
    assert smoother.blend(np.asarray(0.2), np.asarray(0.6)) == pytest.approx(0.3)
    moved = cv2.resize(mask, (112, 96), interpolation=cv2.INTER_AREA)
    blended = smoother.blend(before, moved)
    assert abs(blended - moved).max() < 0.3 * abs(before - moved).max()
    other = np.ascontiguousarray(255 - view[::-1, ::-1])
    smoother(mask, other)
    assert smoother.blend(np.asarray(0.2), np.asarray(0.6)) == 0.6


def test_what_came_before_goes_with_a_crop_that_moves_and_grows() -> None:
    """Seen in other crops of one still picture, the map stays in its place, smoothed."""
    draw, smoother = np.random.default_rng(1), MaskSmoother(0.8)
    view, mask = scene(0)
    errors, plain = [], []
    for number in range(12):
        side = SIZE - 40 + 2 * number
        window = Window(number, number + side, 30 - 2 * number, 30 - 2 * number + side)
        seen, true, found = (
            np.ascontiguousarray(cv2.resize(one[window.slices], (SIZE, SIZE), interpolation=cv2.INTER_AREA))
            for one in (view, mask, noisy(mask, draw))
        )
        smoothed = smoother(found, seen, window)
        number_before = smoother.blend(np.asarray(0.2), np.asarray(0.6))
        if number >= 4:
            assert number_before == pytest.approx(0.28)
            plain.append(abs(found - true)[band(true)].mean())
            errors.append(abs(smoothed - true)[band(true)].mean())
    assert np.mean(errors) < 0.75 * np.mean(plain)


@pytest.mark.parametrize("strength", [-0.1, 1, float("nan")])
def test_strengths_out_of_range_are_refused(strength: float) -> None:
    with pytest.raises(InputError, match="smooth: got"):
        MaskSmoother(strength)
