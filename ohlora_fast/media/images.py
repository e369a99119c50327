"""Photos from and to image files.

What is kept, what is converted:

- EXIF orientation is applied, and gone from what is written; the embedded thumbnail goes too. The other
  descriptive EXIF tags (camera, exposure, place, author …), the resolution and an RGB colour profile are
  kept; BMP has no room for EXIF.
- JPEG to JPEG keeps the quantisation tables, the chroma subsampling and progressive order, unless a quality
  is given. WebP stays lossless if it was. TIFF keeps a lossless compression, and otherwise gets deflate; with
  camera or place tags in its EXIF it is written uncompressed.
- 16-bit pictures are read with their upper 8 bits. Grey becomes RGB. Transparency, in a palette too, becomes
  an alpha channel. CMYK, LAB and grey with a grey profile become sRGB. (`media.convert.to_pixels` has more.)
- Of an animation or a multi-page file the first frame is read, and `Photo.notes` says so.
- JPEG and BMP cannot keep alpha: a picture that is not fully opaque is laid on white, with a warning. BMP
  keeps no profile either: the picture is converted to sRGB first.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import BmpImagePlugin, Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from ohlora_fast.errors import InputError
from ohlora_fast.media.convert import Pixels, to_srgb
from ohlora_fast.media.files import check_target, written_whole
from ohlora_fast.media.metadata import has_blocks
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

# Pillow's own limit: above it WebP and TIFF files are refused by Pillow whatever is asked for here.
MAX_PIXELS = 178_956_970

# Suffix → format, for output and for finding pictures in a folder.
FORMATS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
}
ALLOWED = "allowed are JPEG, PNG, WebP, TIFF and BMP"
UNREADABLE = "it is corrupt, cut short or of a kind that cannot be read"
LONGEST_SIDE = {"JPEG": 65_500, "WEBP": 16_383}
LOSSLESS_TIFF = ("raw", "packbits", "tiff_lzw", "tiff_adobe_deflate")
DEFAULT_QUALITY = 95

OTHER_FILES = {
    b"GIF8": "a GIF",
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"<svg": "an SVG drawing",
    b"<": "a web page or XML",
}


def read_photo(path: str | os.PathLike[str], max_pixels: int = MAX_PIXELS) -> Photo:
    """Read a JPEG, PNG, WebP, TIFF or BMP file, told by its content, not by its name.

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
            return _decoded(file, path, max_pixels, None)


def decode_photo(file: IO[bytes], name: str, max_pixels: int = MAX_PIXELS, side: int | None = None) -> Photo:
    """Read a picture from a binary file that can be sought, such as `io.BytesIO`; else as `read_photo`.

    Args:
        file: at its begin.
        name: stands for it in messages.
        max_pixels: as for `read_photo`.
        side: enough pixels for what the picture is needed for: a JPEG whose sides are at least twice as long is decoded
            at a half, a quarter or an eighth of its size, in a fraction of the time. `Photo.size` tells its own.

    >>> import io
    >>> file = io.BytesIO()
    >>> encode_photo(file, np.zeros((80, 64, 3), np.uint8), "x.jpg")
    >>> photo = decode_photo(file, "x.jpg", side=16)
    >>> photo.pixels.shape, photo.size
    ((20, 16, 3), (80, 64))
    """
    file.seek(0)
    with _readable(name):
        return _decoded(file, None, max_pixels, side)


@contextmanager
def _readable(name: str | Path) -> Iterator[None]:
    """Turn whatever comes up while `name` is read into an `InputError` that names it."""
    try:
        yield
    except InputError as error:
        raise InputError(f"cannot read {name}: {error}") from error
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else f"{UNREADABLE} ({error})"
        raise InputError(f"cannot read {name}: {reason}") from error
    except Exception as error:  # a decoder may raise anything at bytes it was not made for
        raise InputError(f"cannot read {name}: {UNREADABLE} ({reason_for(error)})") from error


def _decoded(file: IO[bytes], path: Path | None, max_pixels: int, side: int | None) -> Photo:
    image, lossless = _opened(file, max_pixels)
    size = image.size
    if side is not None and image.format == "JPEG":
        image.draft(None, (side, side))
    return build_photo(image, path, lossless, size)


