"""What natural dyeing settles before any pixel is touched: for each sample a table of dyes, and who takes which.

All of it is float64 NumPy on the CPU, on sampled pixels and on planes of at most 512 a side, and shared by every
backend: these differ in the arithmetic of pixels alone. Everything here trusts its arguments.

A row of a table is one dye, for one height of the gradient and one mix of colours:

====  ========================================================================================================
 A    amount, 0 to 1: how far a pixel goes from its own colour to the dyed one
 M    mean lightness of the hair, as it was
 N    mean lightness of the hair, as it becomes
 p    contrast of what is darker than M
 g    contrast of what is lighter, before the knee
 k    knee: keeps the lightest at N + g·(1 − M) or below 1
 a, b colour of the dye at its own lightness T
 u    1 / T: in the dark the dye's chroma falls with lightness, as that of any paint
 v    1.4 / (1 − T): and towards white it falls too, to none
 s    how much colour a highlight loses
====  ========================================================================================================

A pixel of OKLab (L, A, B), d = L − M above the mean, becomes, before the amount::

    L' = clip(N + (p·d if d < 0 else g·d / (1 + k·d)), 0, 1)
    c  = min(u·L', v·(1 − L')) · (1 − s·max(d, 0))
    (L', c·a, c·b)

and then is mixed with itself: OKLab + A·opacity·(dyed − OKLab). Out of the settings and M, at least 0.05, come::

    T    = clip(the dye's lightness, 0.03, 0.97)
    N    = M + lift·(T − M) if T > M else T
    p    = min(N / M, 3)
    g    = sqrt(min(N / M, M / N))
    k    = max(g·(1 − M) / (1 − N) − 1, 0) / (1 − M)
    s    = 0.35 / (1 − M)
    a, b = the dye's + warmth·4·lift·(1 − lift)·max(T − M, 0)·(0.09, 0.2)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .hair_flow import FINE, crown_distance, inner_layer, smoothstep, streaks, within
from .oklab import to_oklab

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["COLUMNS", "EDGES", "Measured", "Mixture", "Plan", "make_plan", "measure", "sample_grid"]

COLUMNS = 12
"""Of a table: the eleven above, and one of zeros."""
EDGES = (0.5, 0.95)
"""Opacity rises smoothly between these hair probabilities."""
SAMPLES = 128
"""Rows or columns of the grid of pixels on which the hair's lightness is measured, at most."""
LEVELS = 256
"""Steps of the way from root to tip, where it differs from pixel to pixel."""
ACCENTS = 16
"""Steps of the strength of highlights, and of an undercolour."""

PAINT_RANGE = (0.03, 0.97)
"""Lightness of dyes, so that neither u nor v grows without bounds."""
DARKEST = 0.05
"""Hair below this mean lightness counts as this light: else the contrast would be noise."""
MOST_CONTRAST = 3.0
"""Lifted hair's dark strands gain at most this much contrast: the rest would be noise."""
DULLED = 0.35
"""Share of its colour that the brightest highlight loses, beside what v takes."""
SHINE = 1.4
"""Above a dye's own lightness its chroma begins to fall later by this factor: hair lets light through."""
WARM = (0.09, 0.2)
"""Orange to yellow, a and b for each unit of lightness between hair and dye: what is left of a pigment that is lifted
halfway; of one that is not lifted at all, or fully, nothing shows."""


class Mixture(NamedTuple):
    """A sample's settings; packed they are a row of float64, in this order, the stops last.

    Attributes:
        height, grad_height: as of the ombre.
        strength, lift, warmth: as of :class:`ohlora_fast.NaturalDye`.
        flow: whether the gradient follows the hair.
        density: share of the hair that highlights take; 0 for none.
        under: strength of the undercolour; 0 for none.
        highlight, undercolor: OKLab (3,).
        stops: OKLab (S, 3), from root to tip.
    """

    height: float
    grad_height: float
    strength: float
    lift: float
    warmth: float
    flow: float
    density: float
    under: float
    highlight: Floats
    undercolor: Floats
    stops: Floats

    def packed(self) -> Floats:
        return np.concatenate([self[:8], self.highlight, self.undercolor, self.stops.ravel()])

    @classmethod
    def unpacked(cls, row: Floats) -> Mixture:
        """Read one from its row.

        Example:
            >>> mixture = Mixture(1, 0, 1, 0, 0, 0, 0, 0, np.zeros(3), np.zeros(3), np.ones((2, 3)))
            >>> Mixture.unpacked(mixture.packed()).stops.tolist()
            [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
        """
        height, grad_height, strength, lift, warmth, flow, density, under = row[:8].tolist()
        heights, mix, accents = (height, grad_height), (strength, lift, warmth), (flow, density, under)
        return cls(*heights, *mix, *accents, row[8:11], row[11:14], row[14:].reshape(-1, 3))

    @property
    def by_rows(self) -> bool:
        """Whether all pixels of a row take the same dye."""
        return not (self.flow or self.density or self.under)


