"""`ohlora-fast segment`: where the hair is, as a mask and as an overlay."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

from ohlora_fast.cli.options import (
    add_engine_options,
    add_file_options,
    add_mask_options,
    add_whose_options,
    heads_from,
)
from ohlora_fast.errors import InputError

DESCRIPTION = """\
Write two PNG files a picture: the mask, grey, 255 where hair is certain; and the overlay, the picture with
the mask in green. In a folder they are NAME_mask.png and NAME_overlay.png; NAME is a picture's name without
its suffix, or with it where two pictures would otherwise share an output (a.jpg and a.png). For one picture
OUT may be the mask's file, OUT.png; the overlay is then OUT_overlay.png beside it. Where a head of --head is not there,
the mask is empty."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `segment` and its options."""
    parser = subparsers.add_parser("segment", help="write hair masks and overlays", description=DESCRIPTION)
    add_file_options(parser, "the mask's .png file for one picture, or a folder")
    parser.add_argument("--binary", action="store_true", help="0 or 255 in the mask, cut at probability 0.5")
    add_mask_options(parser)
    add_whose_options(parser)
    add_engine_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Segment what `args` names and return the exit code."""
    from ohlora_fast.batch.dyer import Dyer
    from ohlora_fast.batch.recipe import Recipe
    from ohlora_fast.cli.jobs import run_jobs
    from ohlora_fast.cli.plan import Job, plan_jobs, with_endings
    from ohlora_fast.media.images import MAX_PIXELS, read_photo, write_photo
    from ohlora_fast.ombre import Ombre

    naming = with_endings(as_file, "_mask.png", "_overlay.png")
    jobs = plan_jobs(args.images, args.out, naming, args.recursive, args.overwrite, args.skip_existing)
    if not jobs:
        print("every output exists already")
        return 0
    recipe = Recipe(
        save=("mask", "overlay"), binary=args.binary, refine=args.refine, heads=heads_from(args),
        checkpoint=args.checkpoint, engine=args.engine, device=args.device,
    )  # fmt: skip
    dyer = Dyer(recipe, args.threads)
    no_color = astuple(Ombre())  # has no effect on masks

    def work(job: Job) -> Sequence[str]:
        photo = read_photo(job.source, max_pixels=args.max_pixels or MAX_PIXELS)
        replace = args.overwrite or args.skip_existing  # of a pair that is half there, both are made again
        for path, (pixels, like) in zip(job.outputs, dyer.pictures(photo, no_color), strict=True):
            write_photo(path, pixels, like=like, overwrite=replace)
        return photo.notes

    return run_jobs(jobs, work, args)


def as_file(out: Path) -> tuple[Path, ...]:
    """Name the outputs of one picture after OUT.

    >>> [path.name for path in as_file(Path("hair.png"))]
    ['hair.png', 'hair_overlay.png']
    """
    if out.suffix.lower() != ".png":
        raise InputError(f"--out: {out} came; allowed is a .png file or a folder")
    return out, out.with_name(f"{out.stem}_overlay.png")
