"""Animated WebP files as videos."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ohlora_fast.errors import InputError
from ohlora_fast.media import webp
from ohlora_fast.media.video_reader import VideoReader
from ohlora_fast.media.webp import as_moving_png

FRAMES = [np.full((32, 48, 3), value, np.uint8) for value in (20, 120, 220)]


@pytest.fixture
def moving(tmp_path: Path) -> Path:
    images = [Image.fromarray(frame) for frame in FRAMES]
    images[0].save(
        tmp_path / "x.webp", save_all=True, append_images=images[1:], duration=[100, 300, 200], lossless=True
    )
    return tmp_path / "x.webp"


def test_frames_and_times_are_those_of_the_file(moving: Path) -> None:
    with VideoReader(moving) as reader:
        frames = list(reader.items())
        times = [frame.pts * reader.time_base for frame in frames]  # type: ignore[operator]
    assert times == [0, Fraction(1, 10), Fraction(4, 10)]
    for frame, wanted in zip(frames, FRAMES, strict=True):
        np.testing.assert_array_equal(frame.to_ndarray(format="rgb24"), wanted)  # type: ignore[union-attr]


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    Image.fromarray(FRAMES[0]).save(tmp_path / "still.webp", exif=Image.Exif().tobytes())
    assert as_moving_png(tmp_path / "still.webp") is None
    assert as_moving_png(tmp_path / "missing.webp") is None


def test_corrupt_and_too_large_ones_are_refused(moving: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(moving.read_bytes())
    (moving.parent / "torn.webp").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"cannot read .*torn\.webp: it is corrupt or cut short"):
        as_moving_png(moving.parent / "torn.webp")
    monkeypatch.setattr(webp, "MAX_PIXELS", 2 * 32 * 48)
    with pytest.raises(InputError, match="its 3 frames have 4,608 pixels in all; allowed are at most 3,072"):
        as_moving_png(moving)
