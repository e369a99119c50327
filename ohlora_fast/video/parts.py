"""The parts of a frame that the student looks at, one a head, and which of their pixels are whose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Any

import numpy as np

from ohlora_fast.heads.boxes import Heads
from ohlora_fast.heads.crops import WIDENED, Window, cut_off
from ohlora_fast.heads.hair import fade, joined, window_of
from ohlora_fast.student.maps import Student
from ohlora_fast.student.preprocess import squash
from ohlora_fast.video.tracking import Track

__all__ = ["Part", "looked_at", "own_pixels", "whole_part"]

Array = np.ndarray[Any, Any]

GRID = 320
"""Longer side, in cells, at which the pixels are divided among the heads."""


@dataclass(frozen=True, eq=False)
class Part:
    """Crop of a head as the student saw it, and its map.

    Attributes:
        key: scene and number of the head.
        box: of the head, float32 (4,), in pixels of the frame.
        window: the part of the frame.
        view: that part, squashed, uint8 (S, S, 3).
        prob: the student's map, float32 (S, S); None where it did not look.
        presence: how far the head is there, 0 to 1.
    """

    key: tuple[int, int]
    box: Array
    window: Window
    view: Array
    prob: Array | None
    presence: float


def whole_part(size: tuple[int, int], view: Array, prob: Array) -> Part:
    """A frame's map of the whole frame, as the only head's."""
    height, width = size
    return Part((0, 0), np.array([0, 0, width, height], np.float32), Window(0, height, 0, width), view, prob, 1.0)


def looked_at(frame: Array, tracks: Sequence[Track], student: Student, turn: int | None) -> tuple[Part, ...]:
    """Look at the heads of a frame, all at once.

    Several heads take turns: the student looks at every second one in each frame, and at all whose crops have moved.
    Hair that runs out of its crop is looked at once more, in a larger one.

    Args:
        frame: uint8 RGB (H, W, 3).
        tracks: its heads.
        student: looks at them.
        turn: the number of the frame; None: all heads are looked at.
    """
    height, width = frame.shape[:2]
    everything = Window(0, height, 0, width)
    views: dict[Window, Array] = {}
    maps: dict[Window, Array] = {}
    due = {
        track.window(height, width) for track in tracks
        if turn is None or (turn + track.number) % 2 == 0 or track.looked != track.window(height, width)
    }  # fmt: skip
    for _ in range(WIDENED + 1):
        windows = [track.window(height, width) for track in tracks]
        new = [window for window in dict.fromkeys(windows) if window not in views]
        views |= {window: squash(frame[window.slices], student.threads, student.engine.size) for window in new}
        looks = [window for window in new if window in due]
        if looks:
            maps |= zip(looks, student.predict(np.stack([views[window] for window in looks])), strict=True)
        due = set()
        for track, window in zip(tracks, windows, strict=True):
            if window == everything or window not in looks or track.widened == WIDENED:
                continue
            if cut_off(maps[window], window, track.box, height, width):
                track.widened += 1
                due.add(track.window(height, width))
        if not due:
            break
    for track, window in zip(tracks, windows, strict=True):
        track.looked = window if window in maps else track.looked
    return tuple(
        Part((track.scene, track.number), track.box, window, views[window], maps.get(window), track.presence)
        for track, window in zip(tracks, windows, strict=True)
    )


def own_pixels(parts: Sequence[Part], probs: Sequence[Array], size: tuple[int, int]) -> list[Array | None]:
    """How much each pixel of a head's window is the head's, float32 (h, w): 0, or less than 1 near the window's border.

    Pixels are divided as those of photos are (:func:`ohlora_fast.heads.hair.joined`), at a small size, so that a frame
    takes little time.

    Args:
        parts: of one frame.
        probs: their maps, smoothed.
        size: height and width of the frame.

    Returns:
        An array a part; None where all of the frame is the only head's.
    """
    import cv2

    height, width = size
    if not parts:
        return []
    if len(parts) == 1 and parts[0].window == Window(0, height, 0, width):
        return [None]
    rows, columns = (max(1, round(min(1.0, GRID / max(size)) * side)) for side in size)
    down, across = rows / height, columns / width
    windows, small = [], []
    for part, prob in zip(parts, probs, strict=True):
        top, left = floor(part.window.top * down), floor(part.window.left * across)
        bottom, right = ceil(part.window.bottom * down), ceil(part.window.right * across)
        windows.append(Window(top, min(max(bottom, top + 1), rows), left, min(max(right, left + 1), columns)))
        small.append(cv2.resize(prob, windows[-1].size[::-1], interpolation=cv2.INTER_AREA))
    boxes = np.array([part.box for part in parts], np.float32).reshape(-1, 4) * np.array([across, down] * 2, np.float32)
    owner = joined(Heads(boxes, np.ones(len(parts), np.float32)), windows, small, (rows, columns)).owner
    assert owner is not None
    fulls: list[Array | None] = []
    for index, (part, there) in enumerate(zip(parts, windows, strict=True)):
        full = at_size(owner[there.slices] == index, there, part.window, (down, across))
        if any(part.window.inner_sides(height, width)):
            full *= fade(part.window, height, width)
        fulls.append(full)
    return fulls


def at_size(mask: Array, there: Window, window: Window, scale: tuple[float, float]) -> Array:
    """A mask of a grid's cells at the size of the frame, with borders that are smooth lines, 0 and 1.

    Args:
        mask: bool (h, w).
        there: which cells of the grid these are.
        window: the part of the frame that is wanted, float32 (H, W).
        scale: cells a pixel, down and across.

    >>> cells = np.array([[True, False, False]])
    >>> at_size(cells, Window(0, 1, 0, 3), Window(0, 1, 0, 6), (1.0, 0.5)).tolist()
    [[1.0, 1.0, 0.0, 0.0, 0.0, 0.0]]
    """
    import cv2

    full = np.zeros(window.size, np.float32)
    cells = window_of(mask)
    if cells is None:
        return full
    down, across = scale
    y, x = (window.top + 0.5) * down - 0.5 - there.top, (window.left + 0.5) * across - 0.5 - there.left
    # Pixels that the cells reach, as far as their neighbours' middles.
    top, left = max(floor((cells.top - 1 - y) / down), 0), max(floor((cells.left - 1 - x) / across), 0)
    reached = full[top : ceil((cells.bottom - y) / down) + 1, left : ceil((cells.right - x) / across) + 1]
    matrix = np.array([[across, 0, x + left * across], [0, down, y + top * down]])
    reached[:] = cv2.warpAffine(
        np.where(mask, np.uint8(255), np.uint8(0)), matrix, reached.shape[::-1],
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE,
    ) > 127  # fmt: skip
    return full
