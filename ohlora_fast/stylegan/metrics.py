"""How well scores tell two classes apart."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def auroc(scores: Array, labels: Array) -> float:
    """The probability that one of class 1 scores higher than one of class 0, ties counting half.

    Args:
        scores: (N,).
        labels: (N,), 0 or 1.

    Returns:
        0 to 1; nan if a class is empty.

    >>> auroc(np.array([0.1, 0.4, 0.4, 0.8]), np.array([0, 0, 1, 1]))
    0.875
    """
    ones = int(np.count_nonzero(labels))
    zeros = len(labels) - ones
    if not ones or not zeros:
        return math.nan
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]  # of equal scores, their mean rank
    return float((ranks[labels == 1].sum() - ones * (ones + 1) / 2) / (ones * zeros))
