"""Work that runs ahead of whoever asks for its results, in a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

Item = TypeVar("Item")

END = object()

THREAD = "ohlora-fast ahead"


@contextmanager
def ahead(items: Iterable[Item], count: int = 3) -> Iterator[Iterator[Item]]:
    """Take items in a thread, at most `count` ahead of use.

    Stages of a pipeline, one behind the other, run side by side so, as far as they let go of Python's lock. An error
    in the thread comes out where its item would. When the block ends, nothing more is taken, and the thread is waited
    for.

    >>> with ahead(range(3)) as numbers:
    ...     list(numbers)
    [0, 1, 2]
    """
    done: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(count)
    stop = threading.Event()

    def put(item: Any, error: BaseException | None = None) -> None:
        while not stop.is_set():
            try:
                return done.put((item, error), timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                if stop.is_set():
                    return
                put(item)
        except BaseException as error:  # raised again where the item is asked for
            put(END, error)
        else:
            put(END)

    def results() -> Iterator[Item]:
        while True:
            item, error = done.get()
            if error is not None:
                raise error
            if item is END:
                return
            yield item

    thread = threading.Thread(target=work, name=THREAD, daemon=True)
    thread.start()
    try:
        yield results()
    finally:
        stop.set()
        thread.join()
