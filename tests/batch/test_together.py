"""Photos of several threads in one call."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from ohlora_fast import HairStylist
from ohlora_fast.batch.together import TOGETHER, Together


class Counting:
    """Adds each photo's first setting to it, slowly, and keeps the sizes of the calls."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.inside = 0

    def __call__(self, photos: Any, settings: Sequence[Any]) -> tuple[Any, list[int]]:
        self.inside += 1
        assert self.inside == 1
        self.sizes.append(len(photos))
        time.sleep(0.02)
        if (photos == 66).any() and len(photos) > 1:
            self.inside -= 1
            raise MemoryError("too many")
        if (photos == 77).any():
            self.inside -= 1
            raise ValueError("never")
        self.inside -= 1
        bald = [number for number, photo in enumerate(photos) if photo.max() == 0]
        return photos + np.asarray(settings[0], np.uint8)[:, None, None, None], bald


def test_photos_that_wait_go_together() -> None:
    dye = Counting()
    together = Together(dye)
    shapes = [(4, 5, 3), (7, 5, 4)]

    def one(number: int) -> None:
        photo = np.full(shapes[number % 2], number % 50, np.uint8)
        dyed, has_hair = together(photo, (number, 0, 0))
        np.testing.assert_array_equal(dyed, photo + np.uint8(number))
        assert has_hair == (number % 50 != 0)

    with ThreadPoolExecutor(40) as pool:
        list(pool.map(one, range(200)))
    assert sum(dye.sizes) == 200
    assert max(dye.sizes) == TOGETHER
    assert len(dye.sizes) < 60


def test_one_alone_does_not_wait() -> None:
    dye = Counting()
    Together(dye)(np.ones((4, 4, 3), np.uint8), (1, 0, 0))
    assert dye.sizes == [1]


def test_one_that_fails_fails_alone() -> None:
    together = Together(Counting())
    ready = threading.Barrier(12)

    def one(number: int) -> str:
        value = {3: 66, 4: 77}.get(number, number)
        ready.wait()
        try:
            dyed, _ = together(np.full((4, 4, 3), value, np.uint8), (1, 0, 0))
        except ValueError as error:
            return str(error)
        assert dyed.max() == value + 1
        return "fine"

    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(one, range(12))) == ["fine"] * 4 + ["never"] + ["fine"] * 7


@pytest.mark.filterwarnings("ignore")
def test_as_each_alone(portrait_pixels: np.ndarray) -> None:
    stylist = HairStylist(threads=1)
    together = Together(stylist.try_dye)
    photos = [np.roll(portrait_pixels, number, axis=1) for number in range(10)]
    with ThreadPoolExecutor(10) as pool:
        made = list(pool.map(lambda number: together(photos[number], (number / 10, 0.9, 0.2)), range(10)))
    for number, (dyed, has_hair) in enumerate(made):
        assert has_hair
        np.testing.assert_array_equal(dyed, stylist.dye(photos[number], number / 10, 0.9, 0.2))
