"""Worker threads with a bounded queue. Decoding, student, ombre and encoding all let go of Python's lock."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

A = TypeVar("A")
B = TypeVar("B")

AHEAD = 16
"""Items a worker that are handed out before the first of them is done: one that takes long holds up nobody, and no
more than these are in memory."""


class Pool:
    """Threads that work on items side by side.

    They end with the program, whatever they are at: `concurrent.futures` would wait for them.

    Args:
        workers: how many.

    Example:
        >>> with Pool(2) as pool:
        ...     list(pool.map(str.upper, "abc"))
        ['A', 'B', 'C']
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._queue: queue.SimpleQueue[tuple[Future[Any], Callable[[Any], Any], Any] | None] = queue.SimpleQueue()
        self._pending: deque[Future[Any]] = deque()
        for _ in range(workers):
            threading.Thread(target=self._work, daemon=True).start()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *error: object) -> None:
        for future in self._pending:
            future.cancel()
        for _ in range(self.workers):
            self._queue.put(None)

    def map(self, function: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
        """Yield function(item) for each item, in the items' order. Items are taken as workers need them."""
        pending = self._pending
        for item in items:
            future: Future[B] = Future()
            pending.append(future)
            self._queue.put((future, function, item))
            while pending and (len(pending) >= AHEAD * self.workers or pending[0].done()):
                yield self._first()
        while pending:
            yield self._first()

    def _first(self) -> Any:
        result = self._pending[0].result()  # if this wait is broken off, `settle` still has it
        self._pending.popleft()
        return result

    def settle(self, seconds: float) -> Iterator[Any]:
        """Begin nothing more, and yield what of a `map` that was broken off comes to an end within this time."""
        end = time.monotonic() + seconds
        running = [future for future in self._pending if not future.cancel()]
        self._pending.clear()
        for future in running:
            with suppress(Exception):  # of what failed or takes longer there is nothing to yield
                yield future.result(timeout=max(end - time.monotonic(), 0))

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            future, function, item = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(function(item))
            except BaseException as error:  # raised again where the result is asked for
                future.set_exception(error)
