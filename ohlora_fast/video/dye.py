"""From video file to dyed video file."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ohlora_fast.errors import InputError
from ohlora_fast.media.encoding import Encoding, encoder_format
from ohlora_fast.media.files import check_target
from ohlora_fast.media.frames import upright
from ohlora_fast.media.video import VideoWriter
from ohlora_fast.media.video_reader import VideoReader
from ohlora_fast.ombre import Ombre
from ohlora_fast.stylist import HairStylist
from ohlora_fast.video.ahead import ahead
from ohlora_fast.video.dyer import Found, FrameDyer
from ohlora_fast.video.keyframes import Keyframes
from ohlora_fast.video.losses import carried_over, converted, lost
from ohlora_fast.video.settings import of_heads
from ohlora_fast.video.smoothing import DEFAULT

if TYPE_CHECKING:
    from ohlora_fast.natural import NaturalDye

Settings: TypeAlias = "Ombre | Keyframes"
Method: TypeAlias = "str | NaturalDye"


@dataclass(frozen=True)
class Dyed:
    """What became of a video.

    Attributes:
        frames: how many were written.
        bald: how many of them had no row of hair to dye, and stayed as they were.
        notes: what was left out or is damaged, a phrase each.
    """

    frames: int
    bald: int
    notes: tuple[str, ...]


def dye_video(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    ombre: Settings | Sequence[Settings] | Callable[[int], Settings] = Ombre(),
    smooth: float = DEFAULT,
    encoding: Encoding = Encoding(),
    stylist: HairStylist | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int | None], object] | None = None,
    *,
    method: Method | Sequence[Method] | Callable[[int], Method] = "seed",
    heads: str | int | Sequence[int] = "auto",
) -> Dyed:
    """Dye the hair in a video, each head's in its own rows.

    Frames keep their times, that for which the last one is shown too, their bits (8 or 10) and colour tags; pixels
    without hair are what they were before the new encoding. Sound is copied as it is, subtitles and the like where the
    new file takes them. A video that players turn is turned. Frames that cannot be decoded are left out. `out` appears
    whole or not at all. Where nobody is, nothing is dyed.

    Heads have numbers, from 0 on: from left to right in the first frame; who comes later has the next one. A head that
    turns away or is hidden for less than a second keeps its number. After a cut, numbers begin anew, unless all heads
    are where they were.

    Args:
        source: the video, in whatever format FFmpeg reads.
        out: .mp4, .m4v, .mov, .mkv, .webm or .ts.
        ombre: settings, or keyframes: one for all heads; one for each of `heads`, if these are numbers; or a function
            of a head's number.
        smooth: how much of the hair's map comes from the frame before, carried along by the motion, 0 to below 1.
        encoding: how the result is compressed.
        stylist: whose student finds the hair; None for the bundled one, on one thread: other threads decode, smooth
            and dye, and encode meanwhile.
        overwrite: whether `out` may be replaced, if it exists. `source` never is.
        progress: called after each frame with the number of frames done and in all, None if that is not known.
        method: "seed", "natural" or a :class:`ohlora_fast.NaturalDye`, as of :meth:`ohlora_fast.HairStylist.dye`; one
            or several, as `ombre`. What natural dyeing measures of the hair is smoothed over time, as its map is.
        heads: whose hair is dyed: "auto", that of all; "whole", what the student sees in the whole frame; or numbers.

    Raises:
        InputError: PyAV is not installed, an argument is none of these, `source` cannot be read or breaks off, or
            `out` cannot be written.

    >>> import tempfile
    >>> import numpy as np
    >>> folder = Path(tempfile.mkdtemp())
    >>> with VideoWriter(folder / "grey.mp4", 25, (64, 64)) as writer:
    ...     writer.write(np.full((64, 64, 3), 128, np.uint8))
    >>> dye_video(folder / "grey.mp4", folder / "dyed.mp4", Ombre(color=0.9))
    Dyed(frames=1, bald=1, notes=())
    """
    source, out = Path(source), Path(out)
    stylist = stylist or HairStylist(threads=1)
    dyer = FrameDyer(stylist, smooth, method=method, heads=heads)
    settings_of = of_heads("ombre", ombre, dyer.heads)
    for number in dyer.wanted or (0,):
        _check_colors(settings_of(number), dyer.method_of(number))
    check_target(out, source, overwrite)
    with ExitStack() as stack:
        reader = stack.enter_context(VideoReader(source, encoding.threads))
        first: Any = reader.first
        codec = encoding.codec_for(out, first.format.name)
        form = upright(first, encoder_format(codec, first.format.name), reader.aspect)
        writer = stack.enter_context(
            VideoWriter(out, reader.fps, form.size, encoding, overwrite, form.look, reader.time_base)
        )
        notes = (*carried_over(reader, writer), *converted(reader, writer))

        def find(item: Any) -> Found | Any:
            return dyer.find(form.copy(item)) if isinstance(item, type(first)) else item

        def dye(item: Found | Any) -> Any:
            if not isinstance(item, Found):
                return item
            frame: Any = item.frame
            seconds = float((frame.pts - first.pts) * reader.time_base)
            return dyer.dye(item, lambda number: _at(settings_of(number), seconds))

        read = stack.enter_context(ahead(reader.items()))
        found = stack.enter_context(ahead(map(find, read)))
        for item in stack.enter_context(ahead(map(dye, found))):
            if not isinstance(item, type(first)):
                writer.copy(item)
                continue
            writer.write_frame(item)
            if progress is not None:
                progress(writer.count, reader.count)
        writer.end = reader.end
        notes += tuple(lost(reader, writer))
    notes += tuple(f"head {number + 1} is not in it" for number in dyer.missing)
    return Dyed(writer.count, dyer.bald, notes)


def _at(settings: Settings, seconds: float) -> Ombre:
    return settings.at(seconds) if isinstance(settings, Keyframes) else settings


def _check_colors(settings: Settings, method: Method) -> None:
    """Refuse keyframes of the colour beside a dye that has its own.

    Raises:
        InputError: they came.
    """
    stops = None if isinstance(method, str) else method.stops
    if stops is not None and isinstance(settings, Keyframes) and "color" in settings.tracks:
        raise InputError(f"keyframes: color came, but the dye is {stops!r}; allowed are the heights")
