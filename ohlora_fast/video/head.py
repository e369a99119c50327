"""Dyeing one head of a film, frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ohlora_fast.natural import natural_dye, pack_natural
from ohlora_fast.ops.natural_plan import Measured, Mixture, Plan, make_plan, measure, sample_grid
from ohlora_fast.ops.natural_planes_op import natural_planes
from ohlora_fast.ops.ombre_op import hair_rows, hue_colors
from ohlora_fast.ops.planes_op import Yuv, dye_planes, row_weights
from ohlora_fast.student.preprocess import unsquash
from ohlora_fast.video.parts import Part
from ohlora_fast.video.smoothing import MaskSmoother

if TYPE_CHECKING:
    from ohlora_fast.natural import NaturalDye
    from ohlora_fast.ombre import Ombre

Array = np.ndarray[Any, Any]


class HeadDyer:
    """Smooths what is found of a head over time, and dyes its hair.

    Args:
        smooth: strength of the smoothing, as of `MaskSmoother`.
        method: as of :meth:`ohlora_fast.HairStylist.dye`, one.
        threads: CPU threads.

    Attributes:
        measured: of the last frame, smoothed, for natural dyeing; None where there is nothing to go on from.
    """

    def __init__(self, smooth: float, method: str | NaturalDye, threads: int | None) -> None:
        self.smoother = MaskSmoother(smooth)
        self.natural = None if method == "seed" else natural_dye(method)
        self.threads = threads
        self.measured: Measured | None = None

    def smoothed(self, part: Part) -> Array:
        """The next frame's map, smoothed."""
        return self.smoother(part.prob, part.view, part.window)

    def dye(self, planes: Sequence[Array], rgb: Array, prob: Array, ombre: Ombre, presence: float, yuv: Yuv) -> bool:
        """Dye the hair in the head's part of the frame whose map was smoothed last, in place.

        Args:
            planes: Y, U and V of that part.
            rgb: what it shows, uint8 (h, w, 3).
            prob: the probability of the head's own hair, of that size or of the map's.
            ombre: settings.
            presence: how far the head is there, 0 to 1.
            yuv: what the planes mean.

        Returns:
            Whether it has a row of hair; if it has none, nothing is dyed.
        """
        height, width = rgb.shape[:2]
        rows = hair_rows(prob[None], height, width, self.threads)
        top, bottom = rows[0].tolist()
        if top < 0:
            self.measured = None
            return False
        color = np.array([ombre.color])
        if self.natural is not None:
            heights = np.array([[ombre.ombre_height], [ombre.ombre_grad_height]])
            packed = pack_natural(self.natural, color, *heights)
            mixture = Mixture.unpacked(packed[0])
            present = mixture._replace(strength=presence * mixture.strength).packed()[None]
            natural_planes(planes, rgb, prob, self._plan(rgb, prob, rows, present), yuv, self.threads)
            return True
        weight = presence * row_weights(top, bottom, ombre.ombre_height, ombre.ombre_grad_height, height)
        full_size = prob if prob.shape == (height, width) else unsquash(prob, height, width, self.threads)
        dye_planes(planes, full_size, weight, hue_colors(color)[0], yuv, self.threads)
        return True

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
