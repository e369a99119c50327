"""`ohlora-fast webcam`: dye a camera's picture as it comes, on a page in the browser."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ohlora_fast.cli.natural_options import add_natural_options, method_from
from ohlora_fast.cli.options import (
    add_engine_options,
    add_head_options,
    add_ombre_options,
    count,
    head_colors_from,
    heads_from,
    ombre_from,
)
from ohlora_fast.cli.video import add_smooth_option
from ohlora_fast.errors import InputError

if TYPE_CHECKING:
    from ohlora_fast.media.frames import Upright
    from ohlora_fast.media.video import VideoWriter
    from ohlora_fast.media.video_reader import VideoReader
    from ohlora_fast.video.live import Live

DESCRIPTION = """\
Dye a camera's picture as it comes, and show it on a page that this machine serves to itself alone, with sliders.
(OpenCV as it is installed here has no windows.) Frames that cannot be dyed in time are left out. Ctrl-C ends it."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `webcam` and its options."""
    parser = subparsers.add_parser("webcam", help="dye a camera's picture as it comes", description=DESCRIPTION)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--camera", type=int, default=0, metavar="N", help="the camera /dev/videoN (0), on Linux")
    source.add_argument("--source", metavar="FILE", help="a video instead of a camera, at its own pace, over and over")
    add_ombre_options(parser)
    add_smooth_option(parser)
    parser.add_argument("--record", metavar="OUT", help="also write it to a video, without sound; a FILE plays once")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    parser.add_argument("--once", action="store_true", help="end with the FILE")
    parser.add_argument("--port", type=count, default=0, metavar="N", help="of the page (default: one that is free)")
    add_head_options(parser)
    add_natural_options(parser)
    add_engine_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C."""
    from ohlora_fast.media.encoding import Encoding
    from ohlora_fast.media.video import VideoWriter
    from ohlora_fast.media.video_reader import VideoReader
    from ohlora_fast.stylist import HairStylist
    from ohlora_fast.video.live import Live
    from ohlora_fast.video.page import served

    def source() -> VideoReader:
        if args.source is not None:
            return VideoReader(args.source)
        if sys.platform != "linux":
            raise InputError("--camera: cameras are read on Linux alone; --source FILE takes a video")
        return VideoReader(f"/dev/video{args.camera}", format="v4l2")

    def record(reader: VideoReader, form: Upright) -> VideoWriter:
        return VideoWriter(args.record, reader.fps, form.size, Encoding(), args.overwrite, form.look, reader.time_base)

    colors = head_colors_from(args)
    method = method_from(args, args.color if colors is None else None)
    stylist = HairStylist(args.checkpoint, args.engine, args.device, args.threads)
    once = args.once or args.record is not None
    live = Live(
        source, stylist, ombre_from(args), args.smooth, once, method=method, heads=heads_from(args), colors=colors
    )
    with served(live, args.port) as address, stopped_by_ctrl_c(live):
        print(f"open {address} in a browser; Ctrl-C ends it", flush=True)
        live.run(record if args.record else None)
    return 0


@contextmanager
def stopped_by_ctrl_c(live: Live) -> Iterator[None]:
    """Let Ctrl-C end it after the frame at hand, so that a recording is whole; a second one breaks off."""

    def stop(*_: object) -> None:
        if live.stopped:
            raise KeyboardInterrupt
        live.stop()

    if threading.current_thread() is not threading.main_thread():  # where nobody sends signals
        yield
        return
    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
