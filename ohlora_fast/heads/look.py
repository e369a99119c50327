"""From a photo to the hair of its heads: crops, the student on all of them at once, and the parts joined."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ohlora_fast.heads.boxes import Choice, Heads, chosen
from ohlora_fast.heads.crops import AROUND, WIDENED, WIDER, Window, cut_off, window_around
from ohlora_fast.heads.hair import Hair, fade, joined, nobody
from ohlora_fast.refine import refine_map
from ohlora_fast.student.maps import Student
from ohlora_fast.student.preprocess import unsquash

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Plan:
    """Plan of a look at a photo.

    Attributes:
        heads: the heads in it.
        picked: which of them are wanted, in that order; None for all, from left to right.
        whole: whether the student's map of the whole photo is all that is needed: one head fills it.
    """

    heads: Heads
    picked: tuple[int, ...] | None
    whole: bool


def plan_photo(choice: Choice, size: tuple[int, int], find: Callable[[], Heads]) -> Plan:
    """Settle how a photo of a size is looked at; `find` finds its heads, and is called only if they are needed.

    Raises:
        InputError: an index is wanted that is not there.
    """
    height, width = size
    if choice.whole:
        return Plan(Heads(np.array([[0, 0, width, height]], np.float32), np.ones(1, np.float32)), None, True)
    heads = find() if choice.boxes is None else Heads(choice.boxes, np.ones(len(choice.boxes), np.float32))
    picked = chosen(choice, heads)
    return Plan(heads, picked, len(heads) == 1 and window_around(heads.boxes[0], height, width) is None)


def hair_of_heads(photo: Array, plan: Plan, student: Student, refine: bool) -> Hair:
    """The hair of a photo, uint8 (H, W, 3 or 4), whose plan is not `whole`."""
    height, width = size = photo.shape[:2]
    if not len(plan.heads):
        return nobody((height, width))
    everything = Window(0, height, 0, width)
    boxes = plan.heads.boxes
    windows = [[window_around(box, height, width) or everything] for box in boxes]  # of each head, ever larger ones
    maps: dict[Window, Array] = {}
    for turn in range(WIDENED + 1):
        new = [window for window in dict.fromkeys(each[-1] for each in windows) if window not in maps]
        if not new:
            break
        maps |= zip(new, student.maps_of_crops(photo, new), strict=True)
        if turn == WIDENED:
            break
        for each, box in zip(windows, boxes, strict=True):
            if len(each) == turn + 1 and cut_off(maps[each[-1]], each[-1], box, height, width):
                larger = window_around(box, height, width, AROUND * WIDER ** (turn + 1)) or everything
                each += [larger] if larger != each[-1] else []

    def at_size(window: Window) -> Array:
        if refine:
            refined: Array = refine_map(photo[window.slices], maps[window], student.threads)
            return refined
        return unsquash(maps[window], *window.size, student.threads)

    full = {window: at_size(window) for window in maps}
    crops = [each[-1] for each in windows]
    hair = joined(plan.heads, crops, [nested(each, full, size) for each in windows], (height, width), refine)
    return hair if plan.picked is None else hair.only(plan.picked)


def nested(windows: Sequence[Window], probs: Mapping[Window, Array], size: tuple[int, int]) -> Array:
    """The largest of a head's crops, in which the smaller ones, which show more, stand where they are."""
    *smaller, largest = windows
    if not smaller:
        return probs[largest]
    prob = probs[largest].copy()
    for window in reversed(smaller):
        rows, columns = window.moved(-largest.top, -largest.left).slices
        there = prob[rows, columns]
        there += fade(window, *size) * (probs[window] - there)
    return prob
