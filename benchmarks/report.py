"""Lay results out: a table a question, what was not measured, whether the bars are met, where it was measured."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from ohlora_fast.benchmarks.bars import BARS
from ohlora_fast.benchmarks.result_file import value_of

MAIN = ("teacher and students", "student", "ombre")
"""Tables that the README shows."""
NOTHING = "–"


def shown(value: float, unit: str) -> str:
    """A median as it stands in a table.

    >>> [shown(1.5, "s"), shown(0.0123, "s"), shown(3 * 2**20, "bytes"), shown(0, "bytes")]
    ['1.50 s', '12.3 ms', '3.00 MiB', '0 MiB']
    """
    if unit == "bytes":
        return f"{rounded(value / 2**20)} MiB"
    return f"{rounded(value)} s" if value >= 1 else f"{rounded(1e3 * value)} ms"


def rounded(number: float) -> str:
    """A number from 0 on to three digits, two if it is small.

    >>> [rounded(number) for number in (0, 0.00512, 0.6249, 8.803, 137.71)]
    ['0', '0.0051', '0.62', '8.80', '138']
    """
    if number == 0:
        return "0"
    digits = 3 if number >= 1 else 2
    return f"{number:.{max(0, digits - 1 - math.floor(math.log10(number)))}f}"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A Markdown table whose first columns, so many, are set flush left, and the others right.

    >>> print(markdown(["fruit", "grams"], [["cherry", "8"], ["melon", "2,100"]]))
    | fruit | grams |
    | --- | ---: |
    | cherry | 8 |
    | melon | 2,100 |
    """
    rule = ["---"] * left + ["---:"] * (len(header) - left)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))


def tables(results: Mapping[str, Any]) -> dict[str, str]:
    """Lay results out as Markdown tables by title: medians, and in brackets multiples of the first provider's.

    A group's name is its table's title, a comma, and its column.

    >>> sides = {"cpp": {"median_s": 0.001, "rounds": 9}, "numpy": {"median_s": 0.05, "rounds": 9}}
    >>> print(tables({"groups": {"ombre, 256×256": sides}})["ombre"])
    | ombre | 256×256 |
    | --- | ---: |
    | cpp | 1.00 ms |
    | numpy | 50.0 ms (50.0×) |
    """
    cases: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for group, sides in results["groups"].items():
        title, _, case = group.partition(", ")
        cases[title][case] = sides
    return {title: table(title, columns) for title, columns in cases.items()}


def table(title: str, columns: Mapping[str, Mapping[str, Any]]) -> str:
    """One table: a row a provider, a column a case."""
    providers = list(dict.fromkeys(provider for sides in columns.values() for provider in sides))
    rows = [[provider, *(cell(sides, provider, providers[0]) for sides in columns.values())] for provider in providers]
    return markdown([title, *columns], rows)


def cell(sides: Mapping[str, Any], provider: str, first: str) -> str:
    """A provider's median, and how many times the first one's it is."""
    if provider not in sides:
        return NOTHING
    value, unit = value_of(sides[provider])
    if provider == first or first not in sides:
        return shown(value, unit)
    return f"{shown(value, unit)} ({rounded(value / value_of(sides[first])[0])}×)"


def missing(results: Mapping[str, Any]) -> str:
    """A line for each provider that was not measured, and why; empty if there is none."""
    return "\n".join(
        f"- {what}: {question}, {provider}: {why}"
        for what, key in (("not run here", "skipped"), ("FAILED", "failed"))
        for question, providers in results.get(key, {}).items()
        for provider, why in providers.items()
    )


def bar_lines(results: Mapping[str, Any]) -> str:
    """A line a bar: MET, MISSED or not measured."""
    return "\n".join(f"- {bar.line(results)}" for bar in BARS)


def as_text(results: Mapping[str, Any], titles: Sequence[str] | None = None) -> str:
    """All that there is to say of results: tables, what was not measured, teacher against student, bars, caption.

    Args:
        results: as `ohlora_fast.benchmarks.run.run_questions` gives them.
        titles: of the tables to show, in this order; None for all.
    """
    from ohlora_fast.benchmarks.chart import verdict

    found = tables(results)
    chosen = [found[title] for title in (found if titles is None else titles) if title in found]
    return "\n\n".join(
        filter(None, (*chosen, missing(results), verdict(results), bar_lines(results), caption(results)))
    )


def other_tables(results: Mapping[str, Any]) -> str:
    """The tables that are not in `MAIN`."""
    return "\n\n".join(text for title, text in tables(results).items() if title not in MAIN)


def caption(results: Mapping[str, Any]) -> str:
    """One line that says when, where and with which versions results were measured."""
    used = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    where = results["machine"]
    processor = ", ".join(where[name] for name in ("processor", "instructions") if name in where)
    gpu = f", {where['gpu']}" if "gpu" in where else ""
    threads = f", {results['threads']} threads" if "threads" in results else ""
    quick = ", with --quick" if results.get("quick") else ""
    return f"{results['date'][:10]}, {processor}, {where['cores']} cores{gpu}{threads}{quick}; {used}."
