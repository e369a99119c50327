"""Animated WebP files for what reads videos, which knows animated PNG, but not them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO

from PIL import WebPImagePlugin

from ohlora_fast.errors import InputError
from ohlora_fast.media.opening import MAX_PIXELS, check_size, webp_size


def as_moving_png(path: Path) -> IO[bytes] | None:
    """Turn an animated WebP file into an animated PNG in memory, frame for frame, with its times; None for other files.

    Raises:
        InputError: it is corrupt, or its frames have more than `MAX_PIXELS` in all, which is what memory is taken for.

    >>> import tempfile
    >>> from PIL import Image
    >>> path = Path(tempfile.mkdtemp(), "x.webp")
    >>> frames = [Image.new("RGB", (4, 6), color) for color in ("red", "blue")]
    >>> frames[0].save(path, save_all=True, append_images=frames[1:], duration=[40, 80])
    >>> with Image.open(as_moving_png(path)) as image:
    ...     image.n_frames, image.info["duration"]
    (2, 40.0)
    """
    if not path.is_file():
        return None
    with open(path, "rb") as file:
        head = file.read(32)
        if head[:4] != b"RIFF" or head[8:16] != b"WEBPVP8X" or not head[20] & 2:
            return None
        try:
            check_size(webp_size(head), MAX_PIXELS)
            file.seek(0)
            return _as_png(WebPImagePlugin.WebPImageFile(file))
        except InputError as error:
            raise InputError(f"cannot read {path}: {error}") from error
        except Exception as error:  # a decoder may raise anything at bytes it was not made for
            raise InputError(f"cannot read {path}: it is corrupt or cut short ({error})") from error


def _as_png(image: WebPImagePlugin.WebPImageFile) -> IO[bytes]:
    count, size = image.n_frames, image.width * image.height
    if count * size > MAX_PIXELS:
        raise InputError(f"its {count} frames have {count * size:,} pixels in all; allowed are at most {MAX_PIXELS:,}")
    frames, times = [], []
    for number in range(count):
        image.seek(number)
        image.load()
        frames.append(image.copy())
        times.append(max(1, image.info.get("duration", 1)))
    made = io.BytesIO()
    frames[0].save(made, "PNG", save_all=True, append_images=frames[1:], duration=times, compress_level=1)
    made.seek(0)
    return made
