"""Do the hair's maps flicker from frame to frame, or lag behind it?

    python -m ohlora_fast.benchmarks.flicker [PHOTOS MASKS] [--count 16]

moves photos about, so that the motion is known exactly, under noise, an unsteady light and H.264, and finds the hair in
the clips: in each frame alone, with a plain average over time, and as `ohlora-fast video` smooths it, looking at each
frame or, as at several heads, at every second one. PHOTOS and MASKS
are folders, with NAME.png for each photo, 255 for hair; without them it is the portrait that scikit-image ships, whose
true mask is what the student makes of the still photo. For each way and motion it prints, as means,

- flicker: how far maps are from the one before, moved by the true motion, within 4 of 224 pixels of the hair's edge;
- IoU against the true mask, moved;
- lag, in frames: how old the true mask is that the maps fit best;
- shake: by how much the last hair row, of 720, changes its speed from frame to frame; the ombre hangs on that row.

Then the frames are dyed, as by `ohlora-fast video --smooth 0` and as it does by itself. Their colour's flicker is how
far sure hair is from the frame before, moved by the true motion: the mean distance in CIE L*a*b*, of frames blurred
over 5 pixels.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ohlora_fast.benchmarks import clips

from ohlora_fast.errors import InputError
from ohlora_fast.media.frames import rgb_of
from ohlora_fast.natural import NaturalDye
from ohlora_fast.ombre import Ombre
from ohlora_fast.ops.ombre_op import hair_rows
from ohlora_fast.student import SIZE
from ohlora_fast.student.preprocess import squash
from ohlora_fast.stylist import HairStylist
from ohlora_fast.video.dyer import Found, FrameDyer
from ohlora_fast.video.parts import whole_part
from ohlora_fast.video.smoothing import DEFAULT, MaskSmoother

Array = np.ndarray[Any, Any]

FRAME = (360, 640)
COUNT = 48
FIRST = 4
"""The first frame that counts, so that an average has something to average."""
OLDEST = 3
"""The lags that are tried, in frames, either way."""
CRF = 26.0
ROWS = (720, 1280)
"""Height and width of the frames whose hair rows count."""
TRUE = "true masks"
OMBRE = Ombre(color=0.9, ombre_height=1.0, ombre_grad_height=0.3)
DYES: dict[str, str | NaturalDye] = {
    "seed": "seed",
    "natural": NaturalDye(lift=0.8),
    "along the flow": NaturalDye("rose-to-blue", lift=0.8, direction="flow"),
    "with highlights": NaturalDye(lift=0.8, highlights="gold"),
    "with an undercolour": NaturalDye(lift=0.8, undercolor="teal"),
}
SURE = 0.95
"""Hair from this value of the true mask on is looked at for its colour."""


def main() -> int:
    """Run from the command line, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m ohlora_fast.benchmarks.flicker",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folders", nargs="*", metavar="FOLDER", help="PHOTOS and MASKS")
    parser.add_argument("--count", type=int, default=16, help="photos, evenly chosen (16)")
    args = parser.parse_args()
    if len(args.folders) not in (0, 2):
        parser.error("either none or two folders")
    stylist = HairStylist()
    try:
        pairs = list(from_folders(*map(Path, args.folders), args.count) if args.folders else portrait(stylist))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("| motion | maps | flicker | IoU | lag | shake |\n| --- | --- | ---: | ---: | ---: | ---: |")
    colors: list[str] = []
    for motion in clips.MOTIONS:
        scores: dict[str, list[tuple[float, ...]]] = {name: [] for name in (*ways(), TRUE)}
        changes: dict[str, list[tuple[float, ...]]] = {name: [] for name in ("undyed", *DYES)}
        for photo, mask in pairs:
            placed = clips.placements(motion, COUNT, photo.shape[:2], FRAME)
            frames = list(coded(clips.frames(photo, placed, FRAME)))
            views = [squash(frame) for frame in frames]
            maps = [stylist.engine.predict(view[None])[0] for view in views]
            sure = [clips.place(mask, placement, FRAME) >= SURE for placement in placed]
            changes["undyed"].append((color_flicker(frames, sure, placed),) * 2)
            for name, method in DYES.items():
                ways_dyed = (dyed(stylist, frames, views, maps, method, smooth) for smooth in (0, DEFAULT))
                changes[name].append(tuple(color_flicker(list(film), sure, placed) for film in ways_dyed))
            truth = [small(clips.place(mask, placement, FRAME)) for placement in placed]
            for name, smoother in ways().items():
                scores[name].append(score(list(map(smoother, maps, views)), truth, placed))
            scores[TRUE].append(score(truth, truth, placed))
        for name, values in scores.items():
            flicker, iou, lag, shake = np.mean(values, 0)
            age = "" if motion == "still" else f"{lag:+.2f}"
            print(f"| {motion} | {name} | {flicker:.4f} | {iou:.4f} | {age} | {shake:.1f} |", flush=True)
        for name, pair in changes.items():
            alone, smoothed = np.mean(pair, 0)
            colors.append(f"| {motion} | {name} | {alone:.2f} | {smoothed:.2f} |")
    print("\n| motion | colour | each alone | smoothed |\n| --- | --- | ---: | ---: |", *colors, sep="\n")
    return 0


