"""`ohlora-fast stylegan walk`: from portrait to portrait, as an animation."""

from __future__ import annotations

import argparse

from ohlora_fast.cli.options import write_animation
from ohlora_fast.cli.stylegan_options import add_device_option, add_walk_options, painter_from, walk_from

DESCRIPTION = """\
Paint a walk of latents past pictures that `generate` makes of the same seed and labels, at even steps and with the
checkpoint's noise. OUT is a .gif, .webp or .mp4 file, or without a suffix a folder of PNG files."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `walk` and its options."""
    parser = subparsers.add_parser("walk", help="walk from portrait to portrait", description=DESCRIPTION)
    add_walk_options(parser)
    add_device_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Paint the walk that `args` asks for and return the exit code."""
    from ohlora_fast.media.animation import check_animation
    from ohlora_fast.sweep import frame_times

    check_animation(args.out, args.overwrite)
    batches = walk_from(args, painter_from(args), frame_times(args.frames, closed=args.loop))
    write_animation(args, (frame for batch in batches for frame in batch), args.frames)
    print(f"{args.out}: {args.frames} frames")
    return 0
