"""Every kind of picture in, and what is kept on the way out."""

from __future__ import annotations

import io
import tracemalloc
import zlib
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms

from ohlora_fast.errors import InputError
from ohlora_fast.media.convert import to_pixels
from ohlora_fast.media.images import Photo, photo_from_pil, read_photo, write_photo
from ohlora_fast.media.photo import upright

RNG = np.random.default_rng(7)
RGB = RNG.integers(0, 256, (13, 21, 3), dtype=np.uint8)
RGBA = RNG.integers(0, 256, (13, 21, 4), dtype=np.uint8)
SMOOTH = np.stack(np.meshgrid(np.arange(0, 256, 4), np.arange(0, 256, 4), [90, 130, 170]), -1)[:, :, 1]
SMOOTH = np.ascontiguousarray(np.dstack([SMOOTH[..., 0], SMOOTH[..., 1], SMOOTH[..., 2]]).astype(np.uint8))
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
LOSSLESS = {".png": {}, ".webp": {"lossless": True, "exact": True}, ".tif": {}, ".bmp": {}}


def saved(tmp_path: Path, image: Image.Image, name: str, **options: Any) -> Path:
    path = tmp_path / name
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_lossless_formats_come_in_unchanged(tmp_path: Path, suffix: str) -> None:
    photo = read_photo(saved(tmp_path, Image.fromarray(RGB), f"x{suffix}", **LOSSLESS[suffix]))
    np.testing.assert_array_equal(photo.pixels, RGB)
    assert photo.notes == ()
    assert photo.pixels.flags.c_contiguous


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_alpha_comes_in_and_goes_out(tmp_path: Path, suffix: str) -> None:
    photo = read_photo(saved(tmp_path, Image.fromarray(RGBA), f"x{suffix}", **LOSSLESS[suffix]))
    np.testing.assert_array_equal(photo.pixels, RGBA)
    write_photo(tmp_path / f"y{suffix}", photo.pixels, like=photo)
    np.testing.assert_array_equal(read_photo(tmp_path / f"y{suffix}").pixels, RGBA)


def test_the_content_tells_the_format_not_the_name(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(RGB), "x.jpg", format="PNG")
    assert read_photo(path).format == "PNG"


def test_grey(tmp_path: Path) -> None:
    grey = RGB[..., 0]
    photo = read_photo(saved(tmp_path, Image.fromarray(grey), "x.png"))
    np.testing.assert_array_equal(photo.pixels, np.dstack([grey] * 3))


def test_grey_with_alpha(tmp_path: Path) -> None:
    photo = read_photo(saved(tmp_path, Image.fromarray(RGBA[..., :2].copy(), "LA"), "x.png"))
    np.testing.assert_array_equal(photo.pixels, RGBA[..., [0, 0, 0, 1]])


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_one_bit(tmp_path: Path, suffix: str) -> None:
    black_and_white = RGB[..., 0] > 127
    photo = read_photo(saved(tmp_path, Image.fromarray(black_and_white), f"x{suffix}"))
    np.testing.assert_array_equal(photo.pixels, np.dstack([black_and_white * np.uint8(255)] * 3))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_keep_the_upper_eight(tmp_path: Path, suffix: str, channels: int) -> None:
    values = RNG.integers(0, 65536, (13, 21, channels)).astype(np.uint16)
    stored = values if channels == 1 else values[..., [2, 1, 0, 3][:channels]]  # OpenCV writes BGR
    assert cv2.imwrite(str(tmp_path / f"x{suffix}"), stored)
    photo = read_photo(tmp_path / f"x{suffix}")
    expected = (values >> 8).astype(np.uint8)
    np.testing.assert_array_equal(photo.pixels, np.dstack([expected] * 3) if channels == 1 else expected)


def test_sixteen_bit_grey_with_a_transparent_value(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(np.array([[0, 300, 65535]], np.uint16)), "x.png")
    content, key = path.read_bytes(), b"tRNS" + (300).to_bytes(2, "big")
    pixels = content.index(b"IDAT") - 4
    chunk = (2).to_bytes(4, "big") + key + zlib.crc32(key).to_bytes(4, "big")
    path.write_bytes(content[:pixels] + chunk + content[pixels:])
    photo = read_photo(path)
    assert photo.pixels.tolist() == [[[0, 0, 0, 255], [1, 1, 1, 0], [255, 255, 255, 255]]]


