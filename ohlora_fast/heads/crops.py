"""Crops of a photo around its heads: where they lie, when the whole photo serves, when hair needs a larger one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

AROUND = 2.4
"""Side of a crop, in sides of the head's box."""
WIDER = 1.7
"""Factor by which a crop is enlarged when hair runs into its border."""
WIDENED = 2
"""Times that a crop may be enlarged."""
BELOW = 0.25
"""Way of the crop's middle below the head's, in sides of the box: long hair goes there."""
FILLS = 0.62
"""A crop with such a share of the photo's area shows nothing that the whole photo does not."""
CUT = 0.04
"""Share of a border's cells that are hair, from which on the hair counts as cut off there."""


@dataclass(frozen=True)
class Window:
    """Rows [top, bottom) and columns [left, right) of a photo."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.bottom - self.top, self.right - self.left

    def meets(self, other: Window) -> Window | None:
        """Intersection of two windows, or None."""
        top, bottom = max(self.top, other.top), min(self.bottom, other.bottom)
        left, right = max(self.left, other.left), min(self.right, other.right)
        return Window(top, bottom, left, right) if top < bottom and left < right else None

    def moved(self, down: int, right: int) -> Window:
        """The window so much further down and to the right."""
        return Window(self.top + down, self.bottom + down, self.left + right, self.right + right)

    def inner_sides(self, height: int, width: int) -> tuple[bool, bool, bool, bool]:
        """Say whether the top, bottom, left and right border lie inside a photo of that size."""
        return self.top > 0, self.bottom < height, self.left > 0, self.right < width


def window_around(box: Array, height: int, width: int, around: float = AROUND) -> Window | None:
    """The crop for a head in a photo of a size, moved into the photo where it would reach out.

    Args:
        box: x0 y0 x1 y1.
        height, width: of the photo.
        around: side of the crop, in sides of the box.

    Returns:
        None where the head fills the photo: a crop would show most of it.

    >>> window_around(np.array([40, 40, 60, 60]), 200, 100)
    Window(top=31, bottom=79, left=26, right=74)
    >>> window_around(np.array([20, 10, 80, 80]), 100, 100) is None
    True
    """
    x0, y0, x1, y1 = (float(side) for side in box)
    side = max(x1 - x0, y1 - y0)
    extent = max(around * side, 2.0)
    rows = span((y0 + y1) / 2 + BELOW * side, extent, height)
    columns = span((x0 + x1) / 2, extent, width)
    window = Window(*rows, *columns)
    return None if np.prod(window.size) >= FILLS * height * width else window


def span(middle: float, extent: float, size: int) -> tuple[int, int]:
    """A run of whole pixels of that extent around a place, moved inside [0, size), or all of that."""
    if extent >= size:
        return 0, size
    begin = min(max(round(middle - extent / 2), 0), size - round(extent))
    return begin, min(size, begin + max(1, round(extent)))


def cut_off(prob: Array, window: Window, box: Array, height: int, width: int) -> bool:
    """Say whether a head's hair runs into a border of its crop that is not the photo's.

    Args:
        prob: the crop's map (h, w) of any size.
        window: the crop.
        box: the head's, in the photo's pixels; hair that does not reach it is somebody else's.
        height, width: of the photo.
    """
    import cv2

    hair = (prob > 0.5).astype(np.uint8)
    top, bottom, left, right = window.inner_sides(height, width)
    borders = [hair[:2] if top else None, hair[-2:] if bottom else None,
               hair[:, :2] if left else None, hair[:, -2:] if right else None]  # fmt: skip
    if not any(one is not None and one.mean() > CUT for one in borders):
        return False
    _, labels = cv2.connectedComponents(hair, connectivity=8)
    inside = labels[cells(box, window, prob.shape)]
    own = np.isin(labels, np.setdiff1d(np.unique(inside), [0]))
    edges = ((own[:2], top), (own[-2:], bottom), (own[:, :2], left), (own[:, -2:], right))
    return any(inner and edge.mean() > CUT for edge, inner in edges)


def cells(box: Array, window: Window, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The cells of a crop's map that a box covers, at least one."""
    down, across = shape[0] / window.size[0], shape[1] / window.size[1]
    y0, y1 = ((float(one) - window.top) * down for one in (box[1], box[3]))
    x0, x1 = ((float(one) - window.left) * across for one in (box[0], box[2]))

    def run(low: float, high: float, count: int) -> slice:
        begin = min(max(int(low), 0), count - 1)
        return slice(begin, min(max(int(np.ceil(high)), begin + 1), count))

    return run(y0, y1, shape[0]), run(x0, x1, shape[1])
