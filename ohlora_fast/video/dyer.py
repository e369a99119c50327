"""Dyeing the frames of a video, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ohlora_fast.media.frames import FULL, planes_of, rgb_of, standard_of
from ohlora_fast.natural import natural_dye, pack_natural
from ohlora_fast.ops.natural_plan import Measured, Mixture, Plan, make_plan, measure, sample_grid
from ohlora_fast.ops.natural_planes_op import natural_planes
from ohlora_fast.ops.ombre_op import hair_rows, hue_colors
from ohlora_fast.ops.planes_op import Yuv, dye_planes, row_weights
from ohlora_fast.student.preprocess import squash, unsquash
from ohlora_fast.video.smoothing import MaskSmoother

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from ohlora_fast.natural import NaturalDye
    from ohlora_fast.ombre import Ombre
    from ohlora_fast.stylist import HairStylist

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Found:
    """A frame, upright and in planar YUV, and where its hair is.

    Attributes:
        frame: the frame.
        rgb: what it shows, (H, W, 3), for natural dyeing; else None.
        view: what the student saw of it, (224, 224, 3).
        prob: the student's map, (224, 224).
    """

    frame: VideoFrame
    rgb: Array | None
    view: Array
    prob: Array


class FrameDyer:
    """Finds the hair in the frames of one video and dyes it, in two steps that may run side by side.

    Args:
        stylist: whose student finds it.
        smooth: strength of the smoothing over time, as of `MaskSmoother`.
        method: as of :meth:`ohlora_fast.HairStylist.dye`.

    Attributes:
        bald: how many frames had no row of hair, and so stayed as they were.
        measured: of the last frame, smoothed, for natural dyeing; None where there is nothing to go on from.
    """

    def __init__(self, stylist: HairStylist, smooth: float, *, method: str | NaturalDye = "seed") -> None:
        self.stylist = stylist
        self.smoother = MaskSmoother(smooth)
        self.natural = None if method == "seed" else natural_dye(method)
        self.bald = 0
        self.measured: Measured | None = None

    def find(self, frame: VideoFrame) -> Found:
        """Find the hair in a frame, which is upright and in planar YUV. Frames may come in any order."""
        rgb = rgb_of(frame)
        view = squash(rgb, self.stylist.threads, self.stylist.engine.size)
        prob = self.stylist.engine.predict(view[None])[0]
        return Found(frame, rgb if self.natural else None, view, prob)

    def dye(self, found: Found, ombre: Ombre) -> VideoFrame:
        """Dye a frame, in place. Frames come in the order in which they are shown."""
        frame, threads = found.frame, self.stylist.threads
        prob = self.smoother(found.prob, found.view)
        rows = hair_rows(prob[None], frame.height, frame.width, threads)
        top, bottom = rows[0].tolist()
        if top < 0:
            self.bald += 1
            self.measured = None
            return frame
        yuv = Yuv(standard_of(frame), frame.color_range == FULL, frame.format.components[0].bits)
        color = np.array([ombre.color])
        if self.natural is not None and found.rgb is not None:
            heights = np.array([[ombre.ombre_height], [ombre.ombre_grad_height]])
            packed = pack_natural(self.natural, color, *heights)
            plan = self._plan(found.rgb, prob, rows, packed)
            natural_planes(planes_of(frame), found.rgb, prob, plan, yuv, threads)
            return frame
        weight = row_weights(top, bottom, ombre.ombre_height, ombre.ombre_grad_height, frame.height)
        full_size = unsquash(prob, frame.height, frame.width, threads)
        dye_planes(planes_of(frame), full_size, weight, hue_colors(color)[0], yuv, threads)
        return frame

    def _plan(self, rgb: Array, prob: Array, rows: Array, packed: Array) -> Plan:
        """The dyes of a frame, by what was measured of the hair in this frame and those before."""
        height, width = rgb.shape[:2]
        mixture = Mixture.unpacked(packed[0])
        sampled = rgb[np.ix_(*sample_grid(height, width, mixture.by_rows))]
        now = measure(mixture, sampled, prob)
        if self.measured is not None:
            now = Measured(*map(self._blended, self.measured, now))
        self.measured = now
        return make_plan(sampled[None], prob[None], rows, (height, width), packed, [now])

    def _blended(self, before: Any, now: Any) -> Any:
        return None if now is None else self.smoother.blend(before, np.asarray(now))
