"""Reading video files: decoded frames, and the packets of the streams beside them, in the file's order."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ohlora_fast.errors import InputError
from ohlora_fast.media.encoding import is_picture, pyav
from ohlora_fast.media.photo import reason_for

if TYPE_CHECKING:
    from av.packet import Packet
    from av.stream import Stream
    from av.video.frame import VideoFrame

__all__ = ["VideoReader"]

SLACK_S = 0.5
"""By how much a file may end before the time that it tells."""

USUAL_FPS = Fraction(25)
"""Of a file that does not tell."""


class VideoReader:
    """A video file or camera, as a context manager.

    Args:
        source: a file's path, or what libav calls a device.
        threads: of the decoder; None for its own choice.
        format: libav's name of the device's driver, such as "v4l2"; None for files.

    Attributes:
        first: the first frame.
        others: the streams beside the video's.
        fps: frames a second, on average.
        time_base: the unit of timestamps, in seconds.
        count: frames that there are, about; None where the file does not tell.
        aspect: width over height of a stored pixel, None for square ones.
        damaged: of how many frames so far the decoder had to guess parts.

    Raises:
        InputError: PyAV is not installed, or the file cannot be read as video. While it is read: it is damaged.

    >>> with VideoReader("no-such-file.mp4"):
    ...     pass
    Traceback (most recent call last):
    ...
    ohlora_fast.errors.InputError: cannot read no-such-file.mp4: No such file or directory
    """

    def __init__(self, source: str | os.PathLike[str], threads: int | None = None, format: str | None = None) -> None:
        self.av = pyav()
        self.source = Path(source)
        self.threads = threads
        self.format = format
        self.damaged = 0
        self._stack = ExitStack()

    def __enter__(self) -> VideoReader:
        with ExitStack() as stack, self._named():
            self.container = stack.enter_context(
                self.av.open(os.fspath(self.source), format=self.format, metadata_errors="replace")
            )
            films = [stream for stream in self.container.streams.video if not is_picture(stream)]
            if not films:
                raise InputError(f"cannot read {self.source}: there is no video in it")
            self.stream = films[0]
            self.stream.thread_type = "AUTO"
            if self.threads is not None:
                self.stream.codec_context.thread_count = self.threads
            self._items = self._read()
            before: list[Any] = []
            for item in self._items:
                before.append(item)
                if isinstance(item, self.av.VideoFrame):
                    break
            else:
                raise InputError(f"cannot read {self.source}: there is no frame in it")
            self.first: VideoFrame = before[-1]
            self._items = chain(before, self._items)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    @property
    def others(self) -> list[Stream]:
        return [stream for stream in self.container.streams if stream.index != self.stream.index]

    @property
    def fps(self) -> Fraction:
        return self.stream.average_rate or self.stream.guessed_rate or USUAL_FPS

    @property
    def time_base(self) -> Fraction:
        return self.stream.time_base

    @property
    def count(self) -> int | None:
        if self.stream.frames:
            return int(self.stream.frames)
        seconds = self.container.duration and self.container.duration / self.av.time_base
        return round(seconds * self.fps) if seconds else None

    @property
    def aspect(self) -> Fraction | None:
        return self.stream.sample_aspect_ratio or None

    def items(self) -> Iterator[VideoFrame | Packet]:
        """The video's frames, and the packets of `others`, once, as they come. Every frame has a later time than the
        one before, and its `time_base`."""
        yield from self._items

    def _read(self) -> Iterator[VideoFrame | Packet]:
        last, end = None, 0.0
        packets = self.container.demux()
        while True:
            with self._named():
                packet = next(packets, None)
                if packet is None:
                    break
                if packet.pts is not None:
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                if packet.stream.index != self.stream.index:
                    if (
                        packet.dts is not None or packet.size
                    ):  # the last one of each stream is empty; a cover has no time
                        yield packet
                    continue
                frames = packet.decode()
            for frame in frames:
                self.damaged += frame.is_corrupt
                if frame.pts is None:
                    frame.time_base = self.time_base
                    frame.pts = 0 if last is None else last + max(round(1 / self.fps / self.time_base), 1)
                if last is not None and frame.pts <= last:
                    frame.pts = last + 1
                last = frame.pts
                yield frame
        self._check_end(end)

    def _check_end(self, end: float) -> None:
        """Most containers that are cut off end without an error, before the time that they told."""
        if self.container.duration:
            told = (self.container.duration + (self.container.start_time or 0)) / self.av.time_base
            if end < told - SLACK_S:
                raise InputError(f"cannot read {self.source}: it is cut off, at {end:.1f} of {told:.1f} s")

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Turn what libav says into an `InputError` that names the file."""
        try:
            yield
        except self.av.error.FFmpegError as error:
            reason = error.strerror or reason_for(error)
            raise InputError(f"cannot read {self.source}: {reason}") from error
