"""Draw results as SVG: the teacher beside the students, and how the ombre and the student scale."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ohlora_fast.benchmarks.bench_scaling import BY_BATCH, BY_SIZE
from ohlora_fast.benchmarks.bench_teacher import BUNDLED, GROUP, LIMIT_S
from ohlora_fast.benchmarks.result_file import value_of

from ohlora_fast.distill.curves import figure_class

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = {
    "teacher": "#D55E00", "reference": "#56B4E9", "bundled": "#0072B2",
    "cpp": "#0072B2", "vectorised": "#D55E00", "copy": "#444444", "default": "#0072B2",
}  # fmt: skip
"""By a provider's first word; from Okabe and Ito's palette, which colour-blind readers can tell apart."""
DASHED = ("torch", "copy")
"""Providers with such a word are drawn dashed."""


def cases(results: Mapping[str, Any], title: str) -> dict[str, Mapping[str, Any]]:
    """A table's groups, by what follows the title."""
    start = f"{title}, "
    return {group.removeprefix(start): sides for group, sides in results["groups"].items() if group.startswith(start)}


def verdict(results: Mapping[str, Any]) -> str:
    """One sentence a device: how far the bundled student is from the teacher. Empty without such results.

    >>> sides = {BUNDLED: {"median_s": 0.0125}, "teacher, the recorded way": {"median_s": 5.0}}
    >>> print(verdict({"groups": {"teacher and students, cpu, 1 image": sides}}))
    On cpu the bundled student takes 0.0125 s an image, 400 times less than the teacher, the recorded way (5.00 s).
    """
    lines = []
    for case, sides in cases(results, GROUP).items():
        if BUNDLED in sides:
            slowest = max(sides, key=lambda provider: value_of(sides[provider])[0])
            ours, theirs = value_of(sides[BUNDLED])[0], value_of(sides[slowest])[0]
            lines.append(
                f"On {case.split(', ')[0]} the bundled student takes {ours:.4f} s an image, {theirs / ours:.0f} times "
                f"less than the {slowest} ({theirs:.2f} s)."
            )
    return "\n".join(lines)


def charts(results: Mapping[str, Any]) -> dict[str, bytes]:
    """Draw all that results allow.

    Returns:
        Name → SVG: "teacher" and "scaling", of which each may be missing. The same results give the same file.

    Raises:
        InputError: matplotlib is missing.
    """
    drawn = {}
    if cases(results, GROUP):
        drawn["teacher"] = saved(results, draw_teacher, (8, 0.9 + 0.5 * sum(map(len, cases(results, GROUP).values()))))
    if cases(results, BY_SIZE) and cases(results, BY_BATCH):
        drawn["scaling"] = saved(results, draw_scaling, (8, 4.4))
    return drawn


def saved(
    results: Mapping[str, Any], draw: Callable[[Mapping[str, Any], Figure], str], inches: tuple[float, float]
) -> bytes:
    """An SVG of what ``draw`` puts into a figure; what it returns, the numbers in words, is the file's description."""
    figure = figure_class()(figsize=inches, layout="constrained")
    from matplotlib import rc_context

    # Words stay words.
    with rc_context({"font.size": 11, "svg.hashsalt": "ohlora_fast", "svg.fonttype": "none"}):
        words = draw(results, figure)
        stream = io.BytesIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Description": words})
    return stream.getvalue()


def draw_teacher(results: Mapping[str, Any], figure: Figure) -> str:
    """Bars of seconds an image on a log axis."""
    groups = cases(results, GROUP)
    several = len(groups) > 1
    medians = {
        f"{name} ({case.split(', ')[0]})" if several else name: value_of(side)[0]
        for case, sides in groups.items()
        for name, side in sides.items()
    }
    axes = figure.add_subplot()
    colors = [COLORS[first_word(name)] for name in medians]
    bars = axes.barh(list(medians), list(medians.values()), color=colors, height=0.62)
    axes.bar_label(bars, labels=[f"{value:.3g} s" for value in medians.values()], padding=4)
    axes.axvline(LIMIT_S, color="#444444", linestyle="--", linewidth=1)
    place = axes.get_xaxis_transform()
    axes.text(LIMIT_S, 1.01, f"limit {LIMIT_S} s", ha="center", va="bottom", color="#444444", transform=place)
    axes.set_xscale("log")
    axes.set_xlim(min(medians.values()) / 2.5, max(medians.values()) * 4)
    axes.invert_yaxis()
    axes.set_xlabel("seconds an image (log)")
    axes.spines[["top", "right"]].set_visible(False)
    return "; ".join(f"{name}: {value:.4g} s" for name, value in medians.items())


def draw_scaling(results: Mapping[str, Any], figure: Figure) -> str:
    """Two panels: the ombre's time over the photo's size, and the student's time a photo over the batch."""
    left, right = figure.subplots(1, 2)
    left.set_title("ombre", loc="left")
    left.set_yscale("log")
    right.set_title("student", loc="left")
    words = [
        draw_lines(left, cases(results, BY_SIZE), lambda size: 1.0),
        draw_lines(right, cases(results, BY_BATCH), lambda photos: 1.0 / photos),
    ]
    left.set_xlabel("height and width in pixels (log)")
    left.set_ylabel("ms a photo (log)")
    right.set_ylim(bottom=0)
    right.set_xlabel("photos a call (log)")
    right.set_ylabel("ms a photo")
    return "; ".join(words)


def draw_lines(axes: Axes, groups: Mapping[str, Mapping[str, Any]], factor: Callable[[int], float]) -> str:
    """A line a provider: its median times ``factor`` of the case, in milliseconds, over the cases."""
    words = []
    for provider in dict.fromkeys(provider for sides in groups.values() for provider in sides):
        points = {
            int(case): 1e3 * factor(int(case)) * value_of(sides[provider])[0]
            for case, sides in groups.items()
            if provider in sides
        }
        dashed = any(word in provider for word in DASHED)
        axes.plot(
            list(points), list(points.values()), "--" if dashed else "-", marker="o", markersize=4,
            color=COLORS[first_word(provider)], label=provider,
        )  # fmt: skip
        words.append(f"{provider}: " + ", ".join(f"{value:.4g} ms at {case}" for case, value in points.items()))
    ticks = [int(case) for case in groups]
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter("{x:g}")
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(0, -0.2))
    axes.spines[["top", "right"]].set_visible(False)
    return "; ".join(words)


def first_word(provider: str) -> str:
    return re.split(r"\W", provider)[0]
