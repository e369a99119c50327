"""`ohlora-fast animate`: photos whose hair changes colour, as GIF, WebP or video."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ohlora_fast.cli.natural_options import add_natural_options, method_from
from ohlora_fast.cli.options import (
    add_animation_options,
    add_engine_options,
    add_file_options,
    add_head_options,
    add_mask_options,
    add_sweep_options,
    color_keys,
    count,
    head_colors_from,
    heads_from,
    stylist_from,
    write_animation,
)
from ohlora_fast.errors import InputError

if TYPE_CHECKING:
    from ohlora_fast.cli.plan import Job
    from ohlora_fast.media.convert import Pixels
    from ohlora_fast.stylist import HairStylist

DESCRIPTION = """\
Dye the hair in photos with settings that move, and write animations. OUT is a .gif, .webp or .mp4 file, in which
several photos come one after the other, each fitted into the first one's size; or a folder, which gets a file for each.
If all settings end where they begin (color 1 is 0 again), the animation runs round without a seam. With --undyed
photos are put together as they are, a frame each: those, for example, that `dye` wrote into a folder. With
--head-colors each head keeps its own; where --color has several, all heads move as it does, each from its own on."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `animate` and its options."""
    parser = subparsers.add_parser("animate", help="animate the hair's colour", description=DESCRIPTION)
    add_file_options(parser, "a .gif, .webp or .mp4 file, or a folder")
    add_sweep_options(parser)
    parser.set_defaults(color=None)  # 0:1, but with --head-colors none
    add_natural_options(parser, swept=True)
    add_mask_options(parser)
    add_head_options(parser)
    add_animation_options(parser)
    parser.add_argument("--frames", type=count, default=48, metavar="N", help="of each photo (default 48)")
    parser.add_argument(
        "--side", type=count, default=512, metavar="N", help="shrink photos to N pixels at most (default 512)"
    )
    parser.add_argument("--undyed", action="store_true", help="take each photo as it is for a frame of a file")
    parser.add_argument(
        "--format", choices=("gif", "webp", "mp4"), default="gif", help="of the files in a folder (default gif)"
    )
    add_engine_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Animate what `args` names and return the exit code."""
    out = Path(args.out)
    if not out.suffix or out.is_dir() or args.out.endswith(os.sep):
        return _each(args)
    return _one_after_the_other(args)


def _each(args: argparse.Namespace) -> int:
    """Write a file for each photo."""
    if args.undyed:
        raise InputError(
            f"--undyed: {args.out} came as OUT, which is a folder; allowed is a file such as {args.out}.gif"
        )
    from ohlora_fast.animate import prepared
    from ohlora_fast.cli.jobs import run_jobs
    from ohlora_fast.cli.plan import plan_jobs, with_endings
    from ohlora_fast.media.animation import write_frames
    from ohlora_fast.media.gamut import srgb_pixels
    from ohlora_fast.media.images import MAX_PIXELS, read_photo

    naming = with_endings(lambda out: (out,), f".{args.format}")
    folder = os.path.join(args.out, "")
    jobs = plan_jobs(args.images, folder, naming, args.recursive, args.overwrite, args.skip_existing)
    if not jobs:
        print("every output exists already")
        return 0
    stylist = stylist_from(args)

    def work(job: Job) -> Sequence[str]:
        photo = read_photo(job.source, args.max_pixels or MAX_PIXELS)
        frames = _frames(stylist, prepared(srgb_pixels(photo.pixels, photo.icc_profile), args.side), args)
        write_frames(job.outputs[0], frames, args.fps, args.once, args.dither, args.overwrite)
        return photo.notes

    return run_jobs(jobs, work, args)


def _one_after_the_other(args: argparse.Namespace) -> int:
    """Write one file of all photos."""
    from ohlora_fast.animate import prepared
    from ohlora_fast.cli.console import complain
    from ohlora_fast.cli.plan import find_pictures
    from ohlora_fast.media.animation import check_animation
    from ohlora_fast.media.gamut import srgb_pixels
    from ohlora_fast.media.images import MAX_PIXELS, read_photo

    if args.skip_existing and os.path.exists(args.out):
        print("every output exists already")
        return 0
    check_animation(args.out, args.overwrite)
    sources = find_pictures(args.images, f"{args.out}.pictures", args.recursive)
    stylist = None if args.undyed else stylist_from(args)

    def frames() -> Iterator[Pixels]:
        size = None
        for source in sources:
            photo = read_photo(source, args.max_pixels or MAX_PIXELS)
            for note in photo.notes:
                complain("note", f"{source}: {note}")
            pixels = prepared(srgb_pixels(photo.pixels, photo.icc_profile), args.side, size)
            size = pixels.shape[:2]
            if stylist is None:
                yield pixels
                continue
            try:
                yield from _frames(stylist, pixels, args)
            except InputError as error:
                raise InputError(f"{source}: {error}") from error

    total = len(sources) * (args.frames if stylist else 1)
    write_animation(args, frames(), total)
    print(f"{args.out}: {total} frames")
    return 0


def _frames(stylist: HairStylist, pixels: Pixels, args: argparse.Namespace) -> Iterator[Pixels]:
    from ohlora_fast.animate import dyed_frames
    from ohlora_fast.heads.choosing import find_chosen
    from ohlora_fast.refine import wants_refining

    head_colors = head_colors_from(args)
    color = args.color or ("0:1" if head_colors is None else "0")
    refine = wants_refining(args.refine, *pixels.shape[:2])
    hair, missing = find_chosen(stylist, pixels, heads_from(args), refine)
    if missing is not None:
        raise InputError(missing)
    return dyed_frames(
        stylist,
        pixels,
        color_keys(color),
        args.ombre_height,
        args.ombre_grad_height,
        args.frames,
        method=method_from(args, color if head_colors is None and ":" not in color else None),
        strength=args.strength,
        lift=args.lift,
        refine=refine,
        hair=hair,
        head_colors=head_colors,
    )
