"""Where hair runs, how far along it a place is, and which of it lies underneath: planes of at most 384 cells a side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["crown_distance", "inner_layer", "orientation", "smoothstep", "streaks", "within"]

FINE = 512
"""The orientation of strands is read from pixels on a grid of at most this many a side."""
STREAK_CELLS = 384
DISTANCE_CELLS = 112
"""Cells on the longer side of the planes of streaks, and of distances."""
ACROSS = 3.0
"""A step across the strands counts as this many along them."""
ROOTS = 0.1
"""Hair in this share of its height, from the top, is where distances begin."""
STRONGEST = 0.85
"""A streak's middle: some of the hair around it is always seen."""
REACH = 40
"""Cells that a streak runs either way."""


def smoothstep(value: Any, low: float, high: float) -> Any:
    """0 up to `low`, 1 from `high` on, smooth between; a step at `high` if the two are one.

    Example:
        >>> smoothstep(np.array([0.0, 0.5, 1.0]), 0.0, 1.0).tolist()
        [0.0, 0.5, 1.0]
    """
    t = np.clip((value - low) / (high - low), 0.0, 1.0) if high > low else np.where(value >= high, 1.0, 0.0)
    return t * t * (3.0 - 2.0 * t)


def orientation(pixels: NDArray[np.uint8], shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """Find which way strands run: the structure tensor's direction of least change.

    Args:
        pixels: uint8 (h, w, 3).
        shape: rows and columns of the result.

    Returns:
        cos 2θ and sin 2θ times the coherence in [0, 1], θ from the x axis towards increasing y. The double angle, since
        a strand has no front and no back.

    Example:
        >>> stripes = np.zeros((32, 32, 3), np.uint8)
        >>> stripes[:, ::4] = 255
        >>> cos, sin = orientation(stripes, (8, 8))
        >>> bool((cos < -0.9).all())
        True
    """
    import cv2

    grey = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY).astype(np.float32)
    smooth = cv2.GaussianBlur(grey, (0, 0), 1.0)
    right, down = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    spread = max(shape) / 100 + 1

    def around(product: Any) -> Floats:
        return _blurred(_resized(product, shape), spread)

    # The least change is at a right angle to the largest: both double-angle components change their sign.
    energy = around(right**2 + down**2) + 1.0
    return around(down**2 - right**2) / energy, around(-2 * right * down) / energy


def crown_distance(prob: NDArray[np.float32], pixels: NDArray[np.uint8]) -> Floats:
    """Measure how far along the hair each place is from the crown, 0 to 1.

    The shortest way through the hair from its uppermost tenth, where a step across the strands counts three times as
    much as one along them; 1 is the way that 98 % of the hair is nearer than. Pieces without a connection to the crown
    (a beard) count by their height.

    Args:
        prob: float32 (mh, mw) in [0, 1].
        pixels: uint8 (h, w, 3), the photo, at its proportions.

    Returns:
        A smooth plane of at most 112 cells a side, which goes on beyond the hair.
    """
    shape = within(pixels.shape[:2], DISTANCE_CELLS)
    hair = _resized(prob, shape) > 0.5
    rows = np.flatnonzero(hair.any(axis=1))
    if not rows.size:
        return np.ones(shape)
    top, bottom = int(rows[0]), int(rows[-1])
    height = np.clip((np.arange(shape[0]) - top) / max(bottom - top, 1), 0.0, 1.0)[:, None]
    far = _relaxed(hair, np.where(hair & (height <= ROOTS), 0.0, np.inf), _step_costs(*orientation(pixels, shape)))
    reached = np.isfinite(far)
    far = np.where(reached, far / max(float(np.quantile(far[reached], 0.98)), 1.0), height)
    weight = _blurred(hair.astype(np.float64), 2.5) + 1e-9
    near = _blurred(np.where(hair, np.minimum(far, 1.0), 0.0), 2.5) / weight
    return np.where(weight > 1e-3, near, height)


def streaks(prob: NDArray[np.float32], pixels: NDArray[np.uint8], density: float) -> Floats:
    """Lay streaks along the strands over about a share `density` of the hair.

    Noise, always the same, averaged along the hair's orientation (line integral convolution).

    Args:
        prob: float32 (mh, mw) in [0, 1].
        pixels: uint8 (h, w, 3), the photo, at its proportions.
        density: in (0, 1].

    Returns:
        Strength in [0, 1], at most 384 cells a side.
    """
    import cv2

    shape = within(pixels.shape[:2], STREAK_CELLS)
    grey = _resized(cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY), shape)
    strands = grey - _blurred(grey, 3.0)
    inside = np.flatnonzero(_resized(prob, shape) > 0.5)
    strength = np.zeros(shape)
    if not inside.size:
        return strength
    grey = _resized(cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY), shape)
    strands = grey - _blurred(grey, 3.0)
    source = np.random.default_rng(0).standard_normal(shape) + strands / max(float(strands.std()), 1.0)
    total = _along(source, *orientation(pixels, shape), inside)
    limit, half = float(np.quantile(total, 1.0 - density)), float(total.std())
    strength.ravel()[inside] = STRONGEST * smoothstep(total, limit - half, limit + half)
    return _blurred(strength, 0.7)


