"""`ohlora-fast stylegan generate`: a folder of portraits."""

from __future__ import annotations

import argparse
import sys

from ohlora_fast.cli.options import count
from ohlora_fast.cli.stylegan_options import add_device_option, add_painter_options, natural, painter_from
from ohlora_fast.errors import InputError

DESCRIPTION = """\
Paint portraits: DIR/000000.png and so on. A picture is determined by checkpoint, seed, its number and the options
alone. The same command makes what DIR lacks, whether it was stopped or -n is larger now; DIR keeps the settings in
settings.json, and takes no pictures of others."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `generate` and its options."""
    parser = subparsers.add_parser("generate", help="paint portraits", description=DESCRIPTION)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("-n", "--count", type=count, metavar="N", help="make pictures 0 to N − 1")
    which.add_argument("--index", type=natural, nargs="+", metavar="I", help="make the pictures with these numbers")
    parser.add_argument("-o", "--out", required=True, metavar="DIR", help="folder of the pictures")
    add_painter_options(parser)
    add_device_option(parser)
    parser.add_argument(
        "--noise", choices=("stored", "fresh"), default="stored",
        help="the checkpoint's, or each picture's own (default stored)",
    )  # fmt: skip
    parser.add_argument("--format", choices=("png", "jpg", "webp"), default="png", help="of the files (default png)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Paint what `args` asks for and return the exit code."""
    from tqdm import tqdm

    from ohlora_fast.stylegan.drawing import Labels
    from ohlora_fast.stylegan.generate import Settings, generate, plan

    labels = args.labels or Labels()
    indices = range(args.count) if args.count else sorted(set(args.index))
    if args.count and len(labels.rows) > 1 and len(labels.rows) != args.count:
        raise InputError(
            f"labels: {len(labels.rows)} rows came for {args.count} pictures; allowed are one row, or one for each"
        )
    painter = painter_from(args)
    settings = Settings(args.seed, labels, args.noise, f".{args.format}")
    todo = plan(args.out, indices, settings, painter)
    done = len(indices) - len(todo)
    bar = tqdm(total=len(indices), initial=done, unit="picture", file=sys.stderr, disable=None)
    try:
        with bar:
            for _ in generate(todo, settings, painter, args.batch):
                done += 1
                bar.update()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{done} of {len(indices)} pictures are whole in {args.out}; the same command makes the rest"
        ) from None
    print(f"{args.out}: {len(indices)} pictures, {len(todo)} of them made now")
    return 0
