"""`ohlora-fast evaluate`: score a student's masks."""

from __future__ import annotations

import argparse

from ohlora_fast.cli.options import add_engine_options

DESCRIPTION = """\
Mean IoU over the pairs DATA/images/NAME.jpg and DATA/masks/NAME.png, each source (NAME up to the first underscore)
apart: prediction > 0.5 against mask >= 128 at the photo's own size; both empty counts as 1."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `evaluate` and its options."""
    parser = subparsers.add_parser("evaluate", help="score a student's masks", description=DESCRIPTION)
    parser.add_argument("data", metavar="DATA", help="folder of images/ and masks/")
    parser.add_argument("--csv", metavar="FILE", help="also write the IoU of every pair")
    add_engine_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the scores, and return the exit code."""
    from tqdm import tqdm

    from ohlora_fast.cli.options import stylist_from
    from ohlora_fast.distill.data import find_pairs
    from ohlora_fast.distill.metrics import pair_ious, source_means
    from ohlora_fast.media.files import written_whole

    pairs = find_pairs(args.data)
    stylist = stylist_from(args)
    scores = list(tqdm(pair_ious(stylist.segment, pairs), total=len(pairs), unit="photo", disable=None))
    if args.csv:
        rows = "".join(f"{pair.name},{score:.6f}\n" for pair, score in zip(pairs, scores, strict=True))
        with written_whole(args.csv) as file:
            file.write(("name,iou\n" + rows).encode())
    for source, mean in source_means(pairs, scores).items():
        print(f"{source}: mean IoU {mean:.4f} over {sum(pair.source == source for pair in pairs)} photos")
    return 0
