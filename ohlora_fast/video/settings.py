"""Settings of a video's heads: one for all, one for each that is dyed, or a function of a head's number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any, TypeAlias

import numpy as np

from ohlora_fast.arguments import shown
from ohlora_fast.errors import InputError

Numbers: TypeAlias = "str | tuple[int, ...]"
"""Whose hair is dyed: "auto", all; "whole", whatever the student sees in the frame; or numbers from 0 on."""


def check_heads(heads: Any) -> Numbers:
    """Check the argument `heads` for a video.

    Raises:
        InputError: it is neither "auto" nor "whole", nor numbers from 0 on, each once.

    >>> check_heads([2, 0])
    (2, 0)
    """
    if isinstance(heads, str):
        if heads in ("auto", "whole"):
            return heads
    elif isinstance(heads, Integral | list | tuple | np.ndarray):
        numbers = [heads] if isinstance(heads, Integral) else list(heads)
        indices = [int(one) for one in numbers if isinstance(one, Integral) and not isinstance(one, bool)]
        if numbers and len({one for one in indices if one >= 0}) == len(numbers):
            return tuple(indices)
    raise InputError(
        f"heads: got {shown(heads)}, allowed are 'auto', 'whole', or numbers of heads from 0 on, each once"
    )


def of_heads(name: str, value: Any, heads: Numbers) -> Callable[[int], Any]:
    """What a setting is for the head of a number.

    Args:
        name: of the argument.
        value: one for all; a list or tuple, one for each of `heads`; or a function of the number.
        heads: as of `check_heads`.

    Raises:
        InputError: several came, but not one for each of the numbers in `heads`.

    >>> of_heads("method", ["seed", "natural"], (2, 0))(0)
    'natural'
    """
    if callable(value):
        function: Callable[[int], Any] = value
        return function
    if not isinstance(value, list | tuple):
        return lambda number: value
    if isinstance(heads, str):
        raise InputError(
            f"{name}: got {len(value)} for heads={heads!r}, allowed are one for all, one for each number in heads, or "
            "a function of the number"
        )
    if len(value) != len(heads):
        raise InputError(f"{name}: got {len(value)} for {len(heads)} heads, allowed are one for all or one a head")
    return dict(zip(heads, value, strict=True)).__getitem__


def in_turn(hues: Sequence[float], heads: Numbers) -> Callable[[int], float]:
    """The hue of the head of a number: they are dealt out over and over, by number or in the order of `heads`.

    >>> in_turn((0.1, 0.9), "auto")(2), in_turn((0.1, 0.9), (2, 0))(0)
    (0.1, 0.9)
    """

    def hue_of(number: int) -> float:
        return hues[(number if isinstance(heads, str) else heads.index(number)) % len(hues)]

    return hue_of