def test_float_in_zero_to_one(tmp_path: Path) -> None:
    photo = read_photo(saved(tmp_path, Image.fromarray(np.array([[0, 0.5, 1]], np.float32)), "x.tif"))
    assert photo.pixels[..., 0].tolist() == [[0, 128, 255]]


@pytest.mark.parametrize("values", [[[-0.1, 1]], [[0, 255]], [[0, np.nan]], [[0, np.inf]]])
def test_float_beyond_is_refused(tmp_path: Path, values: list[list[float]]) -> None:
    path = saved(tmp_path, Image.fromarray(np.array(values, np.float32)), "x.tif")
    with pytest.raises(InputError, match=r"x\.tif: float values .*; allowed are 0 to 1"):
        read_photo(path)


def test_integers_beyond_sixteen_bits_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(np.array([[0, 70000]], np.int32)), "x.tif")
    with pytest.raises(InputError, match="from 0 to 70000; allowed are 0 to 65535"):
        read_photo(path)


def test_palette(tmp_path: Path) -> None:
    image = Image.fromarray(RGB).quantize(16)
    photo = read_photo(saved(tmp_path, image, "x.png"))
    np.testing.assert_array_equal(photo.pixels, np.asarray(image.convert("RGB")))


def test_palette_with_transparency(tmp_path: Path) -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.putdata([0, 1, 2])
    photo = read_photo(saved(tmp_path, image, "x.png", transparency=b"\x00\x80\xff"))
    assert photo.pixels.tolist() == [[[255, 0, 0, 0], [0, 255, 0, 128], [0, 0, 255, 255]]]


def test_colour_key(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8))
    photo = read_photo(saved(tmp_path, image, "x.png", transparency=(4, 5, 6)))
    assert photo.pixels[..., 3].tolist() == [[255, 0]]


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cmyk_without_a_profile(tmp_path: Path, suffix: str) -> None:
    image = Image.fromarray(SMOOTH).convert("CMYK")
    photo = read_photo(saved(tmp_path, image, f"x{suffix}"))
    assert np.abs(photo.pixels.astype(int) - SMOOTH).mean() < 6
    assert photo.icc_profile is None
    assert photo.jpeg is None
    assert "CMYK" in photo.notes[0]


def grey_profile(gamma: float) -> bytes:
    """A minimal ICC v2 profile of a grey space with a plain gamma."""
    curve = b"curv" + bytes(4) + (1).to_bytes(4, "big") + round(gamma * 256).to_bytes(2, "big") + bytes(2)
    white = b"XYZ " + bytes(4) + b"".join(v.to_bytes(4, "big") for v in (0xF6D6, 0x10000, 0xD32D))
    text = b"desc" + bytes(4) + (5).to_bytes(4, "big") + b"grey\0" + bytes(78)
    text += bytes(-len(text) % 4)
    blocks, tags, offset = b"", b"", 128 + 4 + 3 * 12
    for name, block in ((b"desc", text), (b"wtpt", white), (b"kTRC", curve)):
        tags += name + (offset + len(blocks)).to_bytes(4, "big") + len(block).to_bytes(4, "big")
        blocks += block
    head = bytearray(128)
    head[0:4] = (offset + len(blocks)).to_bytes(4, "big")
    head[8:12], head[12:24], head[36:40] = b"\x02\x10\0\0", b"mntrGRAYXYZ ", b"acsp"
    head[68:80] = white[8:]
    return bytes(head) + (3).to_bytes(4, "big") + tags + blocks


def test_grey_goes_through_its_own_profile(tmp_path: Path) -> None:
    image = Image.fromarray(np.full((4, 4), 128, np.uint8))
    photo = read_photo(saved(tmp_path, image, "x.png", icc_profile=grey_profile(1.0)))
    assert photo.icc_profile is None
    # Linear 128/255 is 188 in sRGB.
    assert np.abs(photo.pixels.astype(int) - 188).max() <= 1


