"""Grey TIFF files: 0 as white, signed values, 12 bits, floats, in either byte order, with and without compression."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ohlora_fast.errors import InputError
from ohlora_fast.media.images import photo_from_pil, read_photo

GREY = np.arange(256, dtype=np.uint8).reshape(16, 16)
KINDS = {"u1": (8, 1), "i1": (8, 2), "u2": (16, 1), "i2": (16, 2), "i4": (32, 2), "f4": (32, 3)}
WHITE = {"u1": 255, "i1": 127, "u2": 65535, "i2": 32767, "i4": 65535, "f4": 1}


def write_tiff(
    path: Path, data: bytes, bits: int, form: int, order: str, white_is_zero: bool, deflated: bool = False
) -> Path:
    """A grey file of 16×16 pixels and one strip."""
    data = zlib.compress(data) if deflated else data
    tags = {256: 16, 257: 16, 258: bits, 259: 8 if deflated else 1, 262: int(not white_is_zero), 273: 8, 277: 1}
    tags |= {278: 16, 279: len(data), 339: form}
    head = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8 + len(data) + len(data) % 2)
    entries = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in tags.items())
    path.write_bytes(head + data + bytes(len(data) % 2) + struct.pack(f"{order}H", len(tags)) + entries + bytes(4))
    return path


def stored(kind: str, white_is_zero: bool) -> np.ndarray:
    """The values of `GREY`: an eighth bit that a kind lacks is lost."""
    white = WHITE[kind]
    values = GREY / 255 if kind == "f4" else GREY.astype(np.int64) * white // 255
    return white - values if white_is_zero else values


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("white_is_zero", [False, True])
@pytest.mark.parametrize("deflated", [False, True])
def test_grey_is_read_as_it_is_meant(
    tmp_path: Path, kind: str, order: str, white_is_zero: bool, deflated: bool
) -> None:
    values = stored(kind, white_is_zero).astype(np.dtype(order + kind))
    bits, form = KINDS[kind]
    path = write_tiff(tmp_path / "x.tif", values.tobytes(), bits, form, order, white_is_zero, deflated)
    read = read_photo(path).pixels[..., 0].astype(int)
    assert np.abs(read - GREY).max() <= (2 if kind == "i1" else 1)


def test_sixteen_bits_whose_zero_is_white_are_exact(tmp_path: Path) -> None:
    values = 65535 - GREY.astype("<u2") * 257
    path = write_tiff(tmp_path / "x.tif", values.tobytes(), 16, 1, "<", white_is_zero=True)
    np.testing.assert_array_equal(read_photo(path).pixels, np.dstack([GREY] * 3))
    with Image.open(path) as image:  # Pillow opens these, too, as a negative
        np.testing.assert_array_equal(photo_from_pil(image).pixels, np.dstack([GREY] * 3))


def test_twelve_bits_fill_the_range(tmp_path: Path) -> None:
    values = (GREY.astype(np.uint32) << 4).reshape(-1, 2)
    packed = (values[:, 0] << 12 | values[:, 1]).astype(">u4").view(np.uint8).reshape(-1, 4)[:, 1:]
    path = write_tiff(tmp_path / "x.tif", packed.tobytes(), 12, 1, "<", white_is_zero=False)
    np.testing.assert_array_equal(read_photo(path).pixels[..., 0], GREY)


@pytest.mark.parametrize(("kind", "low", "white"), [("i1", -128, 127), ("i2", -300, 32767)])
def test_values_below_black_are_refused(tmp_path: Path, kind: str, low: int, white: int) -> None:
    values = np.full((16, 16), 5, np.dtype("<" + kind))
    values[3, 4] = low
    bits, form = KINDS[kind]
    path = write_tiff(tmp_path / "x.tif", values.tobytes(), bits, form, "<", white_is_zero=False)
    with pytest.raises(InputError, match=rf"x\.tif: integer values run from {low} to 5; allowed are 0 to {white}"):
        read_photo(path)
