"""Files that cannot be read: one line that names the file, what came, and what is allowed."""

from __future__ import annotations

import os
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ohlora_fast.errors import InputError
from ohlora_fast.media.images import MAX_PIXELS, read_photo

NOISE = np.random.default_rng(3).integers(0, 256, (64, 80, 3), dtype=np.uint8)
SUFFIXES = [".jpg", ".png", ".webp", ".tif", ".bmp"]


def refusal(path: Path, **options: int) -> str:
    with pytest.raises(InputError) as caught:
        read_photo(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_missing(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "x.jpg")


def test_folder(tmp_path: Path) -> None:
    assert "it is a folder, not a file" in refusal(tmp_path)


def test_empty(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").touch()
    assert "it is empty; allowed are JPEG, PNG, WebP, TIFF, BMP, AVIF and HEIC" in refusal(tmp_path / "x.jpg")


def test_zip_named_png(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.png", "w") as archive:
        archive.writestr("a", "b")
    assert "it is a ZIP archive; allowed are JPEG" in refusal(tmp_path / "x.png")


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"GIF89a" + bytes(20), "a GIF, which `ohlora-fast video` dyes"),
        (b"\0\0\0\x18ftypcrx " + bytes(20), "a CRX file"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL picture"),
        (b"%PDF-1.7", "a PDF"),
        (b"\n <html>", "a web page or XML"),
        (b"hello", "no picture (it begins with the bytes 68 65 6c 6c)"),
        (b"\0", "no picture (it begins with the bytes 00)"),
    ],
)
def test_other_files_are_named(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / "x.jpg").write_bytes(content)
    assert f"it is {name}; allowed are JPEG" in refusal(tmp_path / "x.jpg")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a system with pipes")
def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.jpg")
    assert "not a regular file" in refusal(tmp_path / "x.jpg")


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"x")
    (tmp_path / "x.jpg").chmod(0)
    assert "Permission denied" in refusal(tmp_path / "x.jpg")


@pytest.mark.usefixtures("symlinks")
def test_a_link_to_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").symlink_to(tmp_path / "gone.jpg")
    assert "No such file" in refusal(tmp_path / "x.jpg")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_cut_short(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"x{suffix}"
    Image.fromarray(NOISE).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert "corrupt, cut short or of a kind that cannot be read" in refusal(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_never_ends_in_another_error(tmp_path: Path, suffix: str, data: st.DataObject) -> None:
    path = tmp_path / f"x{suffix}"
    Image.fromarray(NOISE[:24, :24]).save(path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        outcome = str(read_photo(path, max_pixels=10_000_000).pixels.shape[2])
    except InputError as error:  # either is right; any other exception is not
        outcome = str(error)
    assert outcome in ("3", "4") or (str(path) in outcome and "\n" not in outcome)


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_header(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(bytes(99)))


def jpeg_header(width: int, height: int) -> bytes:
    frame = struct.pack(">HBHHB", 17, 8, height, width, 3) + b"\1\x11\0\2\x11\0\3\x11\0"
    return b"\xff\xd8\xff\xc0" + frame + b"\xff\xda\0\2"


def bmp_header(width: int, height: int) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, *[0] * 6)
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 54) + info


def tiff_header(width: int, height: int) -> bytes:
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: 1}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4)


def webp_extended_header(width: int, height: int) -> bytes:
    canvas = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + canvas


def webp_lossless_header(width: int, height: int) -> bytes:
    bits = (width - 1) | (height - 1) << 14
    return b"RIFF" + struct.pack("<I", 17) + b"WEBPVP8L" + struct.pack("<IBI", 5, 0x2F, bits) + bytes(8)


def webp_lossy_header(width: int, height: int) -> bytes:
    frame = b"\x10\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height)
    return b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8 " + struct.pack("<I", 10) + frame + bytes(8)


@pytest.mark.parametrize(
    ("header", "width", "height"),
    [
        (png_header, 100_000, 100_000),
        (png_header, 2**31 - 1, 2**31 - 1),
        (jpeg_header, 65_500, 65_500),
        (bmp_header, 100_000, 100_000),
        (tiff_header, 100_000, 100_000),
        (webp_extended_header, 2**24, 2**24),
        (webp_lossless_header, 16_384, 16_384),
        (webp_lossy_header, 16_383, 16_383),
    ],
)
def test_a_bomb_is_refused_by_its_header(
    tmp_path: Path, header: Callable[[int, int], bytes], width: int, height: int
) -> None:
    (tmp_path / "x").write_bytes(header(width, height))
    message = refusal(tmp_path / "x")
    assert f"{width}×{height} = {width * height:,} pixels; allowed are at most {MAX_PIXELS:,}" in message


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_limit_can_be_set(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    Image.fromarray(NOISE).save(path)
    assert "allowed are at most 5,119" in refusal(path, max_pixels=64 * 80 - 1)
    assert read_photo(path, max_pixels=64 * 80).pixels.shape == (64, 80, 3)


def test_above_the_default_limit_a_png_is_read_if_asked_for(tmp_path: Path) -> None:
    """What refuses the file then is its missing pixels, not its size."""
    path = tmp_path / "x.png"
    path.write_bytes(png_header(20_000, 10_000))
    assert "allowed are at most" in refusal(path)
    assert "cut short" in refusal(path, max_pixels=200_000_000)


def test_sixteen_bit_planes_are_refused(tmp_path: Path) -> None:
    """Pillow would read them as 8-bit planes, that is, as noise."""
    planes = np.arange(3 * 4 * 5, dtype="<u2").tobytes()
    tags = [(256, 4, 1, 5), (257, 4, 1, 4), (258, 3, 3, 0), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 3, 0)]
    tags += [(277, 3, 1, 3), (278, 4, 1, 4), (279, 4, 3, 0), (284, 3, 1, 2)]
    after = 8 + 2 + 12 * len(tags) + 4
    places = {258: after, 273: after + 6, 279: after + 18}
    entries = b"".join(struct.pack("<HHII", t, k, n, places.get(t, v)) for t, k, n, v in tags)
    start = after + 30
    extra = struct.pack("<3H3I3I", 16, 16, 16, start, start + 40, start + 80, 40, 40, 40)
    path = tmp_path / "x.tif"
    path.write_bytes(b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4) + extra + planes)
    assert "16-bit colour in separate planes; allowed is interleaved" in refusal(path)
