"""From a photo to what the student takes (squashed to a square, scaled to [−1, 1]), and from its map back."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from ohlora_fast.arguments import MAX_SIDE, as_batch, check_threads
from ohlora_fast.errors import InputError
from ohlora_fast.ops.arrays import aligned
from ohlora_fast.ops.ombre_op import backend_problem, cpu_threads
from ohlora_fast.student import SIZE


def squash(image: np.ndarray[Any, Any], threads: int | None = None, size: int = SIZE) -> np.ndarray[Any, Any]:
    """Resize uint8 images to a square, ignoring their aspect and dropping an alpha channel.

    Bilinear with a filter widened by the scale when shrinking: Pillow's ``BILINEAR`` to the last bit, first of the
    width and then of the height.

    Args:
        image: uint8 RGB or RGBA, (H, W, C) or (N, H, W, C), of any strides. Pixels of contiguous bytes are read where
            they are, whatever the distance of the rows; others are copied first.
        threads: CPU threads; all that this process may use if None. The result does not depend on it.
        size: of the square, the student's.

    Returns:
        uint8 (size, size, 3) or (N, size, size, 3), a new array.

    Raises:
        InputError: an argument is not one of these, or a side is longer than 2^20 pixels.

    >>> squash(np.full((40, 30, 4), 7, np.uint8)).shape
    (224, 224, 3)
    >>> squash(np.zeros((2, 40, 30, 3), np.uint8), threads=1).shape
    (2, 224, 224, 3)
    """
    check_threads(threads)
    photos = as_batch(np.asarray(image))
    if max(photos.shape[1:3]) > MAX_SIDE:
        raise InputError(f"image: got shape {image.shape}, allowed are heights and widths up to {MAX_SIDE}")
    squashed = squash_cpp(photos, threads, size) if backend_problem("cpp") is None else squash_pillow(photos, size)
    return squashed if image.ndim == 4 else squashed[0]


def squash_cpp(photos: np.ndarray[Any, Any], threads: int | None = None, size: int = SIZE) -> np.ndarray[Any, Any]:
    """Squash a batch with the compiled kernel; trusts its arguments.

    >>> squash_cpp(np.zeros((2, 40, 30, 3), np.uint8)).shape
    (2, 224, 224, 3)
    """
    from ohlora_fast import _core

    if photos.strides[3] != 1 or photos.strides[2] not in (3, 4):
        photos = np.ascontiguousarray(photos[..., :3])
    squashed: np.ndarray[Any, Any] = _core.squash(photos, size, cpu_threads(threads))
    return squashed


def squash_pillow(photos: np.ndarray[Any, Any], size: int = SIZE) -> np.ndarray[Any, Any]:
    """Squash a batch with Pillow, on one thread; trusts its arguments.

    Width first, then height: in one call, Pillow from 13 on takes them the other way round where the height shrinks
    much more than the width, and a byte rounded twice in another order may come out one off.

    >>> squash_pillow(np.zeros((2, 40, 30, 3), np.uint8)).shape
    (2, 224, 224, 3)
    """
    squashed = np.empty((len(photos), size, size, 3), np.uint8)
    for photo, out in zip(photos, squashed, strict=True):
        opened = Image.fromarray(np.ascontiguousarray(photo[..., :3]))
        narrow = opened.resize((size, opened.height), Image.Resampling.BILINEAR)
        out[:] = np.asarray(narrow.resize((size, size), Image.Resampling.BILINEAR))
    return squashed


def to_input(squashed: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Turn uint8 images (N, size, size, 3) into the student's input: float32 (N, 3, size, size) in [−1, 1].

    >>> to_input(np.full((1, 224, 224, 3), 255, np.uint8)).max()
    np.float32(1.0)
    """
    planes = np.ascontiguousarray(squashed.transpose(0, 3, 1, 2)).astype(np.float32)
    planes *= np.float32(2 / 255)
    planes -= np.float32(1)
    return planes


def unsquash(maps: np.ndarray[Any, Any], height: int, width: int, threads: int | None = None) -> np.ndarray[Any, Any]:
    """Resize probability maps to a photo's size: OpenCV's ``INTER_CUBIC``, clipped to [0, 1].

    Args:
        maps: float32 (h, w) or (N, h, w) in [0, 1].
        height, width: of the photo.
        threads: CPU threads; all that this process may use if None. The result does not depend on it.

    Returns:
        float32 (height, width) or (N, height, width).

    >>> unsquash(np.ones((2, 224, 224), np.float32), 30, 40).shape
    (2, 30, 40)
    """
    batch = maps if maps.ndim == 3 else maps[None]
    if backend_problem("cpp") is None:
        from ohlora_fast import _core

        resized: np.ndarray[Any, Any] = _core.resize_maps(aligned(batch), height, width, cpu_threads(threads))
    else:
        resized = unsquash_opencv(batch, height, width)
    return resized if maps.ndim == 3 else resized[0]


def unsquash_opencv(maps: np.ndarray[Any, Any], height: int, width: int) -> np.ndarray[Any, Any]:
    """Resize maps (N, h, w) with OpenCV, on its own threads.

    >>> unsquash_opencv(np.ones((2, 224, 224), np.float32), 30, 40).shape
    (2, 30, 40)
    """
    import cv2

    resized = np.stack([cv2.resize(one, (width, height), interpolation=cv2.INTER_CUBIC) for one in maps])
    return np.clip(resized, 0, 1, out=resized)
