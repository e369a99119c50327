"""`segment` and `dye` as functions of an image, in the manner of scikit-image: floats in [0, 1] or bytes.

They share one `HairStylist`, made on first use.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ohlora_fast.arguments import as_batch, shown
from ohlora_fast.errors import InputError
from ohlora_fast.ombre import Ombre
from ohlora_fast.stylist import HairStylist

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ohlora_fast.stylist import Parameter

__all__ = ["default_stylist", "dye", "segment"]

Value = TypeVar("Value", np.uint8, np.float32, np.float64)
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def default_stylist(checkpoint: str | None = None, threads: int | None = None) -> HairStylist:
    """The stylist that calls with these arguments share within a process; arguments as of `HairStylist`."""
    return _stylist_of(os.getpid(), checkpoint, threads)


# A forked process makes stylists of its own, since threads do not live on in it. It keeps those of its parent, whose
# threads ONNX Runtime would wait for in vain if it let them go.
@cache
def _stylist_of(process: int, checkpoint: str | None, threads: int | None) -> HairStylist:
    return HairStylist(checkpoint, threads=threads)


def segment(image: NDArray[Value], heads: Any = "auto") -> NDArray[np.float32]:
    """Find the hair in an image, head by head.

    Args:
        image: RGB or RGBA, (H, W, C) or (N, H, W, C): uint8, or float32 or float64 in [0, 1].
        heads: whose hair, as in :meth:`ohlora_fast.HairStylist.segment`: ``"auto"``, ``"whole"``, indices or boxes.

    Returns:
        Hair probability, float32 in [0, 1]: (H, W) or (N, H, W).

    Raises:
        InputError: the image is not one of these, or `heads` is none of what is allowed.

    >>> segment(np.zeros((60, 40, 3))).shape
    (60, 40)
    """
    prob: NDArray[np.float32] = default_stylist().segment(as_bytes(image), heads=heads)
    return prob


def dye(
    image: NDArray[Value],
    color: Parameter = Ombre.color,
    ombre_height: Parameter = Ombre.ombre_height,
    ombre_grad_height: Parameter = Ombre.ombre_grad_height,
    prob: NDArray[np.floating[Any]] | None = None,
    heads: Any = "auto",
) -> NDArray[Value]:
    """Dye the hair in an image with a vertical gradient, each head's in its own rows.

    Args:
        image: RGB or RGBA, (H, W, C) or (N, H, W, C): uint8, or float32 or float64 in [0, 1], whose result is not
            rounded (it is computed by PyTorch, in float32).
        color: hue in [0, 1]: 0 red, 0.1 orange, 0.5 sky blue, 0.9 pink, 1 red again.
        ombre_height: which part of the hair's height is dyed, from below, in [0, 1].
        ombre_grad_height: which part of that is the gradient, in [0, 1].
            The three are one for all, or several: one a head, or for a batch one an image.
        prob: hair probability in [0, 1], (h, w) or (N, h, w) of any size, by which an image is dyed as one head; None:
            found by the bundled student.
        heads: whose hair, as in :meth:`ohlora_fast.HairStylist.segment`; has no place beside `prob`.

    Returns:
        A new image of the same shape, dtype and range. Where no hair is found, it is the image.

    Raises:
        InputError: an argument is not one of these.

    Warns:
        NoHairWarning: an image has no row of hair.

    >>> photo = np.full((4, 4, 3), 0.4)
    >>> dye(photo, color=0.5, ombre_height=1, ombre_grad_height=0, prob=np.ones((2, 2)))[0, 0].round(3).tolist()
    [0.39, 0.639, 0.64]
    """
    return dyed_by(default_stylist(), image, (color, ombre_height, ombre_grad_height), prob, heads)


def dyed_by(
    stylist: HairStylist,
    image: NDArray[Value],
    parameters: tuple[Parameter, Parameter, Parameter],
    prob: NDArray[np.floating[Any]] | None,
    heads: Any,
) -> NDArray[Value]:
    """As `dye`, by another stylist."""
    if prob is not None and not (isinstance(heads, str) and heads == "auto"):
        raise InputError(f"heads: got {shown(heads)} beside prob, allowed is 'auto': a map has no heads")
    pixels = as_bytes(image)
    as_batch(pixels)
    if image.dtype == np.uint8:
        dyed: NDArray[Value] = _dyed(stylist, pixels, prob, parameters, heads)
        return dyed
    import torch

    planes = torch.from_numpy(np.moveaxis(image, -1, -3).astype(np.float32) * np.float32(255))
    maps = None if prob is None else torch.from_numpy(np.asarray(prob, np.float32))
    change = _dyed(stylist, planes, maps, parameters, heads) - planes
    # Added to the image itself, so that what is not dyed stays as it was to the last bit.
    added: NDArray[Any] = image + np.moveaxis(change.numpy(), -3, -1).astype(image.dtype) / 255
    return added


def _dyed(
    stylist: HairStylist, image: Any, prob: Any, parameters: tuple[Parameter, Parameter, Parameter], heads: Any
) -> Any:
    if prob is None:
        return stylist.dye(image, *parameters, heads=heads)
    return stylist.dye_by_map(image, prob, *parameters)


def as_bytes(image: NDArray[Value]) -> NDArray[np.uint8]:
    """An image as uint8.

    Raises:
        InputError: it is no array, of another dtype, or has values outside [0, 1].
    """
    if not isinstance(image, np.ndarray) or image.dtype not in (np.dtype(np.uint8), *FLOATS):
        came = f"dtype {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__
        raise InputError(f"image: got {came}, allowed is a NumPy array of uint8, float32 or float64")
    if image.dtype == np.uint8 or image.size == 0:
        return image.astype(np.uint8, copy=False)
    lowest, highest = float(image.min()), float(image.max())
    if not (lowest >= 0 and highest <= 1):
        raise InputError(f"image: got floats from {lowest:g} to {highest:g}, allowed are 0 to 1")
    return np.rint(image * 255).astype(np.uint8)
