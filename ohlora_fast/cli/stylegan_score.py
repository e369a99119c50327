"""`ohlora-fast stylegan score`: score properties of portraits, and choose portraits by score."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ohlora_fast.cli.options import count
from ohlora_fast.errors import InputError

DESCRIPTION = """\
Score pictures: scores.csv gets the path, one column a property, and which scorers gave the scores. Pictures that it
holds already are not scored again. With --keep, the paths of those that meet every condition go into a list, and with
--copy or --link they also go into a folder."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `score` and its options."""
    parser = subparsers.add_parser("score", help="score and choose portraits", description=DESCRIPTION)
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="picture files, globs and folders")
    parser.add_argument(
        "--scorer", nargs="+", action="extend", required=True, metavar="FILE",
        help="what train-scorer wrote, or a network of one property; those of one property are averaged",
    )  # fmt: skip
    parser.add_argument("-o", "--out", required=True, metavar="CSV", help="file of the scores")
    parser.add_argument("--recursive", action="store_true", help="go into the folders of a folder")
    parser.add_argument("--batch", type=count, default=16, metavar="N", help="pictures at a time (default 16)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:N or mps (default cpu)")
    group = parser.add_argument_group("choosing")
    group.add_argument("--keep", metavar="CONDITIONS", help='as "gender>=0.9,quality>=0.9,age<=0.1,glass<=0.1"')
    group.add_argument("--kept", metavar="FILE", help="list of their paths (default: kept.txt beside the scores)")
    way = group.add_mutually_exclusive_group()
    way.add_argument("--copy", metavar="DIR", help="copy them there")
    way.add_argument("--link", metavar="DIR", help="make symbolic links to them there")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Score what `args` names and return the exit code."""
    from tqdm import tqdm

    from ohlora_fast.cli.console import complain
    from ohlora_fast.cli.plan import find_pictures
    from ohlora_fast.student.engines import device_problem
    from ohlora_fast.stylegan.ensemble import fingerprint, load_ensembles
    from ohlora_fast.stylegan.scores import ScoreFile, keep, parse_keep, place_images, score_files, write_kept

    if reason := device_problem(args.device):
        raise InputError(f"device: {args.device!r} does not run here: {reason}")
    if not args.keep and (args.kept or args.copy or args.link):
        raise InputError("--kept, --copy, --link: one came without --keep, which says what to keep")
    models = {name: model.to(args.device) for name, model in load_ensembles(args.scorer).items()}
    conditions = parse_keep(args.keep, list(models)) if args.keep else []
    file = ScoreFile(args.out, list(models), fingerprint(args.scorer))
    # Its output folder is passed over where pictures are looked for: that of chosen ones, or one that is not there.
    passed_over = args.copy or args.link or f"{args.out}.pictures"
    paths = [str(path) for path in find_pictures(args.images, passed_over, args.recursive)]
    known = sum(path in file.scores for path in paths)
    failures: list[InputError] = []
    bar = tqdm(total=len(paths), initial=known, unit="picture", file=sys.stderr, disable=None)
    try:
        with bar:
            for outcome in score_files(paths, models, file, args.batch, args.device):
                bar.update()
                if isinstance(outcome, InputError):
                    failures.append(outcome)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"what was scored stands in {args.out}, and the same command goes on there") from None
    for failure in failures:
        complain("error", str(failure))
    done = len(paths) - len(failures)
    print(f"{args.out}: {done} of {len(paths)} scored ({', '.join(models)}), {done - known} of them now")
    if args.keep:
        chosen = keep(paths, file.scores, conditions)
        kept = args.kept or Path(args.out).parent / "kept.txt"
        write_kept(chosen, kept)
        if args.copy or args.link:
            place_images(chosen, args.copy or args.link, link=bool(args.link))
        print(f"{kept}: {len(chosen)} of {done} kept")
    return 1 if failures else 0
