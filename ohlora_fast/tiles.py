"""A second look at small heads: each is found in a first map, cut out with its shoulders, and segmented anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

Array = np.ndarray[Any, Any]

FAINT = 0.1
"""Hair of a small head is found faintly: from this probability on, it counts for a second look."""
HEADS = 8
"""At most so many, the largest."""
LEAST_CELLS = 24
"""Patches of hair of fewer cells of the map are left alone …"""
LEAST_SHARE = 0.15
"""… and those smaller than this share of the largest: seen alone, what is no head may look like one."""
AROUND = 1.6
"""Side of a crop, in sides of the patch of hair: chosen, as the others, on training photos put into larger ones."""
LEAST_SIDE = 0.3
"""Of a crop, as a share of the photo's longer side: of a faint head only a part may have been found."""
WORTH = 0.9
"""Crops wider or higher than this share of the photo show nothing new."""
FADE = 0.1
"""Share of a crop's side over which it fades in."""


@dataclass(frozen=True)
class Box:
    """Rows [top, bottom) and columns [left, right) of a photo."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)


def find_heads(prob: Array, height: int, width: int) -> list[Box]:
    """Find what is worth a second look.

    Args:
        prob: a map (h, w) in [0, 1].
        height, width: of its photo.

    Returns:
        A crop of the photo for each patch of hair, the largest first; none for a patch whose crop would be most of the
        photo. A patch that lies in the crop of a larger one gets none of its own.

    >>> prob = np.zeros((224, 224), np.float32)
    >>> prob[20:40, 100:120] = 1
    >>> find_heads(prob, 448, 448)
    [Box(top=9, bottom=144, left=152, right=288)]
    >>> find_heads(np.ones((224, 224)), 448, 448)
    []
    """
    _, _, stats, _ = cv2.connectedComponentsWithStats((prob > FAINT).astype(np.uint8), connectivity=8)
    patches = sorted(stats[1:].tolist(), key=lambda patch: -patch[4])
    boxes: list[Box] = []
    for left, top, wide, high, cells in patches:
        if cells < LEAST_CELLS or cells < LEAST_SHARE * patches[0][4] or len(boxes) == HEADS:
            break
        down, across = height / prob.shape[0], width / prob.shape[1]
        middle = (top + high / 2) * down, (left + wide / 2) * across
        if any(box.top <= middle[0] < box.bottom and box.left <= middle[1] < box.right for box in boxes):
            continue
        side = max(AROUND * max(wide * across, high * down), LEAST_SIDE * max(height, width))
        # Hair is the upper part of a head, which is above the shoulders.
        (first, last), (start, end) = _span(middle[0] + side / 8, side, height), _span(middle[1], side, width)
        if side <= WORTH * max(height, width):
            boxes.append(Box(first, last, start, end))
    return boxes


def _span(middle: float, side: float, size: int) -> tuple[int, int]:
    """A run of whole pixels inside [0, size), moved there if it is not."""
    begin = min(max(middle - side / 2, 0), max(size - side, 0))
    return int(begin), min(size, int(np.ceil(begin + side)))


def look_again(photos: Any, maps: Any, prob: Any, segment: Callable[[Any], Any]) -> Any:
    """Replace maps around small heads by those of crops.

    Args:
        photos: a batch as of :class:`ohlora_fast.HairStylist`, arrays (N, H, W, C) or tensors (N, C, H, W).
        maps: the student's, (N, h, w).
        prob: the same at the photos' size, (N, H, W). It is changed.
        segment: one photo, array or tensor → its map at its own size.

    Returns:
        `prob`. Outside the crops it is as it was.
    """
    arrays = isinstance(photos, np.ndarray)
    height, width = prob.shape[1:]
    for n, one in enumerate(maps):
        boxes = find_heads(one if arrays else one.cpu().numpy(), height, width)
        for box in reversed(boxes):  # where crops meet, the larger head's counts
            rows, columns = box.slices
            crop = photos[n, rows, columns] if arrays else photos[n, :, rows, columns]
            weight: Any = _weight(box, height, width)
            there = prob[n, rows, columns]  # a view
            there += (weight if arrays else prob.new_tensor(weight)) * (segment(crop) - there)
    return prob


def _weight(box: Box, height: int, width: int) -> Array:
    """How much each pixel of a crop counts: 1, but less towards borders that are not the photo's."""

    def fade(begin: int, end: int, size: int) -> Array:
        distance = np.arange(end - begin) + 0.5
        from_begin = distance if begin > 0 else np.inf
        from_end = distance[::-1] if end < size else np.inf
        return np.clip(np.minimum(from_begin, from_end) / (FADE * (end - begin)), 0, 1)

    down, across = fade(box.top, box.bottom, height), fade(box.left, box.right, width)
    return np.outer(down * np.ones(box.bottom - box.top), across * np.ones(box.right - box.left)).astype(np.float32)
