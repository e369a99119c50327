"""`ohlora-fast stylegan dye`: portraits painted, their hair found and dyed, as an animation."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ohlora_fast.cli.options import add_engine_options, color_keys, stylist_from, write_animation
from ohlora_fast.cli.stylegan_options import add_walk_options, painter_from, walk_from

if TYPE_CHECKING:
    from ohlora_fast.media.convert import Pixels

DESCRIPTION = """\
The whole way at once: paint a walk of latents as `walk` does, find the hair in every frame, dye it, and write the
animation. Colour, heights and latent move together. OUT is a .gif, .webp or .mp4 file, or without a suffix a folder
of PNG files."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `dye` and its options."""
    parser = subparsers.add_parser("dye", help="walk, and dye the hair on the way", description=DESCRIPTION)
    add_walk_options(parser, dyed=True)
    add_engine_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Paint and dye what `args` asks for and return the exit code."""
    from ohlora_fast.cli.console import complain
    from ohlora_fast.media.animation import check_animation
    from ohlora_fast.stylegan.walk import dyed
    from ohlora_fast.sweep import ombre_sweep

    check_animation(args.out, args.overwrite)
    keys = color_keys(args.color), args.ombre_height, args.ombre_grad_height
    times, settings = ombre_sweep(keys, args.frames, returning=args.loop)
    batches = dyed(walk_from(args, painter_from(args), times), stylist_from(args), settings)
    bald = 0

    def frames() -> Iterator[Pixels]:
        nonlocal bald
        for batch, hairless in batches:
            bald += hairless
            yield from batch

    write_animation(args, frames(), args.frames)
    if bald:
        complain("warning", f"no hair found in {bald} of {args.frames} frames; they are left undyed")
    print(f"{args.out}: {args.frames} frames")
    return 0
