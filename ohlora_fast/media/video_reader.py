"""Reading video files: decoded frames, and the packets of the streams beside them, in the file's order."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ohlora_fast.errors import InputError
from ohlora_fast.media.encoding import is_picture, pyav
from ohlora_fast.media.frames import is_transparent
from ohlora_fast.media.photo import reason_for
from ohlora_fast.media.webp import as_moving_png

if TYPE_CHECKING:
    from av.packet import Packet
    from av.stream import Stream
    from av.video.frame import VideoFrame

__all__ = ["VideoReader"]

SLACK_S = 0.5
"""By how much a file may end before the time that it tells."""

FRAME_A_PACKET = ("h264", "hevc", "vp9", "av1")
"""Codecs that have a frame in each packet, but for interlaced ones. Some decoders leave frames out without an error."""

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
        skipped: how many frames so far could not be decoded.
        transparent: whether a frame so far has pixels that are not opaque.
        end: when the last frame's time is over, in units of `time_base`; None until all is read.
        last_shown: how long the last frame is shown, in seconds; 0 until all is read.

    Raises:
        InputError: PyAV is not installed, or the file cannot be read as video. While it is read: it breaks off.

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
        self.transparent = False
        self.end: int | None = None
        self.last_shown = Fraction(0)
        self._failure = "there is no frame in it"
        self._errors = self._packets_read = 0
        self._pending = 0  # packets that have brought out no frame
        self._stack = ExitStack()

    def __enter__(self) -> VideoReader:
        with ExitStack() as stack, self._named():
            self.container = stack.enter_context(self._opened())
            films = [stream for stream in self.container.streams.video if not is_picture(stream)]
            if not films:
                raise InputError(f"cannot read {self.source}: there is no video in it")
            self.stream = films[0]
            self._set_threads(self.stream, "AUTO")
            self._items = self._read()
            before: list[Any] = []
            for item in self._items:
                before.append(item)
                if isinstance(item, self.av.VideoFrame):
                    break
            else:
                raise InputError(f"cannot read {self.source}: {self._failure}")
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

    @property
    def skipped(self) -> int:
        fields = self.first.interlaced_frame or self.stream.codec_context.codec.canonical_name not in FRAME_A_PACKET
        return self._errors if fields else max(self._errors, self._pending)

    def items(self) -> Iterator[VideoFrame | Packet]:
        """The video's frames, and the packets of `others`, once, as they come. Every frame has a later time than the
        one before, and its `time_base`."""
        yield from self._items

    def _read(self) -> Iterator[VideoFrame | Packet]:
        last: Any = None
        told = 0.0
        for packet in self._packets(self.container.demux()):
            if packet.pts is not None:
                told = max(told, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            if packet.stream.index != self.stream.index:
                if packet.dts is not None or packet.size:  # the last one of each stream is empty; a cover has no time
                    yield packet
                continue
            self._packets_read += bool(packet.size)
            for frame in self._decoded(packet):
                last = self._in_time(frame, last)
                yield self._noted(last)
        if self._pending > self._errors and self.source.is_file():
            for frame in self._lost(last):
                last = frame
                yield self._noted(last)
        self._check_end(told)
        if last is not None:
            self.end = self._end_of(last)
            self.last_shown = (self.end - last.pts) * self.time_base

    def _packets(self, packets: Iterator[Packet]) -> Iterator[Packet]:
        while True:
            with self._named():
                try:
                    packet = next(packets, None)
                except IndexError:  # PyAV's, at the end, when it comes to a stream that began in the middle
                    return
            if packet is None:
                return
            yield packet

    def _decoded(self, packet: Packet) -> list[VideoFrame]:
        """The frames that a packet brings out. One that cannot be decoded brings none."""
        try:
            frames: list[Any] = packet.decode()
        except MemoryError:
            raise
        except self.av.error.FFmpegError as error:
            self._errors += 1
            self._failure = f"nothing in it can be decoded: {error.strerror or reason_for(error)}"
            frames = []
        if frames:  # from then on broken ones are better than none; those before the first key frame show nothing
            packet.stream.codec_context.flags |= self.av.codec.context.Flags.output_corrupt
        self._pending += bool(packet.size and not packet.is_discard) - len(frames)
        return frames

    def _in_time(self, frame: VideoFrame, last: Any) -> VideoFrame:
        """Give a frame a time, later than that of the last one."""
        before = None if last is None else last.pts
        if frame.pts is None:
            frame.time_base = self.time_base
            frame.pts = 0 if before is None else before + self._usual
        if before is not None and frame.pts <= before:
            frame.pts = before + 1
        return frame

    def _noted(self, frame: VideoFrame) -> VideoFrame:
        self.damaged += frame.is_corrupt
        self.transparent = self.transparent or is_transparent(frame)
        return frame

    def _lost(self, last: Any) -> Iterator[VideoFrame]:
        """The frames after the last one that came.

        A decoder of several frames at once loses those with which it is busy when the file ends, if one of them cannot
        be decoded. So all is decoded again, one frame after the other.
        """
        after = None if last is None else last.pts
        with self._opened() as container:
            stream = container.streams[self.stream.index]
            self._set_threads(stream, "SLICE")
            self._errors = self._pending = 0
            last = None
            for packet in self._packets(container.demux(stream)):
                for frame in self._decoded(packet):
                    last = self._in_time(frame, last)
                    if after is None or last.pts > after:
                        yield last

    @property
    def _usual(self) -> int:
        """The time of a frame, in units of `time_base`."""
        return max(round(1 / self.fps / self.time_base), 1)

    def _end_of(self, last: Any) -> int:
        """When the last frame's time is over. In MP4 and MOV, where the file says so: there durations of frames are
        from one to the next in the order of decoding. In Matroska a frame seldom has one, but the stream may."""
        end: int = last.pts + (last.duration or self._usual)
        kind, stream = self.container.format.name, self.stream
        if "mp4" in kind and stream.duration:
            told = (stream.start_time or 0) + stream.duration
            return told if told > last.pts else end
        if "matroska" in kind and self.container.duration:
            whole = (self.container.duration + (self.container.start_time or 0)) / self.av.time_base
            seconds = min(_seconds(stream.metadata.get("DURATION", "")), whole)
            return max(end, round(seconds / self.time_base))
        return end

    def _opened(self) -> Any:
        readable = None if self.format else as_moving_png(self.source)
        return self.av.open(readable or os.fspath(self.source), format=self.format, metadata_errors="replace")

    def _set_threads(self, stream: Any, kind: str) -> None:
        stream.thread_type = kind
        if self.threads is not None:
            stream.codec_context.thread_count = self.threads

    def _check_end(self, end: float) -> None:
        """Most containers that are cut off end without an error, before the time that they told. Those that tell the
        number of packets are whole if all have come."""
        if self.stream.frames and self._packets_read >= self.stream.frames:
            return
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


def _seconds(text: str) -> float:
    """Seconds of a time such as Matroska tells; 0 of any other text.

    >>> _seconds("00:01:07.500000000"), _seconds("")
    (67.5, 0.0)
    """
    found = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", text)
    return int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3]) if found else 0.0
