"""The curves of a report on training runs, which matplotlib draws."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ohlora_fast.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ohlora_fast.distill.report import Run

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
"""Okabe and Ito's palette, which colour-blind readers can tell apart, without its yellow, which is faint on white."""
DASHES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
FEW = 24
"""A curve of at most so many points shows them as dots."""
FIGURES = ("curves.png", "curves.svg")


def is_drawn(column: str) -> bool:
    """Whether the curves need a column of the log.

    >>> [is_drawn(name) for name in ("epoch", "val_loss", "iou_figaro", "time")]
    [True, True, True, False]
    """
    return column in ("epoch", "train_loss", "val_loss", "lr") or column.startswith("iou_")


def figure_class() -> type[Figure]:
    """matplotlib's figure, which draws without a screen and without pyplot's global state.

    Raises:
        InputError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError(f'a report needs matplotlib ({error}); pip install "ohlora_fast[train]"') from error
    return Figure


def draw_curves(runs: Sequence[Run]) -> dict[str, bytes]:
    """Draw scores, losses, IoU on the held-out photos, and learning rate: a panel each, a colour a run.

    Returns:
        The contents of curves.png and curves.svg, the same for the same runs; nothing if there is nothing to draw.

    Raises:
        InputError: matplotlib is not installed.
    """
    figure_type = figure_class()
    from matplotlib import rc_context

    columns = {column for run in runs for row in run.log for column, cell in row.items() if cell and is_drawn(column)}
    sources = sorted(column for column in columns if column.startswith("iou_"))
    panels = [column for column in ("train_loss", "val_loss", *sources, "lr") if column in columns]
    scored = list(dict.fromkeys(source for run in runs for source in run.scores))
    count = len(panels) + bool(scored)
    if not count:
        return {}
    across = min(count, 2)
    down = math.ceil(count / across)
    with rc_context({"font.size": 11, "svg.hashsalt": "ohlora_fast", "axes.grid": True, "grid.alpha": 0.3}):
        figure = figure_type(figsize=(5.6 * across, 3.6 * down + 0.3 * math.ceil(len(runs) / 3)), layout="constrained")
        axes = [figure.add_subplot(down, across, place + 1) for place in range(count)]
        if scored:
            draw_scores(axes.pop(0), runs, scored)
        for panel, column in zip(axes, panels, strict=True):
            draw_column(panel, runs, column)
        handles = [figure.axes[0].plot([], [], **look(place))[0] for place in range(len(runs))]
        # To matplotlib, $ begins a formula, and a leading _ hides the entry.
        labels = [(" " if run.name.startswith("_") else "") + run.name.replace("$", "\\$") for run in runs]
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(runs), 3))
        files = {}
        for name, metadata in zip(FIGURES, ({"Software": None}, {"Date": None, "Creator": None}), strict=True):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=name[-3:], dpi=130, metadata=metadata)
            files[name] = buffer.getvalue()
    return files


def look(place: int) -> dict[str, Any]:
    """How the run at this place is drawn: 28 lines differ by colour and dashes, 56 dots by colour and shape."""
    color, marker = COLORS[place % len(COLORS)], MARKERS[place % len(MARKERS)]
    dashes = DASHES[place // len(COLORS) % len(DASHES)]
    return {"color": color, "linestyle": dashes, "marker": marker, "markersize": 4.5}


def draw_scores(panel: Axes, runs: Sequence[Run], sources: Sequence[str]) -> None:
    """A dot a run and source: the mean IoU of the scored photos."""
    for place, run in enumerate(runs):
        shift = 0.5 * ((place + 0.5) / len(runs) - 0.5)
        found = [(x + shift, run.scores[source].mean.iou) for x, source in enumerate(sources) if source in run.scores]
        panel.plot(*zip(*found, strict=True) if found else ([], []), **look(place) | {"linestyle": "", "markersize": 7})
    panel.set_xticks(range(len(sources)), [source.replace("$", "\\$") for source in sources])
    panel.set_xlim(-0.5, len(sources) - 0.5)
    panel.set(title="Scored photos", xlabel="source", ylabel="mean IoU")
    panel.ticklabel_format(axis="y", useOffset=False)


def draw_column(panel: Axes, runs: Sequence[Run], column: str) -> None:
    """A line a run: one column of the log against the epoch."""
    from matplotlib.ticker import MaxNLocator

    values = []
    for place, run in enumerate(runs):
        points = [(float(row["epoch"]), float(row[column])) for row in run.log if row.get(column)]
        points = [point for point in points if math.isfinite(point[1])]
        values += [value for _, value in points]
        style = look(place) | ({} if len(points) <= FEW else {"marker": ""})
        panel.plot(*zip(*points, strict=True) if points else ([], []), **style)
    source = column.removeprefix("iou_")
    names = {
        "train_loss": ("Training loss", "loss"),
        "val_loss": ("Validation loss", "loss"),
        "lr": ("Learning rate", "learning rate"),
    }
    title, label = names.get(column, (f"Validation photos: {source}", "mean IoU"))
    if label == "loss" and values and min(values) > 0:
        panel.set_yscale("log")
        label = "loss (logarithmic)"
    panel.set(title=title.replace("$", "\\$"), xlabel="epoch", ylabel=label)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
