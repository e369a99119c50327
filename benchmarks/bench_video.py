"""How many frames of 720p are dyed in a second, from H.264 to H.264, of a portrait and of two heads?

Limit: what the cores can do if none of them ever waits; and most of that is decoding and encoding, which the same clip
takes if nothing is done to it. All with libx264's preset veryfast, at crf 20. Times are those of one frame.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ohlora_fast.benchmarks import clips, setting

PROVIDERS = ("dyed", "decoded and encoded", "what the cores can do")
GROUP = "video, a frame of 720p"
TWO_HEADS = f"{GROUP} with two heads"
SIZE = (720, 1280)
COUNT = 120
SMALL = 480
"""Height and width of each portrait of two."""
LIMIT_S = 1 / 25
"""A frame with two heads, at most."""


def problem(provider: str) -> str | None:
    """Why a provider does not run here, or None."""
    from importlib.util import find_spec

    return setting.no_portrait() if find_spec("av") else 'PyAV is not installed: pip install "ohlora-fast[video]"'


def make_clip(path: Path, group: str) -> None:
    """The portrait, or a smaller one and its mirror image on grey, panned and zoomed."""
    import numpy as np

    from ohlora_fast.media.video import VideoWriter

    photo = setting.portraits(1, SIZE[0])[0]
    if group == TWO_HEADS:
        small = setting.portraits(1, SMALL)[0]
        photo = np.full((*SIZE, 3), 128, np.uint8)
        photo[-SMALL:, 120 : 120 + SMALL], photo[-SMALL:, -120 - SMALL : -120] = small, small[:, ::-1]
    placed = clips.placements("slow", COUNT, photo.shape[:2], SIZE)
    with VideoWriter(path, clips.FPS, SIZE) as writer:
        for frame in clips.frames(photo, placed, SIZE):
            writer.write(frame)


def make(provider: str, source: Path, threads: int) -> Callable[[], object]:
    """The call to time; for the limit, the one whose processor time counts."""
    from ohlora_fast.media.frames import upright
    from ohlora_fast.media.video import VideoWriter
    from ohlora_fast.media.video_reader import VideoReader
    from ohlora_fast.stylist import HairStylist
    from ohlora_fast.video import dye_video

    out = source.with_name("out.mp4")
    stylist = HairStylist(threads=1)

    def through() -> None:
        with VideoReader(source) as reader:
            form = upright(reader.first, "yuv420p", None)
            with VideoWriter(out, reader.fps, form.size, overwrite=True, time_base=reader.time_base) as writer:
                for frame in reader.items():
                    writer.write_frame(frame)

    return through if provider == PROVIDERS[1] else lambda: dye_video(source, out, stylist=stylist, overwrite=True)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("group", [GROUP, TWO_HEADS])
def test_video(benchmark: Any, measure: Callable[..., None], group: str, provider: str) -> None:
    threads, values = setting.threads(), []
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in.mp4"
        make_clip(source, group)
        work = make(provider, source, threads)

        def timed() -> None:
            start, processor = time.perf_counter(), time.process_time()
            work()
            limit = (time.process_time() - processor) / threads
            values.append((limit if provider == PROVIDERS[2] else time.perf_counter() - start) / COUNT)

        measure(group, timed, rounds=3, warm_up=1)
    benchmark.extra_info["s"] = values[1:]
