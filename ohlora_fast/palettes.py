"""Colours of dyes for natural dyeing: named palettes, colours as people write them, and positions on the hue circle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from ohlora_fast.errors import InputError
from ohlora_fast.ops.oklab import CONES_TO_RGB, LAB_TO_ROOTS, to_oklab
from ohlora_fast.ops.ombre_op import hue_colors

if TYPE_CHECKING:
    from numpy.typing import NDArray

PALETTES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "rose-to-blue": ("#e88bb1", "#8a6cc4", "#3b62c4"),
        "sunset": ("#7b2d5b", "#d4483b", "#f2a03d"),
        "mermaid": ("#3a4fa3", "#1f9ea8", "#5fcf9a"),
        "galaxy": ("#241b4d", "#5a2f91", "#c04a9c"),
        "peacock": ("#123f5c", "#0f7f8c", "#3fae5a"),
        "fire": ("#7a1410", "#c8321e", "#f0862a"),
        "rose-gold": ("#b5706a", "#e2b3a0"),
        "lilac": ("#8d7fb5", "#c9b6df"),
        "balayage": ("#4a3020", "#8c5f3a", "#d9b382"),
        "copper": ("#b8602c",),
        "auburn": ("#7a3320",),
        "burgundy": ("#5e1527",),
        "chocolate": ("#4a2c1e",),
        "caramel": ("#a8703f",),
        "honey": ("#c99a55",),
        "golden": ("#dcb467",),
        "platinum": ("#f1e5c8",),
        "silver": ("#c2c6cc",),
        "black": ("#15120f",),
    }
)
"""Name → colours from root to tip."""

ALLOWED = (
    f"the name of a palette ({', '.join(PALETTES)}), a CSS colour name such as teal, #rgb or #rrggbb, "
    "or a hue from 0 to 1"
)

LIGHTNESS = (0.35, 0.45)
"""A dye of a hue is that hue's pure colour, its lightness x brought to 0.35 + 0.45·x …"""
CHROMA = 0.17
"""… and its chroma to at most this, and to what sRGB has at that lightness."""


def dye_colors(stops: str | float | Sequence[str | float], name: str = "stops") -> NDArray[np.float64]:
    """Read colours from root to tip.

    Args:
        stops: a palette's name, a colour (a CSS name, #rgb, #rrggbb), a hue in [0, 1], several colours with commas
            between, or a sequence of colours and hues.
        name: of the argument, for messages.

    Returns:
        OKLab (S, 3).

    Raises:
        InputError: something else came.

    Example:
        >>> dye_colors("rose-to-blue").shape, dye_colors(["#f00", 0.5]).round(2).tolist()
        ((3, 3), [[0.63, 0.22, 0.13], [0.76, -0.12, -0.03]])
    """
    if isinstance(stops, str):
        stops = PALETTES.get(stops.strip().lower()) or stops.split(",")
    if isinstance(stops, (int, float)):
        stops = [stops]
    if not isinstance(stops, Sequence) or not len(stops):
        raise InputError(f"{name}: got {stops!r}, allowed is {ALLOWED}, or several colours")
    return np.stack([_color(one, name) for one in stops])


def hue_dyes(color: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the dye of each position on the ombre's hue circle, (N,) in [0, 1], as OKLab (N, 3): never a neon one.

    Example:
        >>> hue_dyes(np.array([0.0, 0.9])).round(2).tolist()
        [[0.63, 0.15, 0.08], [0.64, 0.17, -0.01]]
    """
    pure = to_oklab(hue_colors(color))
    lightness = LIGHTNESS[0] + LIGHTNESS[1] * pure[:, 0]
    chroma = np.hypot(pure[:, 1], pure[:, 2])
    direction = pure[:, 1:] / chroma[:, None]
    low, high = np.zeros_like(chroma), np.minimum(chroma, CHROMA)
    for _ in range(24):  # halving: the largest chroma inside sRGB
        middle = (low + high) / 2
        light = (np.column_stack([lightness, middle[:, None] * direction]) @ LAB_TO_ROOTS.T) ** 3 @ CONES_TO_RGB.T
        inside = ((light >= 0) & (light <= 1)).all(axis=1)
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    return np.column_stack([lightness, low[:, None] * direction])


def _color(value: Any, name: str) -> NDArray[np.float64]:
    try:
        hue = float(value)
    except (TypeError, ValueError):
        hue = None
    if hue is not None and not isinstance(value, bool) and 0 <= hue <= 1:
        return hue_dyes(np.array([hue]))[0]
    if hue is None and isinstance(value, str):
        from PIL import ImageColor

        try:
            return to_oklab(np.array(ImageColor.getrgb(value.strip())[:3], np.uint8))
        except ValueError:
            pass
    raise InputError(f"{name}: got {value!r}, allowed is {ALLOWED}")
