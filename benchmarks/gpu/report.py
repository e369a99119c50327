"""Lay GPU results out: a table a question, what this GPU can do, and whether the aims were reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from ohlora_fast.benchmarks.gpu.case import Case
from ohlora_fast.benchmarks.gpu.limits import UNITS
from ohlora_fast.benchmarks.report import caption, markdown, rounded

Row = Mapping[str, Any]

COPY_SHARE = 0.85
"""Aim: of a device copy's speed, by the ombre at batch 64 × 1024²."""
LATENCY_S = 1e-3
"""Aim on an H200: for one photo, in device memory."""
IMAGES_A_SECOND = 15_000
"""Aim on an H200: through the whole pipeline at 256², from device memory to device memory."""


def as_text(results: Mapping[str, Any]) -> str:
    """Everything there is to say about results."""
    timed = [row for row in results["rows"] if row["group"] != "limits"]
    parts = [device_line(results), limits_table(results["rows"])]
    parts += [group_table(group, list(rows)) for group, rows in groupby(timed, key=lambda row: row["group"])]
    parts += ["\n".join(verdicts(timed)), caption(results)]
    if not results["complete"]:
        parts.append("Not complete: what is missing was not measured.")
    return "\n\n".join(filter(None, parts))


def device_line(results: Mapping[str, Any]) -> str:
    """The GPU in one line."""
    return ", ".join(f"{name} {value}" for name, value in results["device"].items())


def limits_table(rows: Sequence[Row]) -> str:
    """What was measured of the GPU itself."""
    cells = []
    for row in rows:
        if row["group"] == "limits" and "median_s" in row:
            rate = row["work"][row["case"]] / row["median_s"]
            unit = "GB/s" if UNITS[row["case"]] == "bytes" else "TFLOP/s"
            cells.append([row["case"], row["provider"], f"{rounded(rate / (1e9 if unit == 'GB/s' else 1e12))} {unit}"])
    return markdown(["limit", "measured by", "rate"], cells, left=2) if cells else ""


def group_table(group: str, rows: Sequence[Row]) -> str:
    """One question's table; what failed or cannot run here stands below it."""
    header = [group, "provider", "time", "images/s", "GB/s", "TFLOP/s", "limit", "of it", "of the copy"]
    timed = [row for row in rows if "median_s" in row]
    copies = {row["case"]: row["median_s"] for row in timed if row["provider"] == "copy"}
    cells = []
    for row in timed:
        seconds, work = row["median_s"], row["work"]
        operations = sum(amount for name, amount in work.items() if UNITS[name] == "operations")
        cells.append([
            row["case"], row["provider"], time(seconds), f"{row['images'] / seconds:,.0f}",
            rounded(work["memory"] / seconds / 1e9) if "memory" in work else "–",
            rounded(operations / seconds / 1e12) if operations else "–",
            row.get("limit", "–"), percent(row["fraction"]) if "fraction" in row else "–",
            percent(copies[row["case"]] / seconds) if row["case"] in copies else "–",
        ])  # fmt: skip
    lines = [markdown(header, cells, left=2)] if cells else []
    lines += [
        f"{row['group']}, {row['case']}: {row['provider']}: {row[kind]}"
        for row in rows
        for kind in ("error", "skipped")
        if kind in row
    ]
    return "\n\n".join([lines[0], "\n".join(lines[1:])]).strip() if cells else "\n".join(lines)


def time(seconds: float) -> str:
    """Seconds, milliseconds or microseconds.

    >>> time(1.5), time(0.0123), time(0.0000123)
    ('1.50 s', '12.3 ms', '12.3 µs')
    """
    for unit, factor in (("s", 1), ("ms", 1e3)):
        if seconds * factor >= 1:
            return f"{rounded(seconds * factor)} {unit}"
    return f"{rounded(seconds * 1e6)} µs"


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def verdicts(rows: Sequence[Row]) -> Iterator[str]:
    """For each aim that was measured, whether it was reached."""
    timed = {(row["group"], row["case"], row["provider"]): row for row in rows if "median_s" in row}
    for (group, case, provider), row in timed.items():
        seconds = row["median_s"]
        copy = timed.get((group, case, "copy"))
        if group == "ombre" and case.startswith("64 × 1024²") and provider in ("triton", "cuda") and copy:
            share = copy["median_s"] / seconds
            yield verdict(row, f"{percent(share)} of the copy's speed", f"{percent(COPY_SHARE)}", share >= COPY_SHARE)
        if group == "latency" and case == "1 photo in device memory" and provider.startswith("CudaEngine"):
            yield verdict(row, time(seconds), f"at most {time(LATENCY_S)}", seconds <= LATENCY_S)
        if group == "pipeline" and case == "256 × 256², device memory":
            rate = row["images"] / seconds
            yield verdict(row, f"{rate:,.0f} images/s", f"{IMAGES_A_SECOND:,} images/s", rate >= IMAGES_A_SECOND)


def verdict(row: Row, found: str, aim: str, reached: bool) -> str:
    """One sentence on an aim."""
    return f"{row['group']}, {row['case']}, {row['provider']}: {found}, aim {aim}: {'reached' if reached else 'MISSED'}"


def plan(cases: Sequence[Case]) -> str:
    """What would run, and why not where it cannot."""
    cells = [[case.group, case.name, case.provider, case.problem() or "runs"] for case in cases]
    running = sum(cell[3] == "runs" for cell in cells)
    return f"{markdown(['group', 'case', 'provider', 'here'], cells, left=4)}\n\n{running} of {len(cells)} run here."
