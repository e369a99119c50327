"""A report on a fine-tuning run, alone or beside another: curves, tables and what they say."""

from __future__ import annotations

import base64
import html
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ohlora_fast.distill.report import COLORS, STYLE, UNKNOWN, Table, figure_class, table_html, table_markdown
from ohlora_fast.errors import InputError
from ohlora_fast.media.files import written_whole
from ohlora_fast.stylegan.log import COLUMNS, SCORE, Array, Log, smoothed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TARGETS: Mapping[str, float] = {"gender": 1.0, "quality": 1.0, "age": 0.0, "glass": 0.0}
"""Where the scores of properties should go. A property that is not named here is shown without a target."""
LATE = 10
"""So many epochs at the end stand for where a run has got to: one alone is too noisy."""
PARTS = 24
"""Curves are smoothed over this part of the longest run, 3 epochs of the recorded 72."""
PANEL = (6.2, 3.5)
"""Width and height of a panel, inches."""
PICTURES = {
    "curves": "Losses, AUROC and scores over the epochs",
    "comparison": "Each score over the epochs, both runs",
}
"""The pictures' names, and what is seen on them."""
POINT = re.compile(rb"(?<=[ML] )(-?\d+\.\d\d)\d* (-?\d+\.\d\d)\d*")
"""A point of a path in an SVG: hundredths of its unit, 1/72 inch, are enough."""


@dataclass(frozen=True)
class Curve:
    """A line in a panel: values over time, in epochs."""

    label: str
    time: Array
    values: Array


@dataclass(frozen=True)
class Panel:
    """A diagram: its curves, and levels to compare them with, label → value."""

    title: str
    unit: str
    curves: Sequence[Curve]
    levels: Mapping[str, float]


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


def write_report(
    folder: str | Path, run: Log, other: Log | None = None, smooth: float | None = None, command: str = ""
) -> Path:
    """Write the report on a run, and how it compares with another one; files of an earlier report are replaced.

    The folder gets ``report.html`` (which holds the pictures itself and needs no other file), ``report.md``,
    ``curves.png`` and ``curves.svg`` of the run, and with another run ``comparison.png`` and ``comparison.svg``.

    Args:
        folder: is made if it does not exist.
        run: what `read_log` gave.
        other: the run to compare with.
        smooth: curves are means over so many epochs; by default a 24th of the longer run.
        command: the command that writes this report, to be shown at its end.

    Returns:
        The path of ``report.html``.

    Raises:
        InputError: the two runs share a name or have no score or no epoch in common, ``smooth`` is not above 0,
            matplotlib is missing, or the folder cannot be written.
    """
    folder = Path(folder)
    logs = [run] if other is None else [run, other]
    if other is not None and run.name == other.name:
        raise InputError(f"names: both runs are called {run.name}; name them apart (--name, --compare-name)")
    width = max(log.full_epochs[-1] + 1 for log in logs) / PARTS if smooth is None else smooth
    if not 0 < width < math.inf:
        raise InputError(f"smooth: got {width}, allowed are numbers of epochs above 0")
    figures = {"curves": run_panels(run)}
    sentences: list[str] = []
    tables = [last_epoch_table(log) for log in logs]
    if other is not None:
        differences = compare(run, other)
        figures["comparison"] = comparison_panels(run, other)
        sentences = findings(run, other, differences)
        tables.insert(0, comparison_table(run, other, differences))
    drawn = {name: draw(panels, width) for name, panels in figures.items()}
    title = f"StyleGAN fine-tuning: {' beside '.join(log.name for log in logs)}"
    notes = [
        f"Curves: pale, a value each row of the log; strong, their mean over {width:g} epochs around. Dotted: targets, "
        "and for the AUROC chance. An epoch begins at its number; the first is 0.",
        *([f"Made by `{command}`."] if command else []),
    ]
    files = {f"{name}.{suffix}": content for name, both in drawn.items() for suffix, content in both.items()}
    files["report.md"] = page_markdown(title, sentences, tables, list(drawn), notes).encode()
    pictures = {name: both["svg"] for name, both in drawn.items()}
    files["report.html"] = page_html(title, sentences, tables, pictures, notes).encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if other is None:  # a report on one run must not keep an earlier one's comparison
            for suffix in ("png", "svg"):
                (folder / f"comparison.{suffix}").unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror}") from error
    for name, content in files.items():
        with written_whole(folder / name) as file:
            file.write(content)
    return folder / "report.html"


def run_panels(log: Log) -> list[Panel]:
    """The diagrams of one run: losses, AUROC, and the scores by target."""
    columns = log.columns
    panels = [
        Panel(
            f"Losses, {log.name}",
            "logistic loss (nats)",
            [Curve("generator", log.time, columns["g_loss"]), Curve("discriminator", log.time, columns["d_loss"])],
            {},
        ),
        Panel(
            f"Discriminator: real against fake, {log.name}",
            "AUROC (0 to 1)",
            [Curve("AUROC", log.time, columns["real_fake_auroc"])],
            {"0.5: fakes pass as real": 0.5},
        ),
    ]
    for target in (1.0, 0.0, None):
        if names := [name for name in log.properties if TARGETS.get(name) == target]:
            curves = [Curve(name, log.time, log.score(name)) for name in names]
            panels.append(
                Panel(f"Scores: {' and '.join(names)}, {log.name}", "mean score (0 to 1)", curves, level(target))
            )
    return panels


def level(target: float | None) -> dict[str, float]:
    """What is dotted in the diagrams of scores.

    >>> level(1.0), level(None)
    ({'target 1': 1.0}, {})
    """
    return {} if target is None else {f"target {target:g}": target}


