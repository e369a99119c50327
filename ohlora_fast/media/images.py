"""Photos from and to image files.

What is kept, what is converted:

- EXIF orientation is applied, and gone from what is written; the embedded thumbnail goes too. The other
  descriptive EXIF tags (camera, exposure, place, author …), the resolution and an RGB colour profile are
  kept; BMP has no room for EXIF.
- XMP, IPTC, comments, PNG's text and gAMA are kept where the format written has room for them, else a warning says
  what is left out; `Photo.notes` names what only the original can hold: gain map, depth map, motion photo's video.
- JPEG to JPEG keeps the quantisation tables, the chroma subsampling and progressive order, unless a quality
  is given. WebP stays lossless if it was. TIFF keeps a lossless compression, and otherwise gets deflate; with
  camera or place tags in its EXIF it is written uncompressed.
- 16-bit pictures are read with their upper 8 bits. Grey becomes RGB. Transparency, in a palette too, becomes
  an alpha channel. CMYK, LAB and grey with a grey profile become sRGB. (`media.convert.to_pixels` has more.)
- A JPEG that lacks its end marker alone is read; one that lacks more is refused.
- AVIF and HEIC with more than 8 bits are read with 8. HEIC needs pillow-heif.
- Of an animation or a multi-page file the first frame is read, and `Photo.notes` says so.
- JPEG and BMP cannot keep alpha: a picture that is not fully opaque is laid on white, with a warning. BMP
  keeps no profile either: the picture is converted to sRGB first.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

from ohlora_fast.errors import InputError
from ohlora_fast.media.convert import Pixels, to_srgb
from ohlora_fast.media.extras import NO_EXTRAS, jpeg_segments, png_info, tiff_exif
from ohlora_fast.media.files import check_target, written_whole
from ohlora_fast.media.jpeg import behind, with_end
from ohlora_fast.media.metadata import has_blocks
from ohlora_fast.media.opening import FORMATS, MAX_PIXELS, open_picture, output_format, pillow_heif
from ohlora_fast.media.photo import Photo, build_photo, photo_from_pil, reason_for

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "Photo",
    "decode_photo",
    "encode_photo",
    "output_format",
    "photo_from_pil",
    "read_photo",
    "write_photo",
]

UNREADABLE = "it is corrupt, cut short or of a kind that cannot be read"
CUT_SHORT = "its end marker is missing, but nothing of the picture"
LONGEST_SIDE = {"JPEG": 65_500, "WEBP": 16_383, "AVIF": 65_536, "HEIF": 16_384}
LOSSLESS_TIFF = ("raw", "packbits", "tiff_lzw", "tiff_adobe_deflate")
DEFAULT_QUALITY = {"JPEG": 95, "WEBP": 95, "AVIF": 90, "HEIF": 90}


def read_photo(path: str | os.PathLike[str], max_pixels: int = MAX_PIXELS) -> Photo:
    """Read a JPEG, PNG, WebP, TIFF, BMP, AVIF or HEIC file, told by its content, not by its name.

    Args:
        path: the file.
        max_pixels: a larger picture is refused by the size its header states, before it is decoded.

    Returns:
        A `Photo` with uint8 pixels, (H, W, 3) or (H, W, 4), upright.

    Raises:
        InputError: there is no such file, it is a folder, empty, no picture, corrupt, cut short, too large,
            or cannot be read. The message names the file, what came, and what is allowed.

    >>> import tempfile
    >>> name = os.path.join(tempfile.mkdtemp(), "x.png")
    >>> write_photo(name, np.zeros((3, 5, 3), np.uint8))
    >>> read_photo(name).pixels.shape
    (3, 5, 3)
    """
    path = Path(path)
    with _readable(path):
        if path.is_dir():
            raise InputError("it is a folder, not a file")
        if path.exists() and not path.is_file():
            raise InputError("it is not a regular file")
        with open(path, "rb") as file:
            return _decoded(file, path, max_pixels, None, None)


def decode_photo(
    file: IO[bytes],
    name: str,
    max_pixels: int = MAX_PIXELS,
    side: int | None = None,
    admit: Callable[[int], None] | None = None,
) -> Photo:
    """Read a picture from a binary file that can be sought, such as `io.BytesIO`; else as `read_photo`.

    Args:
        file: at its begin.
        name: stands for it in messages.
        max_pixels: as for `read_photo`.
        side: enough pixels for what the picture is needed for: a JPEG whose sides are at least twice as long is decoded
            at a half, a quarter or an eighth of its size, in a fraction of the time. `Photo.size` tells its own.
        admit: is called with the number of pixels before memory is taken for them, maybe more than once; it may wait,
            or refuse by an `InputError`.

    >>> import io
    >>> file = io.BytesIO()
    >>> encode_photo(file, np.zeros((80, 64, 3), np.uint8), "x.jpg")
    >>> photo = decode_photo(file, "x.jpg", side=16)
    >>> photo.pixels.shape, photo.size
    ((20, 16, 3), (80, 64))
    """
    file.seek(0)
    with _readable(name):
        return _decoded(file, None, max_pixels, side, admit)


@contextmanager
def _readable(name: str | Path) -> Iterator[None]:
    """Turn whatever comes up while `name` is read into an `InputError` that names it."""
    try:
        yield
    except InputError as error:
        raise InputError(f"cannot read {name}: {error}") from error
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else f"{UNREADABLE} ({reason_for(error)})"
        raise InputError(f"cannot read {name}: {reason}") from error
    except Exception as error:  # a decoder may raise anything at bytes it was not made for
        raise InputError(f"cannot read {name}: {UNREADABLE} ({reason_for(error)})") from error


def _decoded(
    file: IO[bytes], path: Path | None, max_pixels: int, side: int | None, admit: Callable[[int], None] | None
) -> Photo:
    try:
        photo = _decoded_whole(file, path, max_pixels, side, admit)
        if photo.format != "JPEG":
            return photo
        told = behind(file)
        if told is not None:
            return replace(photo, notes=tuple(dict.fromkeys((*photo.notes, *told))))
        cut: OSError = OSError("there is no end marker")
    except OSError as error:  # Pillow's word for a file that ends too early
        if "truncated" not in str(error) or not _is_jpeg(file):
            raise
        cut = error
    mended = with_end(file)
    if mended is None:
        raise cut
    photo = _decoded_whole(mended, path, max_pixels, side, admit)
    return replace(photo, notes=(*photo.notes, CUT_SHORT))


def _is_jpeg(file: IO[bytes]) -> bool:
    file.seek(0)
    return file.read(3) == b"\xff\xd8\xff"


def _decoded_whole(
    file: IO[bytes], path: Path | None, max_pixels: int, side: int | None, admit: Callable[[int], None] | None
) -> Photo:
    file.seek(0)
    image, lossless = open_picture(file, max_pixels, admit)
    size = image.size
    if side is not None and image.format == "JPEG":
        image.draft(None, (side, side))
    return build_photo(image, path, lossless, size)


def write_photo(
    path: str | os.PathLike[str],
    pixels: Pixels,
    like: Photo | None = None,
    quality: int | None = None,
    overwrite: bool = False,
) -> None:
    """Write `pixels` to a file whose suffix tells the format; it appears whole or not at all.

    Args:
        path: the file to write: .jpg .jpeg .png .webp .tif .tiff .bmp .avif .heic .heif. Its folder must exist.
        pixels: uint8, (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA.
        like: the photo they were made from: its EXIF, XMP and the like, colour profile, resolution and compression are
            kept; what the format has no room for is left out with a warning.
        quality: 1 to 100 for JPEG, lossy WebP (95 by default, where `like` does not tell), AVIF and HEIC (90).
        overwrite: whether an existing file may be replaced. The file that `like` came from never is.

    Raises:
        InputError: unknown suffix, wrong pixels or quality, the file exists or cannot be written.

    >>> import tempfile
    >>> name = os.path.join(tempfile.mkdtemp(), "x.jpg")
    >>> write_photo(name, np.zeros((3, 5, 3), np.uint8), quality=90)
    >>> write_photo(name, np.zeros((3, 5, 3), np.uint8), overwrite=True)
    """
    path = Path(path)
    form = output_format(path)
    _check_picture(pixels, quality, path, form)
    check_target(path, None if like is None else like.path, overwrite)
    with _writable(path), written_whole(path) as file:
        _encode(file, pixels, path, form, like, quality)


def encode_photo(
    file: IO[bytes],
    pixels: Pixels,
    name: str | os.PathLike[str],
    like: Photo | None = None,
    quality: int | None = None,
) -> None:
    """Write `pixels` into an open binary file, in the format of the suffix of `name`; else as `write_photo`.

    >>> import io
    >>> file = io.BytesIO()
    >>> encode_photo(file, np.zeros((3, 5, 3), np.uint8), "x.png")
    >>> file.getvalue()[1:4]
    b'PNG'
    """
    path = Path(name)
    form = output_format(path)
    _check_picture(pixels, quality, path, form)
    with _writable(path):
        _encode(file, pixels, path, form, like, quality)


def _encode(file: IO[bytes], pixels: Pixels, path: Path, form: str, like: Photo | None, quality: int | None) -> None:
    image = Image.fromarray(pixels)
    if form in ("JPEG", "BMP") and image.mode == "RGBA":
        image = _on_white(image, path, form)
    if form == "BMP" and like is not None and like.icc_profile:
        image = to_srgb(image.convert("RGB"), like.icc_profile) or image
    options = _options(form, like, quality, path)
    if form == "HEIF":
        pillow_heif().from_pillow(image).save(file, **options)
    else:
        image.save(file, format=form, **options)


@contextmanager
def _writable(path: Path) -> Iterator[None]:
    """Turn whatever comes up while `path` is written into an `InputError` that names it."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # encoders raise what they like, too
        raise InputError(f"cannot write {path}: {reason_for(error)}") from error


def _check_picture(pixels: Pixels, quality: int | None, path: Path, form: str) -> None:
    if quality is not None and not (type(quality) is int and 1 <= quality <= 100):
        raise InputError(f"quality: {quality!r} came; allowed is a whole number from 1 to 100")
    fits = (
        isinstance(pixels, np.ndarray)
        and pixels.dtype == np.uint8
        and (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4)))
        and pixels.size > 0
    )
    if not fits:
        came = f"{getattr(pixels, 'dtype', type(pixels).__name__)} {getattr(pixels, 'shape', '')}".strip()
        raise InputError(f"pixels: {came} came; allowed is uint8 (H, W), (H, W, 3) or (H, W, 4)")
    limit = LONGEST_SIDE.get(form)
    if limit and max(pixels.shape[:2]) > limit:
        size = f"{pixels.shape[1]}×{pixels.shape[0]}"
        raise InputError(f"cannot write {path}: it has {size} pixels; {form} allows {limit} a side")


