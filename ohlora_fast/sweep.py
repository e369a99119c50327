"""Values that move through an animation: a few keys, evenly spaced in time, with straight lines between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]
DIGITS = 12
"""Values are rounded to: 0.5 less a rounding error is another hue."""


def frame_times(frames: int, closed: bool = False) -> Times:
    """When the frames are shown, from 0, the first key's time, to 1, the last one's.

    Args:
        frames: how many.
        closed: the last key is the first again, as in an animation that runs round: its frame would come twice, and is
            left out.

    >>> frame_times(5).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    >>> frame_times(4, closed=True).tolist()
    [0.0, 0.25, 0.5, 0.75]
    """
    return np.arange(frames) / (frames if closed else max(frames - 1, 1))


def values_at(keys: Sequence[float] | NDArray[Any], times: Times) -> NDArray[np.float64]:
    """The values at these times: of numbers (T,), or of keys that are vectors (K, D) one a time (T, D).

    >>> values_at((0.3, 1, 0.3), frame_times(5)).tolist()
    [0.3, 0.65, 1.0, 0.65, 0.3]
    """
    points = np.asarray(keys, np.float64)
    before, after, share = between(len(points), times)
    share = share.reshape(-1, *[1] * (points.ndim - 1))
    return (points[before] * (1 - share) + points[after] * share).round(DIGITS)


def between(keys: int, times: Times) -> tuple[NDArray[np.intp], NDArray[np.intp], Times]:
    """For each time the keys before and after it, of so many, and how far it is from the one to the other, 0 to 1.

    >>> [part.tolist() for part in between(3, np.array([0, 0.25, 1]))]
    [[0, 0, 1], [1, 1, 2], [0.0, 0.5, 1.0]]
    """
    places = times * (keys - 1)
    before = np.minimum(places.astype(np.intp), max(keys - 2, 0))
    return before, np.minimum(before + 1, keys - 1), places - before


def comes_back(keys: Sequence[float], circle: bool = False) -> bool:
    """Whether the last key is the first again; on a circle, as that of hues, whole turns do not count.

    >>> comes_back((0.3, 1, 0.3)), comes_back((0, 1)), comes_back((0, 1), circle=True)
    (True, False, True)
    """
    way = keys[-1] - keys[0]
    return way == 0 or (circle and float(way).is_integer())


def ombre_sweep(
    keys: Sequence[Sequence[float]], frames: int, returning: bool = True
) -> tuple[Times, list[NDArray[np.float64]]]:
    """The settings of an ombre in every frame of an animation.

    Args:
        keys: of color, ombre_height, ombre_grad_height and whatever else moves.
        frames: how many.
        returning: whether what moves beside them comes back; if they do too, the frame that came twice is left out.

    Returns:
        The frames' times, and the settings in the order of `keys`, one a frame each.

    >>> times, settings = ombre_sweep([(0, 1), (0.3, 1, 0.3), (0.5,)], frames=4)
    >>> [values.tolist() for values in settings]
    [[0.0, 0.25, 0.5, 0.75], [0.3, 0.65, 1.0, 0.65], [0.5, 0.5, 0.5, 0.5]]
    """
    color, *heights = keys
    closed = returning and comes_back(color, circle=True) and all(map(comes_back, heights))
    times = frame_times(frames, closed)
    return times, [values_at(one, times) for one in keys]
