"""Writing videos: what players get, and that a file appears whole or not at all."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from ohlora_fast import InputError
from ohlora_fast.media.encoding import Encoding
from ohlora_fast.media.video import VideoWriter


def ramp(count: int, size: tuple[int, int] = (48, 64)) -> list[np.ndarray]:
    """Frames that grow brighter."""
    return [np.full((*size, 3), 40 * number, np.uint8) for number in range(count)]


def write(path: Path, frames: list[np.ndarray], **options: object) -> Path:
    with VideoWriter(path, fps=25, size=frames[0].shape[:2], **options) as writer:  # type: ignore[arg-type]
        for frame in frames:
            writer.write(frame)
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".ts"])
def test_frames_come_back(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"a{suffix}", ramp(6))
    with av.open(path) as container:
        found = list(container.decode(video=0))
        stream = container.streams.video[0]
    assert (stream.width, stream.height, stream.pix_fmt, stream.codec_context.colorspace) == (64, 48, "yuv420p", 1)
    times = [frame.pts * frame.time_base for frame in found]
    assert np.allclose(np.diff([float(time) for time in times]), 0.04, atol=1e-3)
    for frame, wanted in zip(found, ramp(6), strict=True):
        assert abs(frame.to_ndarray(format="rgb24").mean() - wanted.mean()) < 4


def test_players_begin_before_they_have_the_whole_mp4(tmp_path: Path) -> None:
    content = write(tmp_path / "a.mp4", ramp(3)).read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_times_are_kept_exactly(tmp_path: Path) -> None:
    times = [0.5, 0.53, 0.6, 1.25]
    with VideoWriter(tmp_path / "a.mp4", 25, (48, 64), time_base=Fraction(1, 90_000)) as writer:
        for frame, time in zip(ramp(4), times, strict=True):
            writer.write(frame, time)
    with av.open(tmp_path / "a.mp4") as container:
        assert [frame.time for frame in container.decode(video=0)] == times


def test_an_odd_row_and_column_are_left_out(tmp_path: Path) -> None:
    with av.open(write(tmp_path / "a.mp4", ramp(2, (47, 63)))) as container:
        assert (container.streams.video[0].height, container.streams.video[0].width) == (46, 62)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_file_that_is_broken_off_does_not_appear(tmp_path: Path, error: type[BaseException]) -> None:
    old = tmp_path / "a.mp4"
    old.write_bytes(b"old")

    def broken() -> None:
        with VideoWriter(old, 25, (48, 64), overwrite=True) as writer:
            writer.write(ramp(1)[0])
            raise error

    with pytest.raises(error):
        broken()
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    assert old.read_bytes() == b"old"


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("a.xyz", {}, "a video's suffix is one of"),
        ("no/a.mp4", {}, "No such file or directory"),
        ("old.mp4", {}, "it exists already"),
        ("a.mp4", {"encoding": Encoding(codec="nonsense")}, "codec: got 'nonsense'"),
        ("a.mp4", {"encoding": Encoding(codec="aac")}, "codec: got 'aac'"),
        ("a.webm", {"encoding": Encoding(codec="libx264")}, "hold no video of libx264"),
        ("a.mp4", {"encoding": Encoding(preset="silly")}, "cannot write"),
    ],
)
def test_what_cannot_be_written_is_said(tmp_path: Path, name: str, options: dict[str, object], said: str) -> None:
    (tmp_path / "old.mp4").touch()
    with pytest.raises(InputError, match=said):
        write(tmp_path / name, ramp(2), **options)
    assert [path.name for path in tmp_path.iterdir()] == ["old.mp4"]


def test_no_frames_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there are no frames"), VideoWriter(tmp_path / "a.mp4", 25, (48, 64)):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "pixels", [np.zeros((48, 64, 4), np.uint8), np.zeros((40, 64, 3), np.uint8), np.zeros((48, 64, 3))]
)
def test_frames_of_another_kind_are_refused(tmp_path: Path, pixels: np.ndarray) -> None:
    with pytest.raises(InputError, match="pixels:"), VideoWriter(tmp_path / "a.mp4", 25, (48, 64)) as writer:
        writer.write(pixels)


@pytest.mark.parametrize("options", [{"crf": -1}, {"crf": 64}, {"threads": 0}])
def test_encodings_out_of_range_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(InputError, match="allowed is"):
        Encoding(**options)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
@pytest.mark.parametrize(("end", "seconds"), [(None, 1.65), (400_000, 4), (162_000, 1.62)])
def test_the_last_frame_is_shown_until_the_end(tmp_path: Path, suffix: str, end: int | None, seconds: float) -> None:
    """For the time of one frame if nothing is said. Frames are coded in another order than they are shown in."""
    times = [0, 0.02, 0.1, 0.7, 1.6]
    path = tmp_path / f"a{suffix}"
    with VideoWriter(path, 20, (48, 64), time_base=Fraction(1, 100_000)) as writer:
        for frame, time in zip(ramp(5), times, strict=True):
            writer.write(frame, time)
        writer.end = end
    with av.open(path) as container:
        assert container.duration / av.time_base == pytest.approx(seconds, abs=0.0015)
        assert [frame.time for frame in container.decode(video=0)] == pytest.approx(times, abs=0.001)
