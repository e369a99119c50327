"""`ohlora-fast benchmark`: measure the speed of this installation on this machine."""

from __future__ import annotations

import argparse
import sys

from ohlora_fast.cli.options import count


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `benchmark` and its options."""
    parser = subparsers.add_parser(
        "benchmark",
        help="measure speed on this machine",
        description="Time every provider in a process of its own, in turns, and print the medians as a Markdown table.",
    )
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help="ombre, student, teacher (default: all)")
    parser.add_argument("--turns", type=count, default=3, help="processes a provider (default 3)")
    parser.add_argument("-o", "--out", metavar="FILE", help="also write the results as JSON")
    parser.add_argument("--chart", metavar="FILE", help="also draw the teacher beside the students, as SVG")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure, print, and return the exit code."""
    import json
    from importlib.util import find_spec

    from ohlora_fast.benchmarks.run import QUESTIONS, as_text, run_questions
    from ohlora_fast.errors import InputError
    from ohlora_fast.media.files import written_whole

    if not find_spec("pytest_benchmark"):
        raise InputError('benchmarks need pytest-benchmark: pip install "ohlora_fast[test]"')
    questions = args.questions or QUESTIONS
    if args.chart and "teacher" not in questions:
        raise InputError(f"--chart: draws the question teacher, got {', '.join(questions)}")
    results = run_questions(questions, args.turns, lambda text: print(text, file=sys.stderr))
    print(as_text(results))
    if args.chart:
        from ohlora_fast.benchmarks.chart import draw

        with written_whole(args.chart) as file:
            file.write(draw(results))
    if args.out:
        with written_whole(args.out) as file:
            file.write((json.dumps(results, indent=1, ensure_ascii=False) + "\n").encode())
    return 0
