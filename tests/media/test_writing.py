"""Files that are written: what is kept, what is refused, and whole or not at all."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, JpegImagePlugin

from ohlora_fast.errors import InputError
from ohlora_fast.media.files import written_whole
from ohlora_fast.media.images import FORMATS, Photo, read_photo, write_photo

RNG = np.random.default_rng(5)
RGB = RNG.integers(0, 256, (32, 48, 3), dtype=np.uint8)
RGBA = np.dstack([RGB, RNG.integers(0, 256, (32, 48), dtype=np.uint8)])
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

NEWER = ("AVIF", "HEIF")
"""Formats that not every Pillow reads; `test_heif` has their tests."""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("suffix", [*sorted(s for s, form in FORMATS.items() if form not in NEWER), ".PNG", ".Jpg"])
def test_the_suffix_tells_the_format(tmp_path: Path, suffix: str) -> None:
    write_photo(tmp_path / f"x{suffix}", RGB)
    with Image.open(tmp_path / f"x{suffix}") as image:
        assert (image.format, image.size, image.mode) == (FORMATS[suffix.lower()], (48, 32), "RGB")
    assert names(tmp_path) == [f"x{suffix}"]


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
@pytest.mark.parametrize("pixels", [RGB, RGB[..., 0], RGB[:1, :1]], ids=["rgb", "grey", "1x1"])
def test_lossless(tmp_path: Path, suffix: str, pixels: np.ndarray) -> None:
    write_photo(tmp_path / f"x{suffix}", pixels)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / f"x{suffix}")), pixels)


@pytest.mark.parametrize("quality", [30, 75, 92])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_to_jpeg_keeps_the_compression(tmp_path: Path, quality: int, subsampling: int, progressive: bool) -> None:
    source = tmp_path / "x.jpg"
    Image.fromarray(RGB).save(source, quality=quality, subsampling=subsampling, progressive=progressive)
    photo = read_photo(source)
    write_photo(tmp_path / "y.jpg", photo.pixels, like=photo)
    with Image.open(source) as before, Image.open(tmp_path / "y.jpg") as after:
        assert isinstance(before, JpegImagePlugin.JpegImageFile)
        assert isinstance(after, JpegImagePlugin.JpegImageFile)
        assert after.quantization == before.quantization
        assert JpegImagePlugin.get_sampling(after) == subsampling
        assert after.info.get("progressive", 0) == before.info.get("progressive", 0) == int(progressive)


def test_a_grey_jpeg_keeps_its_one_table(tmp_path: Path) -> None:
    Image.fromarray(RGB[..., 0]).save(tmp_path / "x.jpg", quality=40)
    photo = read_photo(tmp_path / "x.jpg")
    write_photo(tmp_path / "y.jpg", photo.pixels, like=photo)
    with Image.open(tmp_path / "x.jpg") as before, Image.open(tmp_path / "y.jpg") as after:
        assert after.mode == "RGB"
        assert after.quantization == before.quantization


def test_quality_wins_over_what_is_kept(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "x.jpg", quality=90, subsampling=2)
    photo = read_photo(tmp_path / "x.jpg")
    write_photo(tmp_path / "y.jpg", photo.pixels, like=photo, quality=20)
    Image.fromarray(RGB).save(tmp_path / "z.jpg", quality=20)
    with Image.open(tmp_path / "y.jpg") as after, Image.open(tmp_path / "z.jpg") as wanted:
        assert after.quantization == wanted.quantization
        assert JpegImagePlugin.get_sampling(after) == 2


@pytest.mark.parametrize("quality", [0, 101, -1, 50.0, True, "90"])
def test_quality_out_of_range(tmp_path: Path, quality: int) -> None:
    with pytest.raises(InputError, match=r"quality: .* came; allowed is a whole number from 1 to 100"):
        write_photo(tmp_path / "x.jpg", RGB, quality=quality)
    assert names(tmp_path) == []


@pytest.mark.parametrize("exif", [b"", Image.Exif().tobytes()])
@pytest.mark.parametrize("icc", [None, SRGB])
def test_lossless_webp_stays_so(tmp_path: Path, exif: bytes, icc: bytes | None) -> None:
    source = tmp_path / "x.webp"
    Image.fromarray(RGBA).save(source, lossless=True, exact=True, exif=exif, icc_profile=icc)
    photo = read_photo(source)
    assert photo.lossless
    write_photo(tmp_path / "y.webp", photo.pixels, like=photo)
    np.testing.assert_array_equal(read_photo(tmp_path / "y.webp").pixels, RGBA)


def test_lossy_webp_stays_so(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "x.webp", quality=80, icc_profile=SRGB)
    photo = read_photo(tmp_path / "x.webp")
    write_photo(tmp_path / "y.webp", photo.pixels, like=photo)
    assert not read_photo(tmp_path / "y.webp").lossless


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("raw", "raw"),
        ("tiff_lzw", "tiff_lzw"),
        ("packbits", "packbits"),
        ("tiff_adobe_deflate", "tiff_adobe_deflate"),
        ("jpeg", "tiff_adobe_deflate"),
    ],
)
def test_tiff_compression(tmp_path: Path, before: str, after: str) -> None:
    Image.fromarray(RGB).save(tmp_path / "x.tif", compression=before)
    photo = read_photo(tmp_path / "x.tif")
    write_photo(tmp_path / "y.tif", photo.pixels, like=photo)
    with Image.open(tmp_path / "y.tif") as image:
        assert image.info["compression"] == after


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_profile_and_resolution_are_kept(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(RGB).save(tmp_path / f"x{suffix}", icc_profile=SRGB, dpi=(300, 300))
    photo = read_photo(tmp_path / f"x{suffix}")
    write_photo(tmp_path / f"y{suffix}", photo.pixels, like=photo)
    with Image.open(tmp_path / f"y{suffix}") as image:
        assert image.info["icc_profile"] == SRGB
        if suffix != ".webp":  # it has no place for the resolution
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.01)


def test_exif_too_long_for_jpeg_is_left_out_with_a_warning(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif[0x8769] = {0x927C: bytes(70_000)}
    Image.fromarray(RGB).save(tmp_path / "x.png", exif=exif.tobytes())
    photo = read_photo(tmp_path / "x.png")
    with pytest.warns(UserWarning, match="the EXIF block is too long for JPEG"):
        write_photo(tmp_path / "y.jpg", photo.pixels, like=photo)
    assert not Image.open(tmp_path / "y.jpg").getexif()
    write_photo(tmp_path / "y.webp", photo.pixels, like=photo)
    assert Image.open(tmp_path / "y.webp").getexif()[0x010F] == "Maker"


def test_bmp_gets_srgb_pixels(tmp_path: Path) -> None:
    swapped = swapped_red_and_blue()
    photo = Photo(np.full((4, 4, 3), (250, 20, 20), np.uint8), icc_profile=swapped)
    write_photo(tmp_path / "x.bmp", photo.pixels, like=photo)
    written = read_photo(tmp_path / "x.bmp").pixels[0, 0].astype(int)
    assert written[2] > 200 > written[0]


def swapped_red_and_blue() -> bytes:
    """The sRGB profile with the names of the red and blue primaries exchanged."""
    first, last = SRGB.index(b"rXYZ"), SRGB.index(b"bXYZ")
    swapped = bytearray(SRGB)
    swapped[first : first + 4], swapped[last : last + 4] = b"bXYZ", b"rXYZ"
    return bytes(swapped)


@pytest.mark.parametrize("suffix", [".jpg", ".bmp"])
def test_without_room_for_alpha_the_picture_is_laid_on_white(tmp_path: Path, suffix: str) -> None:
    half_red = np.full((8, 8, 4), (255, 0, 0, 128), np.uint8)
    with pytest.warns(UserWarning, match="keeps no transparency; the picture is laid on white"):
        write_photo(tmp_path / f"x{suffix}", half_red)
    written = read_photo(tmp_path / f"x{suffix}").pixels[4, 4].astype(int)
    assert np.abs(written - (255, 127, 127)).max() <= 3


def test_an_opaque_picture_becomes_jpeg_without_a_word(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_photo(tmp_path / "x.jpg", np.full((8, 8, 4), 255, np.uint8))
    assert read_photo(tmp_path / "x.jpg").pixels.min() == 255


@pytest.mark.parametrize("name", ["x", "x.gif", "x.", ".png", "x.png.txt"])
def test_unknown_suffix(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"suffix.* came; allowed are \.jpg"):
        write_photo(tmp_path / name, RGB)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "pixels",
    [
        RGB.astype(np.float32),
        RGB.astype(np.uint16),
        RGB[..., :2],
        RGB[None],
        RGB[:0],
        RGB[0, :, 0],
        RGB.tolist(),
        None,
    ],
    ids=["float", "uint16", "two channels", "batch", "no rows", "one row", "list", "none"],
)
def test_wrong_pixels(tmp_path: Path, pixels: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"pixels: .* came; allowed is uint8 \(H, W\)"):
        write_photo(tmp_path / "x.png", pixels)
    assert names(tmp_path) == []


@pytest.mark.parametrize(("suffix", "limit"), [(".jpg", 65_500), (".webp", 16_383)])
def test_sides_a_format_cannot_hold(tmp_path: Path, suffix: str, limit: int) -> None:
    with pytest.raises(InputError, match=f"{limit + 1}×1 pixels; .* allows {limit} a side"):
        write_photo(tmp_path / f"x{suffix}", np.zeros((1, limit + 1, 3), np.uint8))
    write_photo(tmp_path / f"x{suffix}", np.zeros((1, limit, 3), np.uint8))
    assert read_photo(tmp_path / f"x{suffix}").pixels.shape == (1, limit, 3)


def test_existing_files_stay_unless_asked(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"mine")
    with pytest.raises(InputError, match="exists already"):
        write_photo(tmp_path / "x.png", RGB)
    assert (tmp_path / "x.png").read_bytes() == b"mine"
    write_photo(tmp_path / "x.png", RGB, overwrite=True)
    np.testing.assert_array_equal(read_photo(tmp_path / "x.png").pixels, RGB)


@pytest.mark.parametrize("how", ["same", "dotted", "symlink", "hardlink"])
def test_the_input_is_never_overwritten(tmp_path: Path, how: str, request: pytest.FixtureRequest) -> None:
    source = tmp_path / "x.png"
    write_photo(source, RGB)
    before = source.read_bytes()
    target = tmp_path / "y.png"
    if how == "symlink":
        request.getfixturevalue("symlinks")
        target.symlink_to(source)
    elif how == "hardlink":
        os.link(source, target)
    else:
        target = source if how == "same" else tmp_path / ".." / tmp_path.name / "x.png"
    photo = read_photo(source)
    with pytest.raises(InputError, match="never overwritten"):
        write_photo(target, 255 - RGB, like=photo, overwrite=True)
    assert source.read_bytes() == before


@pytest.mark.usefixtures("symlinks")
def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "x.png").write_bytes(b"old")
    (tmp_path / "link.png").symlink_to(tmp_path / "real" / "x.png")
    write_photo(tmp_path / "link.png", RGB, overwrite=True)
    assert (tmp_path / "link.png").is_symlink()
    np.testing.assert_array_equal(read_photo(tmp_path / "real" / "x.png").pixels, RGB)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot write .*x\.png: No such file or directory"):
        write_photo(tmp_path / "gone" / "x.png", RGB)


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot write .*x\.png"):
        write_photo(tmp_path / "file" / "x.png", RGB)


def test_a_folder_stands_there(tmp_path: Path) -> None:
    (tmp_path / "x.png").mkdir()
    with pytest.raises(InputError, match="a folder or a special file stands there"):
        write_photo(tmp_path / "x.png", RGB, overwrite=True)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is a Linux folder nobody can write to")
def test_unwritable_folder() -> None:
    with pytest.raises(InputError, match=r"cannot write /proc/x\.png: "):
        write_photo("/proc/x.png", RGB)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
def test_whole_or_not_at_all(tmp_path: Path, error: type[BaseException]) -> None:
    (tmp_path / "x.bin").write_bytes(b"old")

    def write_half() -> None:
        with written_whole(tmp_path / "x.bin") as file:
            file.write(b"half")
            assert len(names(tmp_path)) == 2
            raise error

    with pytest.raises(error):
        write_half()
    assert names(tmp_path) == ["x.bin"]
    assert (tmp_path / "x.bin").read_bytes() == b"old"


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_photo(tmp_path / "x.png", RGB)
    finally:
        os.umask(before)
    assert (tmp_path / "x.png").stat().st_mode & 0o777 == 0o640
