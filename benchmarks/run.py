"""Run benchmark files, a process for each provider in turn, and gather their medians."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from ohlora_fast.benchmarks import setting

from ohlora_fast.errors import InputError
from ohlora_fast.ops.ombre_op import backend_problem
from ohlora_fast.student.engines import device_problem

HERE = Path(__file__).parent
QUESTIONS = tuple(sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py")))
QUICK_QUESTIONS = ("teacher", "student", "ombre", "dye", "heads", "memory", "start")
"""What ``--quick`` measures: the questions that the bars are about."""
PACKAGES = (
    "ohlora-fast",
    "numpy",
    "opencv-python-headless",
    "onnxruntime",
    "torch",
    "triton",
    "pillow",
    "openvino",
    "ai-edge-litert",
    "hairtone",
    "pytest-benchmark",
)
Measured = tuple[str, str, list[float]]
"""A group, the unit, and a value a round."""


def run_questions(
    questions: Sequence[str],
    turns: int = 3,
    say: Callable[[str], object] = print,
    threads: int | None = None,
    quick: bool = False,
) -> dict[str, Any]:
    """Run the benchmark files and return machine, versions and medians.

    Args:
        questions: which of `QUESTIONS`.
        turns: how often each provider's process runs; their timings are pooled.
        say: told what runs now.
        threads: how many every provider gets; None for what `setting.threads` says.
        quick: at most a quarter of the rounds, and without the providers that are slow to start.

    Returns:
        ``{"date", "machine", "versions", "threads", "quick", "groups": {group: {provider: {"median_s", "rounds"}}},
        "skipped": {question: {provider: why}}, "failed": {question: {provider: why}}}``, where a group of memory has
        ``"median_bytes"`` for ``"median_s"``.

    Raises:
        InputError: an unknown question, or a number of threads that is none.
    """
    for question in questions:
        if question not in QUESTIONS:
            raise InputError(f"benchmark: got {question!r}, allowed are {', '.join(QUESTIONS)}")
    used = threads or setting.threads()
    values: dict[str, dict[str, dict[str, list[float]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    skipped: dict[str, dict[str, str]] = defaultdict(dict)
    failed: dict[str, dict[str, str]] = defaultdict(dict)
    for question in questions:
        module = import_module(f"ohlora_fast.benchmarks.bench_{question}")
        for provider in module.PROVIDERS:
            if why := problem(module, provider, quick):
                skipped[question][provider] = why
        for turn in range(turns):
            for provider in module.PROVIDERS:
                if provider in skipped[question] or provider in failed[question]:
                    continue
                say(f"{question}, turn {turn + 1} of {turns}: {provider}")
                try:
                    for group, unit, rounds in run_provider(question, provider, used, quick):
                        values[group][provider][unit] += rounds
                except InputError as error:
                    failed[question][provider] = str(error)
                    say(str(error))
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "threads": used,
        "quick": quick,
        "groups": {
            group: {
                provider: {f"median_{unit}": median(rounds), "rounds": len(rounds)}
                for provider, measured in sides.items()
                for unit, rounds in measured.items()
            }
            for group, sides in values.items()
        },
        "skipped": {question: why for question, why in skipped.items() if why},
        "failed": {question: why for question, why in failed.items() if why},
    }


def problem(module: Any, provider: str, quick: bool) -> str | None:
    """Why a provider of a benchmark file is not run, or None.

    A file says it in its function ``problem(provider)``, if some of its providers do not run everywhere, and names in
    ``SLOW_TO_START`` what ``--quick`` leaves out.
    """
    why: str | None = module.problem(provider) if hasattr(module, "problem") else None
    slow: str | None = getattr(module, "SLOW_TO_START", {}).get(provider) if quick else None
    return why or (slow and f"left out by --quick: {slow}")


def run_provider(question: str, provider: str, threads: int, quick: bool = False) -> list[Measured]:
    """Run one provider of one file in a process of its own.

    A file that takes its values itself leaves them in pytest-benchmark's ``extra_info``, as ``"bytes"`` or ``"s"``;
    else they are the seconds that calls took.

    Raises:
        InputError: pytest failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [
            sys.executable, "-m", "pytest", str(HERE / f"bench_{question}.py"), "-q", "-p", "no:cacheprovider",
            "--import-mode=importlib", f"--rootdir={HERE}", "-c", os.devnull, f"--confcutdir={HERE}",
            f"--provider={provider}", f"--benchmark-json={report}", *(["--quick"] if quick else []),
        ]  # fmt: skip
        environment = os.environ | {setting.THREADS: str(threads)}
        # Not where the user is: in the source tree, Python would import that instead of what is installed.
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode or not report.is_file():
            lines = (done.stdout + done.stderr).strip().splitlines()
            errors = [line.removeprefix("E").strip() for line in lines if line.startswith("E ")]
            raise InputError(f"benchmark {question}, {provider}: pytest failed ({''.join((errors or lines)[-1:])})")
        benchmarks = json.loads(report.read_text(encoding="utf-8"))["benchmarks"]
    measured = []
    for entry in benchmarks:
        unit = "bytes" if "bytes" in entry["extra_info"] else "s"
        measured.append((entry["group"], unit, entry["extra_info"].get(unit, entry["stats"]["data"])))
    return measured


def machine() -> dict[str, Any]:
    """What this machine is.

    >>> machine()["instructions"] in ("baseline", "avx2", "avx512", "avx2 with VNNI", "avx512 with VNNI")
    True
    """
    found = {"processor": processor(), "cores": os.cpu_count(), "system": platform.platform()}
    if backend_problem("cpp") is None:
        from ohlora_fast._core import build_info

        info = build_info()
        found["instructions"] = info["simd"] + " with VNNI" * bool(info["int8"])
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
