"""Hair that was found once in a photo: its heads, its probability, and whose each pixel is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ohlora_fast.heads.boxes import Heads
from ohlora_fast.heads.crops import Window
from ohlora_fast.student.preprocess import unsquash

__all__ = ["Hair"]

Array = np.ndarray[Any, Any]

NOBODY = -1
"""Owner of pixels that are nobody's."""
FAINT = 0.02
"""Pixels of a smaller probability are nobody's."""
FADE = 0.04
"""Share of a crop's side over which its map fades out towards borders that are not the photo's."""
GRID = 512
"""Longer side of the grid on which patches of hair are told apart."""
FAR = 0.75
"""A patch of hair farther from every head than this, in sides of the nearest head's box, is nobody's."""
NEARER = 6
"""Crops count by this power of how near their heads are."""
HANGING = 0.45
"""A step downwards counts so much of one sideways in the distance from a head: hair hangs."""


@dataclass(frozen=True, eq=False)
class Hair:
    """The hair of one photo (H, W), head by head, as `HairStylist.find_hair` finds it.

    Attributes:
        heads: the heads whose hair this is; K of them, in the order that was asked for, else from left to right.
        prob: hair probability in [0, 1], float32: (H, W); or the student's map (h, w), where one head fills the photo.
            An array, or a tensor for a tensor.
        owner: int16 (H, W), which head each pixel is of, -1 for none; None where all of it is the only head's.
        size: height and width of the photo.
        refined: whether `prob` was taken to the photo's own detail already.
        crops: for each head a window that holds all of its pixels; None: the whole photo.

    Owners are constants: gradients reach the photo and `prob` alone, for which ``dataclasses.replace(hair, prob=…)``
    puts another.
    """

    heads: Heads
    prob: Any
    owner: Array | None
    size: tuple[int, int]
    refined: bool = False
    crops: tuple[Window, ...] | None = None

    @property
    def whole(self) -> bool:
        """True where one head's map serves for the whole photo."""
        return self.owner is None

    def __len__(self) -> int:
        return len(self.heads)

    def of_head(self, index: int) -> Any:
        """Probability of one head's own hair: `prob`, where the owner is another 0."""
        return self.prob if self.owner is None else self.prob * self._mask(index)

    def windows(self) -> list[Window | None]:
        """For each head the smallest window that holds its pixels; None where it has none."""
        if self.owner is None:
            return [Window(0, self.size[0], 0, self.size[1])]
        crops = self.crops or [Window(0, self.size[0], 0, self.size[1])] * len(self.heads)
        found = [window_of(self.owner[crop.slices] == index) for index, crop in enumerate(crops)]
        return [one and one.moved(crop.top, crop.left) for one, crop in zip(found, crops, strict=True)]

    def only(self, indices: Sequence[int]) -> Hair:
        """The same with some of the heads, in that order; what is of the others becomes nobody's."""
        if self.owner is None:
            return self
        table = np.full(len(self.heads) + 1, NOBODY, np.int16)  # its last entry is nobody's
        table[list(indices)] = np.arange(len(indices))
        owner = table[self.owner]
        picked = list(indices)
        heads = Heads(self.heads.boxes[picked], self.heads.scores[picked])
        mask: Any = owner != NOBODY
        if not isinstance(self.prob, np.ndarray):
            mask = self.prob.new_tensor(mask)
        crops = self.crops and tuple(self.crops[index] for index in picked)
        return replace(self, heads=heads, owner=owner, prob=self.prob * mask, crops=crops)

    def resized(self, height: int, width: int) -> Hair:
        """The hair of the same photo at another size, an array's."""
        if (height, width) == self.size:
            return self
        scale = np.array([width / self.size[1], height / self.size[0]] * 2, np.float32)
        heads = Heads(self.heads.boxes * scale, self.heads.scores)
        if self.owner is None:
            return replace(self, heads=heads, size=(height, width))
        import cv2

        way = cv2.INTER_AREA if height < self.size[0] and width < self.size[1] else cv2.INTER_LINEAR
        prob = np.clip(cv2.resize(self.prob, (width, height), interpolation=way), 0, 1)  # rounding may lead beyond
        owner = cv2.resize(self.owner, (width, height), interpolation=cv2.INTER_NEAREST)
        return replace(self, heads=heads, prob=prob, owner=owner, size=(height, width), crops=None)

    def _mask(self, index: int) -> Any:
        mask: Any = self.owner == index
        return mask if isinstance(self.prob, np.ndarray) else self.prob.new_tensor(mask)


