"""Dyeing the frames of a video, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ohlora_fast.media.frames import FULL, planes_of, rgb_of, standard_of
from ohlora_fast.ops.ombre_op import hair_rows, hue_colors
from ohlora_fast.ops.planes_op import Yuv, dye_planes, row_weights
from ohlora_fast.student.preprocess import squash, unsquash
from ohlora_fast.video.smoothing import MaskSmoother

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from ohlora_fast.ombre import Ombre
    from ohlora_fast.stylist import HairStylist


@dataclass(frozen=True, eq=False)
class Found:
    """A frame, upright and in planar YUV; what the student saw of it, (224, 224, 3); and its map, (224, 224)."""

    frame: VideoFrame
    view: np.ndarray[Any, Any]
    prob: np.ndarray[Any, Any]


class FrameDyer:
    """Finds the hair in the frames of one video and dyes it, in two steps that may run side by side.

    Args:
        stylist: whose student finds it.
        smooth: strength of the smoothing over time, as of `MaskSmoother`.

    Attributes:
        bald: how many frames had no row of hair, and so stayed as they were.
    """

    def __init__(self, stylist: HairStylist, smooth: float) -> None:
        self.stylist = stylist
        self.smoother = MaskSmoother(smooth)
        self.bald = 0

    def find(self, frame: VideoFrame) -> Found:
        """Find the hair in a frame, which is upright and in planar YUV. Frames may come in any order."""
        view = squash(rgb_of(frame), self.stylist.threads)
        return Found(frame, view, self.stylist.engine.predict(view[None])[0])

    def dye(self, found: Found, ombre: Ombre) -> VideoFrame:
        """Dye a frame, in place. Frames come in the order in which they are shown."""
        frame, threads = found.frame, self.stylist.threads
        prob = self.smoother(found.prob, found.view)
        top, bottom = hair_rows(prob[None], frame.height, frame.width, threads)[0].tolist()
        if top < 0:
            self.bald += 1
            return frame
        yuv = Yuv(standard_of(frame), frame.color_range == FULL, frame.format.components[0].bits)
        weight = row_weights(top, bottom, ombre.ombre_height, ombre.ombre_grad_height, frame.height)
        full_size = unsquash(prob, frame.height, frame.width, threads)
        dye_planes(planes_of(frame), full_size, weight, hue_colors(np.array([ombre.color]))[0], yuv, threads)
        return frame
