"""JPEG files without an end marker: read if nothing else is missing."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ohlora_fast.errors import InputError
from ohlora_fast.media.images import decode_photo, read_photo

KINDS: list[dict[str, Any]] = [
    {},
    {"progressive": True},
    {"optimize": True, "quality": 98, "subsampling": 0},
    {"restart_marker_blocks": 3},
    {"restart_marker_rows": 1},
    {"progressive": True, "restart_marker_rows": 1},
]
SCENE = np.stack(np.meshgrid(np.arange(200), np.arange(160)), -1) @ np.array([[1, 2, 0], [2, 0, 1]])
SCENE = (SCENE * np.random.default_rng(1).uniform(0.8, 1, SCENE.shape) % 256).astype(np.uint8)


def encoded(options: dict[str, Any], pixels: np.ndarray = SCENE) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", **options)
    assert file.getvalue().endswith(b"\xff\xd9")
    return file.getvalue()


@pytest.mark.parametrize("options", KINDS)
@pytest.mark.parametrize("end", [b"", b"\xff", bytes(700), b"\xff" * 9], ids=["none", "half", "zeros", "fill"])
def test_only_the_end_marker_is_missing(tmp_path: Path, options: dict[str, Any], end: bytes) -> None:
    (tmp_path / "whole.jpg").write_bytes(encoded(options))
    (tmp_path / "cut.jpg").write_bytes(encoded(options)[:-2] + end)
    whole, cut = read_photo(tmp_path / "whole.jpg"), read_photo(tmp_path / "cut.jpg")
    np.testing.assert_array_equal(cut.pixels, whole.pixels)
    assert whole.notes == ()
    assert cut.notes == ("its end marker is missing, but nothing of the picture",)
    assert cut.jpeg == whole.jpeg


def test_it_is_decoded_small_as_others_are() -> None:
    whole, cut = (decode_photo(io.BytesIO(data), "x.jpg", side=40) for data in (encoded({}), encoded({})[:-2]))
    assert (cut.pixels.shape, cut.size) == ((40, 50, 3), (160, 200))
    np.testing.assert_array_equal(cut.pixels, whole.pixels)


@pytest.mark.parametrize("options", KINDS)
@pytest.mark.parametrize("padding", [0, 700])
def test_whatever_else_is_missing_is_refused(options: dict[str, Any], padding: int) -> None:
    """Cuts a few bytes before the end, at restart markers, between scans, and anywhere."""
    data = encoded(options)
    marks = [match.start() for match in re.finditer(rb"\xff[\xd0-\xd7\xc4\xda]", data)]
    cuts = {*range(len(data) - 24, len(data) - 4), *marks[:: max(1, len(marks) // 12)]}
    cuts |= {cut + 1 for cut in marks[::40]} | {*range(len(data) // 3, len(data) - 30, len(data) // 9)}
    for cut in sorted(cuts):
        with pytest.raises(InputError, match=r"cannot read x\.jpg: it is corrupt, cut short"):
            decode_photo(io.BytesIO(data[:cut] + bytes(padding)), "x.jpg")


def test_a_picture_with_a_grey_end_is_not_taken_for_a_whole_one() -> None:
    """A decoder fills what is missing with this grey."""
    pixels = SCENE.copy()
    pixels[32:] = 128
    data = encoded({"restart_marker_rows": 1}, pixels)
    for match in list(re.finditer(rb"\xff[\xd0-\xd7]", data))[3:]:
        with pytest.raises(InputError, match="cut short"):
            decode_photo(io.BytesIO(data[: match.start()]), "x.jpg")


def test_an_end_marker_behind_a_damaged_segment_is_one(tmp_path: Path) -> None:
    """Decoders pass over a segment whose length makes no sense."""
    data = encoded({})
    (tmp_path / "x.jpg").write_bytes(data[:-2] + b"\xff\xfe\0\1" + data[-2:] + b"a trailer")
    photo = read_photo(tmp_path / "x.jpg")
    np.testing.assert_array_equal(photo.pixels, decode_photo(io.BytesIO(data), "whole").pixels)
