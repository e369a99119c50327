"""How good a mask is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import cv2
import numpy as np

from ohlora_fast.distill.data import Pair

Array = np.ndarray[Any, Any]

OVERALL = "all photos"
"""What `summarise` calls all sources together."""
BOUNDARY_WIDTH = 0.02
"""Width of the boundary, as a part of the photo's diagonal."""


@dataclass(frozen=True)
class Scores:
    """Six scores of a mask; of MSE less is better, of the others, in [0, 1], more.

    Attributes:
        mse: mean squared error of the probability against mask / 255.
        iou: intersection over union.
        dice: twice the intersection over the sum of both.
        recall: how much of the true hair was found.
        precision: how much of what was found is hair.
        boundary_iou: IoU of the two boundaries, see `boundary`.
    """

    mse: float
    iou: float
    dice: float
    recall: float
    precision: float
    boundary_iou: float


@dataclass(frozen=True)
class Counts:
    """The pixels that a photo's scores are made of; those of several photos may be added, see `pool`.

    Attributes:
        pixels: all of them.
        overlap: hair in both masks.
        predicted: hair in the student's.
        actual: hair in the true one.
        boundary_overlap: in the boundaries of both.
        boundary_union: in the boundary of one or both.
        squared_error: the sum over pixels of (probability − mask / 255)².
    """

    pixels: int
    overlap: int
    predicted: int
    actual: int
    boundary_overlap: int
    boundary_union: int
    squared_error: float

    def scores(self) -> Scores:
        """The scores of these pixels. A ratio to nothing is 1 if both masks are empty, else 0.

        So a photo without hair, in which some was found, has no recall and not full recall: no score flatters it.

        >>> Counts(10, 2, 3, 4, 1, 4, 0.5).scores()
        Scores(mse=0.05, iou=0.4, dice=0.5714285714285714, recall=0.5, precision=0.6666666666666666, boundary_iou=0.25)
        """
        empty = 1.0 if self.predicted == self.actual == 0 else 0.0

        def ratio(part: int, whole: int) -> float:
            return part / whole if whole else empty

        return Scores(
            mse=self.squared_error / self.pixels,
            iou=ratio(self.overlap, self.predicted + self.actual - self.overlap),
            dice=ratio(2 * self.overlap, self.predicted + self.actual),
            recall=ratio(self.overlap, self.actual),
            precision=ratio(self.overlap, self.predicted),
            boundary_iou=ratio(self.boundary_overlap, self.boundary_union),
        )


@dataclass(frozen=True)
class Summary:
    """The scores of several photos: their mean, in which a photo counts as one whatever its size or hair, and those
    of all their pixels pooled, as in the recorded table."""

    photos: int
    mean: Scores
    pooled: Scores


def boundary(mask: Array) -> Array:
    """The pixels of a boolean mask (H, W) near its rim: no further from what is not hair, or from the photo's border,
    than 2 % of the diagonal, rounded, at least 1, along rows, columns or diagonals.

    As in Cheng et al., "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation", CVPR 2021
    (arXiv:2103.16562), and in their code.

    >>> boundary(np.ones((4, 4), bool)).astype(int).tolist()
    [[1, 1, 1, 1], [1, 0, 0, 1], [1, 0, 0, 1], [1, 1, 1, 1]]
    """
    width = max(1, round(BOUNDARY_WIDTH * float(np.hypot(*mask.shape))))
    padded = np.pad(mask, 1).astype(np.uint8)
    inner = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=width)[1:-1, 1:-1]
    return mask & (inner == 0)


def count_pixels(prob: Array, mask: Array) -> Counts:
    """Count what the scores of one photo need: prediction > 0.5 against mask ≥ 128.

    Args:
        prob: the student's probabilities (H, W) in [0, 1].
        mask: uint8 (H, W), 255 = hair; grey values are soft labels.

    >>> count_pixels(np.array([[0.9, 0.8, 0.1]]), np.array([[255, 0, 0]], np.uint8)).scores().iou
    0.5
    """
    predicted, actual = prob > 0.5, mask >= 128
    ours, theirs = boundary(predicted), boundary(actual)
    return Counts(
        pixels=mask.size,
        overlap=int(np.count_nonzero(predicted & actual)),
        predicted=int(np.count_nonzero(predicted)),
        actual=int(np.count_nonzero(actual)),
        boundary_overlap=int(np.count_nonzero(ours & theirs)),
        boundary_union=int(np.count_nonzero(ours | theirs)),
        squared_error=float(np.square(prob.astype(np.float64) - mask / 255).sum()),
    )


def pool(counts: Sequence[Counts]) -> Counts:
    """Add up the pixels of one or more photos.

    >>> pool([Counts(4, 1, 2, 1, 0, 2, 0.5), Counts(4, 2, 2, 2, 2, 2, 0.25)])
    Counts(pixels=8, overlap=3, predicted=4, actual=3, boundary_overlap=2, boundary_union=4, squared_error=0.75)
    """
    return Counts(*map(sum, zip(*map(astuple, counts), strict=True)))


def summarise(pairs: Sequence[Pair], counts: Sequence[Counts]) -> dict[str, Summary]:
    """Summarise one or more photos: each source in order of name, then all together as `OVERALL`."""
    groups: dict[str, list[Counts]] = {source: [] for source in sorted({pair.source for pair in pairs})}
    for pair, one in zip(pairs, counts, strict=True):
        groups[pair.source].append(one)
    return {
        source: Summary(
            photos=len(chosen),
            mean=Scores(*np.mean([astuple(one.scores()) for one in chosen], axis=0).tolist()),
            pooled=pool(chosen).scores(),
        )
        for source, chosen in (*groups.items(), (OVERALL, list(counts)))
    }


def iou(predicted: Array, actual: Array) -> float:
    """Intersection over union of two boolean masks of one shape; 1 if both are empty.

    >>> iou(np.array([True, True, False]), np.array([True, False, False]))
    0.5
    """
    union = np.count_nonzero(predicted | actual)
    return float(np.count_nonzero(predicted & actual) / union) if union else 1.0


def pair_counts(segment: Callable[[Array], Array], pairs: Iterable[Pair]) -> Iterator[Counts]:
    """Count each pair's pixels at the photo's own size, one after the other.

    ``segment`` takes a uint8 photo (H, W, 3) and gives its (H, W) probabilities.
    """
    for pair in pairs:
        image, mask = pair.load()
        yield count_pixels(segment(image), mask)