def _on_white(image: Image.Image, path: Path, form: str) -> Image.Image:
    if image.getchannel("A").getextrema() == (255, 255):
        return image.convert("RGB")
    warnings.warn(f"{path}: {form} keeps no transparency; the picture is laid on white", stacklevel=3)
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _options(form: str, like: Photo | None, quality: int | None, path: Path) -> dict[str, Any]:
    """What to hand to Pillow's `save`."""
    options: dict[str, Any] = {}
    extras, lost = (NO_EXTRAS if like is None else like.extras).without(form)
    exif = None if like is None else like.exif
    if exif and form == "BMP":
        exif, lost = None, ["EXIF", *lost]
    elif exif and form == "JPEG" and len(exif) > 65_533:
        exif = None
        warnings.warn(f"{path}: the EXIF block is too long for JPEG and is left out", stacklevel=3)
    if exif:
        options["exif"] = exif
    if like is not None and like.icc_profile and form != "BMP":
        options["icc_profile"] = like.icc_profile
    if like is not None and like.dpi and form not in ("WEBP", "AVIF", "HEIF"):
        options["dpi"] = like.dpi
    if lost:
        warnings.warn(f"{path}: {form} has no room for {', '.join(lost)}: left out", stacklevel=3)
    if form == "JPEG":
        kept = like.jpeg if like is not None else None
        options["subsampling"] = kept.subsampling if kept else 0
        if kept and quality is None:
            options |= {"qtables": [list(table) for table in kept.tables], "progressive": kept.progressive}
        else:
            options["quality"] = quality or DEFAULT_QUALITY[form]
        options["extra"], long = jpeg_segments(extras)
        for name in long:
            warnings.warn(f"{path}: {name} is too long for JPEG and is left out", stacklevel=3)
    elif form in DEFAULT_QUALITY:
        if like is not None and like.lossless and quality is None and form == "WEBP":
            options |= {"lossless": True, "exact": True}
        else:
            options["quality"] = quality or DEFAULT_QUALITY[form]
        if extras.xmp:
            options["xmp"] = extras.xmp
    elif form == "PNG":
        options["pnginfo"] = png_info(extras)
    elif form == "TIFF":
        kept_compression = like.compression if like and like.compression in LOSSLESS_TIFF else None
        # libtiff, which compresses, cannot be given camera and place blocks.
        options["compression"] = "raw" if has_blocks(exif) else kept_compression or "tiff_adobe_deflate"
        if exif or extras.xmp or extras.iptc:
            options["exif"] = tiff_exif(exif, extras)
    return options
