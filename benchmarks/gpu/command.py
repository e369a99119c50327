"""The command line of the GPU benchmarks."""

from __future__ import annotations

import argparse
import ctypes
import json
import math
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from ohlora_fast.benchmarks.gpu import head, limits, ombre, pipeline, preprocess, report, student
from ohlora_fast.benchmarks.gpu.case import Case
from ohlora_fast.benchmarks.gpu.clocks import gpu_timers
from ohlora_fast.benchmarks.gpu.run import QUICK, TIME_UP, Effort, Row, run
from ohlora_fast.benchmarks.run import machine, versions

from ohlora_fast.cli.console import complain
from ohlora_fast.cli.options import positive
from ohlora_fast.errors import InputError
from ohlora_fast.media.files import written_whole
from ohlora_fast.student.engines import device_problem

GROUPS: Mapping[str, Callable[[], Iterator[Case]]] = {
    "ombre": ombre.cases,
    "preprocess": preprocess.cases,
    "head": head.cases,
    "latency": student.latency_cases,
    "student": student.cases,
    "pipeline": pipeline.cases,
}


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m ohlora_fast.benchmarks.gpu",
        description="Measure what this GPU can do and how near to it this package comes; print Markdown tables.",
    )
    parser.add_argument("--dry-run", action="store_true", help="list what would run, and why it cannot where it cannot")
    parser.add_argument("--only", action="append", choices=GROUPS, help="measure this group; may be repeated")
    parser.add_argument(
        "--match", metavar="REGEX", type=pattern, default="",
        help='measure cases whose "group, case: provider" holds this, and the limits',
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="fewer rounds, for a first look")
    parser.add_argument(
        "--seconds", metavar="N", type=positive, default=math.inf, help="begin with nothing more after so many seconds"
    )
    parser.add_argument("-o", "--out", metavar="FILE", help="also write the results as JSON, after every case anew")
    return parser.parse_args(argv)


def pattern(text: str) -> re.Pattern[str]:
    """A regular expression, as an argument's type."""
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} came; allowed is a regular expression: {error}") from None


def chosen(groups: Sequence[str] | None, match: str | re.Pattern[str] = "") -> list[Case]:
    """The limits, and the cases of these groups, in their order, or of all, in whose title there is a match."""
    found = (case for name in groups or GROUPS for case in GROUPS[name]())
    return [*limits.cases(), *(case for case in found if re.search(match, case.title))]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and return the exit code.

    0: all was measured that can run here and that there was time for; 1: a provider failed; 2: no GPU, or a file that
    cannot be written; 130: interrupted.
    """
    args = parse(argv)
    try:
        if args.dry_run:
            print(report.plan(chosen(args.only, args.match)))
            return 0
        if reason := device_problem("cuda"):
            raise InputError(f"the GPU benchmarks do not run here: {reason}; --dry-run lists them")
        effort = QUICK if args.quick else Effort()
        results = measured(chosen(args.only, args.match), effort, args.out, args.seconds)
    except InputError as error:
        complain("error", str(error))
        return 2
    print(report.as_text(results))
    if not results["complete"] and all(row.get("skipped") != TIME_UP for row in results["rows"]):
        complain("interrupted", f"what was measured is {f'in {args.out}' if args.out else 'above'}")
        return 130
    return 1 if any("error" in row for row in results["rows"]) else 0


def measured(cases: Sequence[Case], effort: Effort, out: str | None, seconds: float = math.inf) -> dict[str, Any]:
    """Run cases on this machine's GPU, for so many seconds; the results so far lie in the file `out` after each."""
    results: dict[str, Any] = {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "device": device(),
        "quick": effort == QUICK,
        "complete": False,
        "rows": [],
    }

    def keep(row: Row) -> None:
        results["rows"].append(row)
        write(results, out)

    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:.1f} s: {text}", file=sys.stderr, flush=True)

    results["complete"] = run(cases, gpu_timers(), effort, keep, say, seconds)
    write(results, out)
    return results


def write(results: Mapping[str, Any], out: str | None) -> None:
    """Put results into a file, if there is one."""
    if out:
        with written_whole(out) as file:
            file.write((json.dumps(results, indent=1, ensure_ascii=False) + "\n").encode())


def device() -> dict[str, Any]:
    """What the GPU is."""
    import torch

    found = torch.cuda.get_device_properties(torch.cuda.current_device())
    return {
        "name": found.name,
        "driver": driver_version(),
        "CUDA": torch.version.cuda,
        "capability": f"{found.major}.{found.minor}",
        "processors": found.multi_processor_count,
        "memory, GiB": round(found.total_memory / 2**30, 1),
        "L2 cache, MiB": round(found.L2_cache_size / 2**20, 1),
    }


def driver_version() -> str:
    """NVIDIA's driver, as its management library tells it."""
    try:
        library = ctypes.CDLL("nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1")
        text = ctypes.create_string_buffer(80)
        if library.nvmlInit_v2() == 0 and library.nvmlSystemGetDriverVersion(text, len(text)) == 0:
            return text.value.decode()
    except (OSError, AttributeError):
        pass
    return "unknown"
