"""How good a mask is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ohlora_fast.distill.data import Pair

Array = np.ndarray[Any, Any]


def iou(predicted: Array, actual: Array) -> float:
    """Intersection over union of two boolean masks of one shape; 1 if both are empty.

    >>> iou(np.array([True, True, False]), np.array([True, False, False]))
    0.5
    """
    union = np.count_nonzero(predicted | actual)
    return float(np.count_nonzero(predicted & actual) / union) if union else 1.0


def pair_ious(segment: Callable[[Array], Array], pairs: Iterable[Pair]) -> Iterable[float]:
    """IoU of each pair at the photo's own size: prediction > 0.5 against mask ≥ 128.

    ``segment`` takes a uint8 photo (H, W, 3) and gives its (H, W) probabilities.
    """
    for pair in pairs:
        image, mask = pair.load()
        yield iou(segment(image) > 0.5, mask >= 128)


def source_means(pairs: Sequence[Pair], scores: Sequence[float]) -> Mapping[str, float]:
    """The mean score of each source, in order of name.

    >>> from pathlib import Path
    >>> source_means([Pair("a_1", "a", Path(), Path()), Pair("a_2", "a", Path(), Path())], [0.5, 1.0])
    {'a': 0.75}
    """
    sources = sorted({pair.source for pair in pairs})
    return {
        source: float(np.mean([score for pair, score in zip(pairs, scores, strict=True) if pair.source == source]))
        for source in sources
    }
