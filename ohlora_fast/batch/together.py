"""Doing several threads' photos in one call, for engines that are quicker on many at once, as those on a GPU are."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ohlora_fast.batch.task import Settings

TOGETHER = 16
"""Photos that one call gets at most."""


class Together:
    """Gathers photos of one shape while a call runs, and hands them to the next.

    Nobody waits for company: a photo that comes while nothing runs goes alone.

    Args:
        dye: (N, H, W, C) photos and three lists of N settings → the dyed photos, and the numbers of those without hair.

    Example:
        >>> together = Together(lambda photos, settings: (photos + 1, []))
        >>> together(np.zeros((2, 2, 3), np.uint8), (0.5, 0.6, 0.5))[0].max()
        np.uint8(1)
    """

    def __init__(self, dye: Callable[[Any, Sequence[Any]], tuple[Any, Sequence[int]]]) -> None:
        self._dye = dye
        self._changed = threading.Condition()
        self._waiting: dict[tuple[int, ...], deque[_Photo]] = defaultdict(deque)
        self._busy = False

    def __call__(self, pixels: Any, settings: Settings) -> tuple[Any, bool]:
        """Dye one photo (H, W, C); also tell whether it has hair."""
        own = _Photo(pixels, settings)
        with self._changed:
            self._waiting[pixels.shape].append(own)
        while True:
            with self._changed:
                self._changed.wait_for(lambda: own.finished or not self._busy)
                if own.finished:
                    break
                self._busy = True
                waiting = self._waiting[pixels.shape]
                photos = [waiting.popleft() for _ in range(min(TOGETHER, len(waiting)))]
                if not waiting:
                    del self._waiting[pixels.shape]
            try:
                self._run(photos)  # if more came before, its own turn is the next
            finally:
                with self._changed:
                    for photo in photos:
                        photo.finished = True
                    self._busy = False
                    self._changed.notify_all()
        if own.error is not None:
            raise own.error
        return own.dyed, own.has_hair

    def _run(self, photos: Sequence[_Photo]) -> None:
        columns = [list(column) for column in zip(*(photo.settings for photo in photos), strict=True)]
        try:
            dyed, bald = self._dye(np.stack([photo.pixels for photo in photos]), columns)
        except Exception as error:
            if len(photos) == 1:
                photos[0].error = error
                return
            for photo in photos:  # the others are not to suffer from one
                self._run([photo])
            return
        for number, photo in enumerate(photos):
            photo.dyed, photo.has_hair = dyed[number], number not in bald


class _Photo:
    """A photo that waits to be dyed."""

    def __init__(self, pixels: Any, settings: Settings) -> None:
        self.pixels = pixels
        self.settings = settings
        self.finished = False
        self.dyed: Any = None
        self.has_hair = True
        self.error: Exception | None = None
