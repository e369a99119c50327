"""Work in threads: order, errors, and that it ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import count

import pytest

from ohlora_fast.video.ahead import THREAD, ahead


def running() -> int:
    return sum(thread.name == THREAD for thread in threading.enumerate())


def test_stages_keep_the_order() -> None:
    with ahead(range(50)) as numbers, ahead(map(str, numbers)) as texts:
        assert list(texts) == [str(number) for number in range(50)]
    assert running() == 0


def test_an_error_comes_where_its_item_would() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    seen: list[str] = []
    with pytest.raises(OSError, match="gone"), ahead(items()) as first, ahead(map(str, first)) as second:
        seen.extend(second)
    assert seen == ["1"]
    assert running() == 0


def test_who_stops_asking_stops_the_work() -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in count():
            taken.append(number)
            yield number

    with ahead(items(), count=2) as numbers:
        assert next(numbers) == 0
    assert running() == 0
    assert len(taken) <= 5
