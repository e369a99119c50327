"""Ombre settings that are drawn at random, each from a range of its own."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from typing import TypeAlias

from ohlora_fast.errors import InputError
from ohlora_fast.ombre import Ombre

Range: TypeAlias = float | tuple[float, float]


@dataclass(frozen=True)
class OmbreRanges:
    """For each setting of :class:`ohlora_fast.Ombre` a number, or (low, high).

    Raises:
        InputError: a number is outside [0, 1], or the lower end comes second.

    Example:
        >>> OmbreRanges(color=(0.4, 0.6), ombre_height=1).ends
        ((0.4, 0.6), (1, 1), (0.5, 0.5))
    """

    color: Range = Ombre.color
    ombre_height: Range = Ombre.ombre_height
    ombre_grad_height: Range = Ombre.ombre_grad_height

    def __post_init__(self) -> None:
        lows, highs = zip(*self.ends, strict=True)
        Ombre(*lows)
        Ombre(*highs)
        for field, low, high in zip(fields(self), lows, highs, strict=True):
            if low > high:
                raise InputError(f"{field.name}: got the range {low:g} to {high:g}, allowed is the lower end first")

    @property
    def ends(self) -> tuple[tuple[float, float], ...]:
        """Low and high of each setting."""
        return tuple(
            (value[0], value[1]) if isinstance(value, (tuple, list)) else (value, value) for value in astuple(self)
        )
