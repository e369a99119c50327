"""The photo in memory: upright uint8 pixels, and what the file said beside them."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from ohlora_fast.errors import InputError
from ohlora_fast.media.convert import Pixels, to_pixels
from ohlora_fast.media.extras import NO_EXTRAS, Extras, read_extras
from ohlora_fast.media.metadata import JpegSettings, jpeg_settings, orientation, resolution, upright_exif

# Orientation → how to turn the pixels upright: (swap rows and columns first, then reverse rows, columns).
TURNS = {
    1: (False, 1, 1),
    2: (False, 1, -1),
    3: (False, -1, -1),
    4: (False, -1, 1),
    5: (True, 1, 1),
    6: (True, 1, -1),
    7: (True, -1, -1),
    8: (True, -1, 1),
}


MOVING = ("GIF", "PNG", "WEBP")


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo as it is dyed, with what `write_photo(..., like=photo)` keeps.

    Attributes:
        pixels: (H, W, 3) RGB or (H, W, 4) RGBA, uint8, upright.
        path: the file it came from, None for a picture made in memory.
        format: "JPEG", "PNG", "WEBP", "TIFF", "BMP", "AVIF" or "HEIF"; None or another name of Pillow's for one made in
            memory.
        icc_profile: the RGB colour profile that the pixels are in, None for sRGB or unknown.
        exif: the EXIF block without orientation and thumbnail.
        extras: XMP, IPTC, comments, text: what the file says beside these.
        dpi: resolution, (x, y).
        jpeg: how a JPEG was compressed.
        lossless: whether a WebP was.
        compression: how a TIFF was, in Pillow's words.
        size: the picture's own height and width, if `pixels` were decoded smaller; else None.
        notes: what was converted, dropped or left out, a phrase each.
    """

    pixels: Pixels
    path: Path | None = None
    format: str | None = None
    icc_profile: bytes | None = None
    exif: bytes | None = None
    extras: Extras = NO_EXTRAS
    dpi: tuple[float, float] | None = None
    jpeg: JpegSettings | None = None
    lossless: bool = False
    compression: str | None = None
    size: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()


def photo_from_pil(image: Image.Image) -> Photo:
    """Turn a PIL image of any mode into a `Photo`: EXIF orientation applied, 8 bits, RGB or RGBA.

    A picture read with `PIL.Image.open` keeps its EXIF, colour profile and JPEG settings; of several frames
    the one it was sought to is taken. See `read_photo` for what happens to each kind of picture.

    Raises:
        InputError: the picture has no pixels, cannot be decoded, or holds values outside its range.

    >>> photo_from_pil(Image.new("LA", (5, 3))).pixels.shape
    (3, 5, 4)
    """
    try:
        return build_photo(image, path=None, lossless=False)
    except InputError:
        raise
    except Exception as error:  # a decoder may raise anything at bytes it was not made for
        raise InputError(f"cannot read the picture: {reason_for(error)}") from error


def build_photo(image: Image.Image, path: Path | None, lossless: bool, size: tuple[int, int] | None = None) -> Photo:
    """Decode `image` and gather its `Photo`; decoding errors pass through as they come.

    `size` is the picture's own width and height where `image` was set to be decoded smaller.
    """
    if 0 in image.size:
        raise InputError(f"the picture is {image.width}×{image.height} pixels; allowed is 1×1 and more")
    image.load()
    pixels, icc, notes = to_pixels(image)
    turn = orientation(image)
    pixels = upright(pixels, turn)
    exif = None
    try:
        exif = upright_exif(image, (pixels.shape[1], pixels.shape[0]), turn != 1)
    except Exception:  # EXIF is full of surprises, and none of them is worth a photo
        notes += ("its EXIF block cannot be read and is dropped",)
    dropped: tuple[str, ...]
    extras, dropped = NO_EXTRAS, ("its XMP, IPTC and texts cannot be read and are dropped",)
    with contextlib.suppress(Exception):  # as EXIF
        extras, dropped = read_extras(image, pixels.shape[:2], turn != 1)
    if icc is None and image.info.get("icc_profile"):
        extras = replace(extras, color=())  # they were said of numbers that have become others
    notes += dropped
    frames = 1
    with contextlib.suppress(Exception):  # a broken second frame does no harm to the first
        frames = getattr(image, "n_frames", 1)
    if frames > 1:
        current = image.tell()  # a PIL image may have been sought to a later one
        which = f"number {current + 1}" if current else "the first"
        notes += (f"it holds {frames} frames; {which} is used{_elsewhere(image)}",)
    compression = image.info.get("compression")
    return Photo(
        pixels=pixels,
        path=path,
        format="JPEG" if image.format == "MPO" else image.format,
        icc_profile=icc,
        exif=exif,
        extras=extras,
        dpi=resolution(image),
        jpeg=jpeg_settings(image),
        lossless=lossless,
        compression=compression if isinstance(compression, str) else None,
        size=None if size in (None, image.size) else size if TURNS[turn][0] else size[::-1],
        notes=notes,
    )


def _elsewhere(image: Image.Image) -> str:
    """The command that dyes all frames of an animation, as the end of a note; nothing for pages."""
    return "; `ohlora-fast video` dyes all of them" if image.format in MOVING else ""


def upright(pixels: Pixels, turn: int) -> Pixels:
    """Return pixels (H, W, C) as EXIF orientation `turn` (1 to 8) asks to show them."""
    swap, rows, columns = TURNS[turn]
    turned = pixels.swapaxes(0, 1) if swap else pixels
    return np.ascontiguousarray(turned[::rows, ::columns])


def reason_for(error: Exception) -> str:
    """Return what to print for an exception from a decoder or encoder: one line."""
    if isinstance(error, MemoryError):
        return "there is not enough memory for it"
    return " ".join(str(error).split()) or type(error).__name__
