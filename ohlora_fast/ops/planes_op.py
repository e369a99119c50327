"""The ombre on the planes of a video frame: the reference in NumPy, and the compiled form.

A frame is Y'CbCr with 8 to 16 bits and, often, fewer samples of colour than of light. Turned into 8-bit RGB and back,
all of it would lose; so the ombre's change of RGB is worked out in floating point at each pixel, and added to the
planes: what is not hair keeps every bit, and a 10-bit frame its 10 bits. Against the ombre of a photo
(:mod:`ohlora_fast.ops.ombre_op`), nothing is truncated on the way, and rows of the gradient may be fractions.

Everything here trusts its arguments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ohlora_fast.ops.arrays import aligned
from ohlora_fast.ops.ombre_op import backend_problem, cpu_threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Plane = NDArray[Any]

__all__ = ["Yuv", "dye_planes", "dye_planes_cpp", "dye_planes_numpy", "rgb_of_planes", "row_weights"]

LUMA = {"601": (0.299, 0.114), "709": (0.2126, 0.0722), "2020": (0.2627, 0.0593), "240": (0.212, 0.087)}
"""Standard → the shares of red and blue in luma (ITU-R BT.601, 709, 2020; SMPTE 240M)."""


@dataclass(frozen=True)
class Yuv:
    """What the values of planes mean.

    Args:
        standard: "601", "709", "2020" or "240".
        full: whether values span all that the bits allow; else luma spans 16 to 235 and chroma 16 to 240 of 8 bits.
        bits: of a value, 8 to 16.

    Example:
        >>> white = np.array([235, 128, 128]) - Yuv().zero
        >>> (Yuv().to_rgb @ white).round(3).tolist()
        [255.0, 255.0, 255.0]
    """

    standard: str = "709"
    full: bool = False
    bits: int = 8

    @property
    def zero(self) -> Floats:
        """Y, U and V of black, (3,)."""
        return np.array([0 if self.full else 16 << (self.bits - 8), *2 * [1 << (self.bits - 1)]], np.float64)

    @property
    def to_rgb(self) -> Floats:
        """(3, 3): from Y, U, V, less `zero`, to RGB on the scale of 0 to 255."""
        return np.linalg.inv(self.to_yuv).astype(np.float64, copy=False)

    @property
    def to_yuv(self) -> Floats:
        """(3, 3): from RGB on the scale of 0 to 255 to Y, U, V, less `zero`."""
        red, blue = LUMA[self.standard]
        luma = np.array([red, 1 - red - blue, blue])
        rows = [luma, (np.array([0, 0, 1]) - luma) / (2 - 2 * blue), (np.array([1, 0, 0]) - luma) / (2 - 2 * red)]
        unit = 1 << (self.bits - 8)
        spans = 3 * [256 * unit - 1] if self.full else [219 * unit, 224 * unit, 224 * unit]
        return np.stack(rows) * np.array(spans)[:, None] / 255


def row_weights(top: float, bottom: float, ombre_height: float, ombre_grad_height: float, height: int) -> Floats:
    """The ombre's opacity of each row, (height,), for hair from row `top` to row `bottom`, which may be fractions.

    Example:
        >>> row_weights(0, 4, 1.0, 1.0, 6).tolist()
        [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    """
    grad_top = top + (bottom - top) * (1 - ombre_height)
    grad_bottom = grad_top + (bottom - grad_top) * ombre_grad_height
    rows = np.arange(height)
    if grad_bottom - grad_top < 1e-9:
        return (rows >= grad_top).astype(np.float64)
    return np.clip((rows - grad_top) / (grad_bottom - grad_top), 0, 1)


def dye_planes(
    planes: Sequence[Plane], prob: NDArray[np.float32], weight: Floats, hue: Plane, yuv: Yuv, threads: int | None = None
) -> None:
    """Dye a frame in place, with the compiled kernel where it runs.

    Args:
        planes: Y (H, W), U and V (H or ⌈H/2⌉, W or ⌈W/2⌉); uint8 for 8 bits, else uint16; rows contiguous.
        prob: float32 (H, W) in [0, 1].
        weight: the opacity of each row, (H,), as of `row_weights`.
        hue: RGB of the dye, (3,), 0 to 255.
        yuv: what the planes mean.
        threads: CPU threads; all if None.

    Example:
        >>> planes = [np.full(size, 128, np.uint8) for size in ((2, 2), (1, 1), (1, 1))]
        >>> dye_planes(planes, np.ones((2, 2), np.float32), np.ones(2), np.array([255, 0, 0]), Yuv())
        >>> [int(plane[0, 0]) for plane in planes]
        [146, 122, 156]
    """
    if backend_problem("cpp") is None and all(plane.flags.aligned for plane in planes):
        dye_planes_cpp(planes, prob, weight, hue, yuv, threads)
    else:
        dye_planes_numpy(planes, prob, weight, hue, yuv)


def dye_planes_cpp(
    planes: Sequence[Plane], prob: NDArray[np.float32], weight: Floats, hue: Plane, yuv: Yuv, threads: int | None = None
) -> None:
    """As :func:`dye_planes`, compiled."""
    from ohlora_fast import _core

    shift = 0.25 * hue - 38.25
    prob, weight = aligned(prob), aligned(weight)
    _core.dye_planes(*planes, prob, weight, yuv.to_rgb, yuv.to_yuv, yuv.zero, shift, yuv.bits, cpu_threads(threads))


def dye_planes_numpy(planes: Sequence[Plane], prob: NDArray[np.float32], weight: Floats, hue: Plane, yuv: Yuv) -> None:
    """As :func:`dye_planes`, the plain way: the definition that the compiled kernel is held to."""
    height, width = planes[0].shape
    down, across = _halved(planes)
    rgb = rgb_of_planes(planes, yuv)
    dyed = np.clip(1.35 * rgb + (0.25 * hue - 38.25)[:, None, None], 0, 255)
    alpha = np.clip(4.0 * prob - 3.0, 0, 1) * weight[:, None]
    change = np.einsum("ij,jhw->ihw", yuv.to_yuv, alpha * (dyed - rgb))
    padded = [np.pad(one, ((0, -height % down), (0, -width % across)), "edge") for one in change[1:]]
    means = [one.reshape(one.shape[0] // down, down, -1, across).mean((1, 3)) for one in padded]
    for plane, one in zip(planes, [change[0], *means], strict=True):
        plane[:] = np.clip(plane + one, 0, (1 << yuv.bits) - 1) + 0.5  # cut off where it is stored


def rgb_of_planes(planes: Sequence[Plane], yuv: Yuv) -> Floats:
    """RGB on the scale of 0 to 255, which it may leave, float64 (3, H, W); samples of colour are repeated."""
    height, width = planes[0].shape
    down, across = _halved(planes)
    samples = [planes[0], *(plane.repeat(down, 0).repeat(across, 1)[:height, :width] for plane in planes[1:])]
    rgb: Floats = np.einsum("ij,jhw->ihw", yuv.to_rgb, np.stack(samples).astype(np.float64) - yuv.zero[:, None, None])
    return rgb


def _halved(planes: Sequence[Plane]) -> tuple[int, int]:
    """How many rows and columns of light share one of colour."""
    down, across = (1 if there == here else 2 for there, here in zip(planes[1].shape, planes[0].shape, strict=True))
    return down, across
