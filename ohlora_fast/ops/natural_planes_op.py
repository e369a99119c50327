"""Natural dyeing on the planes of a video frame, see :mod:`ohlora_fast.ops.planes_op`.

Frames of 8 bits are dyed by way of 8-bit RGB, in compiled code; deeper ones in floating point, so that they keep their
bits. Either way the change is added to the planes, and what is not hair keeps every bit. Everything here trusts its
arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ohlora_fast.ops.natural_op import dyed_hair, planned_cpp
from ohlora_fast.ops.ombre_op import backend_problem
from ohlora_fast.ops.planes_op import rgb_of_planes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ohlora_fast.ops.natural_plan import Plan
    from ohlora_fast.ops.planes_op import Plane, Yuv

__all__ = ["add_change", "natural_planes"]


def natural_planes(
    planes: Sequence[Plane],
    rgb: NDArray[np.uint8],
    prob: NDArray[np.float32],
    plan: Plan,
    yuv: Yuv,
    threads: int | None = None,
) -> None:
    """Dye a frame in place.

    Args:
        planes: as of :func:`ohlora_fast.ops.planes_op.dye_planes`; halved chroma of even sizes only.
        rgb: the frame, uint8 (H, W, 3), which is what a frame of 8 bits is dyed by.
        prob: float32 (h, w) in [0, 1].
        plan: of this frame alone.
        yuv: what the planes mean.
        threads: CPU threads; all if None.
    """
    import cv2

    pixels: Any = rgb
    if yuv.bits > 8:
        pixels = np.clip(rgb_of_planes(planes, yuv), 0, 255).transpose(1, 2, 0)
    if yuv.bits == 8 and backend_problem("cpp") is None:
        change: Any = cv2.subtract(planned_cpp(rgb[None], prob[None], plan, threads)[0], rgb, dtype=cv2.CV_32F)
    else:
        hair, values = dyed_hair(pixels, prob, plan)
        change = np.zeros(rgb.shape, np.float32)
        change[hair] = values - pixels[hair]
    add_change(planes, change, yuv)


def add_change(planes: Sequence[Plane], change: NDArray[np.float32], yuv: Yuv) -> None:
    """Add a change of RGB, (H, W, 3), to planes, which are rounded once.

    Example:
        >>> from ohlora_fast.ops.planes_op import Yuv
        >>> planes = [np.full(size, 128, np.uint8) for size in ((2, 2), (1, 1), (1, 1))]
        >>> add_change(planes, np.full((2, 2, 3), 10, np.float32), Yuv())
        >>> [int(plane[0, 0]) for plane in planes]
        [137, 128, 128]
    """
    import cv2

    means = cv2.resize(change, planes[1].shape[::-1], interpolation=cv2.INTER_AREA)
    for plane, one, row in zip(planes, (change, means, means), yuv.to_yuv[:, None], strict=True):
        plane[:] = np.clip(np.rint(plane + cv2.transform(one, row)), 0, (1 << yuv.bits) - 1)
