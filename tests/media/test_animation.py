"""Frames into the file that the suffix asks for, or into a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ohlora_fast.errors import InputError
from ohlora_fast.media.animation import write_frames
from ohlora_fast.media.convert import Pixels
from ohlora_fast.media.images import read_photo


@pytest.fixture
def frames(portrait_pixels: Pixels) -> list[Pixels]:
    """Three frames that differ."""
    return [np.roll(portrait_pixels, 10 * number, axis=1) for number in range(3)]


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".WEBP"])
@pytest.mark.parametrize("once", [False, True])
def test_files(tmp_path: Path, frames: list[Pixels], suffix: str, once: bool) -> None:
    path = tmp_path / f"x{suffix}"
    write_frames(path, frames, fps=8, once=once)
    times = []
    with Image.open(path) as image:
        assert image.format == suffix[1:].upper()
        assert image.n_frames == 3
        assert image.info.get("loop", 1) == once
        for number, frame in enumerate(frames):
            image.seek(number)
            image.load()
            times.append(image.info["duration"])
            assert np.abs(np.asarray(image.convert("RGB"), int) - frame).mean() < 6
    assert sum(times) in (370, 380)


def test_a_video(tmp_path: Path, frames: list[Pixels]) -> None:
    """Of an odd width, of which the last column is left out."""
    av = pytest.importorskip("av")
    write_frames(tmp_path / "x.mp4", [frame[:, :179] for frame in frames], fps=8)
    with av.open(tmp_path / "x.mp4") as container:
        shown = [(frame.time, frame.to_ndarray(format="rgb24").astype(int)) for frame in container.decode(video=0)]
    assert [time for time, _ in shown] == [0, 0.125, 0.25]
    for (_, pixels), frame in zip(shown, frames, strict=True):
        assert pixels.shape == (200, 178, 3)
        assert np.abs(pixels - frame[:, :178]).mean() < 6


def test_a_folder(tmp_path: Path, frames: list[Pixels]) -> None:
    (tmp_path / "out").mkdir()
    write_frames(tmp_path / "out", frames)
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == [f"00000{number}.png" for number in range(3)]
    for number, frame in enumerate(frames):
        assert np.array_equal(read_photo(tmp_path / "out" / f"00000{number}.png").pixels, frame)
    with pytest.raises(InputError, match="something stands there; allowed is a new or an empty folder"):
        write_frames(tmp_path / "out", frames, overwrite=True)


@pytest.mark.parametrize("name", ["x.gif", "x.webp", "x.mp4", "x"])
def test_what_breaks_off_leaves_nothing(tmp_path: Path, frames: list[Pixels], name: str) -> None:
    def broken() -> Iterator[Pixels]:
        yield frames[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_frames(tmp_path / name, broken())
    with pytest.raises(InputError, match="frames: none came"):
        write_frames(tmp_path / name, [])
    assert not list(tmp_path.iterdir())


def test_a_file_is_replaced_only_when_asked(tmp_path: Path, frames: list[Pixels]) -> None:
    path = tmp_path / "x.gif"
    path.write_bytes(b"old")
    with pytest.raises(InputError, match="exists already"):
        write_frames(path, frames)
    assert path.read_bytes() == b"old"
    write_frames(path, frames, overwrite=True)
    assert path.read_bytes()[:3] == b"GIF"


@pytest.mark.parametrize(
    ("name", "line"), [("x.avi", "the suffix '.avi' came; allowed are .gif"), ("gone/x.gif", "there is no folder")]
)
def test_what_cannot_be_written_is_named(tmp_path: Path, frames: list[Pixels], name: str, line: str) -> None:
    with pytest.raises(InputError, match=line):
        write_frames(tmp_path / name, frames)
