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
