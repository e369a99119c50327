"""A hair mask as a picture, and laid over the photo it belongs to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ohlora_fast.media.convert import Pixels


def mask_pixels(prob: NDArray[np.float32], binary: bool = False) -> Pixels:
    """Return (H, W) hair probabilities in [0, 1] as uint8, 255 for 1; `binary` cuts them at 0.5.

    >>> mask_pixels(np.float32([[0, 0.4, 0.5, 1]])).tolist()
    [[0, 102, 128, 255]]
    >>> mask_pixels(np.float32([[0, 0.4, 0.5, 1]]), binary=True).tolist()
    [[0, 0, 255, 255]]
    """
    if binary:
        return np.where(prob >= 0.5, 255, 0).astype(np.uint8)
    return np.rint(prob * 255).astype(np.uint8)


def overlay_pixels(pixels: Pixels, mask: Pixels, truth: Pixels | None = None) -> Pixels:
    """Return 0.55 · photo + 0.45 · masks, rounded down; alpha is kept.

    Args:
        pixels: uint8 (H, W, 3 or 4).
        mask: uint8 (H, W), in green.
        truth: uint8 (H, W), another mask, in blue: the true one, or the teacher's. Both together are sky blue.

    >>> photo, hair = np.full((1, 1, 3), 100, np.uint8), np.full((1, 1), 255, np.uint8)
    >>> overlay_pixels(photo, hair).tolist()
    [[[55, 169, 55]]]
    >>> overlay_pixels(photo, hair, truth=hair).tolist()
    [[[55, 169, 169]]]
    """
    blended = pixels[..., :3].astype(np.uint16) * 55
    blended[..., 1] += mask.astype(np.uint16) * 45
    if truth is not None:
        blended[..., 2] += truth.astype(np.uint16) * 45
    result = pixels.copy()
    result[..., :3] = blended // 100
    return result