def inner_layer(prob: NDArray[np.float32], distance: Floats) -> Floats:
    """Say how much of each place is the lower layer.

    That is what lies towards the middle of the hair's width, away from the crown, and not above the face: from the row
    on in which the middle, having been hair, is none any more, if there is one.

    Args:
        prob: float32 (mh, mw) in [0, 1].
        distance: of `crown_distance`.

    Returns:
        0 to 1, shape of `distance`.
    """
    import cv2

    hair = _resized(prob, distance.shape) > 0.5
    rows, columns = np.arange(hair.shape[0]), np.arange(hair.shape[1])
    found = np.flatnonzero(hair.any(axis=1))
    if not found.size:
        return np.zeros(hair.shape)
    first, last = hair.argmax(axis=1), hair.shape[1] - 1 - hair[:, ::-1].argmax(axis=1)
    edges = np.stack([np.interp(rows, found, one[found]) for one in (first, last)])
    middle = hair[rows, np.rint(edges.mean(axis=0)).astype(int)]
    face = np.maximum.accumulate(middle) & ~middle & hair.any(axis=1)
    below = np.maximum.accumulate(face) if face.any() else np.ones_like(face)
    left, right, low = cv2.GaussianBlur(np.vstack([edges, below]), (19, 1), 3.0)[:, :, None]
    outer = np.abs(2 * columns - left - right) / np.maximum(right - left, 1.0)
    inner: Floats = smoothstep(1.0 - outer, 0.2, 0.5) * smoothstep(distance, 0.3, 0.6) * low
    return inner


def within(size: tuple[int, ...], cells: int) -> tuple[int, int]:
    """Rows and columns of the same proportions, at most so many."""
    scale = min(1.0, cells / max(size[:2]))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _resized(plane: Any, shape: tuple[int, ...]) -> Floats:
    import cv2

    resized: Any = cv2.resize(np.asarray(plane, np.float64), shape[::-1], interpolation=cv2.INTER_AREA)
    smaller: Floats = resized.reshape(shape)
    return smaller


def _blurred(plane: Floats, sigma: float) -> Floats:
    import cv2

    blurred: Floats = cv2.GaussianBlur(plane, (0, 0), sigma)  # type: ignore[assignment]
    return blurred


def _along(source: Floats, cos: Floats, sin: Floats, places: NDArray[np.intp]) -> NDArray[np.float32]:
    """Sum a plane along the orientation (double angle), both ways, from each of some places, which are flat indices."""
    height, width = source.shape
    values = source.ravel().astype(np.float32)
    angle = np.arctan2(sin, cos).ravel().astype(np.float32) / 2
    right, down = np.cos(angle), np.sin(angle)
    total = values[places]
    for way in (np.float32(1), np.float32(-1)):
        y, x = (places // width).astype(np.float32), (places % width).astype(np.float32)
        dy, dx = way * down[places], way * right[places]
        for _ in range(REACH):
            y, x = np.clip(y + dy, 0, height - 1), np.clip(x + dx, 0, width - 1)
            at = (y + 0.5).astype(np.int32) * width + (x + 0.5).astype(np.int32)
            total += values[at]
            new_dy, new_dx = down[at], right[at]
            turned = np.copysign(np.float32(1), new_dx * dx + new_dy * dy)
            dy, dx = turned * new_dy, turned * new_dx
    return total


def _step_costs(cos: Floats, sin: Floats) -> list[tuple[int, int, Floats]]:
    """The eight steps to neighbours, as rows, columns and what they cost from each place."""
    costs = []
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            if dy or dx:
                angle = 2 * np.arctan2(dy, dx)
                across = (np.hypot(cos, sin) - cos * np.cos(angle) - sin * np.sin(angle)) / 2
                costs.append((dy, dx, np.hypot(dy, dx) * (1.0 + (ACROSS - 1.0) * np.clip(across, 0.0, 1.0))))
    return costs


def _relaxed(hair: NDArray[np.bool_], far: Floats, costs: list[tuple[int, int, Floats]]) -> Floats:
    """Shortest ways through the hair, from where `far` is 0 on."""
    height, width = hair.shape
    padded = np.pad(far, 1, constant_values=np.inf)
    inner = padded[1:-1, 1:-1]
    for _ in range(hair.size):
        before = inner.copy()
        for dy, dx, cost in costs:
            there = padded[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
            np.minimum(inner, there + cost, out=inner, where=hair)
        if np.array_equal(before, inner):
            break
    return inner
