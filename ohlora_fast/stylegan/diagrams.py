"""The diagrams of a report on fine-tuning runs: which there are, and drawing them."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

from ohlora_fast.distill.curves import COLORS, figure_class
from ohlora_fast.stylegan.comparison import TARGETS, shared
from ohlora_fast.stylegan.log import Array, Log, smoothed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL = (6.2, 3.5)
"""Width and height of a panel, inches."""
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
