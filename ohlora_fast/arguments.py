"""The arguments that images, maps and settings come in: checked, and brought into one form."""

from __future__ import annotations

import math
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import InputError
from .ops.arrays import aligned
from .ops.ombre_op import is_tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_SIDE = 2**20
"""The largest height and width that :func:`ohlora_fast.ombre.has_hair` takes."""

FINEST_SIDE = 2**14
"""Height and width at which :func:`ohlora_fast.ombre.has_hair` looks at a map, if the image has more pixels than such a
square and the map itself is not larger: enough for all photos that files may hold, and a fraction of a second."""


def check_threads(threads: Any) -> None:
    """Check a number of CPU threads; None stands for all.

    Raises:
        InputError: neither None nor a whole number from 1.

    Example:
        >>> check_threads(4)
    """
    if threads is not None and not is_whole(threads):
        raise InputError(f"threads: got {shown(threads)}, allowed is a whole number from 1, or None")


def as_batch(image: Any) -> Any:
    """Check one image or a batch, and return the batch: a view with a first axis added to a single image.

    Raises:
        InputError: no array or tensor that :func:`ohlora_fast.apply_ombre` takes.

    Example:
        >>> as_batch(np.zeros((5, 4, 3), np.uint8)).shape
        (1, 5, 4, 3)
    """
    return _tensor_images(image) if is_tensor(image) else _array_images(image)


def check_alike(images: Any, prob: Any) -> None:
    """Check that a map is an array or a tensor as its images are, and lies on their device.

    Raises:
        InputError: it does not.
    """
    tensor = is_tensor(images)
    if is_tensor(prob) != tensor:
        raise InputError(f"prob: got {_kind(prob)} for an image that is {_kind(images)}, allowed is the same kind")
    if tensor and prob.device != images.device:
        raise InputError(f"prob: got a tensor on {prob.device} for an image on {images.device}, allowed is one device")


def _kind(value: Any) -> str:
    if is_tensor(value):
        return "a torch tensor"
    return "a NumPy array" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"


def _array_images(image: Any) -> Any:
    allowed = "allowed is uint8 RGB or RGBA, (H, W, C) or (N, H, W, C)"
    if not isinstance(image, np.ndarray):
        raise InputError(f"image: got {_kind(image)}, allowed is a NumPy array or a torch tensor")
    if image.dtype != np.uint8:
        raise InputError(f"image: got dtype {image.dtype}, {allowed}")
    if image.ndim not in (3, 4) or image.shape[-1] not in (3, 4) or image.size == 0:
        raise InputError(f"image: got shape {image.shape}, {allowed}")
    return image if image.ndim == 4 else image[None]


def _tensor_images(image: Any) -> Any:
    import torch

    allowed = "allowed is RGB or RGBA, (C, H, W) or (N, C, H, W), uint8 or float32 in 0 to 255"
    if image.dtype not in (torch.uint8, torch.float32):
        raise InputError(f"image: got dtype {image.dtype}, {allowed}")
    if image.ndim not in (3, 4) or image.shape[-3] not in (3, 4) or image.numel() == 0:
        raise InputError(f"image: got shape {tuple(image.shape)}, {allowed}")
    if image.dtype == torch.float32:
        _check_range("image", image, 255)
    return image if image.ndim == 4 else image[None]


def as_maps(prob: Any, count: int | None) -> Any:
    """Check maps, and give them as float32 (M, h, w). ``count`` images take M of 1 or count; None takes any M."""
    tensor = is_tensor(prob)
    if not tensor and not isinstance(prob, np.ndarray):
        raise InputError(f"prob: got {_kind(prob)}, allowed is a NumPy array or a torch tensor")
    if tensor:
        known = str(prob.dtype) in ("torch.float16", "torch.float32", "torch.float64")
    else:
        known = prob.dtype.kind == "f" and prob.dtype.itemsize in (2, 4, 8)  # in any byte order
    if not known:
        raise InputError(f"prob: got dtype {prob.dtype}, allowed are float16, float32 and float64")
    shape = tuple(prob.shape)
    maps = prob[:, 0] if prob.ndim == 4 and shape[1] == 1 else prob[None] if prob.ndim == 2 else prob
    if maps.ndim != 3 or 0 in shape or (count is not None and len(maps) not in (1, count)):
        images = "" if count is None else f", N being 1 or the number of images, {count}"
        raise InputError(f"prob: got shape {shape}, allowed are (h, w), (N, h, w) and (N, 1, h, w){images}")
    if not tensor:
        # Float16 is slow to compare; widening it is exact. Float64 is checked before it is rounded.
        maps = maps.astype(np.float32) if maps.dtype.itemsize == 2 else maps
        _check_range("prob", maps, 1)
        return aligned(maps, np.float32)
    _check_range("prob", maps, 1)
    return maps.float()


def _check_range(name: str, values: Any, high: int) -> None:
    if is_tensor(values):
        import torch

        if torch.compiler.is_compiling():  # a graph cannot depend on values
            return
        lowest, highest = (float(one) for one in values.detach().aminmax())
    else:
        lowest, highest = float(values.min()), float(values.max())
    if lowest >= 0 and highest <= high:  # false for NaN, which minimum and maximum pass on
        return
    if lowest != lowest or highest != highest:
        raise InputError(f"{name}: got NaN, allowed are values from 0 to {high}")
    raise InputError(f"{name}: got values from {lowest:g} to {highest:g}, allowed are 0 to {high}")


def is_whole(value: Any, high: float = math.inf) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and 1 <= int(value) <= high


def shown(value: Any) -> str:
    """A value on one line: in Python's notation where that is short, else its kind."""
    try:
        text = repr(value)
    except ValueError:  # whole numbers of thousands of digits
        return f"{_kind(value)} too long to show"
    return text if len(text) <= 80 and "\n" not in text else _kind(value)


def as_number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InputError(f"{name}: got {shown(value)}, allowed is a number from 0 to 1")
    try:
        number = float(value)
    except OverflowError:
        raise InputError(f"{name}: got a number too large for a float, allowed is a number from 0 to 1") from None
    if not 0 <= number <= 1:
        raise InputError(f"{name}: got {number:g}, allowed is a number from 0 to 1")
    return number


def as_settings(name: str, value: Any, count: int) -> NDArray[np.float64]:
    """One float64 a sample, from a number or a sequence of them."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return np.full(count, as_number(name, value))
    if is_tensor(value) or isinstance(value, np.ndarray):
        if value.ndim > 1:
            shape = tuple(value.shape)
            raise InputError(f"{name}: got shape {shape}, allowed is one number or one an image, {(count,)}")
        value = value.tolist() if is_tensor(value) else value[()] if value.ndim == 0 else list(value)
    if not isinstance(value, (list, tuple)):
        return np.full(count, as_number(name, value))
    if len(value) != count:
        raise InputError(f"{name}: got {len(value)} values for {count} images, allowed is one number or one an image")
    return np.array([as_number(f"{name}[{n}]", one) for n, one in enumerate(value)])
