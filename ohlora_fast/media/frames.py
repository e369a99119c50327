"""The frames of a video as arrays: their planes, and upright copies that may be written to."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ohlora_fast.media.encoding import Look, even, pyav
from ohlora_fast.media.photo import TURNS

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from ohlora_fast.media.convert import Pixels

TURN_OF_MATRIX = {
    (1, 0, 0, 1): 1,
    (-1, 0, 0, 1): 2,
    (-1, 0, 0, -1): 3,
    (1, 0, 0, -1): 4,
    (0, 1, 1, 0): 5,
    (0, 1, -1, 0): 6,
    (0, -1, -1, 0): 7,
    (0, -1, 1, 0): 8,
}
"""Signs of a display matrix's a, b, c, d → the EXIF orientation that shows a picture the same way."""

STANDARDS = {1: "709", 4: "601", 5: "601", 6: "601", 7: "240", 9: "2020", 10: "2020"}
"""libav's number of a matrix → its standard. FCC's, 4, is that of BT.601 but for 0.001."""

HD = 720
"""Rows from which on a video that does not tell its matrix has that of BT.709, as players have it; else BT.601."""

FULL = 2
"""libav's number of the range 0 to 255."""


@dataclass(frozen=True)
class Upright:
    """How frames of a video become upright ones for an encoder.

    Attributes:
        turn: their EXIF orientation, 1 to 8.
        size: height and width of an upright one, without an odd row or column that `look` cannot have.
        look: of the upright ones.
    """

    turn: int
    size: tuple[int, int]
    look: Look

    def copy(self, frame: VideoFrame) -> VideoFrame:
        """An upright copy that may be written to. A frame of another size than the first one is scaled to its."""
        swap, down, right = TURNS[self.turn]
        height, width = self.size[::-1] if swap else self.size
        if abs(frame.height - height) > 1 or abs(frame.width - width) > 1:
            frame = frame.reformat(width, height)
        wanted = self.look.pixel_format
        turned = wanted.replace("422", "444") if swap else wanted  # else its chroma would be halved in height
        if frame.format.name.replace("yuvj", "yuv").replace("yuva", "yuv") != turned:
            frame = self._reformatted(frame, turned)
        made: VideoFrame = pyav().VideoFrame(self.size[1], self.size[0], turned)
        for plane, to in zip(planes_of(frame), planes_of(made), strict=True):
            to[:] = (plane.T if swap else plane)[::down, ::right][: to.shape[0], : to.shape[1]]
        if turned != wanted:
            made = self._reformatted(made, wanted)
        made.pts, made.time_base, made.duration = frame.pts, frame.time_base, frame.duration
        made.color_range, made.colorspace = self.look.color_range, self.look.colorspace
        made.color_primaries, made.color_trc = self.look.color_primaries, self.look.color_trc
        return made

    def _reformatted(self, frame: VideoFrame, pixel_format: str) -> VideoFrame:
        matrix = {"dst_colorspace": self.look.colorspace} if frame.format.is_rgb else {}
        return frame.reformat(format=pixel_format, dst_color_range=self.look.color_range or 1, **matrix)


def upright(frame: VideoFrame, pixel_format: str, aspect: Fraction | None) -> Upright:
    """How a video is turned upright, whose first frame this is.

    Args:
        frame: its colours and display matrix are those of the video.
        pixel_format: of the encoder, planar YUV.
        aspect: width over height of the stored pixels, None or 0 for square ones.
    """
    turn = turn_of(frame)
    swap = TURNS[turn][0]
    if frame.format.is_rgb:
        look = Look(pixel_format)
    else:
        full = frame.format.name.startswith("yuvj")
        colors = (frame.colorspace, frame.color_primaries, frame.color_trc)
        look = Look(pixel_format, FULL if full else frame.color_range, *colors)
    if aspect:
        look = Look(**vars(look) | {"aspect": 1 / aspect if swap else aspect})
    size = (frame.width, frame.height) if swap else (frame.height, frame.width)
    return Upright(turn, even(size, pixel_format), look)


def turn_of(frame: VideoFrame) -> int:
    """The EXIF orientation, 1 to 8, in which players show a frame. A matrix that skews counts as none."""
    beside: Any = frame.side_data
    matrix = next((data for data in beside if data.type.name == "DISPLAYMATRIX"), None)
    if matrix is None:
        return 1
    a, b, _, c, d = np.sign(np.frombuffer(matrix, "<i4")[:5]).tolist()
    return TURN_OF_MATRIX.get((a, b, c, d), 1)


def is_transparent(frame: VideoFrame) -> bool:
    """Tell whether a frame has pixels that are not opaque."""
    form = frame.format
    if not form.has_palette and not any(component.is_alpha for component in form.components):
        return False
    pixels: Any = frame.reformat(format="rgba", threads=1).to_ndarray()
    return bool((pixels[..., 3] < 255).any())


def planes_of(frame: VideoFrame) -> list[np.ndarray[Any, Any]]:
    """Views of Y, U and V of planar YUV, uint8 or, of more than 8 bits, uint16."""
    dtype = np.dtype("<u2" if frame.format.components[0].bits > 8 else "u1")
    planes = []
    for plane in frame.planes[:3]:
        buffer: Any = plane
        rows = np.frombuffer(buffer, dtype).reshape(plane.height, plane.line_size // dtype.itemsize)
        planes.append(rows[:, : plane.width])
    return planes


def standard_of(frame: VideoFrame) -> str:
    """The standard of the matrix: "601", "709", "2020" or "240"."""
    unknown = "709" if min(frame.height, frame.width) >= HD else "601"
    return STANDARDS.get(frame.colorspace, unknown)


def rgb_of(frame: VideoFrame) -> Pixels:
    """The frame as players show it, but for its turn: uint8 RGB (H, W, 3)."""
    matrix = {"601": 5, "709": 1, "2020": 9, "240": 7}[standard_of(frame)]
    rgb = frame.reformat(format="rgb24", src_colorspace=matrix, src_color_range=frame.color_range or 1, threads=1)
    pixels: Any = rgb.to_ndarray()
    return pixels