def window_of(mask: Array) -> Window | None:
    """The smallest window that holds a mask's pixels.

    >>> window_of(np.eye(3, 4, 1, dtype=bool))
    Window(top=0, bottom=3, left=1, right=4)
    """
    rows = np.flatnonzero(mask.any(1))
    if not len(rows):
        return None
    columns = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(0))
    return Window(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)


def joined(
    heads: Heads, windows: Sequence[Window], probs: Sequence[Array], size: tuple[int, int], refined: bool = False
) -> Hair:
    """Put the crops of a photo together, and divide the pixels among the heads.

    Where crops overlap, the nearer a head the more its crop counts; each fades out towards its borders. A patch of hair
    that only one head's box meets is that head's; one that meets several is divided by distance; one that is far from
    all is nobody's, and not hair.

    Args:
        heads: the heads.
        windows: a crop a head.
        probs: float32, hair probability of each crop at its size.
        size: height and width of the photo.
        refined: whether these are refined.
    """
    prob = np.zeros(size, np.float32)
    owner = np.full(size, NOBODY, np.int16)
    if len(windows) == 1:
        prob[windows[0].slices] = probs[0] * fade(windows[0], *size)
        owner[windows[0].slices] = 0
    else:
        blend(heads, windows, probs, prob, owner)
    settle_patches(prob, owner, heads.boxes, windows)
    owner[prob < FAINT] = NOBODY
    # A patch of hair may reach out of its owner's crop into those that overlap it.
    crops = [around(window, [one for one in windows if window.meets(one)]) for window in windows]
    return Hair(heads, prob, owner, size, refined, tuple(crops))


def blend(heads: Heads, windows: Sequence[Window], probs: Sequence[Array], prob: Array, owner: Array) -> None:
    """Blend overlapping crops into `prob`, and give each of their pixels to the nearest head in `owner`; in place."""
    size = prob.shape
    nearest = np.full(size, np.inf, np.float32)
    weights, seen = np.zeros(size, np.float32), np.zeros(size, np.float32)
    for index, (window, crop) in enumerate(zip(windows, probs, strict=True)):
        there = window.slices
        apart, shown = distance(heads.boxes[index], window), fade(window, *size)
        weight = shown * (apart + np.float32(0.05)) ** np.float32(-NEARER)
        prob[there] += weight * crop
        weights[there] += weight
        np.maximum(seen[there], shown, out=seen[there])
        closer = apart < nearest[there]
        owner[there][closer] = index
        nearest[there][closer] = apart[closer]
    np.divide(prob, weights, out=prob, where=weights > 0)
    prob *= seen
    np.clip(prob, 0, 1, out=prob)  # rounding may lead beyond


def around(window: Window, others: Sequence[Window]) -> Window:
    """The smallest window that holds several."""
    each = [window, *others]
    return Window(
        min(one.top for one in each), max(one.bottom for one in each),
        min(one.left for one in each), max(one.right for one in each),
    )  # fmt: skip


def fade(window: Window, height: int, width: int) -> Array:
    """Weight of each pixel of a crop, (h, w): 1, but less near borders that are not the photo's."""
    top, bottom, left, right = window.inner_sides(height, width)

    def ramp(count: int, begin: bool, end: bool) -> Array:
        steps = np.arange(count) + 0.5
        near = np.minimum(steps if begin else np.inf, steps[::-1] if end else np.inf)
        return np.clip(near / max(1.0, FADE * count), 0, 1).astype(np.float32) * np.ones(count, np.float32)

    down, across = ramp(window.size[0], top, bottom), ramp(window.size[1], left, right)
    return down[:, None] * across


