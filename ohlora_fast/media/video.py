"""Writing video files: encoded by PyAV, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from ohlora_fast.errors import InputError
from ohlora_fast.media.files import check_target, written_whole
from ohlora_fast.media.photo import reason_for

if TYPE_CHECKING:
    from av.stream import Stream
    from av.video.frame import VideoFrame

    from ohlora_fast.media.convert import Pixels

__all__ = ["CONTAINERS", "Encoding", "Look", "VideoWriter", "pyav"]

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm", ".ts": "mpegts"}
"""Suffix → container, as libav calls it."""

PRESETS = {"libx264": "veryfast", "libx265": "veryfast", "libsvtav1": "8"}

LARGEST_TIMESCALE = 2**31 - 1
"""Of an MP4 track."""


@dataclass(frozen=True)
class Encoding:
    """How frames are compressed.

    Args:
        codec: an encoder that PyAV has, such as "libx264", "libx265", "libsvtav1"; None for libx264, or libvpx-vp9
            in WebM.
        preset: the encoder's speed, in its own words; None for a quick one, "veryfast" of libx264.
        crf: constant quality, 0 to 63: smaller is better and larger; 18 to 20 of libx264 can hardly be told from
            the original.
        threads: of the encoder; None for its own choice.

    Raises:
        InputError: crf or threads are out of range.

    >>> Encoding(crf=18).codec_for(Path("a.mp4"))
    'libx264'
    """

    codec: str | None = None
    preset: str | None = None
    crf: float = 20.0
    threads: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.crf <= 63:
            raise InputError(f"crf: got {self.crf!r}, allowed is a number from 0 to 63")
        if self.threads is not None and self.threads < 1:
            raise InputError(f"threads: got {self.threads!r}, allowed is a whole number from 1, or None")

    def codec_for(self, path: Path) -> str:
        """The encoder's name."""
        return self.codec or ("libvpx-vp9" if path.suffix.lower() == ".webm" else "libx264")

    def options_for(self, codec: str) -> dict[str, str]:
        """What the encoder is told."""
        if codec == "libvpx-vp9":
            return {"crf": f"{self.crf:g}", "deadline": "realtime", "cpu-used": self.preset or "6", "row-mt": "1"}
        preset = self.preset or PRESETS.get(codec)
        return {"crf": f"{self.crf:g}"} | ({"preset": preset} if preset else {})


@dataclass(frozen=True)
class Look:
    """How the values of frames are to be understood, in libav's numbers. By default those of HD video, BT.709.

    Attributes:
        pixel_format: of the frames; the encoder takes this or, if it cannot, the nearest that it has.
        color_range: 1 for 16 to 235, 2 for 0 to 255.
        colorspace, color_primaries, color_trc: the matrix, the primaries and the transfer function; 1 is BT.709.
        aspect: width over height of a pixel; None for square ones.
    """

    pixel_format: str = "yuv420p"
    color_range: int = 1
    colorspace: int = 1
    color_primaries: int = 1
    color_trc: int = 1
    aspect: Fraction | None = None


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
        self.pixel_format = encoder_format(encoding.codec_for(self.path), look.pixel_format)
        self.height, self.width = even(size, self.pixel_format)
        self.count = 0
        self._stack = ExitStack()
        self._container: Any = None
        self._stream: Any = None
        self._copies: dict[int, Any] = {}

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
            self._container.mux(self._stream.encode())
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
        """Write a frame of PyAV's, of the writer's size and pixel format, at its own time."""
        frame.pict_type = 0  # else a key frame of the source would be forced to be one here
        self.count += 1
        with self._named():
            self._container.mux(self._stream.encode(frame))

    def takes(self, codec: str) -> bool:
        """Whether the container takes streams of a codec; where it does not tell, it may."""
        known = self._container.supported_codecs
        return not known or codec in known

    def add_copy(self, stream: Stream) -> None:
        """Announce a stream whose packets are copied as they are. Comes before the first frame."""
        with self._named():
            copy = self._container.add_stream_from_template(stream)
            copy.metadata.update(stream.metadata)
            copy.disposition = stream.disposition
            self._copies[stream.index] = copy

    def copy(self, packet: Any) -> None:
        """Copy a packet of a stream that `add_copy` announced."""
        packet.stream = self._copies[packet.stream.index]
        with self._named():
            self._container.mux(packet)

    def describe(self, metadata: dict[str, str], chapters: list[Any]) -> None:
        """Set the file's title and the like, and its chapters. Comes before the first frame."""
        self._container.metadata.update(metadata)
        self._container.set_chapters(chapters)

    def _opened(self, file: IO[bytes]) -> Any:
        options = {}
        if CONTAINERS[self.path.suffix.lower()] in ("mp4", "mov"):
            options["movflags"] = "faststart"  # the index comes first, so that players begin while they load
            if self.time_base.denominator <= LARGEST_TIMESCALE:
                options["video_track_timescale"] = str(self.time_base.denominator)
        return self.av.open(
            file,
            "w",
            format=CONTAINERS[self.path.suffix.lower()],
            options=options,
            io_open=lambda url, flags, options: open(file.name, "rb"),  # faststart reads what was written
        )

    def _add_stream(self) -> Any:
        encoding, look = self.encoding, self.look
        codec = encoding.codec_for(self.path)
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


