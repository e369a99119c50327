"""`ohlora-fast dye`: dye the hair in pictures."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ohlora_fast.cli.options import (
    add_engine_options,
    add_file_options,
    color,
    fraction,
    percent,
    stylist_from,
)

DESCRIPTION = """\
Dye the hair in pictures. Colour profile, EXIF, transparency and JPEG quality are kept, EXIF orientation is
applied. OUT is a folder if it exists as one, ends in a slash or has no suffix, or if a folder or several
pictures came; pictures keep their names in it."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `dye` and its options."""
    parser = subparsers.add_parser("dye", help="dye the hair in pictures", description=DESCRIPTION)
    add_file_options(parser, "the file for one picture (its suffix tells the format), or a folder")
    parser.add_argument(
        "--color",
        type=color,
        default=0.5,
        help="0 to 1, a CSS name or #rrggbb: the hue (default 0.5, sky blue)",
    )
    parser.add_argument(
        "--ombre-height",
        type=fraction,
        default=0.6,
        metavar="X",
        help="how far up the colour goes, 0 to 1 (0.6)",
    )
    parser.add_argument(
        "--ombre-grad-height",
        type=fraction,
        default=0.5,
        metavar="X",
        help="share that fades in, 0 to 1 (0.5)",
    )
    parser.add_argument(
        "--quality",
        type=percent,
        metavar="Q",
        help="JPEG and WebP quality, 1 to 100 (default: as the input, or 95)",
    )
    add_engine_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Dye what `args` names and return the exit code."""
    from ohlora_fast.cli.jobs import run_jobs
    from ohlora_fast.cli.plan import Job, Naming, plan_jobs
    from ohlora_fast.colors import describe_color
    from ohlora_fast.media.images import FORMATS, MAX_PIXELS, output_format, read_photo, write_photo

    def as_file(out: Path) -> tuple[Path, ...]:
        output_format(out)
        return (out,)

    def in_folder(below: Path) -> tuple[Path, ...]:
        known = below.suffix.lower() in FORMATS
        return (below if known else below.with_name(f"{below.name}.png"),)

    naming = Naming(as_file, in_folder)
    jobs = plan_jobs(args.images, args.out, naming, args.recursive, args.overwrite, args.skip_existing)
    print(describe_color(args.color))
    if not jobs:
        print("every output exists already")
        return 0
    stylist = stylist_from(args)

    def work(job: Job) -> Sequence[str]:
        photo = read_photo(job.source, max_pixels=args.max_pixels or MAX_PIXELS)
        dyed = stylist.dye(
            photo.pixels,
            color=args.color,
            ombre_height=args.ombre_height,
            ombre_grad_height=args.ombre_grad_height,
        )
        write_photo(job.outputs[0], dyed, like=photo, quality=args.quality, overwrite=args.overwrite)
        return photo.notes

    return run_jobs(jobs, work, args)
