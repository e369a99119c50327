"""Heads of a film, each with a number that it keeps while it is there.

The finder does not look at every frame. In between, boxes move as the picture moves inside them (dense optical flow,
OpenCV's DIS, at a small size). A head that the finder misses is carried on for a while, then fades out; a newcomer has
to be seen twice, and fades in. After a cut, numbers begin anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ohlora_fast.heads.boxes import Heads
from ohlora_fast.heads.crops import AROUND, WIDER, Window, window_around
from ohlora_fast.heads.finder import OVERLAP
from ohlora_fast.student.preprocess import squash
from ohlora_fast.video.smoothing import CUT

__all__ = ["Track", "Tracker"]

Array = np.ndarray[Any, Any]

EVERY = 10
"""Frames from one look of the finder to the next …"""
SOON = 3
"""… and where somebody may have come, or a head has moved far."""
FAR = 0.3
"""A way that is far, in sides of the head's box."""
SEEN = 320
"""Height and width of the picture, squashed, in which motion is seen."""
INNER = 0.6
"""Share of a box's height and width, in its middle, that says how the head moves."""
SAME = 1.0
"""Distance of two boxes, as of `apart`, up to which they may be one head's."""
GAIN = 0.5
"""How far a box goes towards where the finder sees the head."""
STEADY = 0.08
"""A crop stays where it is until an edge of the box has moved by this share of the box's side."""
CARRY_S = 1.0
"""Seconds for which a head is carried on that the finder does not see, from where it first missed it."""
FADE_S = 0.25
"""Seconds in which a head that comes or goes fades in or out."""


@dataclass(eq=False)
class Track:
    """A head.

    Attributes:
        scene: how many cuts there were before.
        number: of the head, from 0 on, in this scene.
        box: where it is, float32 (4,), x0 y0 x1 y1 in pixels; it may reach out of the frame.
        lost: since when the finder does not see it, in seconds; None while it does.
        presence: how far it is there, 0 to 1: less than 1 while it fades in or out.
        anchor: the box that its crop is made for, which moves in steps.
        moved: how far it has moved since the finder looked, in pixels.
        widened: how often its crop was enlarged.
        looked: the crop that the student looked at last; None before it has.
    """

    scene: int
    number: int
    box: Array
    presence: float
    anchor: Array
    lost: float | None = None
    moved: float = 0.0
    widened: int = 0
    looked: Window | None = None

    @property
    def side(self) -> float:
        """The longer side of the box."""
        return side_of(self.box)

    def meet(self, found: Array) -> None:
        """Take in where the finder sees it."""
        far = apart(self.box, found) > FAR
        self.box = self.box + np.float32(1.0 if far else GAIN) * (found - self.box)
        self.lost = None

    def settle(self) -> None:
        """Let the crop follow the box, if that has moved enough."""
        if abs(self.box - self.anchor).max() > STEADY * self.side:
            self.anchor = self.box

    def window(self, height: int, width: int) -> Window:
        """The crop in which its hair is looked for, which begins and ends with whole samples of halved chroma."""
        window = window_around(self.anchor, height, width, AROUND * WIDER**self.widened)
        if window is None:
            return Window(0, height, 0, width)
        bottom, right = window.bottom + window.bottom % 2, window.right + window.right % 2
        return Window(window.top & ~1, min(bottom, height), window.left & ~1, min(right, width))


