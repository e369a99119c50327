"""Clips of the portrait, made here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from ohlora_fast import HairStylist

TICKS = Fraction(1, 90_000)


@pytest.fixture(scope="session")
def stylist() -> HairStylist:
    return HairStylist(threads=1)


@pytest.fixture(scope="session")
def moving(portrait_pixels: np.ndarray) -> list[np.ndarray]:
    """Six frames (96, 128, 3) in which the portrait moves to the right."""
    small = cv2.resize(portrait_pixels, (128, 96), interpolation=cv2.INTER_AREA)
    return [np.roll(small, 2 * number, 1) for number in range(6)]


@pytest.fixture
def clip(tmp_path: Path, moving: list[np.ndarray]) -> Callable[..., Path]:
    """Write a lossless video and return its path."""

    def write(
        name: str = "in.mp4",
        frames: Sequence[np.ndarray] = moving,
        times: Sequence[int] | None = None,
        codec: str = "libx264",
        pixel_format: str = "yuv420p",
        turn: int = 0,
        crf: int = 0,
        sound: bool = False,
        colors: tuple[int, int] = (1, 1),
        **settings: Any,
    ) -> Path:
        options = {"crf": str(crf), "bf": "2"} if codec == "libx264" else {}
        path = tmp_path / name
        height, width = frames[0].shape[:2]
        with av.open(str(path), "w", options={"video_track_timescale": "90000"} if "mp4" in name else {}) as out:
            out.metadata["title"] = "a head"
            film = out.add_stream(codec, 25, options=options)
            film.width, film.height, film.pix_fmt = width, height, pixel_format
            film.time_base = film.codec_context.time_base = TICKS
            film.codec_context.color_range, film.codec_context.colorspace = colors
            for key, value in settings.items():
                setattr(film.codec_context, key, value)
            if turn:
                film.set_display_rotation(turn)
            heard = out.add_stream("aac", 44_100, layout="mono") if sound else None
            for number, pixels in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(pixels).reformat(
                    format=pixel_format, dst_colorspace=colors[1], dst_color_range=colors[0]
                )
                frame.time_base, frame.pts = TICKS, 3600 * number if times is None else times[number]
                out.mux(film.encode(frame))
            out.mux(film.encode())
            if heard is not None:
                wave = np.sin(np.arange(44_100) / 20).astype(np.float32)[None]
                tone = av.AudioFrame.from_ndarray(wave, "fltp", "mono")
                tone.sample_rate = 44_100
                out.mux(heard.encode(tone))
                out.mux(heard.encode())
        return path

    return write


def frames_of(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def packets_of(path: Path, kind: str) -> list[tuple[Any, ...]]:
    """Time, length and bytes of each packet of the first stream of a kind."""
    with av.open(str(path)) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        return [
            (packet.pts * packet.time_base, packet.duration * packet.time_base, bytes(packet))
            for packet in container.demux(stream)
            if packet.dts is not None
        ]
