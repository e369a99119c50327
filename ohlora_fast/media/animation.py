"""Frames into one file, GIF, WebP or video, or into a folder of pictures."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from PIL import Image

from ohlora_fast.errors import InputError
from ohlora_fast.media.convert import Pixels
from ohlora_fast.media.encoding import pyav
from ohlora_fast.media.files import check_target, written_whole
from ohlora_fast.media.gif import delays, write_gif
from ohlora_fast.media.images import write_photo
from ohlora_fast.media.unfinished import unfinished
from ohlora_fast.media.video import CONTAINERS, VideoWriter

ANIMATIONS = (".gif", ".webp", *CONTAINERS)
WEBP_QUALITY = 85


def check_animation(path: str | os.PathLike[str], overwrite: bool = False) -> None:
    """Find out before any work whether `write_frames` can write there.

    Raises:
        InputError: an unknown suffix; something stands there that may not be replaced; or there is no folder for it.

    >>> check_animation("out.avi")
    Traceback (most recent call last):
    ...
    ohlora_fast.errors.InputError: cannot write out.avi: the suffix '.avi' came; allowed are .gif, .webp, .mp4, .m4v, \
.mov, .mkv, .webm, .ts, and none for a folder of pictures
    """
    path = Path(path)
    if not path.suffix:
        if path.exists() and not (path.is_dir() and not any(path.iterdir())):
            raise InputError(f"cannot write {path}: something stands there; allowed is a new or an empty folder")
    elif path.suffix.lower() not in ANIMATIONS:
        allowed = f"{', '.join(ANIMATIONS)}, and none for a folder of pictures"
        raise InputError(f"cannot write {path}: the suffix {path.suffix!r} came; allowed are {allowed}")
    else:
        check_target(path, overwrite=overwrite)
        if path.suffix.lower() in CONTAINERS:
            pyav()
    if not path.parent.is_dir():
        raise InputError(f"cannot write {path}: there is no folder {path.parent}")


def write_frames(
    path: str | os.PathLike[str],
    frames: Iterable[Pixels],
    fps: float = 20,
    once: bool = False,
    dither: bool = False,
    overwrite: bool = False,
) -> None:
    """Write frames as the animation that the suffix asks for, whole or not at all.

    Args:
        path: ``.gif`` (see `write_gif`), ``.webp``, a video's (see `VideoWriter`), such as ``.mp4``, or without a
            suffix a folder, which gets ``000000.png`` and so on.
        frames: uint8 RGB (H, W, 3), all of one size. WebP holds them all in memory, the others one.
        fps: frames a second, above 0; of GIF and WebP up to 50 and in whole 1/100 s, see `write_gif`.
        once: show a GIF or WebP once, not for ever.
        dither: a GIF's colours.
        overwrite: whether a file may be replaced.

    Raises:
        InputError: as `check_animation`, or what the format cannot hold.

    >>> import tempfile, numpy as np
    >>> name = os.path.join(tempfile.mkdtemp(), "x.webp")
    >>> write_frames(name, [np.full((4, 6, 3), value, np.uint8) for value in (0, 255)])
    >>> with Image.open(name) as image:
    ...     image.n_frames
    2
    """
    check_animation(path, overwrite)
    suffix = Path(path).suffix.lower()
    if suffix == ".gif":
        write_gif(path, frames, fps, once, dither)
    elif suffix == ".webp":
        write_webp(path, frames, fps, once)
    elif suffix:
        write_video(path, frames, fps)
    else:
        write_folder(path, frames)


def write_video(path: str | os.PathLike[str], frames: Iterable[Pixels], fps: float) -> None:
    """Write a video, see `write_frames`; an odd last row or column is left out."""
    rest = iter(frames)
    first = next(rest, None)
    if first is None:
        raise InputError("frames: none came; allowed are one and more")
    with VideoWriter(path, fps, first.shape[:2], overwrite=True) as writer:
        for frame in chain([first], rest):
            writer.write(frame)


def write_webp(path: str | os.PathLike[str], frames: Iterable[Pixels], fps: float, once: bool) -> None:
    """Write an animated WebP, see `write_frames`."""
    images, times = [], []
    for frame, delay in zip(frames, delays(fps), strict=False):
        images.append(Image.fromarray(frame))
        times.append(10 * delay)
    if not images:
        raise InputError("frames: none came; allowed are one and more")
    with written_whole(path) as file:
        images[0].save(
            file, "WEBP", save_all=True, append_images=images[1:], duration=times, loop=int(once), quality=WEBP_QUALITY
        )


def write_folder(path: str | os.PathLike[str], frames: Iterable[Pixels]) -> None:
    """Write a folder of PNG files, which appears when all are written."""
    folder = Path(os.path.abspath(path))
    beside = folder.parent / f".ohlora-{secrets.token_hex(6)}.tmp"
    try:
        with unfinished(beside):
            beside.mkdir()
            for number, frame in enumerate(frames):
                write_photo(beside / f"{number:06}.png", frame)
            if not any(beside.iterdir()):
                raise InputError("frames: none came; allowed are one and more")
            os.replace(beside, folder)
    except OSError as error:
        raise InputError(f"cannot write {path}: {os.strerror(error.errno or 0)}") from error
