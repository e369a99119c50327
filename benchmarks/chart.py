"""Draw the teacher beside the students, from a results file: bars of seconds an image on a log axis."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

from ohlora_fast.benchmarks.bench_teacher import BUNDLED, LIMIT_S

from ohlora_fast.distill.report import figure_class
from ohlora_fast.errors import InputError

QUESTION = "teacher and students"
COLORS = {"teacher": "#D55E00", "reference": "#56B4E9", "bundled": "#0072B2"}
"""By a provider's first word; from Okabe and Ito's palette, which colour-blind readers can tell apart."""


def teacher_groups(results: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The results' groups that put the teacher beside the students, by device."""
    return {
        group.split(", ")[1]: sides for group, sides in results["groups"].items() if group.startswith(f"{QUESTION}, ")
    }


def verdict(results: Mapping[str, Any]) -> str:
    """One sentence a device: whether the bundled student keeps to its 0.05 s an image. Empty without such results.

    >>> sides = {BUNDLED: {"median_s": 0.0125}, "teacher, the recorded way": {"median_s": 5.0}}
    >>> print(verdict({"groups": {"teacher and students, cpu, 1 image": sides}}))
    On cpu the bundled student takes 0.0125 s an image, 400 times less than the teacher, the recorded way (5.00 s): within the limit of 0.05 s.
    """  # noqa: E501
    lines = []
    for device, sides in teacher_groups(results).items():
        ours = sides[BUNDLED]["median_s"]
        slowest = max(sides, key=lambda provider: sides[provider]["median_s"])
        theirs = sides[slowest]["median_s"]
        kept = "within the limit" if ours <= LIMIT_S else "NOT within the limit"
        lines.append(
            f"On {device} the bundled student takes {ours:.4f} s an image, {theirs / ours:.0f} times less than the "
            f"{slowest} ({theirs:.2f} s): {kept} of {LIMIT_S} s."
        )
    return "\n".join(lines)


def draw(results: Mapping[str, Any], kind: str = "svg") -> bytes:
    """The chart as SVG, or as another kind of file that matplotlib writes.

    Raises:
        InputError: the results hold no such group, or matplotlib is missing.
    """
    groups = teacher_groups(results)
    if not groups:
        raise InputError("results: hold no measurement of the teacher; run `ohlora-fast benchmark teacher`")
    figure = figure_class()(figsize=(8, 0.9 + 0.5 * sum(map(len, groups.values()))), layout="constrained")
    from matplotlib import rc_context

    several = len(groups) > 1
    names = [f"{name} ({device})" if several else name for device, sides in groups.items() for name in sides]
    seconds = [side["median_s"] for sides in groups.values() for side in sides.values()]
    colors = [COLORS[re.split(r"\W", name)[0]] for name in names]
    # The same results give the same file, and its words stay words.
    with rc_context({"font.size": 11, "svg.hashsalt": "ohlora_fast", "svg.fonttype": "none"}):
        axes = figure.add_subplot()
        bars = axes.barh(names, seconds, color=colors, height=0.62)
        axes.bar_label(bars, labels=[f"{value:.3g} s" for value in seconds], padding=4)
        axes.axvline(LIMIT_S, color="#444444", linestyle="--", linewidth=1)
        place = axes.get_xaxis_transform()
        axes.text(LIMIT_S, 1.01, f"limit {LIMIT_S} s", ha="center", va="bottom", color="#444444", transform=place)
        axes.set_xscale("log")
        axes.set_xlim(min(seconds) / 2.5, max(seconds) * 4)
        axes.invert_yaxis()
        axes.set_xlabel("seconds an image (log)")
        axes.spines[["top", "right"]].set_visible(False)
        stream = io.BytesIO()
        figure.savefig(stream, format=kind, metadata={"Date": None} if kind == "svg" else None)
    return stream.getvalue()
