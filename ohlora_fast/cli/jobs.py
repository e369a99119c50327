"""Run many jobs: one failure does not stop the rest, and Ctrl-C leaves finished files whole."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from ohlora_fast.cli.console import complain
from ohlora_fast.cli.plan import Job
from ohlora_fast.cli.streams import in_line
from ohlora_fast.errors import InputError


def run_jobs(
    jobs: Sequence[Job], work: Callable[[Job], Sequence[str]], args: argparse.Namespace, told: bool = True
) -> int:
    """Call `work` on each job and return the exit code: 0, or 1 if any failed.

    `work` makes the job's folders and files and returns notes on its picture. Notes and warnings are printed
    with the picture's name, failures at the end. On a terminal a bar shows the progress, elsewhere a line a
    picture; neither, if `work` prints its results itself and so `told` is False.
    """
    failures: list[str] = []
    done = 0
    bar = _progress_bar(len(jobs)) if told else None
    try:
        for number, job in enumerate(jobs, 1):
            failure = _run_one(job, work, args.debug)
            if failure is not None:
                failures.append(failure)
            else:
                done += 1
                if told and bar is None:
                    made = " ".join(map(str, job.outputs))
                    print(f"[{number}/{len(jobs)}] {in_line(job.source)} → {in_line(made)}", flush=True)
            if bar is not None:
                bar.update()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{done} of {len(jobs)} done; finished files are whole, --skip-existing takes up the rest"
        ) from None
    finally:
        if bar is not None:
            bar.close()
    if failures and len(jobs) > 1:
        complain("error", f"{len(failures)} of {len(jobs)} failed:")
    for failure in failures:
        complain("error", failure)
    return 1 if failures else 0


def _run_one(job: Job, work: Callable[[Job], Sequence[str]], debug: bool) -> str | None:
    """Return None, or what went wrong."""
    failure = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        try:
            _make_folders(job)
            notes: Sequence[str] = work(job)
        except Exception as error:  # whatever one picture brings up, the others go on
            if debug:
                traceback.print_exc()
            notes = ()
            failure = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
            if str(job.source) not in failure:
                failure = f"{job.source}: {failure}"
    for note in notes:
        complain("note", f"{job.source}: {note}")
    for warning in caught:
        complain("warning", f"{job.source}: {warning.message}")
    return failure


def _make_folders(job: Job) -> None:
    for path in job.outputs:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot make the folder {path.parent}: {os.strerror(error.errno or 0)}") from error


def _progress_bar(total: int) -> Any:
    if total < 2 or not sys.stderr.isatty():
        return None
    from tqdm import tqdm

    return tqdm(total=total, unit="picture", file=sys.stderr)