def ways() -> dict[str, Callable[[Array, Array], Array]]:
    """Name → what makes a frame's map from the student's map and view."""
    return {
        "each alone": lambda found, view: found,
        "plain average": Average(),
        "smoothed": MaskSmoother(),
        "smoothed, every second one": EverySecond(),
    }


class EverySecond:
    """The smoothing of maps that the student makes of every second frame alone."""

    def __init__(self) -> None:
        self.smoother, self.count = MaskSmoother(), 0

    def __call__(self, found: Array, view: Array) -> Array:
        self.count += 1
        return self.smoother(found if self.count % 2 else None, view)


class Average:
    """An average over time that knows of no motion, with the smoothing's own share of the map before."""

    def __init__(self) -> None:
        self.before: Array | None = None

    def __call__(self, found: Array, view: Array) -> Array:
        self.before = found if self.before is None else DEFAULT * self.before + (1 - DEFAULT) * found
        return self.before


def portrait(stylist: HairStylist) -> Iterator[tuple[Array, Array]]:
    """The demo's portrait, and its mask."""
    from ohlora_fast.cli.demo import portrait

    photo = portrait()
    yield photo, stylist.segment(photo)


def from_folders(photos: Path, masks: Path, count: int) -> Iterator[tuple[Array, Array]]:
    """Photos (H, W, 3) and their masks (H, W) in [0, 1].

    Raises:
        InputError: there is no mask, or a file cannot be read.
    """
    from ohlora_fast.media.images import read_photo

    names = sorted(path.stem for path in masks.glob("*.png"))
    if not names:
        raise InputError(f"{masks}: there is no .png in it")
    for number in np.unique(np.linspace(0, len(names) - 1, count).astype(int)):
        found = next(photos.glob(f"{names[number]}.*"), photos / names[number])
        mask = read_photo(masks / f"{names[number]}.png").pixels[..., 0] / np.float32(255)
        yield read_photo(found).pixels[..., :3], mask


def coded(frames: Iterator[Array]) -> Iterator[Array]:
    """Frames as H.264 leaves them."""
    from ohlora_fast.media.encoding import Encoding
    from ohlora_fast.media.video import VideoWriter
    from ohlora_fast.media.video_reader import VideoReader

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        with VideoWriter(path, clips.FPS, FRAME, Encoding(crf=CRF)) as writer:
            for frame in frames:
                writer.write(frame)
        with VideoReader(path) as reader:
            yield from map(rgb_of, reader.items())  # type: ignore[arg-type]


