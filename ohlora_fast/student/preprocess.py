"""From a photo to what the student takes (squashed to 224×224, scaled to [−1, 1]), and from its map back."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from ohlora_fast.student import SIZE


def squash(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Resize a uint8 image (H, W, 3) or (H, W, 4), whose alpha is dropped, to (224, 224, 3), ignoring its aspect.

    Bilinear with a filter widened by the scale when shrinking (Pillow's ``BILINEAR``); uint8 in and out.

    >>> squash(np.full((40, 30, 3), 7, np.uint8)).shape
    (224, 224, 3)
    """
    pixels = np.ascontiguousarray(image[..., :3])
    if pixels.shape[:2] == (SIZE, SIZE):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((SIZE, SIZE), Image.Resampling.BILINEAR))


def to_input(squashed: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Turn uint8 images (N, 224, 224, 3) into the student's input: float32 (N, 3, 224, 224) in [−1, 1].

    >>> to_input(np.full((1, 224, 224, 3), 255, np.uint8)).max()
    np.float32(1.0)
    """
    planes = np.ascontiguousarray(squashed.transpose(0, 3, 1, 2)).astype(np.float32)
    planes *= np.float32(2 / 255)
    planes -= np.float32(1)
    return planes


def unsquash(prob_map: np.ndarray[Any, Any], height: int, width: int) -> np.ndarray[Any, Any]:
    """Resize a float32 probability map (h, w) to (height, width), bicubic, clipped to [0, 1].

    >>> unsquash(np.ones((224, 224), np.float32), 30, 40).shape
    (30, 40)
    """
    import cv2

    resized = cv2.resize(prob_map, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(resized, 0, 1, out=resized)
