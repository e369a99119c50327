"""An ombre whose settings change with time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np

from ohlora_fast.colors import parse_color
from ohlora_fast.errors import InputError
from ohlora_fast.ombre import Ombre
from ohlora_fast.sweep import DIGITS

__all__ = ["Keyframes"]

NAMES = tuple(field.name for field in fields(Ombre))

FORM = "TIME:NAME=VALUE,…;TIME:…, such as 0:color=0.1;2.5:color=0.9,ombre-height=1"


@dataclass(frozen=True)
class Keyframes:
    """Settings at certain times: on straight lines between them, still before the first and after the last.

    Args:
        ombre: the settings that no keyframe gives.
        tracks: of each setting that changes, its (seconds, value) pairs, times rising. 0 s is the first frame.

    Raises:
        InputError: a setting is unknown or out of range, or a track's times do not rise.

    >>> Keyframes(Ombre(), {"color": [(0, 0.0), (2, 0.5)]}).at(1)
    Ombre(color=0.25, ombre_height=0.6, ombre_grad_height=0.5)
    """

    ombre: Ombre
    tracks: Mapping[str, Sequence[tuple[float, float]]]

    def __post_init__(self) -> None:
        for name, track in self.tracks.items():
            if name not in NAMES:
                raise InputError(f"keyframes: got {name!r}, allowed are {', '.join(NAMES)}")
            times = [time for time, _ in track]
            if not times or any(a >= b for a, b in pairwise(times)) or not 0 <= times[0] < 1e9:
                raise InputError(f"keyframes: {name} has the times {times}, allowed are rising ones from 0 on")
            for _, value in track:
                Ombre(**{name: value})

    def at(self, seconds: float) -> Ombre:
        """The settings at a time."""
        return Ombre(**vars(self.ombre) | {name: _value(track, seconds) for name, track in self.tracks.items()})

    @classmethod
    def parse(cls, text: str, ombre: Ombre = Ombre()) -> Keyframes:
        """Read keyframes from a line, or from several; what comes after ``#`` is a comment, up to the line's end.

        Args:
            text: ``TIME:NAME=VALUE,NAME=VALUE;TIME:…``; a new line counts as a semicolon.
            ombre: the settings that no keyframe gives.

        Raises:
            InputError: the text has another form.

        >>> keyframes = Keyframes.parse("0: color=red; 2.5: color=0.5, ombre-height=1")
        >>> keyframes.at(1.25).color
        0.25
        """
        tracks: dict[str, list[tuple[float, float]]] = {}
        for part in ";".join(_without_comment(line) for line in text.splitlines()).split(";"):
            if not part.strip():
                continue
            time, colon, settings = part.partition(":")
            for setting in settings.split(","):
                name, equals, value = (piece.strip() for piece in setting.partition("="))
                name = name.replace("-", "_")
                if not colon or not equals or name not in NAMES:
                    raise InputError(f"keyframes: {part.strip()!r} came, allowed is {FORM}")
                number = parse_color(value) if name == "color" else _number(value, part)
                tracks.setdefault(name, []).append((_number(time, part), number))
        if not tracks:
            raise InputError(f"keyframes: nothing came, allowed is {FORM}")
        return cls(ombre, {name: sorted(track) for name, track in tracks.items()})


def _without_comment(line: str) -> str:
    """A line up to a ``#`` that begins a comment: at its start or after a space. That of #ff0000 follows ``=``.

    >>> _without_comment("0:color=#ff0000 # red")
    '0:color=#ff0000'
    """
    return (" " + line).split(" #")[0][1:]


def _number(text: str, part: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"keyframes: {part.strip()!r} came, allowed is {FORM}") from None


def _value(track: Sequence[tuple[float, float]], seconds: float) -> float:
    times, values = zip(*track, strict=True)
    return round(float(np.interp(seconds, times, values)), DIGITS)
