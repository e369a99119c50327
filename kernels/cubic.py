"""The cubic resize (a = -0.75) as tables: which cells each output reads, and how much of each.

Positions and weights are float64 arithmetic, so they are computed once on the CPU and cached for each pair of sizes;
kernels read them from a few kilobytes of device memory.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

TABLES = 256
"""Device tables kept, some 20 KB each. One that is dropped has not been asked for in the last hundred calls, so no
kernel in flight on another stream still reads it."""


def _cells(source: int, size: int, tiny: bool) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Each output's position in the source: the cell at or before it, and the rest of the way to the next one."""
    position = (np.arange(size) + 0.5) * (source / size) - 0.5
    position = position.astype(np.float32) if tiny else position
    cell = np.floor(position).astype(np.int64)
    return cell, (position - cell).astype(np.float32)


@lru_cache(maxsize=32)
def cubic_taps(source: int, size: int, tiny: bool = False) -> tuple[NDArray[np.int64], NDArray[np.float32], int, int]:
    """Compute where each output of a cubic resize (a = -0.75) reads along one axis.

    OpenCV 5.0's weights to the last bit: positions in float64, their fraction rounded to steps of 2^-23, the
    polynomials in float64; for tiny maps positions and polynomials in float32. The same as in the compiled kernel.

    Returns:
        Source indices (size, 4), replicated at the border; weights (size, 4); and the range [begin, end) of the
        outputs whose four taps all lie inside the source, which is empty for tiny maps.

    Example:
        >>> index, weight, begin, end = cubic_taps(4, 8)
        >>> index[0].tolist(), weight[0].tolist(), (begin, end)
        ([0, 0, 0, 1], [-0.03515625, 0.26171875, 0.87890625, -0.10546875], (3, 5))
    """
    cell, t = _cells(source, size, tiny)
    a = np.float32(-0.75)
    if tiny:
        u, v = 1 - t, t + 1
        near, far = (((a + 2) * x - (a + 3)) * x * x + 1 for x in (t, u))
        first = ((a * v - 5 * a) * v + 8 * a) * v - 4 * a
        weight = np.stack([first, near, far, 1 - first - near - far], axis=1)
        begin = end = 0
    else:
        t = (t + np.float32(1)).astype(np.float64) - 1.0
        u = 1.0 - t
        near, far = (((a + 2.0) * x - (a + 3.0)) * x * x + 1 for x in (t, u))
        weight = np.stack([a * t * u * u, near, far, a * t * t * u], axis=1).astype(np.float32)
        inside = np.flatnonzero((cell >= 1) & (cell + 2 < source))
        begin, end = (int(inside[0]), int(inside[-1]) + 1) if inside.size else (0, 0)
    return np.clip(cell[:, None] + np.arange(-1, 3), 0, source - 1), weight, begin, end


@lru_cache(maxsize=32)
def cubic_matrix(source: int, size: int, tiny: bool = False) -> NDArray[np.float32]:
    """Write a cubic resize along one axis as a matrix (size, source): `cubic_taps`, spread out.

    Example:
        >>> cubic_matrix(2, 3).sum(axis=1).tolist()
        [1.0, 1.0, 1.0]
    """
    index, weight, _, _ = cubic_taps(source, size, tiny)
    matrix = np.zeros((size, source), np.float32)
    np.add.at(matrix, (np.arange(size)[:, None], index), weight)
    return matrix


@lru_cache(maxsize=TABLES)
def tap_table(source: int, size: int, tiny: bool, repeat: int, device: torch.device) -> torch.Tensor:
    """Give `cubic_taps` to a kernel, each output ``repeat`` times over, as the channels of an interleaved row need it.

    Returns:
        float32 (5, size · repeat): the first of the four cells, which may lie outside the source, then the weights.
    """
    import torch

    cell, _ = _cells(source, size, tiny)
    _, weight, _, _ = cubic_taps(source, size, tiny)
    # Whole numbers up to 2^24 are exact in float32, so cells and weights fit one table.
    table = np.vstack([(cell - 1).astype(np.float32), weight.T])
    return torch.from_numpy(np.repeat(table, repeat, axis=1)).to(device)