class Tracker:
    """Follows the heads of one film.

    Args:
        find: finds the heads of a frame, uint8 RGB (H, W, 3).
        threads: CPU threads.

    Attributes:
        tracks: the heads that are there, by number.
        numbers: all numbers that were given so far.
        looks: how often the finder has looked.

    >>> tracker = Tracker(lambda frame: Heads(np.array([[8, 8, 16, 20]], np.float32), np.ones(1, np.float32)))
    >>> [(track.number, track.presence) for track in tracker(np.zeros((40, 60, 3), np.uint8), 0.0)]
    [(0, 1.0)]
    """

    def __init__(self, find: Callable[[Array], Heads], threads: int | None = None) -> None:
        import cv2

        self.find, self.threads = find, threads
        self.tracks: list[Track] = []
        self.numbers: set[int] = set()
        self.looks = 0
        self._cv2: Any = cv2
        self._flow = self._cv2.DISOpticalFlow_create(self._cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._here = np.stack(np.meshgrid(*2 * [np.arange(SEEN, dtype=np.float32)]), -1)
        self._before: tuple[Array, float] | None = None
        self._since = 0  # frames since the finder looked
        self._maybe = np.zeros((0, 4), np.float32)  # boxes of heads that may have come
        self._scene, self._next = -1, 0

    def __call__(self, frame: Array, seconds: float) -> list[Track]:
        """Follow the heads to the next frame.

        Args:
            frame: uint8 RGB (H, W, 3), of one size throughout.
            seconds: its time, later than that of the one before.

        Returns:
            The heads that are there, by number.
        """
        view = squash(frame, self.threads, SEEN)
        grey = self._cv2.cvtColor(view, self._cv2.COLOR_RGB2GRAY)
        flow = None if self._before is None else self._motion(self._before[0], grey)
        step = 0.0 if self._before is None else max(seconds - self._before[1], 0.0)
        self._before = grey, seconds
        height, width = frame.shape[:2]
        if flow is not None:
            for track in self.tracks:
                shift = shift_of(flow, track.box, height, width)
                track.box = track.box + np.tile(shift, 2)
                track.moved += float(np.hypot(*shift))
        self._since += 1
        uneasy = len(self._maybe) or any(
            track.lost is not None or track.moved > FAR * track.side for track in self.tracks
        )
        if flow is None or self._since >= (SOON if uneasy else EVERY):
            self._look(frame, seconds, cut=flow is None)
        self._fade(seconds, step, height, width)
        for track in self.tracks:
            track.settle()
        return list(self.tracks)

    def _motion(self, before: Array, now: Array) -> Array | None:
        """How far each pixel of the frame before has moved, (SEEN, SEEN, 2); None after a cut."""
        cv2 = self._cv2
        flow: Array = self._flow.calc(before, now, None)
        looked = cv2.remap(now, self._here + flow, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return flow if cv2.blur(cv2.absdiff(before, looked), (5, 5)).mean() < CUT else None

    def _look(self, frame: Array, seconds: float, cut: bool) -> None:
        """Let the finder look at a frame."""
        found = self.find(frame).boxes
        self.looks += 1
        self._since = 0
        pairs = matched([track.box for track in self.tracks], found)
        seen = {index for index, track in enumerate(self.tracks) if track.lost is None}
        if cut and not (seen and seen <= {index for index, _ in pairs}):  # else a light flashed up
            self.tracks, self._maybe = [], self._maybe[:0]
            self._scene, self._next = self._scene + 1, 0
            self._add(found, 1.0)
            return
        for track in self.tracks:
            track.lost, track.moved = seconds if track.lost is None else track.lost, 0.0
        for index, other in pairs:
            self.tracks[index].meet(found[other])
        there = [track.box for track in self.tracks if track.lost is None]
        self.tracks = [
            track for track in self.tracks
            if track.lost is None or all(overlap(track.box, box) <= OVERLAP for box in there)
        ]  # fmt: skip
        new = np.delete(found, [other for _, other in pairs], 0)
        again = [other for _, other in matched(list(self._maybe), new)]
        self._add(new[sorted(again)], 0.0)
        self._maybe = np.delete(new, again, 0)

    def _add(self, boxes: Array, presence: float) -> None:
        """Give new heads, from left to right, the next numbers."""
        for box in boxes:
            self.tracks.append(Track(self._scene, self._next, box, presence, box))
            self.numbers.add(self._next)
            self._next += 1

    def _fade(self, seconds: float, step: float, height: int, width: int) -> None:
        """Let heads come and go."""
        kept = []
        for track in self.tracks:
            x, y = (track.box[:2] + track.box[2:]) / 2
            carried = CARRY_S if 0 <= x < width and 0 <= y < height else 0.0
            stays = track.lost is None or seconds - track.lost < carried
            change = step / FADE_S
            track.presence = min(max(track.presence + (change if stays else -change), 0.0), 1.0)
            if stays or track.presence > 0:
                kept.append(track)
        self.tracks = kept


def shift_of(flow: Array, box: Array, height: int, width: int) -> Array:
    """How far a head has moved, float32 (2,), x and y in pixels: the middle value of the motion inside its box.

    >>> shift_of(np.full((320, 320, 2), 3, np.float32), np.array([10, 10, 50, 60]), 160, 640).tolist()
    [6.0, 1.5]
    """
    scale = np.array([width / SEEN, height / SEEN], np.float32)
    middle, half = (box[:2] + box[2:]) / 2, INNER / 2 * (box[2:] - box[:2])
    begin = np.clip((middle - half) / scale, 0, SEEN - 1).astype(int)
    end = np.maximum(np.clip((middle + half) / scale, 0, SEEN).astype(int), begin + 1)
    inside = flow[begin[1] : end[1], begin[0] : end[0]].reshape(-1, 2)
    return np.asarray(np.median(inside, axis=0) * scale, np.float32)


def side_of(box: Array) -> float:
    """The longer side of a box, at least a pixel."""
    return max(float((box[2:] - box[:2]).max()), 1.0)


def apart(box: Array, other: Array) -> float:
    """How far two boxes are from being one head's: the way between their middles, in sides, and how sizes differ.

    >>> apart(np.array([0, 0, 10, 10]), np.array([5, 0, 15, 10]))
    0.5
    """
    sides = side_of(box), side_of(other)
    way = np.hypot(*((box[:2] + box[2:]) - (other[:2] + other[2:])) / 2)
    return float(2 * way / sum(sides) + abs(np.log(sides[0] / sides[1])))


def matched(boxes: list[Array], others: Array) -> list[tuple[int, int]]:
    """Pairs of boxes that are one head's, the closest first, each box in one pair at most.

    >>> boxes = np.array([[0, 0, 10, 10], [30, 0, 40, 10]])
    >>> matched(list(boxes), boxes[::-1] + 1)
    [(0, 1), (1, 0)]
    """
    ranked = sorted((apart(box, other), i, j) for i, box in enumerate(boxes) for j, other in enumerate(others))
    pairs: list[tuple[int, int]] = []
    for distance, i, j in ranked:
        if distance <= SAME and all(i != one and j != two for one, two in pairs):
            pairs.append((i, j))
    return pairs


def overlap(box: Array, other: Array) -> float:
    """Intersection over union."""
    sides = np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2])
    shared = float(np.prod(np.clip(sides, 0, None)))
    return shared / max(float(np.prod(box[2:] - box[:2]) + np.prod(other[2:] - other[:2])) - shared, 1e-6)