def pyav() -> Any:
    """PyAV's module.

    Raises:
        InputError: it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise InputError(f"video needs PyAV ({error}); pip install 'ohlora-fast[video]'") from error
    return av


def encoder_format(codec: str, wanted: str) -> str:
    """The pixel format in which an encoder takes frames: planar YUV, with the bits and subsampling of what it gets.

    Args:
        codec: the encoder's name.
        wanted: the frames' pixel format.

    Raises:
        InputError: there is no such encoder of video.

    >>> encoder_format("libx264", "yuv420p10le"), encoder_format("libx264", "rgb24")
    ('yuv420p10le', 'yuv420p')
    """
    av = pyav()
    try:
        found = av.Codec(codec, "w")
    except (av.error.FFmpegError, ValueError):
        found = None
    if found is None or found.type != "video":
        raise InputError(f"codec: got {codec!r}, allowed is an encoder of video that PyAV has, such as libx264")
    known = {form.name for form in found.video_formats or ()}
    components = av.VideoFormat(wanted).components
    bits = max(component.bits for component in components)
    chroma = subsampling(wanted) or "420"
    depths = ["10le", ""] if bits > 8 else ["", "10le"]
    if bits > 10:
        depths.insert(0, f"{bits}le")
    for depth in depths:
        for kind in (chroma, "420", "422", "444"):
            if f"yuv{kind}p{depth}" in known:
                return f"yuv{kind}p{depth}"
    raise InputError(f"codec: {codec!r} takes no planar YUV; allowed are encoders that do, such as libx264")


def subsampling(pixel_format: str) -> str | None:
    """ "420", "422" or "444" of planar YUV in such a format, else None.

    >>> subsampling("yuv422p10le"), subsampling("yuvj420p"), subsampling("rgb24")
    ('422', '420', None)
    """
    name = pixel_format.replace("yuvj", "yuv").replace("yuva", "yuv")
    return name[3:6] if name.startswith("yuv") and name[3:7] in ("420p", "422p", "444p") else None


def even(size: tuple[int, ...], pixel_format: str) -> tuple[int, int]:
    """Height and width without the last row or column that a pixel format cannot have.

    >>> even((241, 321), "yuv420p"), even((241, 321), "yuv422p"), even((241, 321), "yuv444p")
    ((240, 320), (241, 320), (241, 321))
    """
    height, width = size
    kind = subsampling(pixel_format)
    return (height - height % 2 if kind == "420" else height), (width - width % 2 if kind in ("420", "422") else width)
