"""What the page remembers of its visitors: a photo each in memory, and in a folder each the pictures it shows."""

from __future__ import annotations

import shutil
import time
from collections import OrderedDict
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Literal
from uuid import uuid4

from ohlora_fast.web.portrait import Portrait, encode_preview

SHOWN = "shown"
"""The folder in which the visits' own folders lie."""

KEPT = 2
"""Pictures kept of those that were shown: the last one, and the one before, which may still be on its way."""

ABSENT = 60.0
"""Seconds for which a visit is held although its tab is not connected."""


@dataclass(eq=False)
class Visit:
    """A visitor's photo, and the folder of the pictures that the browser fetches.

    Attributes:
        portrait: the photo.
        folder: where its pictures lie.
        before: its preview there.
        used: when it was asked for last.
        slider: where the colour slider was last.
        colors: of each head.
    """

    portrait: Portrait
    folder: Path
    before: Path
    used: float
    slider: float
    colors: list[float]
    _shown: dict[str, list[Path]] = field(default_factory=lambda: {"after": [], "heads": []})

    def paint(self, slider: float, head: int | None) -> None:
        """Give the colour slider's place to one head, or None for all: if it moved, else each keeps its colour."""
        if slider == self.slider:
            return
        self.slider = slider
        self.colors = [slider if head in (None, index) else color for index, color in enumerate(self.colors)]

    def keep(self, name: str, content: bytes) -> Path:
        """Write a file that stays until the visit ends."""
        path = self.folder / name
        path.write_bytes(content)
        return path

    def keep_shown(self, content: bytes, suffix: str, what: Literal["after", "heads"] = "after") -> Path:
        """Write a picture that stays until `KEPT` others of its kind were shown after it."""
        shown = self._shown[what]
        shown.append(self.keep(f"{uuid4().hex}{suffix}", content))
        while len(shown) > KEPT:
            shown.pop(0).unlink(missing_ok=True)
        return shown[-1]


class Visitors:
    """The visits, each under its browser tab's key until it ends, is replaced, or was not used for too long.

    Args:
        folder: where `SHOWN` is made, with a folder for each visit.
        most: visits held at once; the one that was used longest ago makes room.
        idle: seconds without use after which a visit is forgotten, by `sweep` or as soon as another begins.
        clock: tells the time in seconds.
    """

    def __init__(self, folder: Path, most: int, idle: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder / SHOWN
        self._most = most
        self._idle = idle
        self._clock = clock
        self._lock = Lock()
        self._visits: OrderedDict[str, Visit] = OrderedDict()  # the one that was used longest ago first

    def put(self, key: str, portrait: Portrait, color: float) -> Visit:
        """Begin a visit, in place of the tab's earlier one; all heads have the colour slider's colour."""
        folder = self._folder / uuid4().hex
        folder.mkdir(parents=True)
        content, suffix = encode_preview(portrait.preview, portrait.preview.pixels)
        before = folder / f"before{suffix}"
        before.write_bytes(content)
        now = self._clock()
        visit = Visit(portrait, folder, before, now, color, [color] * len(portrait.hair))
        with self._lock:
            gone = [self._visits.pop(key)] if key in self._visits else []
            self._visits[key] = visit
            while len(self._visits) > self._most or next(iter(self._visits.values())).used < now - self._idle:
                gone.append(self._visits.popitem(last=False)[1])
        for one in gone:
            _remove(one)
        return visit

    def get(self, key: str) -> Visit | None:
        """Return a tab's visit, which counts as used now; None if there is none."""
        with self._lock:
            visit = self._visits.get(key)
            if visit is not None:
                visit.used = self._clock()
                self._visits.move_to_end(key)
            return visit

    def sweep(self, present: Container[str]) -> None:
        """Forget who was idle for too long, and who is no longer present and was not so for some time.

        A photo may be opened just after its tab was closed, and nobody would end that visit.
        """
        now = self._clock()
        with self._lock:
            gone = [
                key
                for key, visit in self._visits.items()
                if visit.used < now - (self._idle if key in present else min(self._idle, ABSENT))
            ]
        for key in gone:
            self.end(key)

    def end(self, key: str) -> None:
        """Forget a tab's photo and delete its files, if there are any."""
        with self._lock:
            visit = self._visits.pop(key, None)
        if visit is not None:
            _remove(visit)


def _remove(visit: Visit) -> None:
    shutil.rmtree(visit.folder, ignore_errors=True)