def distance(box: Array, window: Window) -> Array:
    """Distance of each pixel of a window from a head, in sides of its box; steps down count less."""
    x0, y0, x1, y1 = (float(side) for side in box)
    wide, high = max(x1 - x0, 1.0), max(y1 - y0, 1.0)
    down = (np.arange(window.top, window.bottom) + 0.5 - (y0 + y1) / 2) / high
    across = (np.arange(window.left, window.right) + 0.5 - (x0 + x1) / 2) / wide
    down = np.where(down > 0, HANGING * down, down)
    return np.sqrt((down**2)[:, None] + (across**2)[None]).astype(np.float32)


def settle_patches(prob: Array, owner: Array, boxes: Array, windows: Sequence[Window]) -> None:
    """Give patches of hair to the one head that each meets, and take away those that are far from all; in place."""
    import cv2

    top, left = min(one.top for one in windows), min(one.left for one in windows)
    bottom, right = max(one.bottom for one in windows), max(one.right for one in windows)
    part, whose = prob[top:bottom, left:right], owner[top:bottom, left:right]
    step = max(1, -(-max(part.shape) // GRID))
    hair = np.ascontiguousarray(part[step // 2 :: step, step // 2 :: step] > 0.5).astype(np.uint8)
    if not hair.any():
        return
    count, labels, stats, _ = cv2.connectedComponentsWithStats(hair, connectivity=8)
    scaled = (boxes - np.array([left, top, left, top], np.float32)) / step
    # Of each patch its cells inside each box.
    rows, columns = hair.shape
    met = np.zeros((count, len(boxes)), int)
    for index, (x0, y0, x1, y1) in enumerate(np.clip(np.rint(scaled), 0, [columns, rows, columns, rows]).astype(int)):
        met[:, index] = np.bincount(labels[y0:y1, x0:x1].ravel(), minlength=count)
    new = np.full(count, -2, np.int16)  # -2: as it is
    for label in range(1, count):
        meets = np.flatnonzero(met[label] > 0.02 * met[label].max(initial=0))
        x, y, wide, high = stats[label, :4].tolist()
        if len(meets) == 1:
            new[label] = meets[0]
        elif not len(meets) and apart(scaled, x, y, x + wide, y + high) > FAR:
            new[label] = NOBODY
    if (new == -2).all():
        return
    # Soft borders go with their patch.
    grown = cv2.dilate(labels.astype(np.float32), np.ones((3, 3), np.uint8)).astype(int)
    wanted = new[np.where(labels > 0, labels, grown)]
    full = cv2.resize(wanted, part.shape[::-1], interpolation=cv2.INTER_NEAREST)
    changed = full != -2
    np.copyto(whose, full, where=changed)
    part[changed & (full == NOBODY)] = 0


def apart(boxes: Array, x0: float, y0: float, x1: float, y1: float) -> float:
    """Distance between a rectangle and the nearest of some boxes, in sides of that box."""
    across = np.maximum(0, np.maximum(boxes[:, 0] - x1, x0 - boxes[:, 2]))
    down = np.maximum(0, np.maximum(boxes[:, 1] - y1, y0 - boxes[:, 3]))
    sides = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    return float((np.hypot(across, down) / np.maximum(sides, 1e-6)).min())


def nobody(size: tuple[int, int]) -> Hair:
    """The hair of a photo without a head."""
    none = Heads(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
    return Hair(none, np.zeros(size, np.float32), np.full(size, NOBODY, np.int16), size)


def full_size(hair: Hair, threads: int | None) -> Array:
    """The probability of an array's hair at its photo's size."""
    return hair.prob if hair.prob.shape == hair.size else unsquash(hair.prob, *hair.size, threads)
