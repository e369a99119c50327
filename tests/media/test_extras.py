"""XMP, IPTC, comments, PNG's text and colour chunks: kept without what would lie, or named as dropped."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, IptcImagePlugin, PngImagePlugin

from ohlora_fast.media import jpeg
from ohlora_fast.media.images import Photo, read_photo, write_photo
from ohlora_fast.media.iptc import HEADER, photoshop
from ohlora_fast.media.xmp import tidied

PIXELS = np.random.default_rng(4).integers(0, 256, (16, 24, 3), dtype=np.uint8)
XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
 xmlns:dc="http://purl.org/dc/elements/1.1/"%s>
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">Zoë &amp; co</rdf:li></rdf:Alt></dc:title>%s</rdf:Description>
</rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""
PLAIN = (XMP % ("", "")).encode()
TIFF_NAMES = ' xmlns:tiff="http://ns.adobe.com/tiff/1.0/"'


def dataset(record: int, number: int, value: bytes) -> bytes:
    return struct.pack(">BBBH", 0x1C, record, number, len(value)) + value


CAPTION = dataset(2, 120, b"a caption")


def jpeg_file(path: Path, *segments: bytes, behind: bytes = b"", **options: object) -> Path:
    Image.fromarray(PIXELS).save(path, **options)
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"".join(segments) + data[2:] + behind)
    return path


def dyed(source: Path, suffix: str) -> tuple[Path, Photo, list[str]]:
    """Read a file and write it again; the new file, what was read, and the warnings."""
    photo = read_photo(source)
    out = source.with_name(f"out{suffix}")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        write_photo(out, photo.pixels, like=photo)
    return out, photo, [str(warning.message).removeprefix(f"{out}: ") for warning in caught]


def test_a_jpeg_keeps_xmp_iptc_and_comments(tmp_path: Path) -> None:
    comments = [jpeg.segment(jpeg.COMMENT, body) for body in (b"one", b"two")]
    iptc = jpeg.segment(jpeg.APP13, photoshop(CAPTION))
    out, photo, told = dyed(jpeg_file(tmp_path / "x.jpg", *comments, iptc, xmp=PLAIN), ".jpg")
    assert photo.notes == ()
    assert told == []
    with Image.open(out) as image:
        assert image.info["xmp"] == PLAIN
        assert [body for name, body in image.applist if name == "COM"] == [b"one", b"two"]  # type: ignore[attr-defined]
        assert IptcImagePlugin.getiptcinfo(image) == {(2, 120): b"a caption"}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("suffix", "kept", "lost"),
    [
        (".png", {"xmp", "comments"}, "PNG has no room for IPTC: left out"),
        (".webp", {"xmp"}, "WEBP has no room for IPTC, comments: left out"),
        (".tif", {"xmp", "iptc"}, "TIFF has no room for comments: left out"),
        (".bmp", set(), "BMP has no room for EXIF, XMP, IPTC, comments: left out"),
    ],
)
def test_what_another_format_has_no_room_for_is_named(tmp_path: Path, suffix: str, kept: set[str], lost: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    iptc = jpeg.segment(jpeg.APP13, photoshop(CAPTION))
    source = jpeg_file(tmp_path / "x.jpg", iptc, xmp=PLAIN, comment=b"hello", exif=exif.tobytes())
    out, _, told = dyed(source, suffix)
    assert told == [lost]
    again = read_photo(out)
    assert again.extras.xmp == (PLAIN if "xmp" in kept else None)
    assert again.extras.iptc == (CAPTION if "iptc" in kept else None)
    assert again.extras.text == ((("Comment", "hello"),) if "comments" in kept else ())
    assert (again.exif is not None) == (suffix != ".bmp")


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
def test_a_tiff_keeps_xmp_and_iptc(tmp_path: Path, compression: str) -> None:
    tags = Image.Exif()
    tags[700], tags[33723] = PLAIN, CAPTION
    Image.fromarray(PIXELS).save(tmp_path / "x.tif", compression=compression, exif=tags)
    out, _, told = dyed(tmp_path / "x.tif", ".tif")
    again = read_photo(out)
    assert (again.extras.xmp, again.extras.iptc, again.compression, told) == (PLAIN, CAPTION, compression, [])


def test_a_png_keeps_text_and_gamma(tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "a prompt")
    info.add_itxt("Title", "Zoë", "de", "Titel")
    info.add_text("Raw profile type iptc", f"\niptc\n      {len(CAPTION)}\n{CAPTION.hex()}\n")
    info.add_text("exif:Orientation", "6")
    info.add(b"gAMA", struct.pack(">I", 100_000))
    info.add(b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000))
    info.add(b"cICP", bytes((9, 16, 0, 1)))
    Image.fromarray(PIXELS).save(tmp_path / "x.png", pnginfo=info)
    out, _, told = dyed(tmp_path / "x.png", ".png")
    assert told == ["PNG has no room for IPTC: left out"]
    with Image.open(out) as image:
        image.load()
        assert image.text == {"parameters": "a prompt", "Title": "Zoë"}  # type: ignore[attr-defined]
        assert image.text["Title"].lang == "de"  # type: ignore[attr-defined]
        assert image.info["gamma"] == 1
        assert image.info["chromaticity"][2:4] == (0.68, 0.32)
    assert b"cICP\x09\x10\x00\x01" in out.read_bytes()
    as_jpeg, _, told = dyed(tmp_path / "x.png", ".jpg")
    assert told == ["JPEG has no room for text (parameters, Title), gAMA (1), cICP: left out"]
    assert read_photo(as_jpeg).extras.iptc == CAPTION


def test_the_usual_gamma_is_left_out_without_a_word(tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add(b"gAMA", struct.pack(">I", 45_455))
    Image.fromarray(PIXELS).save(tmp_path / "x.png", pnginfo=info)
    assert dyed(tmp_path / "x.png", ".jpg")[2] == []


def test_previews_do_not_stay_in_iptc_or_photoshop_resources(tmp_path: Path) -> None:
    preview = dataset(2, 202, b"the old face") + dataset(2, 200, b"\0\x0b")
    thumbnail = b"8BIM" + struct.pack(">HHI", 0x040C, 0, 12) + b"the old face"
    block = HEADER + thumbnail + photoshop(CAPTION + preview)[len(HEADER) :]
    out, photo, _ = dyed(jpeg_file(tmp_path / "x.jpg", jpeg.segment(jpeg.APP13, block)), ".jpg")
    assert photo.extras.iptc == CAPTION
    assert b"the old face" not in out.read_bytes()


def test_a_gain_map_goes_and_nothing_speaks_of_it_any_more(tmp_path: Path) -> None:
    names = (
        ' xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"'
        ' xmlns:Container="http://ns.google.com/photos/1.0/container/"'
        ' xmlns:Item="http://ns.google.com/photos/1.0/container/item/"'
    )
    items = (
        "<Container:Directory><rdf:Seq><rdf:li rdf:parseType='Resource'>"
        "<Container:Item Item:Semantic='GainMap' Item:Length='999'/></rdf:li></rdf:Seq></Container:Directory>"
    )
    second = jpeg_file(tmp_path / "map.jpg").read_bytes()
    iso = jpeg.segment(jpeg.APP2, b"urn:iso:std:iso:ts:21496:-1\0" + bytes(4))
    source = jpeg_file(tmp_path / "x.jpg", iso, xmp=(XMP % (names, items)).encode(), behind=second)
    out, photo, _ = dyed(source, ".jpg")
    assert photo.notes == ("its gain map, for HDR screens, is dropped",)
    for word in (b"hdrgm", b"Container", b"GainMap", b"21496"):
        assert word in source.read_bytes()
        assert word not in out.read_bytes()
    assert "Zoë".encode() in out.read_bytes()
    assert read_photo(out).notes == ()


def test_the_video_of_a_motion_photo_goes(tmp_path: Path) -> None:
    names = ' xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" GCamera:MotionPhoto="1"'
    film = struct.pack(">I", 24) + b"ftypmp42" + bytes(40)
    source = jpeg_file(tmp_path / "x.jpg", xmp=(XMP % (names, "")).encode(), behind=film)
    out, photo, _ = dyed(source, ".jpg")
    assert photo.notes == ("the video of its motion photo is dropped",)
    assert b"MotionPhoto" not in out.read_bytes()
    bare = jpeg_file(tmp_path / "bare.jpg", behind=film)
    assert read_photo(bare).notes == photo.notes


def test_other_parts_of_a_jpeg_are_named(tmp_path: Path) -> None:
    credentials = jpeg.segment(jpeg.APP11, b"JP\0\1\0\0\0\1" + bytes(4) + b"jumb" + bytes(30))
    source = jpeg_file(tmp_path / "x.jpg", credentials, jpeg.segment(0xE5, b"Samsung"), behind=b"a trailer")
    assert read_photo(source).notes == (
        "its content credentials (C2PA), which hold for the original alone, are dropped",
        "the camera's own data in APP5 is dropped",
        "9 bytes behind the picture are dropped",
    )


def test_an_ordinary_jpeg_is_read_without_notes(tmp_path: Path) -> None:
    source = jpeg_file(tmp_path / "x.jpg", behind=bytes(300) + b"\r\n", dpi=(72, 72), icc_profile=b"x" * 90_000)
    assert [note for note in read_photo(source).notes if "profile" not in note] == []


def test_orientation_in_xmp_goes_and_sides_follow(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.IFD.Exif] = {0x9214: (10, 10, 4, 4)}  # of the subject, in the picture as it was stored
    names = f'{TIFF_NAMES} tiff:Orientation="6" tiff:Make="Maker" tiff:ImageWidth="24"'
    source = jpeg_file(
        tmp_path / "x.jpg",
        xmp=(XMP % (names, "<tiff:ImageLength>16</tiff:ImageLength>")).encode(),
        exif=exif.tobytes(),
    )
    out, *_ = dyed(source, ".jpg")
    xmp = read_photo(out).extras.xmp or b""
    assert b"Orientation" not in xmp
    for text in (b'tiff:Make="Maker"', b'tiff:ImageWidth="16"', b"<tiff:ImageLength>24<", "Zoë &amp; co".encode()):
        assert text in xmp
    with Image.open(out) as image:
        assert 0x9214 not in image.getexif().get_ifd(ExifTags.IFD.Exif)


REGIONS = (
    ' xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/"',
    '<mwg-rs:Regions rdf:parseType="Resource"/>',
)


@pytest.mark.parametrize("turned", [False, True])
def test_regions_hold_for_a_picture_that_was_not_turned(turned: bool) -> None:
    text = (XMP % REGIONS).encode()
    kept, notes = tidied(text, (16, 24), turned)
    assert (kept == text) == (not turned)
    assert (b"mwg-rs" in (kept or b"")) == (not turned)
    assert len(notes) == int(turned)


@pytest.mark.parametrize(
    "xmp",
    [
        b"<x:xmpmeta",
        b"\xff\xfe\xfa",
        b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>',
        b"<a>" * 5000 + b"</a>" * 5000,
    ],
    ids=["torn", "no text", "definitions", "deep"],
)
def test_xmp_that_cannot_be_read_is_named(tmp_path: Path, xmp: bytes) -> None:
    photo = read_photo(jpeg_file(tmp_path / "x.jpg", xmp=xmp))
    assert photo.extras.xmp is None
    assert photo.notes == ("its XMP cannot be read and is dropped",)


def test_xmp_too_long_for_jpeg_is_left_out_with_a_warning(tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", XMP % ("", f"<dc:source>{'x' * 70_000}</dc:source>"))
    Image.fromarray(PIXELS).save(tmp_path / "x.png", pnginfo=info)
    out, _, told = dyed(tmp_path / "x.png", ".jpg")
    assert told == ["the XMP is too long for JPEG and is left out"]
    assert read_photo(out).extras.xmp is None
