"""Run benchmark files, a process for each provider in turn, and lay their medians side by side."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from ohlora_fast.errors import InputError
from ohlora_fast.student.engines import device_problem

HERE = Path(__file__).parent
QUESTIONS = tuple(sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py")))
PACKAGES = (
    "ohlora-fast",
    "numpy",
    "opencv-python-headless",
    "onnxruntime",
    "torch",
    "triton",
    "pillow",
    "pytest-benchmark",
)


def run_questions(questions: Sequence[str], turns: int = 3, say: Callable[[str], object] = print) -> dict[str, Any]:
    """Run the benchmark files and return machine, versions and medians.

    Args:
        questions: which of `QUESTIONS`.
        turns: how often each provider's process runs; their timings are pooled.
        say: told what runs now.

    Returns:
        ``{"date", "machine", "versions", "groups": {group: {provider: {"median_s", "rounds"}}}}``

    Raises:
        InputError: an unknown question, or pytest-benchmark is missing or failed.
    """
    for question in questions:
        if question not in QUESTIONS:
            raise InputError(f"benchmark: got {question!r}, allowed are {', '.join(QUESTIONS)}")
    timings: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for question in questions:
        providers = import_module(f"ohlora_fast.benchmarks.bench_{question}").PROVIDERS
        for turn in range(turns):
            for provider in providers:
                say(f"{question}, turn {turn + 1} of {turns}: {provider}")
                for group, seconds in run_provider(question, provider):
                    timings[group][provider] += seconds
    groups = {
        group: {name: {"median_s": median(seconds), "rounds": len(seconds)} for name, seconds in sides.items()}
        for group, sides in timings.items()
    }
    date = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {"date": date, "machine": machine(), "versions": versions(), "groups": groups}


def run_provider(question: str, provider: str) -> list[tuple[str, list[float]]]:
    """Run one provider of one file in a process of its own, and return (group, seconds of each round)."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [
            sys.executable, "-m", "pytest", str(HERE / f"bench_{question}.py"), "-q", "-p", "no:cacheprovider",
            "--import-mode=importlib", f"--rootdir={HERE}", "-c", os.devnull, f"--confcutdir={HERE}",
            f"--provider={provider}", f"--benchmark-json={report}",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not report.is_file():
            last = (done.stdout + done.stderr).strip().splitlines()[-1:]
            raise InputError(f"benchmark {question}, {provider}: pytest failed ({''.join(last)})")
        benchmarks = json.loads(report.read_text())["benchmarks"]
    return [(entry["group"], entry["stats"]["data"]) for entry in benchmarks]


def machine() -> dict[str, Any]:
    """What this machine is."""
    found = {"processor": processor(), "cores": os.cpu_count(), "system": platform.platform()}
    if device_problem("cuda") is None:
        import torch

        found["gpu"] = torch.cuda.get_device_name()
    return found


def processor() -> str:
    """The processor's name, as the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that are measured."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def as_markdown(results: Mapping[str, Any]) -> str:
    """Lay results out as one Markdown table a question: medians, and in brackets multiples of the first provider's.

    >>> sides = {"cpp": {"median_s": 0.001, "rounds": 9}, "numpy": {"median_s": 0.05, "rounds": 9}}
    >>> print(as_markdown({"groups": {"ombre, 256×256": sides}}))
    | ombre | 256×256 |
    | --- | ---: |
    | cpp | 1.00 ms |
    | numpy | 50.0 ms (50.0×) |
    """
    tables: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for group, sides in results["groups"].items():
        question, _, case = group.partition(", ")
        tables[question][case] = sides
    return "\n\n".join(table(question, cases) for question, cases in tables.items())


def table(question: str, cases: Mapping[str, Mapping[str, Any]]) -> str:
    """One question's table: a row a provider, a column a case."""
    rows = []
    providers = next(iter(cases.values()))
    first = next(iter(providers))
    for provider in providers:
        cells = []
        for sides in cases.values():
            seconds, unit = sides[provider]["median_s"], sides[first]["median_s"]
            time = f"{rounded(seconds)} s" if seconds >= 1 else f"{rounded(1e3 * seconds)} ms"
            cells.append(time + (f" ({rounded(seconds / unit)}×)" if provider != first else ""))
        rows.append([provider, *cells])
    return markdown([question, *cases], rows)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A Markdown table whose first columns, so many, are set flush left, and the others right.

    >>> print(markdown(["fruit", "grams"], [["cherry", "8"], ["melon", "2,100"]]))
    | fruit | grams |
    | --- | ---: |
    | cherry | 8 |
    | melon | 2,100 |
    """
    rule = ["---"] * left + ["---:"] * (len(header) - left)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))


def rounded(number: float) -> str:
    """A positive number to three digits, two if it is small.

    >>> [rounded(number) for number in (0.00512, 0.6249, 8.803, 137.71)]
    ['0.0051', '0.62', '8.80', '138']
    """
    digits = 3 if number >= 1 else 2
    return f"{number:.{max(0, digits - 1 - math.floor(math.log10(number)))}f}"


def as_text(results: Mapping[str, Any]) -> str:
    """The tables, the verdict on the student's time where the teacher was measured too, and the caption."""
    from ohlora_fast.benchmarks.chart import verdict

    return "\n\n".join(filter(None, (as_markdown(results), verdict(results), caption(results))))


def caption(results: Mapping[str, Any]) -> str:
    """One line that says when, where and with which versions results were measured."""
    used = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    where = results["machine"]
    gpu = f", {where['gpu']}" if "gpu" in where else ""
    return f"{results['date'][:10]}, {where['processor']}, {where['cores']} cores{gpu}; {used}."
