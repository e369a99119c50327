"""Masks as pictures and laid over photos."""

from __future__ import annotations

import numpy as np
import pytest

from ohlora_fast.media.overlay import mask_pixels, overlay_pixels


def test_mask_rounds_and_binary_cuts_at_half() -> None:
    prob = np.array([[0, 0.001, 0.002, 0.4999, 0.5, 1]], np.float32)
    assert mask_pixels(prob).tolist() == [[0, 0, 1, 127, 128, 255]]
    assert mask_pixels(prob, binary=True).tolist() == [[0, 0, 0, 0, 255, 255]]


@pytest.mark.parametrize("channels", [3, 4])
def test_overlay_for_every_value(channels: int) -> None:
    photo, mask = np.meshgrid(np.arange(256), np.arange(256))
    pixels = np.dstack([photo.astype(np.uint8)] * channels)
    before = pixels.copy()
    result = overlay_pixels(pixels, mask.astype(np.uint8))
    np.testing.assert_array_equal(pixels, before)
    np.testing.assert_array_equal(result[..., 0], (55 * photo) // 100)
    np.testing.assert_array_equal(result[..., 1], (55 * photo + 45 * mask) // 100)
    np.testing.assert_array_equal(result[..., 2], (55 * photo) // 100)
    if channels == 4:
        np.testing.assert_array_equal(result[..., 3], photo)


def test_two_masks_are_green_and_blue_and_sky_blue_together() -> None:
    pixels = np.full((2, 2, 3), 200, np.uint8)
    ours, truth = np.array([[0, 255], [0, 255]], np.uint8), np.array([[0, 0], [255, 255]], np.uint8)
    result = overlay_pixels(pixels, ours, truth)
    dark, light = 110, 224  # 0.55 · 200, and 0.45 · 255 = 114.75 more, rounded down
    assert result.tolist() == [[[dark, dark, dark], [dark, light, dark]], [[dark, dark, light], [dark, light, light]]]
    np.testing.assert_array_equal(pixels, 200)


def test_both_masks_may_be_soft_and_alpha_stays() -> None:
    pixels = np.array([[[10, 20, 30, 7]]], np.uint8)
    result = overlay_pixels(pixels, np.array([[100]], np.uint8), np.array([[51]], np.uint8))
    assert result.tolist() == [[[550 // 100, (1100 + 4500) // 100, (1650 + 2295) // 100, 7]]]
