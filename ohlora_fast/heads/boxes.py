"""Boxes around heads: what `find_heads` gives, what the argument `heads` takes, and boxes made from face detections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ohlora_fast.arguments import shown
from ohlora_fast.errors import InputError
from ohlora_fast.ops.ombre_op import is_tensor

__all__ = ["MOST", "Choice", "Heads", "HeadsArgument", "as_choice", "chosen", "head_boxes"]

Array: TypeAlias = "np.ndarray[Any, Any]"

MOST = 100
"""Heads of one photo, at most."""
ABOVE, BESIDE = 0.45, 0.2
"""Margins of a head around its face's box: heights above, and widths on each side."""
ALLOWED = (
    "'auto', 'whole', indices of heads, or boxes, numbers of shape (K, 4): x0 y0 x1 y1 in pixels of the upright photo"
)


@dataclass(frozen=True, eq=False)
class Heads:
    """The heads of a photo, from left to right.

    Attributes:
        boxes: float32 (K, 4), x0 y0 x1 y1 in pixels, around each head with its hair, inside the photo.
        scores: float32 (K,), confidence in [0, 1]; 1 for boxes that were given.

    >>> len(Heads(np.zeros((2, 4), np.float32), np.ones(2, np.float32)))
    2
    """

    boxes: Array
    scores: Array

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True, eq=False)
class Choice:
    """The argument `heads` for one photo, checked: whole, indices or boxes; none of them stands for "auto"."""

    whole: bool = False
    indices: tuple[int, ...] | None = None
    boxes: Array | None = None


HeadsArgument: TypeAlias = "str | int | Sequence[int] | Sequence[Sequence[float]] | Array | Heads"


def head_boxes(faces: Any) -> Array:
    """Boxes around heads with their hair, from boxes of faces as detectors give them, from the forehead to the chin.

    0.45 of a face's height is added above, 0.2 of its width on each side.

    Args:
        faces: (K, 4 or more) x0 y0 x1 y1 in pixels; further columns, such as a confidence, are ignored.

    Returns:
        float32 (K, 4), for the argument `heads`. They may reach out of the photo.

    Raises:
        InputError: another shape, or a number that is not finite.

    >>> head_boxes([[10, 20, 20, 40, 0.99]]).tolist()
    [[8.0, 11.0, 22.0, 40.0]]
    """
    try:
        boxes = np.asarray(faces, np.float64)
    except (TypeError, ValueError):
        boxes = np.empty(0)
    if boxes.size == 0 and boxes.ndim in (1, 2):
        return np.zeros((0, 4), np.float32)
    if boxes.ndim != 2 or boxes.shape[1] < 4 or not np.isfinite(boxes[:, :4]).all():
        came = f"shape {boxes.shape}" if boxes.ndim != 2 or boxes.shape[1] < 4 else "a number that is not finite"
        raise InputError(f"faces: got {came}, allowed are boxes of shape (K, 4), x0 y0 x1 y1 in pixels")
    x0, y0, x1, y1 = boxes[:, :4].T
    wide, high = x1 - x0, y1 - y0
    return np.stack([x0 - BESIDE * wide, y0 - ABOVE * high, x1 + BESIDE * wide, y1], 1).astype(np.float32)


def as_choice(heads: Any, height: int, width: int) -> Choice:
    """Check the argument `heads` for one photo of a size.

    Raises:
        InputError: it is none of what is allowed, or a box is empty, not finite or outside the photo.

    >>> as_choice([1, 0], 40, 30).indices
    (1, 0)
    >>> as_choice([[5, 5, 50, 20]], 40, 30).boxes.tolist()
    [[5.0, 5.0, 30.0, 20.0]]
    """
    if isinstance(heads, str):
        if heads not in ("auto", "whole"):
            raise InputError(f"heads: got {shown(heads)}, allowed are {ALLOWED}")
        return Choice(whole=heads == "whole")
    if isinstance(heads, Heads):
        heads = heads.boxes
    values = _as_array(heads)
    if values.ndim <= 1 and values.dtype.kind in "iu" and values.size:
        indices = tuple(np.atleast_1d(values).tolist())
        if len(set(indices)) < len(indices):
            raise InputError(f"heads: got {shown(list(indices))}, allowed is each index once")
        return Choice(indices=indices)
    if values.ndim != 2 or values.shape[1] != 4 or values.dtype.kind not in "iuf":
        came = f"shape {values.shape}" if values.dtype.kind in "iuf" and values.ndim else shown(heads)
        raise InputError(f"heads: got {came}, allowed are {ALLOWED}")
    return Choice(boxes=_inside(values.astype(np.float64), height, width))


def _as_array(heads: Any) -> Array:
    try:
        return np.asarray(heads.tolist() if is_tensor(heads) else heads)
    except ValueError:  # rows of different lengths
        return np.empty(0, object)


def _inside(boxes: Array, height: int, width: int) -> Array:
    if len(boxes) > MOST:
        raise InputError(f"heads: got {len(boxes)} boxes, allowed are up to {MOST}")
    for number, (x0, y0, x1, y1) in enumerate(boxes.tolist()):
        text = f"heads[{number}]: got ({x0:g}, {y0:g}, {x1:g}, {y1:g})"
        if not np.isfinite([x0, y0, x1, y1]).all():
            raise InputError(f"{text}, allowed are finite numbers")
        if not (x0 < x1 and y0 < y1):
            raise InputError(f"{text}, which is empty; allowed are x0 < x1 and y0 < y1")
        if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
            raise InputError(f"{text}, which is outside the photo; allowed are boxes that meet its {width}×{height}")
    return np.clip(boxes, 0, [width, height, width, height]).astype(np.float32)


def chosen(choice: Choice, found: Heads) -> tuple[int, ...] | None:
    """The indices that a choice picks from the heads that were found; None for all.

    Raises:
        InputError: an index is not there.

    >>> chosen(Choice(indices=(1,)), Heads(np.zeros((2, 4)), np.ones(2)))
    (1,)
    """
    if choice.indices is None:
        return None
    for index in choice.indices:
        if not 0 <= index < len(found):
            there = f"0 to {len(found) - 1}" if len(found) else "none, as no head was found"
            raise InputError(f"heads: got the index {index}, allowed are {there}")
    return choice.indices