def dyed(
    stylist: HairStylist,
    frames: list[Array],
    views: list[Array],
    maps: list[Array],
    method: str | NaturalDye,
    smooth: float,
) -> Iterator[Array]:
    """Frames as `ohlora-fast video` dyes them, by the student's maps."""
    import av

    dyer = FrameDyer(stylist, smooth, method=method, heads="whole")
    for pixels, view, prob in zip(frames, views, maps, strict=True):
        frame = av.VideoFrame.from_ndarray(pixels).reformat(format="yuv420p")
        yield rgb_of(dyer.dye(Found(frame, pixels, (whole_part(pixels.shape[:2], view, prob),)), lambda number: OMBRE))


def color_flicker(frames: list[Array], sure: list[Array], placed: list[Array]) -> float:
    """How far the colour of sure hair is from that in the frame before, moved by the true motion."""
    import cv2

    labs = [cv2.cvtColor(cv2.blur(one, (5, 5)).astype(np.float32) / 255, cv2.COLOR_RGB2LAB) for one in frames]
    distances = []
    for n in range(FIRST, len(labs)):
        motion = whole(placed[n]) @ np.linalg.inv(whole(placed[n - 1]))
        size = labs[n].shape[1::-1]
        before = cv2.warpAffine(labs[n - 1], motion[:2], size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        distances.append(np.linalg.norm(labs[n] - before, axis=2)[sure[n]].mean())
    return float(np.mean(distances))


def whole(placement: Array) -> Array:
    """A placement (2, 3) as a matrix that can be inverted, (3, 3)."""
    return np.vstack([placement, [0, 0, 1]])


def small(mask: Array) -> Array:
    """A mask as the student's maps are, (224, 224)."""
    import cv2

    return cv2.resize(mask, (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def score(maps: list[Array], truth: list[Array], placed: list[Array]) -> tuple[float, float, float, float]:
    """Flicker, IoU, lag and shake."""
    numbers = range(FIRST, len(maps))
    flicker = [np.abs(maps[n] - carried(maps[n - 1], placed[n - 1], placed[n]))[edge(truth[n])].mean() for n in numbers]
    ages = range(-OLDEST, OLDEST + 1)
    inner = range(FIRST + OLDEST, len(maps) - OLDEST)
    by_age = [float(np.mean([overlap(maps[n], truth[n - age]) for n in inner])) for age in ages]
    iou = np.mean([overlap(maps[n], truth[n]) for n in numbers])
    rows = hair_rows(np.ascontiguousarray(maps, np.float32), *ROWS)[FIRST:, 1]
    return float(np.mean(flicker)), float(iou), peak(by_age), float(np.abs(np.diff(rows, 2)).mean())


def carried(picture: Array, before: Array, after: Array) -> Array:
    """A map as the true motion moves it, from one placement of the photo to another."""
    import cv2

    height, width = FRAME
    to_map = np.array(
        [[SIZE / width, 0, (SIZE / width - 1) / 2], [0, SIZE / height, (SIZE / height - 1) / 2], [0, 0, 1]]
    )
    matrix = to_map @ whole(after) @ np.linalg.inv(whole(before)) @ np.linalg.inv(to_map)
    return cv2.warpAffine(picture, matrix[:2], (SIZE, SIZE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def edge(mask: Array) -> Array:
    """Where the hair's edge is near."""
    import cv2

    hair, around = (mask > 0.5).astype(np.uint8), np.ones((9, 9), np.uint8)
    return cv2.dilate(hair, around) != cv2.erode(hair, around)


def overlap(found: Array, truth: Array) -> float:
    """IoU; two empty masks count as 1."""
    a, b = found > 0.5, truth > 0.5
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def peak(values: list[float]) -> float:
    """Where a parabola through the largest value and its neighbours is highest, 0 in the middle.

    >>> peak([0.0, 1.0, 2.0, 1.0, 0.0]), peak([0.0, 1.0, 2.0, 2.0, 1.0])
    (0.0, 0.5)
    """
    at = int(np.argmax(values))
    shift = 0.0
    if 0 < at < len(values) - 1:
        left, top, right = values[at - 1 : at + 2]
        shift = (left - right) / (2 * (left - 2 * top + right))
    return at - len(values) // 2 + shift


if __name__ == "__main__":
    sys.exit(main())
