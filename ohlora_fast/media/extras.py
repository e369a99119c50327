"""Metadata beside pixels, profile and EXIF: XMP, IPTC, comments, PNG's text and colour chunks."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image, PngImagePlugin, TiffImagePlugin

from ohlora_fast.media import iptc as iptc_blocks
from ohlora_fast.media import jpeg
from ohlora_fast.media import xmp as xmp_blocks

XMP_HEADER = b"http://ns.adobe.com/xap/1.0/\0"
MORE_XMP = b"http://ns.adobe.com/xmp/extension/\0"
GAIN_MAP_HEADER = b"urn:iso:std:iso:ts:21496:-1"
KNOWN = (b"Exif\0", b"ICC_PROFILE\0", b"MPF\0", XMP_HEADER, MORE_XMP, GAIN_MAP_HEADER, b"JFIF", b"JFXX")
XMP_TAG, IPTC_TAG, PHOTOSHOP_TAG, LAYERS_TAG = 700, 33723, 34377, 37724
XMP_KEY = "XML:com.adobe.xmp"
RAW_PROFILE = "Raw profile type "
COMMENT_KEY = "Comment"
USUAL_GAMMA = (0.45, 0.46)

SRGB_PRIMARIES, SRGB_TRANSFER = (1, 2), (1, 2, 6, 13, 14)
HDR = {16: "PQ, for HDR screens", 18: "HLG, for HDR screens"}

KEPT = {
    "JPEG": ("xmp", "iptc", "comments"),
    "PNG": ("xmp", "comments", "text", "color"),
    "WEBP": ("xmp",),
    "TIFF": ("xmp", "iptc"),
    "AVIF": ("xmp",),
    "HEIF": ("xmp",),
    "BMP": (),
}
"""Fields of `Extras` that a format has room for."""


@dataclass(frozen=True)
class Extras:
    """Metadata of a file beside its pixels, its profile and its EXIF, as they hold for the upright picture.

    Attributes:
        xmp: an XML text.
        iptc: data sets of IPTC-IIM.
        comments: of a JPEG, in no known encoding.
        text: of a PNG, by keyword; values may be `PIL.PngImagePlugin.iTXt`.
        color: the chunks of a PNG that tell how its numbers become colours: gAMA, cHRM, sRGB, cICP.
    """

    xmp: bytes | None = None
    iptc: bytes | None = None
    comments: tuple[bytes, ...] = ()
    text: tuple[tuple[str, str], ...] = ()
    color: tuple[tuple[bytes, bytes], ...] = ()

    def without(self, form: str) -> tuple[Extras, list[str]]:
        """Split into the metadata that a format, by Pillow's name, has room for, and notes on the rest.

        >>> Extras(comments=(b"hi",), xmp=b"<x/>").without("WEBP")[1]
        ['comments']
        """
        gone = {name for name in ("xmp", "iptc", "comments", "text", "color") if getattr(self, name)}
        gone -= set(KEPT.get(form, ()))
        words = {"xmp": "XMP", "iptc": "IPTC", "comments": "comments"}
        lost = [words[name] for name in words if name in gone]
        if "text" in gone:
            lost.append(f"text ({', '.join(key for key, _ in self.text)})")
        if "color" in gone:
            lost += _meaningful(self.color)
        return replace(self, **{name: getattr(NO_EXTRAS, name) for name in gone}), lost


NO_EXTRAS = Extras()


def _meaningful(chunks: tuple[tuple[bytes, bytes], ...]) -> list[str]:
    """Those colour chunks that make another picture of the numbers than sRGB does."""
    found = dict(chunks)
    if b"sRGB" in found:
        return []
    gamma = int.from_bytes(found.get(b"gAMA", b""), "big") / 100_000
    lost = [f"gAMA ({gamma:g})"] if gamma and not USUAL_GAMMA[0] <= gamma <= USUAL_GAMMA[1] else []
    return lost + ["cICP"] * (b"cICP" in found and found[b"cICP"][:2] not in (b"\1\1", b"\1\x0d"))


def read_extras(image: Image.Image, size: tuple[int, int], turned: bool) -> tuple[Extras, tuple[str, ...]]:
    """Gather what a decoded picture's file says, and notes on what is dropped of it.

    Args:
        image: as Pillow opened it, decoded.
        size: height and width of the upright picture.
        turned: whether it was turned to be upright.
    """
    notes: dict[str, None] = {}
    applist = list(getattr(image, "applist", ()))
    xmp, iptc = image.info.get("xmp"), _iptc(image)
    if isinstance(xmp, str):
        xmp = xmp.encode()
    text = _png_text(image)
    for key in list(text):
        if key.lower() in ("exif:orientation", "tiff:orientation"):
            del text[key]
        if key.startswith(RAW_PROFILE):  # as ImageMagick writes them
            kind, profile = key.removeprefix(RAW_PROFILE), _raw_profile(text.pop(key))
            if kind == "xmp" and not xmp:
                xmp = profile
            elif kind in ("iptc", "8bim") and not iptc:
                iptc = iptc_blocks.resources(profile).get(iptc_blocks.IPTC, profile)
    extras = Extras(
        comments=tuple(body for name, body in applist if name == "COM"),
        text=tuple(text.items()),
        color=_png_color(image),
    )
    if isinstance(xmp, bytes) and xmp.strip(b"\0 \r\n\t"):
        try:
            tidy, told = xmp_blocks.tidied(xmp, size, turned)
        except Exception:  # RecursionError, for example: nothing in it is worth a photo
            tidy, told = None, ("its XMP cannot be read and is dropped",)
        extras = replace(extras, xmp=tidy)
        notes |= dict.fromkeys(told)
    if iptc:
        extras = replace(extras, iptc=iptc_blocks.tidied(iptc, turned))
    notes |= dict.fromkeys(_dropped(image, applist))
    return extras, tuple(notes)


def _iptc(image: Image.Image) -> bytes | None:
    blocks: Any = image.info.get("photoshop")
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        tag: Any = image.tag_v2.get(IPTC_TAG)
        if isinstance(tag, tuple) and all(isinstance(one, int) for one in tag):  # some writers call it numbers
            order = "<" if image.tag_v2.prefix == b"II" else ">"
            tag = struct.pack(f"{order}{len(tag)}I", *tag)
        if isinstance(tag, bytes):
            return tag
        resources = image.tag_v2.get(PHOTOSHOP_TAG)
        blocks = iptc_blocks.resources(resources) if isinstance(resources, bytes) else None
    found = blocks.get(iptc_blocks.IPTC) if isinstance(blocks, dict) else None
    return found if isinstance(found, bytes) else None


def _png_text(image: Image.Image) -> dict[str, str]:
    if not isinstance(image, PngImagePlugin.PngImageFile):
        return {}
    return {key: value for key, value in (image.text or {}).items() if key != XMP_KEY and isinstance(value, str)}


def _raw_profile(text: str) -> bytes:
    """The bytes that a line with a name, one with a length, and hexadecimal digits stand for."""
    digits = "".join(text.split()[2:])
    return bytes.fromhex(digits) if re.fullmatch("([0-9a-fA-F]{2})*", digits) else b""


def _png_color(image: Image.Image) -> tuple[tuple[bytes, bytes], ...]:
    if image.format != "PNG":
        return ()
    info, found = image.info, {}
    if len(info.get("chromaticity", ())) == 8:
        found[b"cHRM"] = struct.pack(">8I", *(round(100_000 * one) for one in info["chromaticity"]))
    if "gamma" in info:
        found[b"gAMA"] = struct.pack(">I", round(100_000 * info["gamma"]))
    if "srgb" in info:
        found[b"sRGB"] = bytes([info["srgb"]])
    if isinstance(info.get("cicp"), bytes):
        found[b"cICP"] = info["cicp"]
    return tuple(found.items())


def _dropped(image: Image.Image, applist: list[tuple[str, bytes]]) -> Iterator[str]:
    """Notes on what is in a file and nowhere in `Extras`."""
    bodies = [body for _, body in applist]
    if any(body.startswith(GAIN_MAP_HEADER) for body in bodies):
        yield xmp_blocks.GAIN_MAP
    if any(body.startswith(MORE_XMP) for body in bodies):
        yield "a second part of its XMP, too long for one segment, is dropped"
    if any(name == "APP11" and b"jumb" in body[:64] for name, body in applist):
        yield "its content credentials (C2PA), which hold for the original alone, are dropped"
    rest = {
        name
        for name, body in applist
        if name not in ("COM", "APP0", "APP13", "APP14") and not body.startswith(KNOWN)
        if not (name == "APP11" and b"jumb" in body[:64])
    }
    if rest:
        yield f"the camera's own data in {', '.join(sorted(rest, key=lambda name: int(name[3:])))} is dropped"
    blocks = image.info.get("photoshop")
    if isinstance(blocks, dict) and any(number in iptc_blocks.PATHS for number in blocks):
        yield "its clipping paths are dropped"
    if isinstance(image, TiffImagePlugin.TiffImageFile) and LAYERS_TAG in image.tag_v2:
        yield "its Photoshop layers are dropped"
    yield from _heif_parts(image)


def _heif_parts(image: Image.Image) -> Iterator[str]:
    auxiliary = " ".join(image.info.get("aux") or ())
    if "hdrgainmap" in auxiliary:
        yield xmp_blocks.GAIN_MAP
    if image.info.get("depth_images"):
        yield "its depth map is dropped"
    others = [one for one in image.info.get("aux") or () if "hdrgainmap" not in one]
    bits = image.info.get("bit_depth")
    if isinstance(bits, int) and bits > 8:
        yield f"it has {bits} bits a channel; 8 are kept"
    if (coded := image.info.get("nclx_profile")) and "icc_profile" not in image.info:
        primaries, transfer = coded.get("color_primaries"), coded.get("transfer_characteristics")
        if primaries not in SRGB_PRIMARIES or transfer not in SRGB_TRANSFER:
            how = HDR.get(transfer, "another colour space than sRGB")
            yield f"its colours are coded in {how} (CICP {primaries}/{transfer}), and are taken as sRGB"
    if others:
        yield f"{len(others)} other pictures of what is in it, such as a matte of skin or hair, are dropped"


def jpeg_segments(extras: Extras) -> tuple[bytes, list[str]]:
    """The segments of a JPEG that hold `extras`, and what is too long for one.

    >>> jpeg_segments(Extras(comments=(b"hi",)))
    (b'\\xff\\xfe\\x00\\x04hi', [])
    """
    bodies = [(jpeg.COMMENT, body, "a comment") for body in extras.comments]
    if extras.xmp:
        bodies.insert(0, (jpeg.APP1, XMP_HEADER + extras.xmp, "the XMP"))
    if extras.iptc:
        bodies.insert(0, (jpeg.APP13, iptc_blocks.photoshop(extras.iptc), "the IPTC"))
    long = [name for _, body, name in bodies if len(body) > jpeg.LONGEST]
    return b"".join(jpeg.segment(marker, body) for marker, body, _ in bodies if len(body) <= jpeg.LONGEST), long


def png_info(extras: Extras) -> PngImagePlugin.PngInfo:
    """The chunks of a PNG that hold `extras`."""
    info = PngImagePlugin.PngInfo()
    for name, body in extras.color:
        info.add(name, body)
    if extras.xmp:
        info.add_itxt(XMP_KEY, extras.xmp.decode("utf-8", "replace"))
    for key, value in extras.text:
        info.add_text(key, value)
    for comment in extras.comments:
        info.add_text(COMMENT_KEY, _decoded(comment))
    return info


def _decoded(comment: bytes) -> str:
    try:
        return comment.rstrip(b"\0").decode()
    except UnicodeDecodeError:
        return comment.rstrip(b"\0").decode("latin-1")


def tiff_exif(exif: bytes | None, extras: Extras) -> Image.Exif:
    """The tags of a TIFF that hold EXIF and `extras`."""
    tags = Image.Exif()
    if exif:
        tags.load(exif)
    if extras.xmp:
        tags[XMP_TAG] = extras.xmp
    if extras.iptc:
        tags[IPTC_TAG] = extras.iptc
    return tags
