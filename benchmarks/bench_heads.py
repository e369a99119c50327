"""How long does it take to find the heads of a photo, and to dye each on its own, beside what it is made of?

Limit: the head finder's arithmetic at 256 pixels and of photos without a large head at 736 once more; then
a run of the student for each head, and one ombre. A portrait fills its photo of 1024×1024; groups are portraits side by
side in one. "parts" are the finder, the student's runs in one batch, and the ombre by a map, one after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ohlora_fast.benchmarks import setting
from ohlora_fast.benchmarks.setting import no_portrait, portraits

from ohlora_fast.ombre import apply_ombre
from ohlora_fast.student.preprocess import squash
from ohlora_fast.stylist import HairStylist

FIND, STUDENT, DYE, WHOLE, PARTS = "find heads", "student", "dye", "dye, whole photo", "parts"
PROVIDERS = (FIND, STUDENT, DYE, WHOLE, PARTS)
SIZE = 1024
PORTRAIT, GROUPS = "heads, portrait", "heads, group of "
ACROSS = {"1": 2, "4": 3, "16": 5}
"""Heads of a group → cells of the photo in each direction; the heads fill some of them, the others are a plain wall."""
WALL = (190, 185, 175)


def problem(provider: str) -> str | None:
    """Why a provider does not run here, or None."""
    return no_portrait()


def group(heads: int, across: int) -> np.ndarray[Any, Any]:
    """So many portraits in a photo, uint8 (1024, 1024, 3)."""
    photo = np.full((SIZE, SIZE, 3), WALL, np.uint8)
    side = SIZE // across
    for index in range(heads):
        row, column = divmod(index, across)
        photo[row * side : (row + 1) * side, column * side : (column + 1) * side] = portraits(1, side)[0]
    return photo


def make(provider: str, photo: np.ndarray[Any, Any], threads: int) -> Callable[[], object]:
    """The call to time, for a uint8 photo (H, W, 3)."""
    stylist = HairStylist(threads=threads)
    if provider == FIND:
        return lambda: stylist.find_heads(photo)
    if provider == DYE:
        return lambda: stylist.dye(photo)
    if provider == WHOLE:
        return lambda: stylist.dye(photo, heads="whole")
    inputs = squash(photo)[None]
    if provider == STUDENT:
        return lambda: stylist.engine.predict(inputs)
    several = np.repeat(inputs, max(1, len(stylist.find_heads(photo))), axis=0)
    prob = stylist.segment_map(photo)

    def parts() -> None:
        stylist.find_heads(photo)
        stylist.engine.predict(several)
        apply_ombre(photo, prob, threads=threads)

    return parts


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("heads", ["portrait", *ACROSS])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_heads(measure: Callable[..., None], provider: str, heads: str) -> None:
    if heads == "portrait":
        name, photo = PORTRAIT, portraits(1, SIZE)[0]
    else:
        name, photo = GROUPS + heads, group(int(heads), ACROSS[heads])
    measure(name, make(provider, photo, setting.threads()), rounds=30)