class Measured(NamedTuple):
    """What is measured of one photo; a video smooths it over time.

    Attributes:
        mean: mean OKLab lightness of the hair.
        distance: of `crown_distance`; like the next two in [0, 1], and None if the mixture does not need it.
        streaks: of `streaks`.
        inner: of `inner_layer`.
    """

    mean: float
    distance: Floats | None = None
    streaks: Floats | None = None
    inner: Floats | None = None


@dataclass(frozen=True)
class Plan:
    """The dyes of a batch.

    Attributes:
        table: float32 (N, R, COLUMNS), R dyes a sample.
        index: uint16 (N, H, W), which one a pixel takes; None: row y takes dye y, and R is H.
    """

    table: NDArray[np.float32]
    index: NDArray[np.uint16] | None


def sample_grid(height: int, width: int, by_rows: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the pixels that a plan is made from: few, unless strands are to be seen in them.

    Example:
        >>> rows, columns = sample_grid(16, 1024, by_rows=True)
        >>> rows.tolist(), columns[:3].tolist(), len(columns)
        ([4, 12], [4, 12, 20], 128)
    """
    shape = within((height, width), SAMPLES if by_rows else FINE)
    return _places(height, shape[0]), _places(width, shape[1])


def make_plan(
    pixels: NDArray[np.uint8],
    prob: NDArray[np.float32],
    hair: NDArray[np.int32],
    size: tuple[int, int],
    packed: Floats,
    measured: Sequence[Measured] | None = None,
) -> Plan:
    """Make the tables and index planes of a batch.

    Args:
        pixels: uint8 (N, h, w, 3), the photos at `sample_grid`: by rows if all mixtures are.
        prob: float32 (M, mh, mw) in [0, 1], M being N or 1.
        hair: first and last hair row, (M, 2), as of :func:`ohlora_fast.ops.ombre_op.hair_rows`.
        size: height and width of the photos.
        packed: float64 (N, 14 + 3·S), a `Mixture` a sample.
        measured: of each photo; None: as `measure` finds it in its pixels.
    """
    tables, planes = [], []
    for n, row in enumerate(packed):
        m = n if len(prob) > 1 else 0
        mixture = Mixture.unpacked(row)
        found = measure(mixture, pixels[n], prob[m]) if measured is None else measured[n]
        way = _vertical(size[0], *hair[m].tolist())
        if mixture.by_rows:
            tables.append(_table(mixture, found.mean, way, np.zeros_like(way), np.zeros_like(way)))
            continue
        table, plane = _by_pixels(mixture, found, way, size)
        tables.append(table)
        planes.append(plane)
    return Plan(np.stack(tables), np.stack(planes) if planes else None)


def measure(mixture: Mixture, pixels: NDArray[np.uint8], prob: NDArray[np.float32]) -> Measured:
    """Measure what a mixture needs to know of a photo.

    Args:
        mixture: decides which planes are needed.
        pixels: uint8 (h, w, 3), the photo at `sample_grid`.
        prob: float32 (mh, mw) in [0, 1].

    Example:
        >>> plain = Mixture(1, 1, 1, 1, 0, 0, 0, 0, np.zeros(3), np.zeros(3), np.ones((1, 3)))
        >>> measure(plain, np.full((8, 8, 3), 255, np.uint8), np.ones((4, 4), np.float32)).mean.__round__(3)
        1.0
    """
    distance = crown_distance(prob, pixels) if mixture.flow or mixture.under else None
    return Measured(
        _mean_lightness(pixels, prob),
        distance,
        streaks(prob, pixels, mixture.density) if mixture.density else None,
        inner_layer(prob, distance) if mixture.under and distance is not None else None,
    )


def _places(size: int, count: int) -> NDArray[np.int64]:
    return (2 * np.arange(count) + 1) * size // (2 * count)


def _mean_lightness(pixels: NDArray[np.uint8], prob: NDArray[np.float32]) -> float:
    """Mean OKLab lightness of the hair, weighted by the opacity of the map's nearest cells."""
    shape = within(pixels.shape, SAMPLES)
    pixels = pixels[np.ix_(*map(_places, pixels.shape, shape))]
    weight = smoothstep(prob[np.ix_(*map(_places, prob.shape, shape))].astype(np.float64), *EDGES)
    hair = weight > 0
    return float(np.average(to_oklab(pixels[hair])[:, 0], weights=weight[hair])) if hair.any() else 0.5


def _vertical(height: int, top: int, bottom: int) -> Floats:
    """How far down the hair each row is, 0 to 1; without a hair row all are at the tips."""
    if top < 0:
        return np.ones(height)
    return np.clip((np.arange(height) - top) / max(bottom - top, 1), 0.0, 1.0)


def _by_pixels(
    mixture: Mixture, measured: Measured, way: Floats, size: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
    """A table of all combinations of way, highlight and undercolour, and the plane that tells who takes which."""
    import cv2

    def levels(plane: Any, count: int) -> NDArray[np.uint16]:
        wide = cv2.resize(np.asarray(plane, np.float32), size[::-1], interpolation=cv2.INTER_LINEAR)
        return np.rint(np.clip(wide, 0, 1) * (count - 1)).astype(np.uint16).reshape(size)

    index = levels(measured.distance if mixture.flow else np.broadcast_to(way[:, None], size), LEVELS)
    grids: list[Any] = [np.zeros(1), np.zeros(1), np.linspace(0, 1, LEVELS)]
    if measured.streaks is not None:
        index += levels(measured.streaks, ACCENTS) * np.uint16(LEVELS)
        grids[1] = np.linspace(0, 1, ACCENTS)
    if measured.inner is not None:
        index += levels(measured.inner * mixture.under, ACCENTS) * np.uint16(LEVELS * len(grids[1]))
        grids[0] = np.linspace(0, 1, ACCENTS)
    used = np.flatnonzero(np.bincount(index.ravel()))
    under, streak, steps = (one.ravel()[used] for one in np.meshgrid(*grids, indexing="ij"))
    table = np.zeros((np.prod([len(grid) for grid in grids]), COLUMNS), np.float32)
    table[used] = _table(mixture, measured.mean, steps, streak, under)
    return table, index


def _table(mixture: Mixture, mean: float, way: Floats, streak: Floats, under: Floats) -> NDArray[np.float32]:
    """The dyes (R, COLUMNS) at ways from root to tip and strengths of highlight and undercolour, (R,) each."""
    amount, target = _colors(mixture, way, streak, under)
    mean = max(mean, DARKEST)
    paint = np.clip(target[:, 0], *PAINT_RANGE)
    level = mean + np.where(paint > mean, mixture.lift, 1.0) * (paint - mean)
    ratio = level / mean
    dark = np.minimum(ratio, MOST_CONTRAST)
    light = np.minimum(ratio, 1 / ratio) ** 0.5
    room = max(1.0 - mean, 1e-3)
    knee = np.maximum(light * room / np.maximum(1.0 - level, 1e-3) - 1.0, 0.0) / room
    warm = mixture.warmth * 4 * mixture.lift * (1 - mixture.lift) * np.maximum(paint - mean, 0.0)
    columns = [
        amount * mixture.strength, np.full_like(way, mean), level, dark, light, knee,
        target[:, 1] + warm * WARM[0], target[:, 2] + warm * WARM[1],
        1 / paint, SHINE / (1 - paint), np.full_like(way, DULLED / room), np.zeros_like(way),
    ]  # fmt: skip
    return np.stack(columns, axis=1).astype(np.float32)


def _colors(mixture: Mixture, way: Floats, streak: Floats, under: Floats) -> tuple[Floats, Floats]:
    """Amounts (R,) and colours (R, 3) of the gradient, the undercolour over it, and highlights over both."""
    start, fade = 1.0 - mixture.height, mixture.height * mixture.grad_height
    amount = smoothstep(way, start, start + fade) * (mixture.height > 0)
    # The first stop lies in the middle of the fade: at its beginning nobody would see it.
    place = np.clip((way - start - fade / 2) / max(mixture.height - fade / 2, 1e-9), 0.0, 1.0)
    place *= len(mixture.stops) - 1
    color = np.stack([np.interp(place, np.arange(len(mixture.stops)), one) for one in mixture.stops.T], axis=1)
    color *= amount[:, None]
    for layer, share in ((mixture.undercolor, under), (mixture.highlight, streak)):
        color += share[:, None] * (layer - color)
        amount = amount + share * (1.0 - amount)
    return amount, np.where(amount[:, None] > 0, color / np.maximum(amount, 1e-9)[:, None], mixture.stops[0])
