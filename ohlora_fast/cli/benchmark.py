"""`ohlora-fast benchmark`: measure the speed of this installation on this machine."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ohlora_fast.cli.options import count, percent

DESCRIPTION = """\
Time every provider in a process of its own, in turns, and print the medians as Markdown tables, whether the bars are
met, and the machine. A provider that does not run here is named, with the reason. Exit code 1: a provider failed, or
--compare found one that got slower."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `benchmark` and its options."""
    parser = subparsers.add_parser("benchmark", help="measure speed on this machine", description=DESCRIPTION)
    parser.add_argument(
        "questions", nargs="*", metavar="QUESTION",
        help="dye, heads, memory, ombre, scaling, sets, squash, start, student, stylegan, teacher, video "
        "(default: all; with --quick, most of the bars')",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="one turn with fewer rounds: under 3 minutes on 2 cores")
    parser.add_argument("--turns", type=count, metavar="N", help="processes a provider (default 3; with --quick 1)")
    parser.add_argument("--threads", type=count, metavar="N", help="threads of every provider (default: all cores)")
    parser.add_argument("-o", "--out", metavar="FILE", help="also write the results as JSON")
    parser.add_argument("--charts", metavar="DIR", help="also draw what the results allow, as DIR/NAME.svg")
    parser.add_argument(
        "--compare", nargs="+", metavar="JSON",
        help="hold results against an OLD file of them: those of a NEW file, else those measured now",
    )  # fmt: skip
    parser.add_argument(
        "--tolerance", type=percent, default=10, metavar="PERCENT", help="how much slower is not flagged (default 10)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure, print, and return the exit code."""
    import json
    from importlib.util import find_spec
    from pathlib import Path

    from ohlora_fast.cli.console import complain
    from ohlora_fast.errors import InputError
    from ohlora_fast.media.files import written_whole

    if not find_spec("pytest_benchmark"):
        raise InputError('benchmarks need pytest-benchmark: pip install "ohlora_fast[test]"')
    from ohlora_fast.benchmarks.chart import charts
    from ohlora_fast.benchmarks.compare import comparison, differences
    from ohlora_fast.benchmarks.report import as_text
    from ohlora_fast.benchmarks.result_file import read_results
    from ohlora_fast.benchmarks.run import QUESTIONS, QUICK_QUESTIONS, run_questions

    if len(args.compare or []) > 2:
        raise InputError(f"--compare: got {len(args.compare)} files, allowed are OLD.json and NEW.json")
    if args.charts and not Path(args.charts).is_dir():
        raise InputError(f"--charts: {args.charts}: no such folder")
    compared = [read_results(path) for path in args.compare or []]
    if len(compared) == 2 and args.questions:
        raise InputError(f"--compare: with two files nothing is measured, but {' '.join(args.questions)} came too")
    if len(compared) == 2:
        results = compared[1]
    else:
        questions = args.questions or (QUICK_QUESTIONS if args.quick else QUESTIONS)
        turns = args.turns or (1 if args.quick else 3)
        results = run_questions(questions, turns, lambda text: print(text, file=sys.stderr), args.threads, args.quick)
        print(as_text(results))
        if args.out:
            with written_whole(args.out) as file:
                file.write((json.dumps(results, indent=1, ensure_ascii=False) + "\n").encode())
    if args.charts:
        for name, drawn in charts(results).items():
            with written_whole(Path(args.charts) / f"{name}.svg") as file:
                file.write(drawn)
    slower: Sequence[object] = []
    if compared:
        text, slower = comparison(compared[0], results, args.tolerance / 100)
        print(f"\n{text}")
        for line in differences(compared[0], results):
            complain("warning", f"the results differ in {line}")
        if slower:
            complain("error", f"{len(slower)} got slower by more than {args.tolerance} %")
    return 1 if slower or results.get("failed") else 0
