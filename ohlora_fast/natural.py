"""Natural dyeing: its settings, checked, and the choice of a backend.

Where the ombre adds a hue to the pixels, natural dyeing moves the hair's own lightness towards the dye's, keeps
strands and highlights, and takes hue and chroma from the dye; `ohlora_fast.ops.natural_plan` has the formula.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from .errors import InputError
from .ops.natural_op import natural_cpp, natural_numpy
from .ops.natural_plan import Mixture
from .ops.work import Work
from .palettes import dye_colors, hue_dyes

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["NaturalDye", "natural_dye", "natural_work", "pack_natural"]

DIRECTIONS = ("vertical", "flow")
NO_COLOR = np.zeros(3)


@dataclass(frozen=True)
class NaturalDye:
    """Settings of natural dyeing, for the argument `method` of `dye` and `apply_ombre`.

    Args:
        stops: colours from the middle of the fade to the tips: the name of a palette
            (`ohlora_fast.palettes.PALETTES`), a colour (a CSS name, #rgb, #rrggbb: that very colour, where the ombre
            takes its hue alone), a hue in [0, 1], or a sequence of colours and hues. None: the hue that `color` gives.
        strength: how much of the natural colour the dye covers, 0 to 1.
        lift: how far hair that is darker than the dye is lightened first, as bleach does, 0 (not at all: on black hair
            the dye shows as a tint) to 1 (to the dye's own lightness).
        warmth: how much of the orange of half-bleached dark hair shows, 0 to 1.
        direction: of the gradient, "vertical", or "flow": by the way along the hair from the crown.
        highlights: a colour for streaks along the hair, or None.
        highlight_density: share of the hair that they take, 0 to 1.
        undercolor: a colour for the lower, inner layer, or None.

    Raises:
        InputError: a setting is none of these.

    Example:
        >>> NaturalDye(stops="rose-to-blue", lift=0.8).direction
        'vertical'
    """

    stops: str | float | Sequence[str | float] | None = None
    strength: float = 0.9
    lift: float = 0.4
    warmth: float = 0.2
    direction: str = "vertical"
    highlights: str | float | None = None
    highlight_density: float = 0.25
    undercolor: str | float | None = None

    def __post_init__(self) -> None:
        for name in ("strength", "lift", "warmth", "highlight_density"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) <= 1:
                raise InputError(f"{name}: got {value!r}, allowed is a number from 0 to 1")
        if self.direction not in DIRECTIONS:
            raise InputError(f"direction: got {self.direction!r}, allowed are {', '.join(map(repr, DIRECTIONS))}")
        if self.stops is not None:
            dye_colors(self.stops)
            if not isinstance(self.stops, (str, int, float)):
                object.__setattr__(self, "stops", tuple(self.stops))  # so that it can be hashed and compared
        for name in ("highlights", "undercolor"):
            self._accent(name)

    def _accent(self, name: str) -> tuple[bool, NDArray[np.float64]]:
        value = getattr(self, name)
        if value is None:
            return False, NO_COLOR
        colors = dye_colors(value, name)
        if len(colors) > 1:
            raise InputError(f"{name}: got {value!r}, allowed is one colour")
        return True, colors[0]


def natural_dye(method: str | NaturalDye) -> NaturalDye:
    """Give the settings that a method other than "seed" asks for.

    Raises:
        InputError: it is neither "natural" nor a `NaturalDye`.

    Example:
        >>> natural_dye("natural") == NaturalDye()
        True
    """
    if isinstance(method, NaturalDye):
        return method
    if method != "natural":
        raise InputError(f"method: got {method!r}, allowed are 'seed', 'natural' and a NaturalDye")
    return NaturalDye()


def pack_natural(
    dye: NaturalDye, color: NDArray[np.float64], height: NDArray[np.float64], grad_height: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Put the settings of N images, each (N,), and a dye into the one array that operations take.

    Returns:
        float64 (N, 14 + 3·S), a packed `ohlora_fast.ops.natural_plan.Mixture` each.

    Example:
        >>> one = np.ones(2)
        >>> pack_natural(NaturalDye(stops="sunset"), one, one, one).shape
        (2, 23)
    """
    stops = hue_dyes(color)[:, None] if dye.stops is None else [dye_colors(dye.stops)] * len(color)
    highlights, highlight = dye._accent("highlights")
    under, undercolor = dye._accent("undercolor")
    flow, density = float(dye.direction == "flow"), dye.highlight_density if highlights else 0.0
    fixed = dye.strength, dye.lift, dye.warmth, flow, density, float(under), highlight, undercolor
    rows = [Mixture(one, share, *fixed, colors) for one, share, colors in zip(height, grad_height, stops, strict=True)]
    return np.stack([row.packed() for row in rows])


def natural_work(dye: NaturalDye, *settings: NDArray[np.float64]) -> Work:
    """Natural dyeing with these settings, as of `pack_natural`, in all its forms."""
    packed = pack_natural(dye, *settings)
    return Work(
        name="natural dyeing",
        numpy=lambda images, maps: natural_numpy(images, maps, packed),
        cpp=lambda images, maps, threads: natural_cpp(images, maps, packed, threads),
        packed=lambda: packed,
        forms={
            "auto": ("ohlora_fast.ops.natural_custom_op", "natural"),
            "torch": ("ohlora_fast.ops.natural_torch", "natural_torch"),
            "triton": ("ohlora_fast.kernels.natural", "natural_triton"),
        },
    )
