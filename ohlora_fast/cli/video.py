"""`ohlora-fast video`: dye the hair in a video."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ohlora_fast.cli.console import complain
from ohlora_fast.cli.natural_options import add_natural_options, method_from
from ohlora_fast.cli.options import (
    add_engine_options,
    add_head_options,
    add_ombre_options,
    between,
    head_colors_from,
    heads_from,
    ombre_from,
)
from ohlora_fast.errors import InputError

if TYPE_CHECKING:
    from ohlora_fast.ombre import Ombre
    from ohlora_fast.video.keyframes import Keyframes

DESCRIPTION = """\
Dye the hair in a video. Sound is copied as it is, and so are frame times, 8 or 10 bits and colour tags; a video that
players turn is turned. OUT is an .mp4, .m4v, .mov, .mkv, .webm or .ts, and appears when it is whole. Each head is dyed
on its own. Heads are numbered from the left in the first frame; who comes later has the next number; after a cut,
numbers begin anew."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `video` and its options."""
    parser = subparsers.add_parser("video", help="dye the hair in a video", description=DESCRIPTION)
    parser.add_argument("source", metavar="IN", help="the video")
    parser.add_argument("out", metavar="OUT", help="the file to write")
    add_ombre_options(parser)
    add_smooth_option(parser)
    parser.add_argument(
        "--keyframes", metavar="FILE|TEXT",
        help="settings that change, by seconds: '0:color=0.1;2.5:color=0.9,ombre-height=1', or a file of such",
    )  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it exists (never IN)")
    coding = parser.add_argument_group("encoding")
    coding.add_argument(
        "--codec", help="an encoder of FFmpeg's (libx264; in .webm libvpx-vp9, of more than 8 bits libsvtav1)"
    )
    coding.add_argument("--preset", help="its speed, in its own words (veryfast)")
    coding.add_argument("--crf", type=quality, default=20, metavar="Q", help="0 to 63, smaller is better (20)")
    add_head_options(parser)
    add_natural_options(parser)
    add_engine_options(parser)
    parser.set_defaults(run=run)


def add_smooth_option(parser: argparse.ArgumentParser) -> None:
    """Add the strength of the smoothing over time."""
    parser.add_argument(
        "--smooth", type=strength, default=0.8, metavar="X",
        help="how much of the hair's map comes from the frame before, 0 to 0.99 (0.8)",
    )  # fmt: skip


def quality(text: str) -> float:
    """`--crf`."""
    return between(text, 0, 63)


def strength(text: str) -> float:
    """`--smooth`."""
    return between(text, 0, 0.99)


def run(args: argparse.Namespace) -> int:
    """Dye the video that `args` names."""
    from ohlora_fast.media.encoding import Encoding
    from ohlora_fast.stylist import HairStylist
    from ohlora_fast.video import dye_video
    from ohlora_fast.video.settings import in_turn

    heads, colors = heads_from(args), head_colors_from(args)
    method = method_from(args, args.color if colors is None else None)
    ombre = keyframes(args.keyframes, ombre_from(args))
    if colors is not None and "color" in ombre.tracks:
        raise InputError("--head-colors: came with a colour in --keyframes; allowed is one of the two")
    hue_of = in_turn(colors or (ombre.ombre.color,), heads)

    def of_head(number: int) -> Keyframes:
        return replace(ombre, ombre=replace(ombre.ombre, color=hue_of(number)))

    encoding = Encoding(args.codec, args.preset, args.crf, args.threads)
    # One thread for the student: others decode, dye and encode beside it.
    stylist = HairStylist(args.checkpoint, args.engine, args.device, args.threads or 1)
    with progress() as seen:
        done = dye_video(
            args.source, args.out, of_head, args.smooth, encoding, stylist, args.overwrite, seen,
            method=method, heads=heads,
        )  # fmt: skip
    for note in done.notes:
        complain("note", f"{args.source}: {note}")
    if done.bald:
        complain("warning", f"{args.source}: no hair found in {done.bald} of {done.frames} frames; left unchanged")
    print(f"{args.out}: {done.frames} frames")
    return 0


def keyframes(given: str | None, ombre: Ombre) -> Keyframes:
    """Keyframes from a text or a file; without them `ombre` stays.

    Raises:
        InputError: neither.
    """
    from ohlora_fast.video.keyframes import Keyframes

    if given is None:
        return Keyframes(ombre, {})
    text = given
    if "=" not in given:
        try:
            with open(given, encoding="utf-8") as file:
                text = file.read()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
            raise InputError(f"--keyframes: cannot read {given}: {reason}") from error
    return Keyframes.parse(text, ombre)


@contextmanager
def progress() -> Iterator[Callable[[int, int | None], object] | None]:
    """A bar on a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm

    with tqdm(unit=" frames", file=sys.stderr, dynamic_ncols=True) as bar:

        def seen(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield seen
