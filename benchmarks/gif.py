"""How good and how large are the GIFs? The frames of `animate` on the sample portrait, and of a pan over it, written
by this library and by Pillow.

    python -m ohlora_fast.benchmarks.gif

prints a table: kilobytes; mean colour error ΔE (CIE 1976) over all pixels, and over those that ever change; seconds of
CPU time.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np
from PIL import Image

from ohlora_fast import HairStylist
from ohlora_fast.animate import dyed_frames
from ohlora_fast.cli.demo import portrait
from ohlora_fast.distill.report import Table, table_markdown
from ohlora_fast.media.convert import Pixels
from ohlora_fast.media.gif import encode_gif

FRAMES, FPS = 48, 20


def ours(frames: Sequence[Pixels], dither: bool = False) -> bytes:
    """As `write_gif` does it."""
    return b"".join(encode_gif(frames, FPS, once=False, dither=dither))


def pillow(frames: Sequence[Pixels]) -> bytes:
    """As Pillow does it if nothing is said."""
    return saved([Image.fromarray(frame) for frame in frames])


def pillow_one_palette(frames: Sequence[Pixels]) -> bytes:
    """Pillow, with one palette made for all frames, from every sixth of them."""
    whole = Image.fromarray(np.concatenate(frames[::6])).quantize(256)
    return saved([Image.fromarray(frame).quantize(palette=whole, dither=Image.Dither.NONE) for frame in frames])


def saved(images: Sequence[Image.Image]) -> bytes:
    """What Pillow writes."""
    file = io.BytesIO()
    images[0].save(file, "GIF", save_all=True, append_images=images[1:], duration=1000 // FPS, loop=0)
    return file.getvalue()


WAYS: dict[str, Callable[[Sequence[Pixels]], bytes]] = {
    "ohlora_fast": ours,
    "ohlora_fast, dithered": lambda frames: ours(frames, dither=True),
    "Pillow": pillow,
    "Pillow, one palette": pillow_one_palette,
}


def pan() -> list[Pixels]:
    """A window that moves over the portrait, so that every pixel changes."""
    photo = portrait()
    return [photo[step : step + 256, step : step + 256] for step in range(FRAMES)]


def shown(data: bytes) -> Iterator[Pixels]:
    """The frames of a file, each as often as it is shown."""
    with Image.open(io.BytesIO(data)) as image:
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            frame = np.asarray(image.convert("RGB"))
            yield from [frame] * round(image.info["duration"] * FPS / 1000)


def errors(frames: Sequence[Pixels], data: bytes) -> tuple[float, float]:
    """Mean ΔE over all pixels of a file's frames, and over those that ever change."""
    moving = (np.asarray(frames) != frames[0]).any((0, 3))
    distances = [
        np.linalg.norm(lab(frame) - lab(found), axis=-1) for frame, found in zip(frames, shown(data), strict=True)
    ]
    return float(np.mean(distances)), float(np.mean([distance[moving] for distance in distances]))


def lab(frame: Pixels) -> np.ndarray:
    """CIE L*a*b*."""
    return cv2.cvtColor(frame.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def main() -> None:
    """Print the table."""
    photo = portrait()
    cases = {"animate": list(dyed_frames(HairStylist(), photo, frames=FRAMES)), "pan": pan()}
    rows = []
    for case, frames in cases.items():
        for way, write in WAYS.items():
            start = time.process_time()
            data = write(frames)
            seconds = time.process_time() - start
            mean, moving = errors(frames, data)
            rows.append((case, way, f"{len(data) / 1024:.0f}", f"{mean:.2f}", f"{moving:.2f}", f"{seconds:.1f}"))
    print(table_markdown(Table("", "", ("frames", "by", "KB", "ΔE", "ΔE where it moves", "CPU s"), rows)))


if __name__ == "__main__":
    main()