def test_cmyk_goes_through_its_profile(tmp_path: Path, cmyk_profile: bytes) -> None:
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    photo = read_photo(saved(tmp_path, image, "x.tif", icc_profile=cmyk_profile))
    assert photo.icc_profile is None
    assert photo.notes == ("CMYK is converted to sRGB through its colour profile",)
    # The profile's red ink is (200, 30, 40); the plain formula would give (255, 0, 0).
    assert np.abs(photo.pixels[0, 0].astype(int) - (200, 30, 40)).max() <= 6


@pytest.fixture
def cmyk_profile() -> bytes:
    """A small ICC v2 output profile CMYK → Lab with a 2-point table: 16 inks, of which red is (200, 30, 40)."""
    lab = ImageCms.createProfile("LAB")
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), lab, "RGB", "LAB")
    table = b""
    for c, m, y, k in np.ndindex(2, 2, 2, 2):
        rgb = tuple(int(255 * (1 - ink) * (1 - k)) for ink in (c, m, y))
        if (c, m, y, k) == (0, 1, 1, 0):
            rgb = (200, 30, 40)
        converted = ImageCms.applyTransform(Image.new("RGB", (1, 1), rgb), to_lab)
        assert converted is not None
        lightness, a, b = converted.tobytes()
        table += bytes([lightness, (a + 128) % 256, (b + 128) % 256])  # Pillow holds a, b signed
    identity = b"".join(v.to_bytes(4, "big") for v in (65536, 0, 0, 0, 65536, 0, 0, 0, 65536))
    ramp = bytes(range(256))
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity + ramp * 4 + table + ramp * 3
    lut += bytes(-len(lut) % 4)
    white = b"XYZ " + bytes(4) + b"".join(v.to_bytes(4, "big") for v in (0xF6D6, 0x10000, 0xD32D))
    text = b"desc" + bytes(4) + (4).to_bytes(4, "big") + b"ink\0" + bytes(78)
    text += bytes(-len(text) % 4)
    blocks, tags, offset = b"", b"", 128 + 4 + 3 * 12
    for name, block in ((b"desc", text), (b"wtpt", white), (b"A2B0", lut)):
        tags += name + (offset + len(blocks)).to_bytes(4, "big") + len(block).to_bytes(4, "big")
        blocks += block
    head = bytearray(128)
    head[0:4] = (offset + len(blocks)).to_bytes(4, "big")
    head[8:12], head[12:24], head[36:40] = b"\x02\x10\0\0", b"prtrCMYKLab ", b"acsp"
    head[68:80] = white[8:]
    return bytes(head) + (3).to_bytes(4, "big") + tags + blocks


def test_a_profile_that_is_no_profile_is_dropped(tmp_path: Path) -> None:
    photo = read_photo(saved(tmp_path, Image.fromarray(RGB), "x.png", icc_profile=b"nonsense"))
    assert photo.icc_profile is None
    assert "unreadable colour profile" in photo.notes[0]
    np.testing.assert_array_equal(photo.pixels, RGB)


def test_lab_becomes_srgb(tmp_path: Path) -> None:
    transform = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    lab = ImageCms.applyTransform(Image.fromarray(SMOOTH), transform)
    assert lab is not None
    photo = read_photo(saved(tmp_path, lab, "x.tif"))
    assert np.abs(photo.pixels.astype(int) - SMOOTH).mean() < 3


