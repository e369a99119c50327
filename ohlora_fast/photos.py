"""The photos that `HairStylist` takes, opened and brought into one form, and the settings that come with several."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ohlora_fast.arguments import as_batch
from ohlora_fast.errors import InputError, NoHairWarning
from ohlora_fast.heads.boxes import ALLOWED
from ohlora_fast.heads.hair import Hair
from ohlora_fast.ops.ombre_op import is_tensor

if TYPE_CHECKING:
    from torch import Tensor

Array = np.ndarray[Any, Any]


def open_photos(image: Any) -> tuple[Any, bool]:
    """Bring one photo or batch into the form (N, H, W, C), for tensors (N, C, H, W); and tell whether it was one.

    Raises:
        InputError: as `HairStylist.segment`.
    """
    if isinstance(image, str | Path):
        from ohlora_fast.media.images import read_photo

        return read_photo(image).pixels[None], True
    if "PIL.Image" in sys.modules and isinstance(image, sys.modules["PIL.Image"].Image):
        from ohlora_fast.media.images import photo_from_pil

        return photo_from_pil(image).pixels[None], True
    if not isinstance(image, np.ndarray) and not is_tensor(image):
        raise InputError(
            f"image: got {type(image).__name__}, allowed are a NumPy array, a PyTorch tensor, a PIL image, a path, "
            "or a list of these"
        )
    photos = as_batch(image)
    return photos, photos.ndim != image.ndim


def size_of(photo: Any) -> tuple[int, int]:
    """Height and width of a photo: an array (H, W, C) or a tensor (C, H, W)."""
    height, width = photo.shape[:2] if isinstance(photo, np.ndarray) else photo.shape[-2:]
    return int(height), int(width)


def as_bytes(photo: Any) -> Array:
    """A photo or batch as uint8: an array (…, H, W, 3 or 4) as it is, a tensor (…, C, H, W) rounded to (…, H, W, 3)."""
    if isinstance(photo, np.ndarray):
        return photo
    rounded = photo.detach()[..., :3, :, :].float().round().clamp(0, 255).byte()
    pixels: Array = rounded.movedim(-3, -1).cpu().numpy()
    return pixels


def as_tensor(prob: Array, device: Any) -> Tensor:
    """An array as a tensor on a device."""
    import torch

    return torch.from_numpy(prob).to(device)


def stacked(photos: Sequence[Any]) -> Any:
    """Arrays or tensors of one shape as one with a first axis more."""
    if len(photos) == 1:
        return photos[0][None]
    if isinstance(photos[0], np.ndarray):
        return np.stack(photos)
    import torch

    return torch.stack(list(photos))


def resize_tensor(x: Tensor, size: Sequence[int], mode: str) -> Tensor:
    """Resize (N, C, H, W), with an antialiasing filter where ``mode`` is bilinear."""
    import torch.nn.functional as F

    return F.interpolate(x, tuple(size), mode=mode, align_corners=False, antialias=mode == "bilinear")


def heads_of_photos(heads: Any, count: int) -> list[Any]:
    """The argument `heads` for each of several photos: one string for all, or an entry a photo.

    Raises:
        InputError: neither came.

    >>> heads_of_photos("auto", 2), heads_of_photos([[0], "whole"], 2)
    (['auto', 'auto'], [[0], 'whole'])
    """
    if isinstance(heads, str):
        return [heads] * count
    if not isinstance(heads, list | tuple | np.ndarray) or len(heads) != count:
        came = f"{len(heads)} entries" if isinstance(heads, list | tuple | np.ndarray) else type(heads).__name__
        raise InputError(
            f"heads: got {came} for {count} photos, allowed is a string, or a list with an entry a photo: {ALLOWED}"
        )
    return list(heads)


def check_hairs(hairs: Hair | Sequence[Hair], photos: Any, single: bool) -> list[Hair]:
    """The hair of each photo of a checked batch.

    Raises:
        InputError: there is not one a photo, or one is of a photo of another size or kind.
    """
    given = [hairs] if isinstance(hairs, Hair) else list(hairs)
    if len(given) != len(photos) or single != isinstance(hairs, Hair):
        raise InputError(f"prob: got Hair of {len(given)} photos for {len(photos)}, allowed is one a photo")
    for photo, hair in zip(photos, given, strict=True):
        if hair.size != size_of(photo):
            raise InputError(
                f"prob: got Hair of a photo of {hair.size[1]}×{hair.size[0]} for one of "
                f"{size_of(photo)[1]}×{size_of(photo)[0]}, allowed is one size; "
                "`Hair.resized` brings it to another"
            )
        if is_tensor(photo) != is_tensor(hair.prob):
            raise InputError("prob: got Hair of another kind than the photo, allowed are two arrays or two tensors")
    return given


def warn_no_hair(without: Sequence[int], single: bool = False) -> None:
    """Warn, as from the caller of `HairStylist.dye`, of photos without hair."""
    if without:
        which = "" if single else f" in photo {', '.join(map(str, without))}"
        warnings.warn(f"no hair found{which}; left unchanged", NoHairWarning, stacklevel=3)