def comparison_panels(run: Log, other: Log) -> list[Panel]:
    """A diagram for each score that both runs have."""
    return [
        Panel(
            f"Score: {name}",
            "mean score (0 to 1)",
            [Curve(log.name, log.time, log.score(name)) for log in (run, other)],
            level(TARGETS.get(name)),
        )
        for name in shared(run, other)
    ]


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


def last_epoch_table(log: Log) -> Table:
    """The last full epoch's mean and the last row of every column, with the distance to the targets."""
    last = log.full_epochs[-1]
    chosen = log.within(last)
    rows = []
    for column in (*COLUMNS[2:], *(f"mean_{name}_score" for name in dict.fromkeys((*TARGETS, *log.properties)))):
        match = SCORE.fullmatch(column)
        target = TARGETS.get(match[1]) if match else None
        known = column in log.columns
        found = (log.columns[column][chosen].mean(), log.columns[column][-1]) if known else ()
        cells = [f"{value:.4f}".replace("-", "−") for value in found] or [UNKNOWN] * 2
        away = [f"{abs(value - target):.4f}" for value in found] if target is not None else []
        rows.append((column, *cells, UNKNOWN if target is None else f"{target:g}", *(away or [UNKNOWN] * 2)))
    mean, row = f"mean of epoch {last}", f"row of {last_row(log)}"
    return Table(
        f"Where {log.name} ended",
        f"The last full epoch, {last}, has {int(chosen.sum())} rows; the last row is that of {last_row(log)}. "
        f"{UNKNOWN}: not in the log, or without a target.",
        ("column", mean, row, "target", "distance of the mean", "distance of the row"),
        rows,
    )


def draw(panels: Sequence[Panel], width: float) -> dict[str, bytes]:
    """Draw panels two abreast: "png" and "svg" → the file's content, the same for the same panels.

    Raises:
        InputError: matplotlib is not installed.
    """
    figure_type = figure_class()
    from matplotlib import rc_context

    across = min(2, len(panels))
    down = math.ceil(len(panels) / across)
    settings: Any = {
        "font.size": 11,
        "svg.hashsalt": "ohlora_fast",
        "axes.grid": True,
        "grid.alpha": 0.3,
        "path.simplify_threshold": 0.5,
    }
    with rc_context(settings):
        figure: Figure = figure_type(figsize=(PANEL[0] * across, PANEL[1] * down), layout="constrained")
        for place, panel in enumerate(panels):
            draw_panel(figure.add_subplot(down, across, place + 1), panel, width)
        png, svg = io.BytesIO(), io.BytesIO()
        figure.savefig(png, format="png", dpi=110)
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    small = io.BytesIO()
    # A third of the bytes, and no difference that one sees.
    Image.open(png).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(small, "png", optimize=True)
    return {"png": small.getvalue(), "svg": POINT.sub(rb"\1 \2", svg.getvalue())}


def draw_panel(axes: Axes, panel: Panel, width: float) -> None:
    """Each curve pale as it is and strong where it is smoothed; levels dotted in black."""
    for place, curve in enumerate(panel.curves):
        color, dashes = COLORS[place % len(COLORS)], "-" if place % 2 == 0 else (0, (4, 1.2))
        mark = "o" if len(curve.time) == 1 else ""
        axes.plot(curve.time, curve.values, color=color, alpha=0.3, linewidth=0.7, marker=mark)
        axes.plot(
            curve.time, smoothed(curve.time, curve.values, width), color=color, linestyle=dashes, linewidth=2.2,
            zorder=3, label=plain(curve.label),
        )  # fmt: skip
    for label, value in panel.levels.items():
        axes.axhline(value, color="black", linestyle=":", linewidth=1.8, zorder=3, label=label)
    axes.set(title=plain(panel.title), xlabel="time (epochs)", ylabel=panel.unit)
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.margins(y=0.12)  # room for the legend
    axes.legend(loc="best", framealpha=0.9)


def plain(text: str) -> str:
    """Text as matplotlib shows it: to it, $ begins a formula, and a leading _ hides an entry."""
    return (" " if text.startswith("_") else "") + text.replace("$", "\\$")


def page_markdown(
    title: str, sentences: Sequence[str], tables: Sequence[Table], pictures: Sequence[str], notes: Sequence[str]
) -> str:
    """The whole of ``report.md``."""
    parts = [f"# {title}", "\n".join(f"- {sentence}" for sentence in sentences)]
    parts += [f"![{PICTURES[name]}]({name}.png)" for name in pictures]
    for table in tables:
        parts += [f"## {table.title}", table.note, table_markdown(table)]
    return "\n\n".join(part for part in (*parts, "## Notes", *notes) if part) + "\n"


def page_html(
    title: str, sentences: Sequence[str], tables: Sequence[Table], pictures: Mapping[str, bytes], notes: Sequence[str]
) -> str:
    """The whole of ``report.html``: nothing in it is fetched from elsewhere."""
    parts = [f"<h1>{html.escape(title)}</h1>"]
    if sentences:
        parts.append("<ul>\n" + "\n".join(f"<li>{html.escape(sentence)}</li>" for sentence in sentences) + "\n</ul>")
    for name, svg in pictures.items():
        data = base64.b64encode(svg).decode()
        parts.append(f'<p><img alt="{PICTURES[name]}" src="data:image/svg+xml;base64,{data}"></p>')
    for table in tables:
        parts.append(f"<h2>{html.escape(table.title)}</h2>\n<p>{html.escape(table.note)}</p>")
        parts.append(f"<div>{table_html(table)}</div>")
    parts += ["<h2>Notes</h2>", *(f"<p>{html.escape(note)}</p>" for note in notes)]
    body = "\n".join(parts)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )
