"""A bound on what a server writes to its log, so that requests cannot fill a disk with it."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import TextIO

MOST = 200_000
"""Characters within `PERIOD`."""

PERIOD = 3600.0
"""Seconds."""

FULL = f"\nohlora-fast: warning: the log is full; what follows within {PERIOD / 60:g} minutes is left out\n"


class BoundedLog(io.TextIOBase):
    """A text stream that passes on `MOST` characters in each `PERIOD`, then one line that says so, and nothing more.

    Args:
        stream: takes what is passed on.
        clock: tells the time in seconds.

    >>> import sys
    >>> log = BoundedLog(sys.stdout)
    >>> log.write("a line\\n")
    a line
    7
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream, clock
        self._end, self._left, self._full = 0.0, 0, False

    def write(self, text: str) -> int:
        if self._clock() >= self._end:
            self._end, self._left, self._full = self._clock() + PERIOD, MOST, False
        if self._full:
            return len(text)
        self._left -= len(text)
        self._full = self._left < 0
        self._stream.write(FULL if self._full else text)
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()
