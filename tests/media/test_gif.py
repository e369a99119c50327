"""GIFs: read back by Pillow, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ohlora_fast.errors import InputError
from ohlora_fast.media.convert import Pixels
from ohlora_fast.media.gif import LONGEST_DELAY, delays, write_gif


def read(path: Path) -> tuple[list[np.ndarray], list[int]]:
    """The frames as a viewer shows them, and for how many milliseconds."""
    frames, times = [], []
    with Image.open(path) as image:
        for number in range(image.n_frames):
            image.seek(number)
            frames.append(np.asarray(image.convert("RGB")))
            times.append(image.info["duration"])
    return frames, times


def few_colors(count: int, size: tuple[int, int] = (9, 13)) -> list[Pixels]:
    """Noise of eight colours, other ones in each frame."""
    rng = np.random.default_rng(0)
    palettes = rng.integers(0, 256, (count, 8, 3), np.uint8)
    return [palette[rng.integers(0, 8, size)] for palette in palettes]


@pytest.mark.parametrize("size", [(1, 1), (9, 13), (300, 2)])
def test_few_colors_come_back_exactly(tmp_path: Path, size: tuple[int, int]) -> None:
    frames = few_colors(5, size)
    write_gif(tmp_path / "x.gif", frames, fps=10)
    shown, times = read(tmp_path / "x.gif")
    assert np.array_equal(shown, frames)
    assert times == [100] * 5


def test_what_stands_still_is_coded_once(tmp_path: Path) -> None:
    """Each frame changes one small square of noise; the file grows by about that square a frame."""
    still = np.random.default_rng(1).integers(0, 256, (120, 120, 3), np.uint8)
    frames = [still.copy() for _ in range(10)]
    for number, frame in enumerate(frames[1:]):
        frame[60:65, 10 * number : 10 * number + 5] = (number * 20, 255, 0)
    write_gif(tmp_path / "one.gif", frames[:1])
    write_gif(tmp_path / "ten.gif", frames)
    assert (tmp_path / "ten.gif").stat().st_size - (tmp_path / "one.gif").stat().st_size < 9 * 1200
    shown, _ = read(tmp_path / "ten.gif")
    kept = np.ones((120, 120), bool)
    kept[60:65] = False
    assert all(np.array_equal(frame[kept], shown[0][kept]) for frame in shown)
    assert all((frame[62, 10 * number + 2] == (number * 20, 255, 0)).all() for number, frame in enumerate(shown[1:]))


def test_a_later_palette_belongs_to_what_moves(tmp_path: Path, portrait_pixels: Pixels) -> None:
    """A square of 250 greens beside a portrait is exact from the second frame on, the first having to share."""
    frames = [portrait_pixels.copy() for _ in range(2)]
    frames[1][:25, :10] = np.stack([np.zeros(250), np.arange(250), np.zeros(250)], -1).reshape(25, 10, 3)
    write_gif(tmp_path / "x.gif", frames)
    shown, _ = read(tmp_path / "x.gif")
    assert np.array_equal(shown[1][:25, :10], frames[1][:25, :10])
    assert np.array_equal(shown[1][25:], shown[0][25:])


def test_it_is_nearer_than_pillows_own_and_smaller(tmp_path: Path, portrait_pixels: Pixels) -> None:
    shades = np.linspace(0.5, 1.2, 6)
    frames = [portrait_pixels.copy() for _ in shades]
    for frame, shade in zip(frames, shades, strict=True):
        frame[:, 60:120] = np.clip(frame[:, 60:120] * (shade, 1, 1.5 - shade), 0, 255)
    write_gif(tmp_path / "ours.gif", frames)
    first, *rest = map(Image.fromarray, frames)
    first.save(tmp_path / "pillow.gif", save_all=True, append_images=rest, duration=50, loop=0)
    ours, theirs = (np.asarray(read(tmp_path / name)[0], float) for name in ("ours.gif", "pillow.gif"))
    assert np.square(ours - frames).mean() < np.square(theirs - frames).mean()
    assert (tmp_path / "ours.gif").stat().st_size < (tmp_path / "pillow.gif").stat().st_size


def test_dithering_keeps_the_mean_of_small_squares(tmp_path: Path) -> None:
    """Of a shade that 255 colours make bands of."""
    rows, columns = np.mgrid[0:128, 0:128].astype(np.uint8)
    shade = np.stack([rows, columns, 255 - rows // 2 - columns // 2], -1)

    def error(dither: bool) -> float:
        write_gif(tmp_path / f"{dither}.gif", [shade], dither=dither)
        with Image.open(tmp_path / f"{dither}.gif") as image:
            shown = np.asarray(image.convert("RGB"), float)
        squares = (shown - shade).reshape(32, 4, 32, 4, 3).mean((1, 3))
        return float(np.abs(squares).mean())

    assert error(dither=True) < 0.7 * error(dither=False)


def test_frames_that_change_nothing_lengthen_the_one_before(tmp_path: Path) -> None:
    one, two = few_colors(2)
    write_gif(tmp_path / "x.gif", [one, one, one, two, two, one], fps=20)
    shown, times = read(tmp_path / "x.gif")
    assert np.array_equal(shown, [one, two, one])
    assert times == [150, 100, 50]


def test_the_longest_delay_is_not_passed(tmp_path: Path) -> None:
    (one,) = few_colors(1)
    write_gif(tmp_path / "x.gif", [one] * 4, fps=1 / 300)
    shown, times = read(tmp_path / "x.gif")
    assert [np.array_equal(frame, one) for frame in shown] == [True, True]
    assert times == [600_000, 600_000]
    assert max(times) <= 10 * LONGEST_DELAY


@pytest.mark.parametrize("fps", [50, 30, 24, 23.976, 20, 7])
def test_delays_keep_the_length(fps: float) -> None:
    found = list(islice(delays(fps), 1000))
    assert abs(sum(found) - 100_000 / fps) <= 0.5
    assert max(found) - min(found) <= 1
    assert min(found) >= 2


@pytest.mark.parametrize("once", [False, True])
def test_it_is_shown_for_ever_or_once(tmp_path: Path, once: bool) -> None:
    write_gif(tmp_path / "x.gif", few_colors(2), once=once)
    with Image.open(tmp_path / "x.gif") as image:
        assert image.info.get("loop") == (None if once else 0)


def test_frames_are_taken_one_by_one(tmp_path: Path) -> None:
    """One array whose content changes will do."""
    frames = few_colors(3)

    def reused() -> Iterator[Pixels]:
        array = np.empty_like(frames[0])
        for frame in frames:
            array[:] = frame
            yield array

    write_gif(tmp_path / "x.gif", reused())
    assert np.array_equal(read(tmp_path / "x.gif")[0], frames)


@pytest.mark.parametrize(
    ("frames", "fps", "line"),
    [
        ([], 20, "frames: none came"),
        ([np.zeros((2, 2), np.uint8)], 20, r"frames: number 0 is uint8 \(2, 2\); allowed is uint8 \(H, W, 3\)"),
        ([np.zeros((2, 2, 3), np.float32)], 20, "frames: number 0 is float32"),
        ([np.zeros((1, 70_000, 3), np.uint8)], 20, "sides up to 65535"),
        (
            [np.zeros((2, 2, 3), np.uint8), np.zeros((2, 4, 3), np.uint8)],
            20,
            r"number 1 is .* \(2, 2, 3\), as the first",
        ),
        ([np.zeros((2, 2, 3), np.uint8)], 60, "fps: 60 came; allowed are numbers above 0 and up to 50"),
        ([np.zeros((2, 2, 3), np.uint8)], 0, "fps: 0 came"),
    ],
)
def test_what_a_gif_cannot_hold_leaves_no_file(tmp_path: Path, frames: Sequence[Pixels], fps: float, line: str) -> None:
    with pytest.raises(InputError, match=line):
        write_gif(tmp_path / "x.gif", frames, fps)
    assert not list(tmp_path.iterdir())
