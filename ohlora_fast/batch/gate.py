"""Photos that are worked on at once, held to the memory there is; and which of the large ones a killed run was at."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

from ohlora_fast.errors import InputError
from ohlora_fast.runtime import usable_memory

Name: TypeAlias = tuple[str, str | None]
"""A photo: its source, and its name there if that is a container."""

BYTES_A_PIXEL = 24
"""Memory that a photo takes at most, from decoding to encoding; a PNG with transparency takes the most."""
SHARE = 0.5
"""The share of the memory which is free at the start that photos may take."""
LARGE = 4
"""Photos of which fewer than so many have room at once are large: of these there is one at a time."""
UNKNOWN = 8 * 2**30
"""Bytes of free memory where nothing tells."""
KILLS = 2
"""Runs that are killed at a photo before it is given up; it is alone from the second on."""


class Gate:
    """Lets photos in as long as their pixels have room.

    One that is larger than all room is let in when it is alone.

    Args:
        memory: free bytes; None: what this process may still take.
        journal: what is written down about large photos; None: nothing.

    Example:
        >>> gate = Gate(memory=2**30)
        >>> with gate.visit(("a.jpg", None)) as admit:
        ...     admit(400 * 600)
        ...     gate.pixels
        240000
        >>> gate.pixels
        0
    """

    def __init__(self, memory: int | None = None, journal: Journal | None = None) -> None:
        free = memory if memory is not None else usable_memory()
        self.room = max(1, int(SHARE * (UNKNOWN if free is None else free) / BYTES_A_PIXEL))
        self.pixels = 0
        self._journal = journal
        self._large = 0
        self._changed = threading.Condition()

    @contextmanager
    def visit(self, name: Name) -> Iterator[Callable[[int], None]]:
        """Give a function that waits until so many pixels have room; what it let in has left when the block ends.

        Raises:
            InputError: by the function: too many runs were killed while this photo was worked on.
        """
        held: list[tuple[int, bool]] = []

        def admit(pixels: int) -> None:
            if not held:
                held.append(self._enter(name, pixels))

        try:
            yield admit
        finally:
            for pixels, large in held:
                self._leave(name, pixels, large)

    def _enter(self, name: Name, pixels: int) -> tuple[int, bool]:
        suspect = self._journal is not None and self._journal.asked(name)
        taken = self.room if suspect else min(pixels, self.room)
        large = LARGE * taken > self.room
        with self._changed:
            self._changed.wait_for(lambda: self.pixels + taken <= self.room and not (large and self._large))
            self.pixels += taken
            self._large += large
        if large and self._journal is not None:
            self._journal.begin(name)
        return taken, large

    def _leave(self, name: Name, pixels: int, large: bool) -> None:
        if large and self._journal is not None:
            self._journal.end()
        with self._changed:
            self.pixels -= pixels
            self._large -= large
            self._changed.notify_all()


class Journal:
    """A small file that names the large photo which is being worked on, so that it is known should it kill the run.

    A run counts as killed by a photo if it ended without a word while it was at it, unless the system says that it has
    killed nothing for want of memory since.

    Args:
        path: the file; it is there only while there is something to tell.
        forget: make further attempts at photos that were given up.

    Attributes:
        killed: photo → how many runs ended while they were at it.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "large.json")
        >>> journal = Journal(path)
        >>> journal.begin(("huge.png", None))
        >>> path.exists()
        True
        >>> journal.close(whole=True)
        >>> path.exists()
        False
    """

    def __init__(self, path: Path, forget: bool = False) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._at: Name | None = None
        self._closed = False
        self.killed: dict[Name, int] = {}
        try:
            kept = json.loads(path.read_text())
            self.killed = {(source, member): int(count) for source, member, count in kept["killed"]}
            if kept["at"] is not None and _ran_out_of_memory(kept["kills"]):
                source, member = kept["at"]
                self.killed[source, member] = self.killed.get((source, member), 0) + 1
        except (OSError, ValueError, KeyError, TypeError):  # there is none, or it is damaged
            pass
        if forget:
            self.killed = {name: count for name, count in self.killed.items() if count < KILLS}
        self._write()

    def asked(self, name: Name) -> bool:
        """Say whether an earlier run was killed at a photo.

        Raises:
            InputError: too many were.
        """
        count = self.killed.get(name, 0)
        if count >= KILLS:
            raise InputError(
                f"{count} runs were killed while they worked on it, for want of memory it seems; --max-pixels refuses "
                "such photos, --retry-failed tries it again"
            )
        return count > 0

    def begin(self, name: Name) -> None:
        """A large photo is begun."""
        with self._lock:
            self._at = name
            self._write()

    def end(self) -> None:
        """It is made."""
        with self._lock:
            self._at = None
            self._write()

    def close(self, whole: bool) -> None:
        """The run ends, which nothing has killed. `whole`: the manifest has all that is to be said."""
        with self._lock:
            self._at = None
            if whole:
                self.killed = {}
            self._write()
            self._closed = True  # a thread may be at a photo still

    def _write(self) -> None:
        if self._closed:
            return
        with suppress(OSError):  # a full disk
            if self._at is None and not self.killed:
                self._path.unlink(missing_ok=True)
                return
            killed = [(*name, count) for name, count in self.killed.items()]
            half = self._path.with_name(f"{self._path.name}.tmp")
            half.write_text(json.dumps({"at": self._at, "kills": _kills(), "killed": killed}))
            os.replace(half, self._path)


def _kills() -> list[Any]:
    """Boot id of the system, and its count of kills for want of memory; None if it does not say."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        lines = Path("/proc/vmstat").read_text().splitlines()
        return [boot, int(next(line for line in lines if line.startswith("oom_kill ")).split()[1])]
    except (OSError, StopIteration, ValueError):
        return [None, None]


def _ran_out_of_memory(before: list[Any]) -> bool:
    """Say whether something may have been killed for want of memory since then."""
    now = _kills()
    return now[0] is None or now != before
