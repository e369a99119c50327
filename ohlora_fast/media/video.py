"""Writing video files: encoded by PyAV, whole or not at all."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from ohlora_fast.errors import InputError
from ohlora_fast.media.encoding import Encoding, Look, encoder_format, even, is_picture, pyav
from ohlora_fast.media.files import check_target, written_whole
from ohlora_fast.media.photo import reason_for

if TYPE_CHECKING:
    from av.stream import Stream
    from av.video.frame import VideoFrame

    from ohlora_fast.media.convert import Pixels

__all__ = ["CONTAINERS", "Encoding", "Look", "VideoWriter"]

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm", ".ts": "mpegts"}
"""Suffix → container, as libav calls it."""

TS_CODECS = {
    "mp2", "mp3", "aac", "aac_latm", "ac3", "eac3", "dts", "truehd", "opus", "s302m",
    "dvb_subtitle", "dvb_teletext", "hdmv_pgs_subtitle", "timed_id3", "scte_35", "klv",
}  # fmt: skip
"""Of streams beside the film, what a .ts file has a mark for; libav writes others, but nobody can read them."""

LARGEST_TIMESCALE = 2**31 - 1
"""Of an MP4 track."""


class VideoWriter:
    """A video file that is written frame by frame, as a context manager.

    The file takes its name when the block ends well; after an exception, Ctrl-C included, there is none.

    Args:
        path: .mp4, .m4v, .mov, .mkv, .webm or .ts.
        fps: frames a second.
        size: height and width. Of an odd one the last row or column is left out where the encoder's pixel format
            allows no odd ones, as that of all players does not.
        encoding: how it is compressed.
        overwrite: whether an existing file may be replaced.
        look: of what `write_frame` gets. `write` makes such frames from RGB.
        time_base: the unit of timestamps in seconds; None for one frame.

    Attributes:
        pixel_format: what the encoder takes, and `write_frame` is best given.
        height, width: of the file's frames.
        codec: the encoder's name.
        refused: how many packets so far could not be copied.
        end: when the last frame's time is over, in units of the time base; None for the duration that the frame has, or
            else that of one at `fps`.

    Raises:
        InputError: PyAV is not installed, an argument is none of these, or the file cannot be written.

    >>> import tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "grey.mp4")
    >>> with VideoWriter(path, fps=25, size=(48, 64)) as writer:
    ...     for grey in (0, 100, 200):
    ...         writer.write(np.full((48, 64, 3), grey, np.uint8))
    >>> os.path.getsize(path) > 0
    True
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        fps: float | Fraction,
        size: tuple[int, int],
        encoding: Encoding = Encoding(),
        overwrite: bool = False,
        look: Look = Look(),
        time_base: Fraction | None = None,
    ) -> None:
        self.av = pyav()
        self.path = Path(path)
        if self.path.suffix.lower() not in CONTAINERS:
            raise InputError(f"{self.path}: a video's suffix is one of {', '.join(CONTAINERS)}")
        check_target(self.path, overwrite=overwrite)
        self.fps = Fraction(fps).limit_denominator(100_000)
        if self.fps <= 0 or min(size) < 2:
            raise InputError(f"{self.path}: got {fps} frames/s of size {size}, allowed are more than 0 and from 2×2 on")
        self.encoding = encoding
        self.look = look
        self.time_base = time_base or 1 / self.fps
        self.codec = encoding.codec_for(self.path, look.pixel_format)
        self.pixel_format = encoder_format(self.codec, look.pixel_format)
        self.height, self.width = even(size, self.pixel_format)
        self.count = self.refused = 0
        self.end: int | None = None
        self._waiting: Any = None  # for the frame after it, which says how long it is shown
        self._durations: dict[int, int] = {}
        self._begin: Any = None  # pts and dts of the first packet
        self._stack = ExitStack()
        self._container: Any = None
        self._stream: Any = None
        self._copies: dict[int, Any] = {}
        self._heard: set[int] = set()

    def __enter__(self) -> VideoWriter:
        with ExitStack() as stack:
            file = stack.enter_context(written_whole(self.path))
            with self._named():
                self._container = self._opened(file)
                stack.callback(self._close)
                self._stream = self._add_stream()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._stack.__exit__(kind, error, traceback)
            return
        with self._stack, self._named():
            if not self.count:
                raise InputError(f"cannot write {self.path}: there are no frames")
            self._finish()
            self._container.close()

    def _close(self) -> None:
        with suppress(self.av.error.FFmpegError):  # after an error there is another, and no file
            self._container.close()

    def write(self, pixels: Pixels, time: float | None = None) -> None:
        """Write a frame.

        Args:
            pixels: uint8 RGB (H, W, 3), of the writer's size.
            time: in seconds, larger than that of the frame before; None for one frame later.
        """
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise InputError(f"pixels: {pixels.dtype} {pixels.shape} came; allowed is uint8 (H, W, 3)")
        if even(pixels.shape[:2], self.pixel_format) != (self.height, self.width):
            raise InputError(f"pixels: {pixels.shape} came; allowed is the video's size, {self.height}×{self.width}")
        rgb = self.av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels[: self.height, : self.width]))
        frame = rgb.reformat(
            format=self.pixel_format, dst_colorspace=self.look.colorspace, dst_color_range=self.look.color_range
        )
        seconds = self.count / self.fps if time is None else Fraction(time)
        frame.time_base, frame.pts = self.time_base, round(seconds / self.time_base)
        self.write_frame(frame)

    def write_frame(self, frame: VideoFrame) -> None:
        """Write a frame of PyAV's, of the writer's size and pixel format, at its own time. It is encoded when the next
        one comes, and so may not be changed until then."""
        made: Any = frame
        made.pict_type = 0  # else a key frame of the source would be forced to be one here
        if made.time_base != self.time_base:
            ticks = made.time_base / self.time_base
            made.pts, made.duration = round(made.pts * ticks), round(made.duration * ticks)
            made.time_base = self.time_base
        self.count += 1
        before, self._waiting = self._waiting, made
        if before is not None:
            with self._named():
                self._mux(self._encoded(before, made.pts))

    def _encoded(self, frame: Any, end: int) -> list[Any]:
        """What the encoder gives out when it gets a frame, which is shown until `end`."""
        self._durations[frame.pts] = end - frame.pts
        return self._timed(self._stream.encode(frame))

    def _timed(self, packets: list[Any]) -> list[Any]:
        for packet in packets:  # not every encoder hands durations on
            packet.duration = self._durations.pop(packet.pts, packet.duration)
        return packets

    def _mux(self, packets: list[Any]) -> None:
        if packets and self._begin is None:
            self._begin = packets[0].pts, packets[0].dts
        for packet in packets:
            self._mux_one(packet)

    def _mux_one(self, packet: Any) -> None:
        """Hand a packet over. The container may then refuse one that came before, as it sorts them by time."""
        try:
            self._container.mux(packet)
        except (self.av.error.InvalidDataError, self.av.error.ArgumentError):
            self.refused += 1

    def _finish(self) -> None:
        """Write the last frame, and what the encoder still holds."""
        last, usual = self._waiting, max(round(1 / self.fps / self.time_base), 1)
        end = last.pts + (last.duration or usual) if self.end is None else max(self.end, last.pts + 1)
        packets = self._encoded(last, end) + self._timed(self._stream.encode())
        if packets and self._format in ("mp4", "mov"):  # there packets are to fill the film's time in the order of dts
            first, latest = self._begin or (packets[0].pts, packets[0].dts), packets[-1]
            latest.duration = max(end - first[0] - (latest.dts - first[1]), latest.duration)
        self._mux(packets)

    def add_copy(self, stream: Stream) -> bool:
        """Announce a stream whose packets are copied as they are, and tell whether such a file takes it.

        Comes before the first frame.
        """
        if is_picture(stream) and self._format != "mp4":  # others would make a second film of it
            return False
        context = stream.codec_context
        if self._format == "mpegts" and context and context.codec.canonical_name not in TS_CODECS:
            return False
        errors = (self.av.error.FFmpegError, ValueError, NotImplementedError)
        try:
            with self.av.open(io.BytesIO(), "w", format=self._format) as trial:
                _add_copy(trial, stream)
                trial.start_encoding()
        except errors:
            return False
        self._copies[stream.index] = _add_copy(self._container, stream)
        return True

    def copy(self, packet: Any) -> None:
        """Copy a packet, if `add_copy` announced its stream. One that the container refuses, as some damaged ones, is
        left out."""
        stream = self._copies.get(packet.stream.index)
        if stream is None:
            return
        if stream.index not in self._heard:
            if _is_headless(packet):  # containers look at the first packet alone for what kind of AAC it is
                self.refused += 1
                return
            self._heard.add(stream.index)
        packet.stream = stream
        with self._named():
            self._mux_one(packet)

    def describe(self, metadata: dict[str, str], chapters: list[Any], film: Stream) -> None:
        """Set the file's titles, its chapters, and the language of the film. Comes before the first frame."""
        self._container.metadata.update(metadata)
        self._container.set_chapters(chapters)
        self._stream.metadata.update(
            {name: film.metadata[name] for name in {"language", "title"} & film.metadata.keys()}
        )
        self._stream.disposition = film.disposition

    @property
    def keeps_end(self) -> bool:
        """Whether the file tells when the last frame's time is over."""
        return self._format != "mpegts"

    @property
    def _format(self) -> str:
        return CONTAINERS[self.path.suffix.lower()]

    def _opened(self, file: IO[bytes]) -> Any:
        options = {}
        if self._format in ("mp4", "mov"):
            options["movflags"] = "faststart"  # the index comes first, so that players begin while they load
            if self.time_base.denominator <= LARGEST_TIMESCALE:
                options["video_track_timescale"] = str(self.time_base.denominator)
        return self.av.open(
            file,
            "w",
            format=self._format,
            options=options,
            io_open=lambda url, flags, options: open(file.name, "rb"),  # faststart reads what was written
        )

    def _add_stream(self) -> Any:
        encoding, look, codec = self.encoding, self.look, self.codec
        if codec == "libsvtav1":
            os.environ.setdefault("SVT_LOG", "1")  # errors alone; it would tell its settings
        try:
            stream = self._container.add_stream(codec, self.fps, options=encoding.options_for(codec))
        except ValueError:
            raise InputError(f"cannot write {self.path}: {self.path.suffix} files hold no video of {codec}") from None
        context = stream.codec_context
        stream.time_base = context.time_base = self.time_base
        context.bit_rate = 0  # what the quality asks for
        context.width, context.height, context.pix_fmt = self.width, self.height, self.pixel_format
        context.color_range, context.colorspace = look.color_range, look.colorspace
        context.color_primaries, context.color_trc = look.color_primaries, look.color_trc
        if look.aspect is not None:
            context.sample_aspect_ratio = look.aspect
        if encoding.threads is not None:
            context.thread_count = encoding.threads
        return stream

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Turn what libav says into an `InputError` that names the file."""
        try:
            yield
        except self.av.error.FFmpegError as error:
            raise InputError(f"cannot write {self.path}: {reason_for(error)}") from error


def _add_copy(container: Any, stream: Stream) -> Any:
    copy = container.add_stream_from_template(stream)
    copy.metadata.update(stream.metadata)
    copy.disposition = stream.disposition
    return copy


def _is_headless(packet: Any) -> bool:
    """Whether a packet of AAC lacks the header that each has in a stream which has none for all."""
    context = packet.stream.codec_context
    if context is None or context.codec.canonical_name != "aac" or context.extradata:
        return False
    start = bytes(packet)[:2]
    return len(start) < 2 or start[0] != 0xFF or start[1] & 0xF0 != 0xF0
