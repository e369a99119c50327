"""`ohlora-fast stylegan report`: curves and tables of a fine-tuning run, alone or beside another."""

from __future__ import annotations

import argparse

from ohlora_fast.cli.options import number
from ohlora_fast.errors import InputError

DESCRIPTION = """\
Report on a fine-tuning run: losses, AUROC and property scores over the epochs, and where they ended. With --compare,
also how far each run's scores are from their targets (gender and quality 1, age and glass 0). RUN is a log (CSV) or the
folder that holds it as log.csv, of whose image grids a few are shown. DIR gets report.html (one file that needs no
other), report.md, and the diagrams as PNG and SVG; an earlier report there is replaced."""


def epochs(text: str) -> float:
    """A number of epochs."""
    return number(text, lambda value: 0 < value < 1e6, "a number of epochs above 0")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `report` and its options."""
    parser = subparsers.add_parser("report", help="report on a fine-tuning run", description=DESCRIPTION)
    parser.add_argument("log", metavar="RUN", help="a log or a run's folder")
    parser.add_argument("--compare", metavar="RUN2", help="the run to compare with")
    parser.add_argument("--name", help="what to call RUN (default: its folder or file)")
    parser.add_argument("--compare-name", metavar="NAME", help="what to call RUN2")
    parser.add_argument(
        "--smooth", type=epochs, metavar="EPOCHS", help="mean over so many epochs (default: a 24th of the longer run)"
    )
    parser.add_argument("-o", "--out", required=True, metavar="DIR", help="folder for the report")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the report, print what it found, and return the exit code."""
    import shlex

    from ohlora_fast.stylegan.comparison import compare, findings
    from ohlora_fast.stylegan.log import read_log
    from ohlora_fast.stylegan.report import development, find_grids, write_report

    if args.compare_name and not args.compare:
        raise InputError("--compare-name: came without --compare, which names the run to compare with")
    log = read_log(args.log, args.name)
    other = read_log(args.compare, args.compare_name) if args.compare else None
    command = ["ohlora-fast", "stylegan", "report", args.log]
    for option, value in (
        ("--compare", args.compare), ("--name", args.name), ("--compare-name", args.compare_name),
        ("--smooth", args.smooth), ("-o", args.out),
    ):  # fmt: skip
        command += [option, f"{value}"] if value is not None else []
    page = write_report(args.out, log, other, args.smooth, shlex.join(command), find_grids(args.log))
    said = development(log) if other is None else findings(log, other, compare(log, other))
    print("\n".join(said))
    print(f"report: {page}")
    return 0
