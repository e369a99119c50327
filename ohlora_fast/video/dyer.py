"""Dyeing the frames of a video, one after the other, each head on its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ohlora_fast.heads.crops import Window
from ohlora_fast.media.frames import FULL, planes_of, rgb_of, standard_of
from ohlora_fast.ops.planes_op import Yuv
from ohlora_fast.student.preprocess import squash, unsquash
from ohlora_fast.video.head import HeadDyer
from ohlora_fast.video.parts import Part, looked_at, own_pixels, whole_part
from ohlora_fast.video.settings import check_heads, of_heads
from ohlora_fast.video.tracking import Tracker

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from ohlora_fast.ombre import Ombre
    from ohlora_fast.stylist import HairStylist

    Array = np.ndarray[Any, Any]

USUAL_S = 0.04
"""From one frame to the next, where frames tell no time."""


@dataclass(frozen=True, eq=False)
class Found:
    """A frame, upright and in planar YUV, and where its hair is.

    Attributes:
        frame: the frame.
        rgb: what it shows, uint8 (H, W, 3).
        parts: what the student made of each head.
    """

    frame: VideoFrame
    rgb: Array
    parts: tuple[Part, ...]


class FrameDyer:
    """Finds the heads and their hair in the frames of one video and dyes it, in two steps that may run side by side.

    Args:
        stylist: whose finder and student find it.
        smooth: strength of the smoothing over time, as of `MaskSmoother`.
        method: as of :meth:`ohlora_fast.HairStylist.dye`: one for all heads, one for each of `heads`, or a function of
            a head's number.
        heads: whose hair is dyed, as of :func:`ohlora_fast.video.dye_video`.

    Attributes:
        heads: the same, checked.
        wanted: the numbers in it; None for all heads.
        dyers: scene and number of each head of the last frame → what dyes it.
        tracker: follows the heads; None where the whole frame is looked at.
        bald: how many frames had no row of hair to dye, and so stayed as they were.

    Raises:
        InputError: an argument is none of these.
    """

    def __init__(self, stylist: HairStylist, smooth: float, *, method: Any = "seed", heads: Any = "auto") -> None:
        self.stylist, self.smooth = stylist, smooth
        self.heads = check_heads(heads)
        self.wanted = None if isinstance(self.heads, str) else self.heads
        self.method_of = of_heads("method", method, self.heads)
        self.dyers: dict[tuple[int, int], HeadDyer] = {}
        self.tracker = None if self.heads == "whole" else Tracker(stylist.finder.find, stylist.threads)
        self.bald = 0
        self._count = 0
        for number in self.wanted or (0,):  # so that a wrong argument is told at once
            self._dyer_of(number)

    @property
    def missing(self) -> list[int]:
        """The numbers among those wanted that no head has had so far."""
        return [number for number in self.wanted or () if self.tracker and number not in self.tracker.numbers]

    def dyes(self, number: int) -> bool:
        """Whether a head is dyed."""
        return self.wanted is None or number in self.wanted

    def find(self, frame: VideoFrame) -> Found:
        """Find the hair in a frame, which is upright and in planar YUV. Frames come in the order they are shown in."""
        rgb = rgb_of(frame)
        if self.tracker is None:
            view = squash(rgb, self.stylist.threads, self.stylist.engine.size)
            return Found(frame, rgb, (whole_part(rgb.shape[:2], view, self.stylist.student.predict(view[None])[0]),))
        tracks = self.tracker(rgb, self._count * USUAL_S if frame.time is None else frame.time)
        turn = self._count if self.smooth and len(tracks) > 1 else None
        self._count += 1
        return Found(frame, rgb, looked_at(rgb, tracks, self.stylist.student, turn))

    def dye(self, found: Found, ombre_of: Callable[[int], Ombre]) -> VideoFrame:
        """Dye a frame, in place. Frames come in the order they are shown in.

        Args:
            found: as of `find`.
            ombre_of: the settings of the head of a number.
        """
        frame, size = found.frame, found.rgb.shape[:2]
        self.dyers = {part.key: self.dyers.get(part.key) or self._dyer_of(part.key[1]) for part in found.parts}
        probs = [self.dyers[part.key].smoothed(part) for part in found.parts]
        yuv = Yuv(standard_of(frame), frame.color_range == FULL, frame.format.components[0].bits)
        planes, dyed = planes_of(frame), False
        for part, prob, share in zip(found.parts, probs, own_pixels(found.parts, probs, size), strict=True):
            number = part.key[1]
            if not self.dyes(number):
                continue
            own = prob if share is None else unsquash(prob, *part.window.size, self.stylist.threads) * share
            there, rgb = [part_of(plane, part.window, size) for plane in planes], found.rgb[part.window.slices]
            dyed |= self.dyers[part.key].dye(there, rgb, own, ombre_of(number), part.presence, yuv)
        self.bald += not dyed
        return frame

    def _dyer_of(self, number: int) -> HeadDyer:
        """What dyes a head, or, if it is not to be dyed, only smooths its map."""
        method = self.method_of(number) if self.dyes(number) else "seed"
        return HeadDyer(self.smooth, method, self.stylist.threads)


def part_of(plane: Array, window: Window, size: tuple[int, int]) -> Array:
    """A view of the part of a plane that shows a window of a frame of that size; halved planes show even ones.

    >>> part_of(np.zeros((5, 10)), Window(2, 8, 4, 20), (10, 20)).shape
    (3, 8)
    """
    down, across = (1 if there == here else 2 for there, here in zip(plane.shape, size, strict=True))
    rows = slice(window.top // down, -(-window.bottom // down))
    return plane[rows, window.left // across : -(-window.right // across)]
