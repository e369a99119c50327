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
C = TypeVar("C")

AHEAD = 16
"""Items a worker that are handed out before the first of them is done: one that takes long holds up nobody, and no
more than these are in memory."""
STORING = 4
"""Threads a worker that wait for disks."""


class Pool:
    """Threads that work on items side by side, and others that store what comes of them, which is mostly waiting.

    They end with the program, whatever they are at: `concurrent.futures` would wait for them.

    Args:
        workers: how many work.

    Example:
        >>> with Pool(2) as pool:
        ...     list(pool.map(str.upper, "abc", ord))
        [65, 66, 67]
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._stored: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._room = threading.Semaphore(2 * STORING * workers)
        self._pending: deque[Future[Any]] = deque()
        for _ in range(workers):
            threading.Thread(target=self._work, daemon=True).start()
        for _ in range(STORING * workers):
            threading.Thread(target=self._store, daemon=True).start()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *error: object) -> None:
        for future in self._pending:
            future.cancel()
        for _ in range(self.workers):
            self._queue.put(None)

    def map(self, function: Callable[[A], B], items: Iterable[A], store: Callable[[B], C]) -> Iterator[C]:
        """Yield store(function(item)) for each item, in the items' order. Items are taken as workers need them.

        A worker takes up the next item while ``store`` waits, unless much has been waiting already.
        """
        pending = self._pending
        for item in items:
            future: Future[C] = Future()
            pending.append(future)
            self._queue.put((future, function, item, store))
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
            future, function, item, store = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                made = function(item)
            except BaseException as error:  # raised again where the result is asked for
                future.set_exception(error)
                continue
            self._room.acquire()
            self._stored.put((future, store, made))
        for _ in range(STORING):
            self._stored.put(None)

    def _store(self) -> None:
        while (job := self._stored.get()) is not None:
            self._room.release()
            future, store, made = job
            try:
                future.set_result(store(made))
            except BaseException as error:  # raised again where the result is asked for
                future.set_exception(error)
