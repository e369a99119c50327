"""GIF animations: every frame has a palette of its own, made for those pixels alone that change.

What stands still is coded once, and all 255 colours of a later frame go to what moves. Of a changed pixel, too, the
colour that is shown stays, if it is as near as the one that the new palette offers. `python -m
ohlora_fast.benchmarks.gif` compares this with Pillow's own way.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
from numpy.typing import NDArray
from PIL import GifImagePlugin, Image

from ohlora_fast.errors import InputError
from ohlora_fast.media.convert import Pixels
from ohlora_fast.media.files import written_whole

FASTEST = 50.0
"""Frames a second: viewers show a delay of 1/100 s as one of 10/100."""
LONGEST_DELAY = 0xFFFF
LARGEST = 0xFFFF
COLORS = 255
"""Of a frame; one more index stands for what stays."""
KEPT = 1
"""How a frame is disposed of: the next one is laid upon it."""


@dataclass(frozen=True)
class Block:
    """The part of a frame that changes what is shown, and how long it is then shown.

    Attributes:
        indices: uint8 (h, w); ``len(palette)`` where a pixel stays as it is.
        palette: uint8 (C, 3), at most 255 colours; none where nothing changes.
        corner: x and y of the top left pixel.
        delay: in 1/100 s.
    """

    indices: NDArray[np.uint8]
    palette: Pixels
    corner: tuple[int, int] = (0, 0)
    delay: int = 0

    def encoded(self) -> bytes:
        """The block as it stands in the file."""
        image, stays = Image.fromarray(self.indices), len(self.palette)
        image.putpalette(np.vstack([self.palette, np.zeros((1, 3), np.uint8)]).tobytes())
        holes = {"transparency": stays} if (self.indices == stays).any() else {}
        return b"".join(
            GifImagePlugin.getdata(
                image, self.corner, duration=10 * self.delay, disposal=KEPT, include_color_table=True, **holes
            )
        )


NOTHING = Block(np.zeros((1, 1), np.uint8), np.zeros((0, 3), np.uint8))
"""Of a frame that changes nothing: one pixel that stays."""


def write_gif(
    path: str | os.PathLike[str], frames: Iterable[Pixels], fps: float = 20, once: bool = False, dither: bool = False
) -> None:
    """Write an animation, whole or not at all. Frames are taken one by one.

    Args:
        path: the file; one that stands there is replaced.
        frames: uint8 RGB (H, W, 3), all of one size.
        fps: frames a second, above 0 and up to 50. GIF counts in 1/100 s: where a frame takes no whole number of these,
            delays alternate, so that the whole has its length: at 24 a second 4, 4, 4, 5, 4 …
        once: show it once, not for ever.
        dither: spread what a palette lacks over the pixels around (Floyd–Steinberg): smoother at a distance, grainier
            near by.

    Raises:
        InputError: no frames, a frame of another kind or size, another rate, or the file cannot be written.

    >>> import tempfile
    >>> name = os.path.join(tempfile.mkdtemp(), "x.gif")
    >>> write_gif(name, [np.full((4, 6, 3), value, np.uint8) for value in (0, 255)])
    >>> with Image.open(name) as image:
    ...     image.n_frames, image.info["duration"]
    (2, 50)
    """
    with written_whole(path) as file:
        for part in encode_gif(frames, fps, once, dither):
            file.write(part)


def encode_gif(frames: Iterable[Pixels], fps: float, once: bool, dither: bool) -> Iterator[bytes]:
    """The parts of the file, see `write_gif`."""
    screen = Screen(dither)
    waiting: Block | None = None  # until it is known for how long nothing changes
    for frame, delay in zip(frames, delays(fps), strict=False):
        block = screen.show(frame)
        if waiting is None:
            yield header(frame.shape[1], frame.shape[0], once)
        elif not len(block.palette) and waiting.delay + delay <= LONGEST_DELAY:
            waiting = replace(waiting, delay=waiting.delay + delay)
            continue
        else:
            yield waiting.encoded()
        waiting = replace(block, delay=delay)
    if waiting is None:
        raise InputError("frames: none came; allowed are one and more")
    yield waiting.encoded() + b";"


class Screen:
    """What a viewer of the file shows.

    Args:
        dither: see `write_gif`.

    Attributes:
        count: frames so far.
        wanted: the last of them, uint8 (H, W, 3).
        shown: what its colours became.
    """

    def __init__(self, dither: bool) -> None:
        self.dither = dither
        self.count = 0
        self.wanted = self.shown = np.zeros((0, 0, 3), np.uint8)

    def show(self, frame: Pixels) -> Block:
        """Bring a frame on, and give what there is to change for that.

        Raises:
            InputError: it is of another kind or size.
        """
        self.check(frame)
        first = self.count == 0
        changed = np.ones(frame.shape[:2], bool) if first else (frame != self.wanted).any(-1)
        self.count, self.wanted = self.count + 1, frame.copy()
        if first:
            self.shown = np.zeros_like(frame)
        if not changed.any():
            return NOTHING
        indices, palette = quantised(frame, changed, self.dither)
        if not first:
            pixels = frame[changed]
            better = errors(palette[indices], pixels) < errors(self.shown[changed], pixels)
            changed[changed], indices = better, indices[better]
            if not better.any():
                return NOTHING
        self.shown[changed] = palette[indices]
        return cropped(indices, palette[: int(indices.max()) + 1], changed)

    def check(self, frame: Pixels) -> None:
        wanted = f"{self.wanted.shape}, as the first" if self.count else f"(H, W, 3), sides up to {LARGEST}"
        fits = frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3 and min(frame.shape[:2]) > 0
        if not fits or max(frame.shape) > LARGEST or (self.count and frame.shape != self.wanted.shape):
            raise InputError(f"frames: number {self.count} is {frame.dtype} {frame.shape}; allowed is uint8 {wanted}")


def quantised(frame: Pixels, changed: NDArray[np.bool_], dither: bool) -> tuple[NDArray[np.uint8], Pixels]:
    """A palette (255, 3) for those pixels of a frame (H, W, 3) that changed (H, W), and their indices in it (M,)."""
    pixels = frame[changed][None]
    settled = 1 + pixels.shape[1] // 100  # k-means ends when fewer change their colour, a hundredth of all
    image = Image.fromarray(pixels).quantize(COLORS, Image.Quantize.MEDIANCUT, kmeans=settled)
    indices, palette = np.asarray(image)[0], np.reshape(image.getpalette() or [], (-1, 3)).astype(np.uint8)
    if dither:
        image.putpalette(np.vstack([palette, palette[:1]]).tobytes())  # Pillow would take its own 256th colour as well
        dithered = Image.fromarray(frame).quantize(palette=image, dither=Image.Dither.FLOYDSTEINBERG)
        indices = np.asarray(dithered)[changed] % COLORS
    return indices, palette


def errors(colors: Pixels, wanted: Pixels) -> NDArray[np.int64]:
    """Squared distances (M,) of colours (M, 3)."""
    return np.square(colors.astype(int) - wanted).sum(-1)


def cropped(indices: NDArray[np.uint8], palette: Pixels, changed: NDArray[np.bool_]) -> Block:
    """The smallest block that holds the pixels (M,) that changed (H, W)."""
    (rows, columns), whole = np.nonzero(changed), np.full(changed.shape, len(palette), np.uint8)
    whole[rows, columns] = indices
    top, left = rows.min(), columns.min()
    return Block(whole[top : rows.max() + 1, left : columns.max() + 1].copy(), palette, (int(left), int(top)))


def header(width: int, height: int, once: bool) -> bytes:
    """The begin of the file: no palette for all, and whether it is shown over and over."""
    size = width.to_bytes(2, "little") + height.to_bytes(2, "little")
    return b"GIF89a" + size + b"\x70\0\0" + (b"" if once else b"!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0")


def delays(fps: float) -> Iterator[int]:
    """How long each frame is shown, in 1/100 s; their sums are right to half of that.

    >>> from itertools import islice
    >>> list(islice(delays(24), 6))
    [4, 4, 4, 5, 4, 4]
    """
    if not 0 < fps <= FASTEST:
        raise InputError(f"fps: {fps:g} came; allowed are numbers above 0 and up to {FASTEST:g}, as viewers show")
    for number in count():
        yield round(100 * (number + 1) / fps) - round(100 * number / fps)
