"""What an image file says about itself beside its pixels: EXIF, resolution, how it was compressed."""

from __future__ import annotations

import math
from dataclasses import dataclass

from PIL import ExifTags, Image, JpegImagePlugin

ORIENTATION = ExifTags.Base.Orientation
SUBJECT_AREA = 0x9214

# Tags that describe the picture. The others of the first directory tell how the file at hand stores its
# pixels (a TIFF keeps its strip offsets there) and would be wrong in another file.
DESCRIPTIVE = frozenset(
    {
        *(270, 271, 272, 305, 306, 315, 316, 33432),  # description, camera, software, date, author, rights
        *(282, 283, 296),  # resolution
        *(
            18246,
            18249,
            40091,
            40092,
            40093,
            40094,
            40095,
        ),  # rating; title, comment, author, keywords, subject
    }
)


@dataclass(frozen=True)
class JpegSettings:
    """How a JPEG was compressed: its quantisation tables, chroma subsampling (0 is 4:4:4) and scan order."""

    tables: tuple[tuple[int, ...], ...]
    subsampling: int
    progressive: bool


def jpeg_settings(image: Image.Image) -> JpegSettings | None:
    """Return what is needed to compress again as `image` was; None if it is no colour or grey JPEG."""
    tables = getattr(image, "quantization", None)
    if not tables or image.mode not in ("L", "RGB"):
        return None
    subsampling = JpegImagePlugin.get_sampling(image)
    return JpegSettings(
        tables=tuple(tuple(tables[key]) for key in sorted(tables)),
        subsampling=max(subsampling, 0),  # rare layouts and grey get 4:4:4, which loses nothing
        progressive=bool(image.info.get("progressive")),
    )


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; anything else that stands there counts as 1."""
    value = image.getexif().get(ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def resolution(image: Image.Image) -> tuple[float, float] | None:
    """Return the dots per inch, if the file states sensible ones (a TIFF that knows none says 1)."""
    try:
        x, y = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if all(math.isfinite(v) and 1 < v < 65536 for v in (x, y)) else None


def upright_exif(image: Image.Image, size: tuple[int, int], turned: bool) -> bytes | None:
    """Return the EXIF block for the turned picture of `size`, or None if there is none.

    The orientation goes, the stated size follows, and the embedded thumbnail is dropped, because it would
    show the picture as it was before. So do places of the subject, if the picture is `turned`.
    """
    source = image.getexif()
    exif = Image.Exif()
    exif.endian = "<"
    for tag, value in source.items():
        if tag in DESCRIPTIVE:
            exif[tag] = value
    camera = dict(source.get_ifd(ExifTags.IFD.Exif))
    if ExifTags.IFD.Interop in camera:
        camera[ExifTags.IFD.Interop] = dict(source.get_ifd(ExifTags.IFD.Interop))
    for tag, side in zip((ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight), size, strict=True):
        if tag in camera:
            camera[tag] = side
    if turned:
        for tag in (ExifTags.Base.SubjectLocation, SUBJECT_AREA):
            camera.pop(tag, None)
    if camera:
        exif[ExifTags.IFD.Exif] = camera
    place = dict(source.get_ifd(ExifTags.IFD.GPSInfo))
    if place:
        exif[ExifTags.IFD.GPSInfo] = place
    return exif.tobytes() if len(exif) else None


def has_blocks(exif: bytes | None) -> bool:
    """Return whether an EXIF block holds more than plain tags: camera settings or the place."""
    parsed = Image.Exif()
    parsed.load(exif or b"")
    return bool(parsed.get_ifd(ExifTags.IFD.Exif) or parsed.get_ifd(ExifTags.IFD.GPSInfo))
