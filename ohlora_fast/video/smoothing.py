"""Hair maps that keep still between frames: each is blended with the one before, carried along by the motion.

A plain average over time would lag behind a head that moves. Here the map of the frame before is first moved as the
picture has moved since (dense optical flow, OpenCV's DIS, at the map's size), and counts only where it then fits: where
the picture there still looks the same, and the student's new map does not say something altogether different.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ohlora_fast.errors import InputError
from ohlora_fast.heads.crops import Window

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
        self._before: tuple[Array, Array, Window | None] | None = None
        self._source: Array | None = None

    def __call__(self, found: Array | None, view: Array, window: Window | None = None) -> Array:
        """Smooth the next frame's map.

        Args:
            found: the student's map, float32 (h, w), of one size throughout. None, but not for the first frame nor
                with a strength of 0: the map before is carried along.
            view: what the student saw, uint8 RGB (h, w, 3).
            window: the part of the frame that both show, which may change; None throughout: one that does not.

        Returns:
            float32 (h, w) in [0, 1].
        """
        grey = self._cv2.cvtColor(view, self._cv2.COLOR_RGB2GRAY)
        self._source = None
        smoothed = found
        if self._before is not None and self.strength:
            source, carried, change = self._carried(*self._before, grey, window)
            if change.mean() < CUT:
                self._source = source
            if found is None:
                smoothed = carried
            elif self._source is not None:
                apart = carried - found
                doubt = (change / GREY_LEVELS) ** 2 + (apart / DISAGREEMENT) ** 2
                smoothed = found + self.strength * np.exp(-doubt) * apart
        assert smoothed is not None
        self._before = grey, smoothed, window
        return smoothed

    def _carried(
        self, grey_before: Array, map_before: Array, window_before: Window | None, grey: Array, window: Window | None
    ) -> tuple[Array, Array, Array]:
        """Where each pixel was in the picture before, the map before, moved, and how the picture, moved, changed."""
        cv2 = self._cv2
        if self._here.shape[:2] != grey.shape:
            rows, columns = map(np.arange, grey.shape)
            self._here = np.stack(np.meshgrid(columns, rows), -1).astype(np.float32)
        scale, shift = between(window, window_before, grey.shape)
        stays = window == window_before
        aligned = grey_before if stays else self._remapped(grey_before, self._here * scale + shift)
        source = self._here + self._flow.calc(grey, aligned, None)
        source = source if stays else source * scale + shift
        carried, looked = self._remapped(map_before, source), self._remapped(grey_before, source)
        return source, carried, cv2.blur(cv2.absdiff(grey, looked), (5, 5)).astype(np.float32)

    def _remapped(self, picture: Array, source: Array) -> Array:
        """A picture (h, w) whose pixels come from places, (…, 2)."""
        cv2 = self._cv2
        moved: Array = cv2.remap(picture, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return moved

    def blend(self, before: Array, now: Array) -> Array:
        """Smooth something else that was measured of the frame whose map was smoothed last.

        Args:
            before: what came of it in the frame before: a number, or a plane (h, w) that covers what was seen.
            now: what was measured, as `before`; a plane may have another size.

        Returns:
            The blend of the two, planes moved as the picture has moved; after a cut `now`.
        """
        if self._source is None:
            return now
        if now.ndim == 2:
            wide = self._cv2.resize(self._source, now.shape[::-1], interpolation=self._cv2.INTER_LINEAR)
            size = np.array(before.shape[::-1])
            before = self._remapped(before, ((wide + 0.5) * size / self._source.shape[1::-1] - 0.5).astype(np.float32))
        blended: Array = now + self.strength * (before - now)
        return blended


def between(window: Window | None, before: Window | None, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Scale and shift, float32 (2,) each, that take places in one window's picture to those in another's.

    Args:
        window, before: the windows; None for one that does not change.
        shape: height and width of both pictures.

    >>> scale, shift = between(Window(0, 10, 0, 10), Window(0, 20, 5, 25), (100, 100))
    >>> scale.tolist(), shift.tolist()
    ([0.5, 0.5], [-25.25, -0.25])
    """
    if window is None or before is None:
        return np.ones(2, np.float32), np.zeros(2, np.float32)
    size, size_before = (np.array(one.size[::-1], np.float64) for one in (window, before))
    scale = size / size_before
    corner = np.array([window.left - before.left, window.top - before.top])
    shift = 0.5 * scale - 0.5 + corner * np.array(shape[1::-1]) / size_before
    return scale.astype(np.float32), shift.astype(np.float32)