@pytest.mark.parametrize("suffix", [".webp", ".png", ".tif"])
def test_of_several_frames_the_first_is_read(tmp_path: Path, suffix: str) -> None:
    frames = [Image.fromarray(RGB), Image.fromarray(255 - RGB), Image.fromarray(RGB // 2)]
    options = {"lossless": True} if suffix == ".webp" else {}
    path = saved(tmp_path, frames[0], f"x{suffix}", save_all=True, append_images=frames[1:], **options)
    photo = read_photo(path)
    np.testing.assert_array_equal(photo.pixels, RGB)
    elsewhere = "" if suffix == ".tif" else "; `ohlora-fast video` dyes all of them"
    assert photo.notes == (f"it holds 3 frames; the first is used{elsewhere}",)


def test_a_phone_jpeg_with_a_second_picture_is_a_jpeg(tmp_path: Path) -> None:
    frames = [Image.fromarray(SMOOTH), Image.fromarray(SMOOTH)]
    path = saved(tmp_path, frames[0], "x.jpg", format="MPO", save_all=True, append_images=frames[1:])
    photo = read_photo(path)
    assert photo.format == "JPEG"
    assert photo.jpeg is not None
    assert photo.notes == ("it holds 2 frames; the first is used",)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_orientation_is_applied_and_gone(tmp_path: Path, suffix: str, orientation: int) -> None:
    red_top_left = np.zeros((16, 32, 3), np.uint8)
    red_top_left[:8, :16] = 255, 0, 0
    stored = {  # where the corner that is shown at the top left lies in the file
        1: red_top_left,
        2: red_top_left[:, ::-1],
        3: red_top_left[::-1, ::-1],
        4: red_top_left[::-1],
        5: red_top_left.swapaxes(0, 1),
        6: np.rot90(red_top_left, 1),
        7: np.rot90(red_top_left.swapaxes(0, 1), 2),
        8: np.rot90(red_top_left, -1),
    }[orientation]
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Make] = "Maker"
    exif[ExifTags.IFD.Exif] = {
        ExifTags.Base.ExifImageWidth: stored.shape[1],
        ExifTags.Base.ExifImageHeight: stored.shape[0],
        ExifTags.Base.DateTimeOriginal: "2024:05:06 07:08:09",
    }
    exif[ExifTags.IFD.GPSInfo] = {1: "N", 2: (1.0, 2.0, 3.5)}
    image = Image.fromarray(np.ascontiguousarray(stored))
    options = {"quality": 100, "subsampling": 0} if suffix == ".jpg" else LOSSLESS[suffix]
    photo = read_photo(saved(tmp_path, image, f"x{suffix}", exif=exif.tobytes(), **options))
    assert np.abs(photo.pixels.astype(int) - red_top_left).max() <= 3

    write_photo(tmp_path / f"y{suffix}", photo.pixels, like=photo)
    with Image.open(tmp_path / f"y{suffix}") as written:
        kept = written.getexif()
        camera = kept.get_ifd(ExifTags.IFD.Exif)
        assert ExifTags.Base.Orientation not in kept
        assert kept[ExifTags.Base.Make] == "Maker"
        assert camera[ExifTags.Base.DateTimeOriginal] == "2024:05:06 07:08:09"
        assert (camera[ExifTags.Base.ExifImageWidth], camera[ExifTags.Base.ExifImageHeight]) == (32, 16)
        assert kept.get_ifd(ExifTags.IFD.GPSInfo)[2] == (1.0, 2.0, 3.5)
    assert np.abs(read_photo(tmp_path / f"y{suffix}").pixels.astype(int) - red_top_left).max() <= 3


@given(st.integers(1, 8), st.integers(1, 9), st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_upright_is_what_pillow_does(turn: int, height: int, width: int) -> None:
    from PIL import ImageOps

    pixels = np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)
    image = Image.fromarray(pixels)
    image.getexif()[ExifTags.Base.Orientation] = turn
    np.testing.assert_array_equal(upright(pixels, turn), np.asarray(ImageOps.exif_transpose(image)))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_a_senseless_orientation_counts_as_upright(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    photo = read_photo(saved(tmp_path, Image.fromarray(RGB), "x.png", exif=exif.tobytes()))
    np.testing.assert_array_equal(photo.pixels, RGB)


def test_the_thumbnail_goes(tmp_path: Path) -> None:
    thumbnail = io.BytesIO()
    Image.fromarray(SMOOTH[:8, :8]).save(thumbnail, "JPEG")
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    block = exif.tobytes()
    tiff = block[6:]
    # Append a second directory with one tag, and point the first one's "next" at it.
    order: Literal["little", "big"] = "little" if tiff[:2] == b"II" else "big"
    first = int.from_bytes(tiff[4:8], order)
    end = first + 2 + 12 * int.from_bytes(tiff[first : first + 2], order)
    entries = [(0x0103, 3, 1, 6), (0x0201, 4, 1, len(tiff) + 42), (0x0202, 4, 1, len(thumbnail.getvalue()))]
    second = len(entries).to_bytes(2, order)
    for tag, kind, number, value in entries:
        second += tag.to_bytes(2, order) + kind.to_bytes(2, order) + number.to_bytes(4, order)
        second += value.to_bytes(2 if kind == 3 else 4, order).ljust(4, b"\0")
    second += bytes(4)
    tiff = tiff[:end] + len(tiff).to_bytes(4, order) + tiff[end + 4 :] + second + thumbnail.getvalue()
    path = saved(tmp_path, Image.fromarray(SMOOTH), "x.jpg", exif=b"Exif\0\0" + tiff)
    assert thumbnail.getvalue() in path.read_bytes()
    photo = read_photo(path)
    write_photo(tmp_path / "y.jpg", photo.pixels, like=photo)
    with Image.open(tmp_path / "y.jpg") as written:
        assert written.getexif()[ExifTags.Base.Make] == "Maker"
        assert not written.getexif().get_ifd(ExifTags.IFD.IFD1)


def test_from_pil_is_what_reading_gives(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    path = saved(tmp_path, Image.fromarray(SMOOTH), "x.jpg", exif=exif.tobytes(), icc_profile=SRGB)
    with Image.open(path) as image:
        photo = photo_from_pil(image)
    read = read_photo(path)
    np.testing.assert_array_equal(photo.pixels, read.pixels)
    assert (photo.icc_profile, photo.jpeg, photo.path) == (SRGB, read.jpeg, None)


OPAQUE = ["1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV", "LAB", "I", "I;16", "I;16L", "I;16B", "I;16N", "F"]


@pytest.mark.parametrize("mode", [*OPAQUE, "LA", "La", "PA", "RGBA", "RGBa"])
def test_from_pil_takes_every_mode(mode: str) -> None:
    photo = photo_from_pil(Image.new(mode, (5, 3)))
    assert photo.pixels.shape == (3, 5, 3 if mode in OPAQUE else 4)
    assert photo.pixels.dtype == np.uint8


@pytest.mark.parametrize(("mode", "premultiplied"), [("La", (50, 128)), ("RGBa", (50, 50, 50, 128))])
def test_premultiplied_alpha_is_divided_out(mode: str, premultiplied: tuple[int, ...]) -> None:
    photo = photo_from_pil(Image.new(mode, (5, 3), premultiplied))
    grey = 50 * 255 // 128
    assert photo.pixels[0, 0].tolist() == [grey, grey, grey, 128]


def test_from_pil_takes_the_frame_that_was_sought(tmp_path: Path) -> None:
    frames = [Image.fromarray(RGB), Image.fromarray(255 - RGB), Image.fromarray(RGB // 2)]
    path = saved(tmp_path, frames[0], "x.tif", save_all=True, append_images=frames[1:])
    with Image.open(path) as image:
        assert photo_from_pil(image).notes == ("it holds 3 frames; the first is used",)
        image.seek(1)
        photo = photo_from_pil(image)
    np.testing.assert_array_equal(photo.pixels, 255 - RGB)
    assert photo.notes == ("it holds 3 frames; number 2 is used",)


@pytest.mark.parametrize("key", [None, 300])
def test_sixteen_bit_grey_needs_little_memory(key: int | None) -> None:
    image = Image.fromarray(np.full((1000, 1000), 300, np.uint16))
    if key is not None:
        image.info["transparency"] = key
    to_pixels(image)  # what is imported on the way does not count
    tracemalloc.start()
    to_pixels(image)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12 * image.width * image.height


def test_from_pil_refuses_what_is_empty_or_broken(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="0×3 pixels"):
        photo_from_pil(Image.new("RGB", (0, 3)))
    path = saved(tmp_path, Image.fromarray(RGB), "x.png")
    path.write_bytes(path.read_bytes()[:-60])
    with Image.open(path) as image, pytest.raises(InputError, match="cannot read the picture"):
        photo_from_pil(image)


def test_photo_is_frozen() -> None:
    with pytest.raises(AttributeError):
        Photo(RGB).pixels = RGBA  # type: ignore[misc]
