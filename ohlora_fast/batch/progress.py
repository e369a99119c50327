"""How a run is told of while it goes on: a bar, lines for logs, or lines of JSON for programs."""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from ohlora_fast.batch.task import Result

Item = TypeVar("Item")

LINE_S = 10.0
"""Seconds between two lines of a log."""
TOLD = 100
"""Failures and notes that are told of one by one."""
RATE_S = 30.0
"""The rate is that of the last so many seconds."""


class Progress:
    """Counts, and says nothing. Its subclasses do.

    Args:
        tell: is called with "error" or "note" and a line, for the first failures and notes; None: nobody is told.

    Attributes:
        total: photos that there are to do, None while a container has not told.
        done: photos that were dyed.
        failed: photos that failed.
    """

    def __init__(self, tell: Callable[[str, str], None] | None = None) -> None:
        self._tell = tell
        self._told = 0
        self.total: int | None = None
        self.done = 0
        self.failed = 0
        self._times: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])

    def scanned(self, entries: Iterable[Item]) -> Iterator[Item]:
        """Pass entries on while they are found and entered."""
        for number, entry in enumerate(entries, 1):
            self.found(number)
            yield entry

    def result(self, result: Result) -> None:
        """Count a result."""
        if result.error is None:
            self.done += not result.container
        else:
            self.failed += 1
        now = time.monotonic()
        if now - self._times[-1][0] >= 0.2:
            self._times.append((now, self.done + self.failed))
            while now - self._times[0][0] > RATE_S and len(self._times) > 2:
                self._times.popleft()
        self.finished(result)
        if self._tell is not None and (result.error or result.notes):
            self._tell_of(result, self._tell)

    def _tell_of(self, result: Result, tell: Callable[[str, str], None]) -> None:
        name = result.source if result.member is None else f"{result.source}, {result.member}"
        for kind, text in [("note", note) for note in result.notes] + [("error", result.error or "")] * bool(
            result.error
        ):
            self._told += 1
            if self._told <= TOLD:
                tell(kind, f"{name}: {text}")
            elif self._told == TOLD + 1:
                tell("note", "there is more to say of photos; the manifest has it all")

    def failed_before(self, results: Iterable[Result]) -> None:
        """Tell of failures that are known before the work begins: of what is missing, or failed in an earlier run."""
        for result in results:
            if self._tell is not None:
                self._tell_of(result, self._tell)
        self._told = 0

    def note(self, source: str, text: str) -> None:
        """Tell what is to be said about an input."""
        if self._tell is not None:
            self._tell_of(Result(source, notes=(text,)), self._tell)

    def rate(self) -> float:
        """Photos a second of late."""
        since, count = self._times[0]
        return (self.done + self.failed - count) / max(time.monotonic() - since, 1e-9)

    def seconds_left(self) -> float | None:
        """Seconds to the end at this rate, None if it cannot be told."""
        rate = self.rate()
        return None if self.total is None or not rate else max(self.total - self.done - self.failed, 0) / rate

    def found(self, count: int) -> None:
        """So many files have been found so far."""

    def begin(self, total: int | None, earlier: int) -> None:
        """The work begins: on `total` photos, beside `earlier` files that need none."""
        self.total = total
        self._times = deque([(time.monotonic(), 0)])

    def finished(self, result: Result) -> None:
        """A photo or container is through."""

    def close(self) -> None:
        """The work is over."""


class Bar(Progress):
    """A bar on a terminal, with rate, time left and failures; failures and notes appear above it."""

    def __init__(self, tell: Callable[[str, str], None] | None = None) -> None:
        super().__init__(tell)
        self._bar: Any = None

    def _open(self, **options: Any) -> None:
        from tqdm import tqdm

        self.close()
        self._bar = tqdm(file=sys.stderr, dynamic_ncols=True, smoothing=0.05, **options)

    def found(self, count: int) -> None:
        if self._bar is None:
            self._open(desc="looking", unit=" files")
        self._bar.update()

    def begin(self, total: int | None, earlier: int) -> None:
        super().begin(total, earlier)
        self._open(total=total, unit=" photos")

    def finished(self, result: Result) -> None:
        if result.error is not None:
            self._bar.set_postfix_str(f"{self.failed} failed", refresh=False)
        if not result.container or result.error is not None:
            self._bar.update()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class Lines(Progress):
    """A line now and then, for a log."""

    def __init__(self, tell: Callable[[str, str], None] | None = None) -> None:
        super().__init__(tell)
        self._last = 0.0

    def begin(self, total: int | None, earlier: int) -> None:
        super().begin(total, earlier)
        todo = "photos of number unknown" if total is None else f"{total:,} photos"
        self._say(f"{todo} to do" + (f", {earlier:,} files done earlier" if earlier else ""))

    def finished(self, result: Result) -> None:
        if time.monotonic() - self._last >= LINE_S:
            left = self.seconds_left()
            self._say(
                f"{self.done + self.failed:,} of {'?' if self.total is None else format(self.total, ',')}, "
                f"{self.failed:,} failed, {self.rate():.1f} photos/s"
                + ("" if left is None else f", {duration(left)} to go")
            )

    def _say(self, text: str) -> None:
        print(text, flush=True)
        self._last = time.monotonic()


class JsonLines(Progress):
    """A line of JSON a second, and one for each failure.

    Example:
        >>> progress = JsonLines()
        >>> progress.begin(2, 0)
        {"event": "begin", "total": 2, "earlier": 0}
        >>> progress.result(Result("a.jpg", error="it is empty"))
        {"event": "failed", "source": "a.jpg", "member": null, "error": "it is empty"}
    """

    def __init__(self) -> None:
        super().__init__()
        self._last = 0.0

    def say(self, event: str, **values: Any) -> None:
        """Write a line."""
        print(json.dumps({"event": event, **values}), flush=True)

    def begin(self, total: int | None, earlier: int) -> None:
        super().begin(total, earlier)
        self._last = time.monotonic()
        self.say("begin", total=total, earlier=earlier)

    def failed_before(self, results: Iterable[Result]) -> None:
        for result in results:
            self.say("failed", source=result.source, member=result.member, error=result.error)

    def note(self, source: str, text: str) -> None:
        self.say("note", source=source, note=text)

    def finished(self, result: Result) -> None:
        if result.error is not None:
            self.say("failed", source=result.source, member=result.member, error=result.error)
        if time.monotonic() - self._last >= 1.0:
            self._last = time.monotonic()
            left = self.seconds_left()
            self.say(
                "progress",
                done=self.done,
                failed=self.failed,
                total=self.total,
                rate=round(self.rate(), 2),
                seconds_left=None if left is None else round(left),
            )


def duration(seconds: float) -> str:
    """Seconds in words.

    Example:
        >>> duration(59), duration(3661), duration(90000)
        ('59 s', '1 h 1 min', '25 h 0 min')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
