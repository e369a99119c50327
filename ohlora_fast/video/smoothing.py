"""Hair maps that keep still between frames: each is blended with the one before, carried along by the motion.

A plain average over time would lag behind a head that moves. Here the map of the frame before is first moved as the
picture has moved since (dense optical flow, OpenCV's DIS, at the map's size), and counts only where it then fits: where
the picture there still looks the same, and the student's new map does not say something altogether different.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ohlora_fast.errors import InputError

__all__ = ["DEFAULT", "MaskSmoother"]

Array = np.ndarray[Any, Any]

DEFAULT = 0.8
"""Share of the map before."""

GREY_LEVELS = 30.0
"""A difference of the picture, moved, at which the map before counts for 1/e of its share."""

DISAGREEMENT = 1.0
"""The same for a difference of the maps."""

CUT = 20.0
"""A mean difference of the picture, moved, at which another scene begins, with which the map before has nothing to do.
"""


class MaskSmoother:
    """Blends the map of each frame with the one before.

    Args:
        strength: the largest share of the one before, 0 to below 1; 0 leaves maps as they are.

    Raises:
        InputError: strength is out of range.

    >>> smoother, view = MaskSmoother(0.5), np.zeros((224, 224, 3), np.uint8)
    >>> for value in (0.5, 0.6):
    ...     smoothed = smoother(np.full((224, 224), value, np.float32), view)
    >>> bool(0.5 < smoothed[0, 0] < 0.6)
    True
    """

    def __init__(self, strength: float = DEFAULT) -> None:
        if not 0 <= strength < 1:
            raise InputError(f"smooth: got {strength!r}, allowed is a number from 0 to below 1")
        import cv2

        self.strength = strength
        self._cv2: Any = cv2
        self._flow = self._cv2.DISOpticalFlow_create(self._cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._here = np.empty((0, 0, 2), np.float32)  # of each pixel its column and row
        self._before: tuple[Array, Array] | None = None
        self._source: Array | None = None

    def __call__(self, found: Array, view: Array) -> Array:
        """Smooth the next frame's map.

        Args:
            found: the student's map, float32 (h, w), of one size throughout.
            view: what the student saw, uint8 RGB (h, w, 3).

        Returns:
            float32 (h, w) in [0, 1].
        """
        cv2 = self._cv2
        grey = cv2.cvtColor(view, cv2.COLOR_RGB2GRAY)
        smoothed = found
        self._source = None
        if self._before is not None and self.strength:
            grey_before, map_before = self._before
            if self._here.shape[:2] != grey.shape:
                rows, columns = map(np.arange, grey.shape)
                self._here = np.stack(np.meshgrid(columns, rows), -1).astype(np.float32)
            source = self._here + self._flow.calc(grey, grey_before, None)  # where each pixel was
            carried, looked = (
                cv2.remap(one, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
                for one in (map_before, grey_before)
            )
            change = cv2.blur(cv2.absdiff(grey, looked), (5, 5)).astype(np.float32)
            if change.mean() < CUT:
                self._source = source
                apart = carried - found
                doubt = (change / GREY_LEVELS) ** 2 + (apart / DISAGREEMENT) ** 2
                smoothed = found + self.strength * np.exp(-doubt) * apart
        self._before = grey, smoothed
        return smoothed

    def blend(self, before: Array, now: Array) -> Array:
        """Smooth something else that was measured of the frame whose map was smoothed last.

        Args:
            before: what came of it in the frame before: a number, or a plane (h, w) that covers the frame.
            now: what was measured, as `before`.

        Returns:
            The blend of the two, planes moved as the picture has moved; after a cut `now`.
        """
        if self._source is None:
            return now
        if now.ndim == 2:
            size = np.array(now.shape[::-1])
            wide = self._cv2.resize(self._source, size.tolist(), interpolation=self._cv2.INTER_LINEAR)
            source = ((wide + 0.5) * size / self._source.shape[1::-1] - 0.5).astype(np.float32)
            before = self._cv2.remap(
                before, source, None, self._cv2.INTER_LINEAR, borderMode=self._cv2.BORDER_REPLICATE
            )
        blended: Array = now + self.strength * (before - now)
        return blended
