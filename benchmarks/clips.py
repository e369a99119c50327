"""Clips whose motion is known: a photo that is moved, turned and zoomed, under noise and an unsteady light."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

FPS = 30

MOTIONS = {
    "still": (0.0, 0.0, 0.0, 0.0, 0.0),
    "slow": (0.03, 0.06, 0.04, 0.02, 2.0),
    "fast": (0.12, 0.15, 0.14, 0.07, 6.0),
}
"""Name → how far it turns (radians), zooms (share), goes across and down (share of the width), and radians a second."""

NOISE = 4.0
"""Standard deviation of each value, of 255."""

LIGHT = 0.03
"""By which share the light goes up and down."""

FILLS = 1.15
"""The photo's height, in that of the frame."""


def placements(motion: str, count: int, photo: tuple[int, int], size: tuple[int, int]) -> list[Array]:
    """Where the photo's pixels are in each frame: matrices (2, 3).

    Args:
        motion: of `MOTIONS`.
        count: how many frames.
        photo, size: heights and widths of photo and frame.
    """
    turns, zooms, across, down, speed = MOTIONS[motion]
    made = []
    for number in range(count):
        phase = speed * number / FPS
        angle, scale = turns * np.sin(phase), (1 + zooms * np.sin(0.8 * phase)) * FILLS * size[0] / photo[0]
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        centre = np.array(size[::-1]) / 2 + size[1] * np.array([across * np.sin(phase), down * np.sin(1.2 * phase)])
        made.append(np.column_stack([turn, centre - turn @ (np.array(photo[::-1]) / 2)]))
    return made


def place(picture: Array, placement: Array, size: tuple[int, int]) -> Array:
    """A picture in a frame, mirrored where it ends."""
    import cv2

    return cv2.warpAffine(picture, placement, size[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def frames(photo: Array, placed: list[Array], size: tuple[int, int], seed: int = 0) -> Iterator[Array]:
    """The clip's frames, uint8 RGB (H, W, 3), for a photo (h, w, 3)."""
    draw = np.random.default_rng(seed)
    for number, placement in enumerate(placed):
        lit = place(photo, placement, size).astype(np.float32) * (1 + LIGHT * np.sin(1.1 * number))
        yield np.clip(lit + draw.normal(0, NOISE, lit.shape), 0, 255).astype(np.uint8)
