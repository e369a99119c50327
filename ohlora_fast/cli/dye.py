"""`ohlora-fast dye`: dye the hair in pictures, one or a million."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ohlora_fast.cli.console import complain
from ohlora_fast.cli.natural_options import add_natural_options, describe_method, method_from
from ohlora_fast.cli.options import (
    add_engine_options,
    add_file_options,
    add_head_options,
    add_mask_options,
    as_text,
    color_range,
    count,
    fraction_range,
    head_colors_from,
    heads_from,
    percent,
)
from ohlora_fast.errors import InputError

if TYPE_CHECKING:
    from ohlora_fast.batch.progress import Progress
    from ohlora_fast.batch.recipe import Recipe
    from ohlora_fast.batch.run import How, Summary
    from ohlora_fast.natural import NaturalDye

DESCRIPTION = """\
Dye the hair in pictures. Colour profile, EXIF, transparency and JPEG quality are kept, EXIF orientation is
applied. OUT is a folder if it exists as one, ends in a slash or has no suffix, or if a folder or several
pictures came; pictures keep their names in it."""

SETS = """\
An IMAGE may also be a glob, a text file with a path a line (.txt), a table with a column `path` and, if it likes,
`color`, `ombre_height` and `ombre_grad_height` (.csv, .parquet), WebDataset shards (.tar, .tar.gz), Parquet files
with an image column, a folder that Hugging Face's `datasets` saved, or a URL that fsspec opens (s3://…). OUT mirrors
them. What is done is written down in OUT/.ohlora-fast: the same command again, after whatever interruption, does
the rest, and redoes what has changed. A setting LOW..HIGH draws one for each picture, from --seed and its name."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `dye` and its options."""
    parser = subparsers.add_parser("dye", help="dye the hair in pictures", description=DESCRIPTION, epilog=SETS)
    add_file_options(parser, "the file for one picture (its suffix tells the format), or a folder")
    parser.add_argument(
        "--color", type=as_text(color_range), default="0.5",
        help="0 to 1, a CSS name or #rrggbb: the hue (default 0.5, sky blue)",
    )  # fmt: skip
    parser.add_argument(
        "--ombre-height", type=fraction_range, default=0.6, metavar="X", help="how far up the colour goes, 0 to 1 (0.6)"
    )
    parser.add_argument(
        "--ombre-grad-height", type=fraction_range, default=0.5, metavar="X", help="share that fades in, 0 to 1 (0.5)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="for settings LOW..HIGH (0)")
    parser.add_argument(
        "--quality", type=percent, metavar="Q",
        help="of JPEG and WebP, 1 to 100 (default: as the input, or 95), and of AVIF and HEIC (90)",
    )  # fmt: skip
    add_mask_options(parser)
    add_head_options(parser)
    add_natural_options(parser)
    add_engine_options(parser)
    made = parser.add_argument_group("what is made of each picture of a set")
    made.add_argument(
        "--save", type=_names, default=("dyed",), metavar="WHAT",
        help="dyed, mask and overlay, with commas between (dyed)",
    )  # fmt: skip
    made.add_argument("--binary", action="store_true", help="masks of 0 and 255 only, cut at probability 0.5")
    made.add_argument("--format", metavar="SUFFIX", help="jpg, png, webp … for all (default: as each input's)")
    made.add_argument(
        "--column",
        metavar="NAME",
        help="which one of Parquet and Arrow files holds the pictures (image, img, photo, …)",
    )
    work = parser.add_argument_group("how a set is worked through")
    work.add_argument("--workers", type=count, metavar="N", help="pictures at once (default: one more than CPUs)")
    work.add_argument("--limit", type=count, metavar="N", help="stop after so many files")
    work.add_argument("--dry-run", action="store_true", help="say what there is to do, and do nothing")
    work.add_argument("--retry-failed", action="store_true", help="try again what failed before")
    work.add_argument("--verify", action="store_true", help="compare what was made before with its checksums")
    work.add_argument("--manifest", metavar="FILE", help="where to write down what is done (OUT/.ohlora-fast/…)")
    work.add_argument("--runner", choices=("local", "ray"), default="local", help="ray: on a cluster")
    work.add_argument("--address", help="of the Ray cluster (default: $RAY_ADDRESS, or one on this machine)")
    work.add_argument("--gpus", type=float, default=0.0, metavar="X", help="share of a GPU a Ray worker takes (0)")
    told = work.add_mutually_exclusive_group()
    told.add_argument("--quiet", action="store_true", help="print failures and nothing else")
    told.add_argument("--json", action="store_true", help="print lines of JSON: progress, failures, summary")
    parser.set_defaults(run=run)


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def run(args: argparse.Namespace) -> int:
    """Dye what `args` names and return the exit code."""
    from ohlora_fast.batch.recipe import Recipe
    from ohlora_fast.media.images import MAX_PIXELS

    head_colors = head_colors_from(args)
    method = method_from(args, args.color if head_colors is None else None)
    color = color_range(args.color)
    recipe = Recipe(
        color=color,
        ombre_height=args.ombre_height,
        ombre_grad_height=args.ombre_grad_height,
        seed=args.seed,
        save=args.save,
        binary=args.binary,
        suffix=None if args.format is None else f".{args.format.removeprefix('.')}",
        quality=args.quality,
        max_pixels=args.max_pixels or MAX_PIXELS,
        column=args.column,
        refine=args.refine,
        checkpoint=args.checkpoint,
        engine=args.engine,
        device=args.device,
        method=method,
        heads=heads_from(args),
        head_colors=head_colors,
    )
    if not args.json and not args.quiet:
        print(_described(color, method, head_colors), flush=True)
    return _dye_set(args, recipe) if _is_set(args) else _dye_one(args, recipe)


def _described(
    value: float | tuple[float, float], method: str | NaturalDye, head_colors: tuple[float, ...] | None
) -> str:
    from ohlora_fast.colors import describe_color

    if head_colors is not None:
        color = f"heads: {', '.join(map(describe_color, head_colors))}"
    else:
        color = describe_color(value) if isinstance(value, float) else f"color drawn from {value[0]:g} to {value[1]:g}"
    if isinstance(method, str):
        return color
    return describe_method(method) + (f", {color}" if method.stops is None else "")


def _is_set(args: argparse.Namespace) -> bool:
    """Whether OUT is a folder.

    Raises:
        InputError: OUT is a file, and more than one picture came.
    """
    from ohlora_fast.batch.containers import kind_of
    from ohlora_fast.batch.outbox import is_url
    from ohlora_fast.media.images import FORMATS

    out, inputs = Path(args.out), args.images
    one = len(inputs) == 1 and not os.path.isdir(inputs[0]) and not is_url(inputs[0])
    one = one and kind_of(inputs[0]) == "photo" and Path(inputs[0]).suffix.lower() not in (".txt", ".csv")
    one = one and (os.path.lexists(inputs[0]) or not any(sign in inputs[0] for sign in "*?["))
    slash = args.out.endswith(tuple(filter(None, (os.sep, os.altsep))))
    if is_url(args.out) or out.is_dir() or slash or not out.suffix:
        return True
    if one:
        return False
    if out.suffix.lower() in FORMATS:
        raise InputError(f"--out: the file {args.out} came for a folder or several pictures; allowed is a folder")
    return True


def _dye_one(args: argparse.Namespace, recipe: Recipe) -> int:
    from ohlora_fast.batch.dyer import Dyer
    from ohlora_fast.cli.jobs import run_jobs
    from ohlora_fast.cli.plan import Job, Naming, plan_jobs
    from ohlora_fast.media.images import output_format, read_photo, write_photo

    if recipe.save != ("dyed",) or recipe.suffix is not None:
        raise InputError(f"--save and --format: {args.out} came, which is a file; allowed is a folder")

    def as_file(out: Path) -> tuple[Path, ...]:
        output_format(out)
        return (out,)

    naming = Naming(as_file, in_folder=lambda below: (below,))
    jobs = plan_jobs(args.images, args.out, naming, False, args.overwrite, args.skip_existing)
    if not jobs:
        print("every output exists already")
        return 0
    dyer = Dyer(recipe, args.threads)

    def work(job: Job) -> Sequence[str]:
        photo = read_photo(job.source, max_pixels=recipe.max_pixels)
        settings = recipe.settings(job.source.name)
        chosen = settings.color, settings.ombre_height, settings.ombre_grad_height
        ((dyed, _),) = dyer.pictures(photo, chosen)
        write_photo(job.outputs[0], dyed, like=photo, quality=recipe.quality, overwrite=args.overwrite)
        return photo.notes

    return run_jobs(jobs, work, args)


def _dye_set(args: argparse.Namespace, recipe: Recipe) -> int:
    from ohlora_fast.batch.run import How, dye_set

    how = How(
        retry_failed=args.retry_failed,
        overwrite=args.overwrite,
        skip_existing=args.skip_existing,
        recursive=args.recursive,
        runner=args.runner,
        workers=args.workers or args.threads,
        address=args.address,
        gpus=args.gpus,
        limit=args.limit,
        dry_run=args.dry_run,
        verify=args.verify,
        manifest=args.manifest,
    )
    progress = _progress(args)
    try:
        summary = dye_set(args.images, args.out, recipe, how, progress)
    except KeyboardInterrupt:
        done = progress.done
        raise KeyboardInterrupt(f"{done} done; the same command again does the rest") from None
    _report(summary, args, how)
    return 1 if summary.failed or summary.unrecorded or summary.stopped else 0


def _progress(args: argparse.Namespace) -> Progress:
    from ohlora_fast.batch.progress import Bar, JsonLines, Lines, Progress

    if args.json:
        return JsonLines()
    if args.quiet:
        return Progress(complain)
    return Bar(complain) if sys.stderr.isatty() else Lines(complain)


def _report(summary: Summary, args: argparse.Namespace, how: How) -> None:
    if args.json:
        values = {**vars(summary), "failures": summary.failures and str(summary.failures)}
        print(json.dumps({"event": "end", **values}))
        return
    if not args.quiet:
        rate = f", {summary.done / summary.seconds:.1f}/s" if summary.done else ""
        bald = f", {summary.without_hair:,} of them without hair" if summary.without_hair else ""
        parts = [f"{summary.done:,} dyed in {summary.seconds:.1f} s{rate}{bald}"]
        parts += [f"{summary.earlier:,} done earlier"] * bool(summary.earlier)
        parts += [f"{summary.left:,} to do"] * bool(summary.left)
        print("; ".join(parts[1 if how.dry_run else 0 :]) or "nothing to do")
    if summary.stopped:
        complain("error", f"stopped: {summary.stopped}")
    if summary.unrecorded:
        complain("error", f"the manifest could not take {summary.unrecorded:,} results, for want of space on the disk")
    if summary.failed:
        where = f"; {summary.failures} lists them" if summary.failures else ""
        complain("error", f"{summary.failed:,} failed{where}; --retry-failed tries them again")