def _opened(file: IO[bytes], max_pixels: int) -> tuple[Image.Image, bool]:
    """Read the header, check the size it states, and return the undecoded image and whether it is lossless
    WebP. Pillow's plugins are called directly: `Image.open` has one limit for the whole process."""
    head = file.read(32)
    file.seek(0)
    lossless = False
    image: Image.Image
    if head.startswith(b"\xff\xd8\xff"):
        image = JpegImagePlugin.jpeg_factory(file)
    elif head.startswith(b"\x89PNG\r\n\x1a\n"):
        image = PngImagePlugin.PngImageFile(file)
    elif head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        image = TiffImagePlugin.TiffImageFile(file)
        # Pillow would take 16-bit planes for 8-bit ones.
        planes = image.tag_v2.get(TiffImagePlugin.PLANAR_CONFIGURATION) == 2
        if planes and 16 in image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, ()):
            raise InputError("it holds 16-bit colour in separate planes; allowed is interleaved colour")
    elif head.startswith(b"BM"):
        image = BmpImagePlugin.BmpImageFile(file)
    elif head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        # The decoder makes room for the whole canvas as soon as it is created.
        _check_size(_webp_size(head), max_pixels)
        lossless = _webp_is_lossless(file)
        image = WebPImagePlugin.WebPImageFile(file)
    else:
        raise InputError(f"it is {_what(head)}; {ALLOWED}")
    _check_size(image.size, max_pixels)
    return image, lossless


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    if size[0] * size[1] > max_pixels:
        raise InputError(
            f"it has {size[0]}×{size[1]} = {size[0] * size[1]:,} pixels; allowed are at most {max_pixels:,}"
        )


def _what(head: bytes) -> str:
    if not head:
        return "empty"
    if head[4:8] == b"ftyp":
        return f"a {head[8:12].decode('ascii', 'replace').strip().upper()} file"
    for start, name in OTHER_FILES.items():
        if head.lstrip().startswith(start):
            return name
    return f"no picture (it begins with the bytes {head[:4].hex(' ')})"


def _webp_size(head: bytes) -> tuple[int, int]:
    if head[12:16] == b"VP8X":
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF


def _webp_is_lossless(file: IO[bytes]) -> bool:
    """Walk the chunks up to the first that holds pixels."""
    position, kind = 12, b""
    while kind not in (b"VP8L", b"VP8 ", b"ANMF"):
        file.seek(position)
        header = file.read(8)
        if len(header) < 8:
            break
        kind = header[:4]
        position += 8 + (int.from_bytes(header[4:], "little") + 1) // 2 * 2
    file.seek(0)
    return kind == b"VP8L"


def output_format(path: str | os.PathLike[str]) -> str:
    """Return the format that the suffix of `path` stands for.

    Raises:
        InputError: no suffix, or an unknown one.

    >>> output_format("hair.JPG")
    'JPEG'
    """
    suffix = Path(path).suffix
    if suffix.lower() not in FORMATS:
        came = f"the suffix {suffix!r}" if suffix else "no suffix"
        raise InputError(f"cannot write {path}: {came} came; allowed are {', '.join(FORMATS)}")
    return FORMATS[suffix.lower()]


def write_photo(
    path: str | os.PathLike[str],
    pixels: Pixels,
    like: Photo | None = None,
    quality: int | None = None,
    overwrite: bool = False,
) -> None:
    """Write `pixels` to a file whose suffix tells the format; it appears whole or not at all.

    Args:
        path: the file to write: .jpg .jpeg .png .webp .tif .tiff .bmp. Its folder must exist.
        pixels: uint8, (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA.
        like: the photo they were made from: its EXIF, colour profile, resolution and compression are kept.
        quality: 1 to 100 for JPEG and lossy WebP, 95 by default, where `like` does not tell.
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
    image.save(file, format=form, **_options(form, like, quality, path))


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
    if like is not None and form != "BMP":
        if like.icc_profile:
            options["icc_profile"] = like.icc_profile
        if like.exif and form == "JPEG" and len(like.exif) > 65_533:
            warnings.warn(f"{path}: the EXIF block is too long for JPEG and is left out", stacklevel=3)
        elif like.exif:
            options["exif"] = like.exif
    if like is not None and like.dpi and form != "WEBP":
        options["dpi"] = like.dpi
    if form == "JPEG":
        kept = like.jpeg if like is not None else None
        options["subsampling"] = kept.subsampling if kept else 0
        if kept and quality is None:
            options |= {"qtables": [list(table) for table in kept.tables], "progressive": kept.progressive}
        else:
            options["quality"] = quality or DEFAULT_QUALITY
    elif form == "WEBP":
        if like is not None and like.lossless and quality is None:
            options |= {"lossless": True, "exact": True}
        else:
            options["quality"] = quality or DEFAULT_QUALITY
    elif form == "TIFF":
        kept_compression = like.compression if like and like.compression in LOSSLESS_TIFF else None
        # libtiff, which compresses, cannot be given camera and place blocks.
        options["compression"] = "raw" if has_blocks(options.get("exif")) else kept_compression or "tiff_adobe_deflate"
    return options
