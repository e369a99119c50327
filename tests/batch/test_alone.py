"""What is made of a photo does not depend on what else is in the batch: on it rests that all runners agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ohlora_fast import HairStylist
from ohlora_fast.student.engines import engine_problem

PHOTOS = 16


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("engine", ["onnx-int8", "onnx"])
def test_alone_as_in_a_batch(engine: str, threads: int, portrait_pixels: np.ndarray[Any, Any]) -> None:
    if reason := engine_problem(engine):
        pytest.skip(reason)
    chance = np.random.default_rng(0)
    photos = np.stack([np.roll(portrait_pixels, 11 * number, axis=1) for number in range(PHOTOS)])
    photos[1::4] = chance.integers(0, 256, photos[1::4].shape, np.uint8)
    photos[2::4] //= 3
    stylist = HairStylist(engine=engine, device="cpu", threads=threads)
    maps = stylist.segment_map(photos)
    assert len({single.tobytes() for single in maps}) > PHOTOS // 2
    np.testing.assert_array_equal(maps, np.stack([stylist.segment_map(photo) for photo in photos]))
    np.testing.assert_array_equal(maps[::-1], stylist.segment_map(photos[::-1]))
    colors = np.linspace(0, 1, PHOTOS)
    alone = [stylist.dye(photo, color) for photo, color in zip(photos, colors, strict=True)]
    np.testing.assert_array_equal(stylist.dye(photos, colors), np.stack(alone))
