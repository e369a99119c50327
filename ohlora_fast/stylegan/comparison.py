"""How two fine-tuning runs compare: how far the scores of each are from their targets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ohlora_fast.distill.report import UNKNOWN, Table
from ohlora_fast.errors import InputError
from ohlora_fast.stylegan.log import Log

TARGETS: Mapping[str, float] = {"gender": 1.0, "quality": 1.0, "age": 0.0, "glass": 0.0}
"""Where the scores of properties should go. A property that is not named here is shown without a target."""
LATE = 10
"""So many epochs at the end stand for where a run has got to: one alone is too noisy."""


@dataclass(frozen=True)
class Difference:
    """How far two runs are from a property's target, over some span of time.

    Attributes:
        name: of the property.
        span: over which part of the runs, with its preposition.
        target: of the property.
        scores: mean score of the run and of the other.
        error: standard error of the difference between the two, from the scatter of the rows within epochs; nan where
            an epoch has but one row.
        closer_epochs: in how many of the span's epochs the run's mean is closer to the target.
        epochs: how many epochs the span has; 0 for a single row.
    """

    name: str
    span: str
    target: float
    scores: tuple[float, float]
    error: float
    closer_epochs: int
    epochs: int

    @property
    def distances(self) -> tuple[float, float]:
        """How far each is from the target."""
        return abs(self.scores[0] - self.target), abs(self.scores[1] - self.target)

    @property
    def change(self) -> float:
        """The run's distance less the other's: below 0 if the run is closer.

        >>> Difference("age", "in epoch 3", 0.0, (0.25, 0.5), 0.001, 1, 1).change
        -0.25
        """
        return self.distances[0] - self.distances[1]

    @property
    def percent(self) -> str:
        """The change in per cent of the other's distance.

        >>> Difference("age", "in epoch 3", 0.0, (0.01, 0.02), 0.001, 1, 1).percent
        '−50 %'
        """
        theirs = self.distances[1]
        return f"{signed(100 * self.change / theirs, 0)} %" if theirs else UNKNOWN

    @property
    def noisy(self) -> bool:
        """Whether the change is less than twice its standard error."""
        return abs(self.change) < 2 * self.error


def signed(value: float, digits: int) -> str:
    """A number with its sign, a true minus.

    >>> signed(-0.5, 2), signed(0.5, 1)
    ('−0.50', '+0.5')
    """
    return f"{value:+.{digits}f}".replace("-", "−")


def shared(run: Log, other: Log) -> list[str]:
    """The properties that both runs scored.

    Raises:
        InputError: there are none.
    """
    names = [name for name in run.properties if name in other.properties]
    if not names:
        raise InputError(f"compare: {run.name} and {other.name} have no score in common (a column mean_PROPERTY_score)")
    return names


def compare(run: Log, other: Log) -> list[Difference]:
    """How far both runs are from the targets: over the epochs that both have, the last ten of them, the last, and in
    each run's last row. In spans of epochs each epoch counts the same, however many rows it has.

    Raises:
        InputError: they have no epoch or no score in common.
    """
    epochs = [epoch for epoch in run.full_epochs if epoch in other.full_epochs]
    if not epochs:
        raise InputError(f"compare: {run.name} and {other.name} have no epoch in common")
    spans = {f"over all {len(epochs)} epochs": epochs}
    if len(epochs) > LATE:
        spans[f"over the last {LATE} epochs"] = epochs[-LATE:]
    spans[f"in epoch {epochs[-1]} alone"] = epochs[-1:]
    names = [name for name in shared(run, other) if name in TARGETS]
    found = [difference(name, span, chosen, run, other) for span, chosen in spans.items() for name in names]
    for name in names:
        ours, theirs = (float(log.score(name)[-1]) for log in (run, other))
        found.append(Difference(name, "in the last row alone", TARGETS[name], (ours, theirs), math.nan, 0, 0))
    return found


def difference(name: str, span: str, epochs: Sequence[int], run: Log, other: Log) -> Difference:
    """Compare one score over epochs that both runs have."""
    means, errors = [], []
    for log in (run, other):
        rows = [log.score(name)[log.within(epoch)] for epoch in epochs]
        means.append(np.array([each.mean() for each in rows]))
        errors += [each.var(ddof=1) / len(each) if len(each) > 1 else math.nan for each in rows]
    ours, theirs = (np.abs(values - TARGETS[name]) for values in means)
    return Difference(
        name,
        span,
        TARGETS[name],
        (float(means[0].mean()), float(means[1].mean())),
        math.sqrt(sum(errors)) / len(epochs),
        int((ours < theirs).sum()),
        len(epochs),
    )


def findings(run: Log, other: Log, differences: Sequence[Difference]) -> list[str]:
    """What the comparison says: a sentence a span."""
    sentences = []
    for span in dict.fromkeys(one.span for one in differences):
        chosen = [one for one in differences if one.span == span]
        closer, rest = [one for one in chosen if one.change < 0], [one for one in chosen if one.change >= 0]
        count = f"{len(closer)} of {len(chosen)}" if rest else f"all {len(chosen)}"
        parts = [listed(closer)] * bool(closer) + [f"not {listed(rest)}"] * bool(rest)
        sentences.append(
            f"{span[0].upper()}{span[1:]}, {run.name} is closer to the targets than {other.name} in {count} scores: "
            f"{'; '.join(parts)}."
        )
    return sentences


def listed(differences: Sequence[Difference]) -> str:
    """How far scores are from their targets in one run and in the other."""
    each = [
        f"{one.name} {one.distances[0]:.4f} away instead of {one.distances[1]:.4f} ({one.percent}"
        + (", within the rows' scatter)" if one.noisy else ")")
        for one in differences
    ]
    return ", ".join(each)


def comparison_table(run: Log, other: Log, differences: Sequence[Difference]) -> Table:
    """Every span and score: both runs' means, distances to the target, and the change."""
    rows = [
        (
            one.span.split(" ", 1)[1],
            f"{one.name} → {one.target:g}",
            *(f"{value:.4f}" for value in (*one.scores, *one.distances)),
            signed(one.change, 4),
            one.percent,
            UNKNOWN if math.isnan(one.error) else f"±{2 * one.error:.4f}",
            f"{one.closer_epochs} of {one.epochs}" if one.epochs else UNKNOWN,
        )
        for one in differences
    ]
    header = (
        "over", "score → target", run.name, other.name, f"distance, {run.name}", f"distance, {other.name}", "change",
        "change, %", "scatter", "closer in epochs",
    )  # fmt: skip
    return Table(
        f"Distance to the targets: {run.name} beside {other.name}",
        f"Change: the distance of {run.name} less that of {other.name}; below 0, {run.name} is closer. Over several "
        "epochs each counts the same. Scatter: two standard errors of the change, as far as the rows within each epoch "
        "tell; a smaller change may be chance. A row is a mean over few images (100 in the recorded runs), so a single "
        f"row says little. The last rows are {' and '.join(f'{last_row(log)} of {log.name}' for log in (run, other))}.",
        header,
        rows or [("no property with a target", *[""] * (len(header) - 1))],
        numbers=2,
    )


def last_row(log: Log) -> str:
    """Where a log ends."""
    return f"epoch {log.epoch[-1]}, batch {int(log.columns['idx'][-1])}"
