"""Frames into one file, GIF or WebP, or into a folder of pictures."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from ohlora_fast.errors import InputError
from ohlora_fast.media.convert import Pixels
from ohlora_fast.media.files import written_whole
from ohlora_fast.media.gif import delays, write_gif
from ohlora_fast.media.images import write_photo

ANIMATIONS = (".gif", ".webp")
WEBP_QUALITY = 85


def check_animation(path: str | os.PathLike[str], overwrite: bool = False) -> None:
    """Find out before any work whether `write_frames` can write there.

    Raises:
        InputError: an unknown suffix; something stands there already and may not be replaced; or there is no folder for
            it.

    >>> check_animation("out.avi")
    Traceback (most recent call last):
    ...
    ohlora_fast.errors.InputError: cannot write out.avi: the suffix '.avi' came; allowed are .gif, .webp, \
and none for a folder of pictures
    """
    path = Path(path)
    if path.suffix.lower() not in (*ANIMATIONS, ""):
        allowed = f"{', '.join(ANIMATIONS)}, and none for a folder of pictures"
        raise InputError(f"cannot write {path}: the suffix {path.suffix!r} came; allowed are {allowed}")
    if not path.suffix:
        if path.exists() and not (path.is_dir() and not any(path.iterdir())):
            raise InputError(f"cannot write {path}: something stands there; allowed is a new or an empty folder")
    elif path.exists() and not (overwrite and path.is_file()):
        raise InputError(f"cannot write {path}: it exists already, and overwriting was not asked for")
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
        path: ``.gif`` (see `write_gif`), ``.webp``, or without a suffix a folder, which gets ``000000.png`` and so on.
        frames: uint8 RGB (H, W, 3), all of one size. WebP holds them all in memory, the others one.
        fps: frames a second, above 0 and up to 50, rounded to 1/100 s in GIF and WebP.
        once: show it once, not for ever.
        dither: of a GIF's colours.
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
    else:
        write_folder(path, frames)


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
        beside.mkdir()
        for number, frame in enumerate(frames):
            write_photo(beside / f"{number:06}.png", frame)
        if not any(beside.iterdir()):
            raise InputError("frames: none came; allowed are one and more")
        os.replace(beside, folder)
    except OSError as error:
        raise InputError(f"cannot write {path}: {os.strerror(error.errno or 0)}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
