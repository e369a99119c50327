"""Time cases: providers of one thing in turns, each with a warm-up, failures recorded beside the others' times."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from statistics import median
from typing import Any

from ohlora_fast.benchmarks.gpu.case import Call, Case
from ohlora_fast.benchmarks.gpu.clocks import Timer, release
from ohlora_fast.benchmarks.gpu.limits import bound

Row = dict[str, Any]


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Attributes:
        rounds: timed calls of a provider, at least.
        seconds: to time them for, unless `most` calls are fewer.
        most: timed calls, at most.
        turns: into which the calls are cut; the providers of a case take them by turns, so that a drift of the GPU's
            clock meets all of them.
        warm_up: seconds of calls before anything is timed, which bring the GPU to its clock.
    """

    rounds: int = 30
    seconds: float = 0.5
    most: int = 1000
    turns: int = 3
    warm_up: float = 0.2


QUICK = Effort(rounds=9, seconds=0.1, warm_up=0.05)
TIME_UP = "not measured: the time was up"
"""Why a provider is skipped whose turn came too late."""


@dataclass
class Trial:
    """A case being timed.

    Attributes:
        skipped: why it is not timed here.
        error: what ended it, in one line.
        call: what is timed, once it is built.
        rounds: calls of a turn.
        seconds: of each timed call so far.
    """

    case: Case
    timer: Timer
    effort: Effort
    skipped: str | None = None
    error: str | None = None
    call: Call | None = None
    rounds: int = 0
    seconds: list[float] = field(default_factory=list)

    def attempt(self, step: Callable[[], None]) -> None:
        """Do a step, unless there is nothing to time or an earlier step failed."""
        if self.skipped is None and self.error is None:
            try:
                step()
            except Exception as error:  # whatever a provider raises is its result
                self.error = one_line(error)
                self.call = None

    def prepare(self) -> None:
        """Build the call, warm it up, and decide how many calls make a turn."""
        self.call = self.case.make()
        self.timed(3)  # the first ones compile, choose algorithms, record graphs
        once = max(min(self.timed(3)), 1e-7)
        self.timed(max(1, min(math.ceil(self.effort.warm_up / once), self.effort.most)))
        wanted = max(self.effort.rounds, min(math.ceil(self.effort.seconds / once), self.effort.most))
        self.rounds = math.ceil(wanted / self.effort.turns)

    def timed(self, rounds: int) -> list[float]:
        assert self.call is not None
        return self.timer.seconds(self.call, rounds, self.case.cold)

    def turn(self) -> None:
        self.seconds += self.timed(self.rounds)

    def row(self, limits: Mapping[str, float]) -> Row:
        """What is recorded of it."""
        case = self.case
        row: Row = {"group": case.group, "case": case.name, "provider": case.provider}
        if self.skipped is not None:
            return row | {"skipped": self.skipped}
        if self.error is not None:
            return row | {"error": self.error}
        middle = median(self.seconds)
        row |= {"clock": case.clock, "cold": case.cold, "images": case.images, "work": dict(case.work)}
        row |= {"median_s": middle, "fastest_s": min(self.seconds), "rounds": len(self.seconds)}
        if found := bound(case.work, limits):
            row |= {"limit": found[0], "fraction": found[1] / middle}
        return row


def one_line(error: BaseException) -> str:
    """An exception's type and the first line of its message.

    >>> one_line(ValueError("no such thing\\nand more"))
    'ValueError: no such thing'
    """
    first = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}: {first}".removesuffix(": ")


def run(
    cases: Iterable[Case],
    timers: Mapping[str, Timer],
    effort: Effort,
    keep: Callable[[Row], object],
    say: Callable[[str], object],
    seconds: float = math.inf,
) -> bool:
    """Time cases in their order; limits first, if others are to be held against them.

    Args:
        cases: the providers of one group and name following each other.
        timers: for each `Case.clock`.
        effort: how long to measure.
        keep: told each row as soon as it is known.
        say: told what runs now.
        seconds: after which no further provider begins.

    Returns:
        Whether all was timed; False if the time was up before that, and after Ctrl-C, before which every row was kept.
    """
    limits: dict[str, float] = {}
    deadline, in_time = time.monotonic() + seconds, True
    try:
        for _, same in groupby(cases, key=lambda case: (case.group, case.name)):
            for row in compare(list(same), timers, effort, limits, say, deadline):
                if row["group"] == "limits" and "median_s" in row:
                    limits |= {name: amount / row["median_s"] for name, amount in row["work"].items()}
                in_time &= row.get("skipped") != TIME_UP
                keep(row)
            release()
    except KeyboardInterrupt:
        return False
    return in_time


def compare(
    cases: Sequence[Case],
    timers: Mapping[str, Timer],
    effort: Effort,
    limits: Mapping[str, float],
    say: Callable[[str], object],
    deadline: float = math.inf,
) -> list[Row]:
    """Time what stands beside each other; what has not begun at the deadline, of `time.monotonic`, is skipped."""
    trials = [Trial(case, timers[case.clock], effort, skipped=case.problem()) for case in cases]
    for trial in trials:
        if time.monotonic() >= deadline:
            trial.skipped = trial.skipped or TIME_UP
            continue
        say(trial.case.title)
        trial.attempt(trial.prepare)
    for _ in range(effort.turns):
        for trial in trials:
            trial.attempt(trial.turn)
    return [trial.row(limits) for trial in trials]
