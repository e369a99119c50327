"""`ohlora-fast heads`: which heads are in pictures, and under which numbers."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ohlora_fast.cli.options import add_file_options, count

if TYPE_CHECKING:
    from ohlora_fast.cli.plan import Job
    from ohlora_fast.heads.boxes import Heads
    from ohlora_fast.media.convert import Pixels

DESCRIPTION = """\
Find the heads in pictures, and print a line of JSON for each picture: its file, its size (width, height), and its
heads from left to right. Each has its number, which --head of the other commands takes; its box, around the head
with its hair, x0 y0 x1 y1 in pixels of the upright picture; and its score from 0 to 1. With -o, copies of the
pictures are written in which the boxes are drawn and numbered."""

NOWHERE = "heads.pictures/"
"""Stands for the output folder where nothing is written."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `heads` and its options."""
    parser = subparsers.add_parser("heads", help="print and number the heads in pictures", description=DESCRIPTION)
    add_file_options(parser, "the file for one picture, or a folder, for copies with numbered boxes", needed=False)
    parser.add_argument("--threads", type=count, metavar="N", help="CPU threads (default: all cores)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the heads of what `args` names, draw them if asked to, and return the exit code."""
    from ohlora_fast.cli.jobs import run_jobs
    from ohlora_fast.cli.plan import Naming, plan_jobs
    from ohlora_fast.heads.finder import HeadFinder
    from ohlora_fast.media.images import MAX_PIXELS, read_photo, write_photo
    from ohlora_fast.media.numbered import number_heads

    draws = args.out is not None
    naming = Naming(as_file, in_folder if draws else lambda below: ())
    skip = draws and args.skip_existing
    jobs = plan_jobs(args.images, args.out if draws else NOWHERE, naming, args.recursive, args.overwrite, skip)
    finder = HeadFinder(threads=args.threads)

    def work(job: Job) -> Sequence[str]:
        photo = read_photo(job.source, max_pixels=args.max_pixels or MAX_PIXELS)
        heads = finder.find(photo.pixels)
        for path in job.outputs:
            write_photo(path, number_heads(photo.pixels, heads.boxes), like=photo, overwrite=args.overwrite)
        print(json.dumps(described(str(job.source), photo.pixels, heads), ensure_ascii=False), flush=True)
        return photo.notes

    return run_jobs(jobs, work, args, told=False)


def as_file(out: Path) -> tuple[Path, ...]:
    """The copy of one picture."""
    from ohlora_fast.media.images import output_format

    output_format(out)
    return (out,)


def in_folder(below: Path) -> tuple[Path, ...]:
    """The copy of a picture in a folder.

    >>> in_folder(Path("deep/scan.001"))[0].as_posix()
    'deep/scan.001.png'
    """
    from ohlora_fast.media.images import FORMATS

    return (below if below.suffix.lower() in FORMATS else below.with_name(f"{below.name}.png"),)


def described(name: str, pixels: Pixels, heads: Heads) -> dict[str, Any]:
    """The heads of a picture, as they are printed."""
    height, width = pixels.shape[:2]
    boxes, scores = heads.boxes.astype(float).round(1).tolist(), heads.scores.astype(float).round(3).tolist()
    each = zip(boxes, scores, strict=True)
    found = [{"number": number, "box": box, "score": score} for number, (box, score) in enumerate(each, 1)]
    return {"file": name, "size": [width, height], "heads": found}
