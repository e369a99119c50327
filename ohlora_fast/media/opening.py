"""From the first bytes of a file to Pillow's image of it, undecoded; anything else is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from PIL import BmpImagePlugin, Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from ohlora_fast.errors import InputError
from ohlora_fast.media.tiff import TiffFile, check_planes

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
    ".avif": "AVIF",
    ".heic": "HEIF",
    ".heif": "HEIF",
    ".hif": "HEIF",
}
ALLOWED = "allowed are JPEG, PNG, WebP, TIFF, BMP, AVIF and HEIC"

AVIF_BRANDS = {b"avif", b"avis"}
HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
GAIN_MAP_BRAND = b"tmap"
HEADER = 1 << 16
"""Bytes at the begin of a file in which its properties stand."""

OTHER_FILES = {
    b"GIF8": "a GIF, which `ohlora-fast video` dyes",
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"\xff\x0a": "a JPEG XL picture",
    b"\0\0\0\x0cJXL ": "a JPEG XL picture",
    b"\0\0\0\x0cjP  ": "a JPEG 2000 picture",
    b"<svg": "an SVG drawing",
    b"<": "a web page or XML",
}


def open_picture(
    file: IO[bytes], max_pixels: int, admit: Callable[[int], None] | None = None
) -> tuple[Image.Image, bool]:
    """Read the header, check the size it states, and return the undecoded image and whether it is lossless WebP.

    Pillow's plugins are called directly: `Image.open` has one limit for the whole process.

    Args:
        file: at its begin.
        max_pixels: a larger picture is refused.
        admit: is called with the number of pixels before memory is taken for them.

    Raises:
        InputError: it is no picture of a known kind, too large, or of a kind that needs a library which is not here.
    """
    head = file.read(HEADER)
    file.seek(0)
    lossless = False
    image: Image.Image
    brands = _brands(head)
    if head.startswith(b"\xff\xd8\xff"):
        image = JpegImagePlugin.jpeg_factory(file)
    elif head.startswith(b"\x89PNG\r\n\x1a\n"):
        image = PngImagePlugin.PngImageFile(file)
        image.info.update(_png_code_points(head))
    elif head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        image = TiffFile(file)
        check_planes(image)
    elif head.startswith(b"BM"):
        image = BmpImagePlugin.BmpImageFile(file)
    elif head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        # The decoder makes room for the whole canvas as soon as it is created.
        check_size(webp_size(head), max_pixels, admit)
        lossless = _webp_is_lossless(file)
        image = WebPImagePlugin.WebPImageFile(file)
    elif brands & AVIF_BRANDS:
        image = avif_plugin().AvifImageFile(file)
        image.info.update(_avif_properties(head))
    elif brands & HEIF_BRANDS:
        image = pillow_heif().HeifImageFile(file)
    else:
        raise InputError(f"it is {_what(head[:32])}; {ALLOWED}")
    if GAIN_MAP_BRAND in brands:
        image.info["aux"] = {**image.info.get("aux", {}), "hdrgainmap": []}  # as pillow-heif tells of Apple's
    check_size(image.size, max_pixels, admit)
    return image, lossless


def avif_plugin() -> Any:
    """Pillow's module for AVIF.

    Raises:
        InputError: this Pillow has none.
    """
    try:
        from PIL import AvifImagePlugin
    except ImportError:
        supported = False
    else:
        supported = AvifImagePlugin.SUPPORTED
    if not supported:
        raise InputError("AVIF needs Pillow 11.3 or newer, built with libavif; pip install -U pillow has it")
    return AvifImagePlugin


def pillow_heif() -> Any:
    """The module for HEIC.

    Raises:
        InputError: it is not installed.
    """
    try:
        import pillow_heif
    except ImportError as error:
        raise InputError(f"HEIC needs pillow-heif ({error}); pip install 'ohlora-fast[heif]'") from error
    return pillow_heif


def output_format(path: str | Path) -> str:
    """Return the format that the suffix of `path` stands for.

    Raises:
        InputError: no suffix, an unknown one, or one that needs a library which is not here.

    >>> output_format("hair.JPG")
    'JPEG'
    """
    suffix = Path(path).suffix
    if suffix.lower() not in FORMATS:
        came = f"the suffix {suffix!r}" if suffix else "no suffix"
        raise InputError(f"cannot write {path}: {came} came; allowed are {', '.join(FORMATS)}")
    form = FORMATS[suffix.lower()]
    try:
        if form == "AVIF":
            avif_plugin()
        elif form == "HEIF":
            pillow_heif()
    except InputError as error:
        raise InputError(f"cannot write {path}: {error}") from error
    return form


def check_size(size: tuple[int, int], max_pixels: int, admit: Callable[[int], None] | None = None) -> None:
    """Refuse a picture of too many pixels, by its width and height; tell `admit` of another.

    Raises:
        InputError: it has more than `max_pixels`.
    """
    if size[0] * size[1] > max_pixels:
        raise InputError(
            f"it has {size[0]}×{size[1]} = {size[0] * size[1]:,} pixels; allowed are at most {max_pixels:,}"
        )
    if admit is not None:
        admit(size[0] * size[1])


def _what(head: bytes) -> str:
    if not head:
        return "empty"
    if head[4:8] == b"ftyp":
        return f"a {head[8:12].decode('ascii', 'replace').strip().upper()} file"
    for start, name in OTHER_FILES.items():
        if head.lstrip(b" \t\r\n").startswith(start):
            return name
    return f"no picture (it begins with the bytes {head[:4].hex(' ')})"


def _brands(head: bytes) -> set[bytes]:
    """What a file of the MPEG-4 family, such as AVIF and HEIC, says that it is; empty for others."""
    if head[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[8:12], *(head[start : start + 4] for start in range(16, end - 3, 4))}


def _avif_properties(head: bytes) -> dict[str, Any]:
    """The bits of a channel, and how colours are coded, under the names that pillow-heif gives them."""
    found: dict[str, Any] = {}
    start = head.find(b"av1C") + 4
    if start > 4 and len(head) > start + 2:
        high, twelve = head[start + 2] & 0x40, head[start + 2] & 0x20
        found["bit_depth"] = (12 if twelve else 10) if high else 8
    start = head.find(b"colrnclx") + 8
    if start > 8:
        primaries, transfer = (int.from_bytes(head[at : at + 2], "big") for at in (start, start + 2))
        found["nclx_profile"] = {"color_primaries": primaries, "transfer_characteristics": transfer}
    return found


def _png_code_points(head: bytes) -> dict[str, bytes]:
    """The chunk cICP, which Pillow passes over: how colours are coded, HDR for example."""
    start = head.find(b"\0\0\0\x04cICP")
    return {"cicp": head[start + 8 : start + 12]} if start > 0 else {}


def webp_size(head: bytes) -> tuple[int, int]:
    """Width and height of a WebP file, from its first 32 bytes."""
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
