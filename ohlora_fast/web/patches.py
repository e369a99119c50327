"""The patches of hair in a map: mostly one a head."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SMALLEST = 0.004
"""Share of the photo that a patch covers at least; smaller ones are strands or mistakes, and go with the nearest."""


def split_patches(prob: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Take a map apart into its patches of hair, from left to right.

    Each place goes to the nearest patch, so that soft edges stay soft.

    Args:
        prob: hair probabilities (h, w), float32 in [0, 1].

    Returns:
        A map (h, w) for each patch, 0 where another is nearer; just the map itself where there is at most one.

    >>> heads = np.zeros((40, 60), np.float32)
    >>> heads[5:15, 5:20] = heads[5:15, 40:55] = 1
    >>> left, right = split_patches(heads)
    >>> float(left[:, 30:].max()), float(right[:, :30].max())
    (0.0, 0.0)
    """
    import cv2

    sure = (prob >= 0.5).astype(np.uint8)
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(sure)
    large = [n for n in range(1, count) if boxes[n, cv2.CC_STAT_AREA] >= SMALLEST * prob.size]
    if len(large) < 2:
        return [prob]
    large.sort(key=lambda n: int(boxes[n, cv2.CC_STAT_LEFT]))
    distances: list[Any] = [cv2.distanceTransform((labels != n).astype(np.uint8), cv2.DIST_L2, 5) for n in large]
    nearest = np.argmin(distances, axis=0)
    return [np.where(nearest == n, prob, np.float32(0)) for n in range(len(large))]
