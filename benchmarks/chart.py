"""Draw the teacher beside the students, from a results file: bars of seconds an image on a log axis."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from ohlora_fast.benchmarks.bench_teacher import BUNDLED, LIMIT_S

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


def draw(results: Mapping[str, Any]) -> bytes:
    """The chart as SVG.

    Raises:
        InputError: the results hold no such group, or matplotlib is missing.
    """
    groups = teacher_groups(results)
    if not groups:
        raise InputError("results: hold no measurement of the teacher; run `ohlora-fast benchmark teacher`")
    try:
        import matplotlib
    except ModuleNotFoundError:
        raise InputError('drawing needs matplotlib: pip install "ohlora_fast[train]"') from None
    from matplotlib.figure import Figure

    matplotlib.rcParams["svg.hashsalt"] = "ohlora_fast"  # the same results give the same file
    matplotlib.rcParams["svg.fonttype"] = "none"
    bars = [
        (f"{provider}\n({device})" if len(groups) > 1 else provider, side["median_s"], provider.split()[0])
        for device, sides in groups.items()
        for provider, side in sides.items()
    ]
    figure = Figure(figsize=(8, 0.8 + 0.5 * len(bars)), layout="constrained")
    axes = figure.add_subplot()
    names, seconds, kinds = zip(*bars, strict=True)
    drawn = axes.barh(names, seconds, color=[COLORS[kind] for kind in kinds], height=0.62)
    axes.bar_label(drawn, labels=[f"{value:.3g} s" for value in seconds], padding=4)
    axes.axvline(LIMIT_S, color="#444444", linestyle="--", linewidth=1)
    axes.annotate(f"limit {LIMIT_S} s", (LIMIT_S, 1), (3, -3), ("data", "axes fraction"), "offset points", va="top",
                  color="#444444", fontsize=9)  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlim(min(seconds) / 2.5, max(seconds) * 4)
    axes.invert_yaxis()
    axes.set_xlabel("seconds an image (log)")
    axes.spines[["top", "right"]].set_visible(False)
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()
