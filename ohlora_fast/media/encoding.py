"""How video is encoded: settings, how frames are to be understood, and what encoders take."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from ohlora_fast.errors import InputError

__all__ = ["Encoding", "Look", "encoder_format", "even", "is_picture", "pyav", "subsampling"]

WEBM = ("libvpx-vp9", "libsvtav1")
"""Encoders whose video WebM holds; players know the first one longer."""

PRESETS = {"libx264": "veryfast", "libx265": "veryfast", "libsvtav1": "8"}


@dataclass(frozen=True)
class Encoding:
    """How frames are compressed.

    Args:
        codec: an encoder that PyAV has, such as "libx264", "libx265", "libsvtav1"; None for libx264, or, in WebM,
            libvpx-vp9; there libsvtav1 for more than 8 bits, if PyAV's libvpx-vp9 takes no more.
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

    def codec_for(self, path: Path, pixel_format: str = "yuv420p") -> str:
        """The encoder's name, for a file and the frames' pixel format."""
        if self.codec is not None:
            return self.codec
        if path.suffix.lower() != ".webm":
            return "libx264"
        deep = bits_of(pixel_format) > 8
        return next((codec for codec in WEBM if deep and "yuv420p10le" in (formats_of(codec) or ())), WEBM[0])

    def options_for(self, codec: str) -> dict[str, str]:
        """What the encoder is told."""
        if codec == "libvpx-vp9":
            return {"crf": f"{self.crf:g}", "deadline": "realtime", "cpu-used": self.preset or "6", "row-mt": "1"}
        preset = self.preset or PRESETS.get(codec)
        quiet = {"x265-params": "log-level=error"} if codec == "libx265" else {}
        return {"crf": f"{self.crf:g}"} | ({"preset": preset} if preset else {}) | quiet


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
    known = formats_of(codec)
    if known is None:
        raise InputError(f"codec: got {codec!r}, allowed is an encoder of video that PyAV has, such as libx264")
    bits = bits_of(wanted)
    chroma = subsampling(wanted) or "420"
    depths = ["10le", ""] if bits > 8 else ["", "10le"]
    if bits > 10:
        depths.insert(0, f"{bits}le")
    for depth in depths:
        for kind in (chroma, "420", "422", "444"):
            if f"yuv{kind}p{depth}" in known:
                return f"yuv{kind}p{depth}"
    raise InputError(f"codec: {codec!r} takes no planar YUV; allowed are encoders that do, such as libx264")


def formats_of(codec: str) -> set[str] | None:
    """The pixel formats that an encoder takes; None if PyAV has no such encoder of video."""
    av = pyav()
    try:
        found = av.Codec(codec, "w")
    except (av.error.FFmpegError, ValueError):
        return None
    return {form.name for form in found.video_formats or ()} if found.type == "video" else None


def bits_of(pixel_format: str) -> int:
    """Bits of a component.

    >>> bits_of("yuv420p10le"), bits_of("rgb24")
    (10, 8)
    """
    return max(component.bits for component in pyav().VideoFormat(pixel_format).components)


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


def is_picture(stream: Any) -> bool:
    """Whether a stream is no film but a picture that belongs to the file, such as a cover."""
    return bool(stream.disposition & type(stream.disposition).attached_pic)
