"""Hold two files of results against each other: what got slower, and whether they can be compared at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ohlora_fast.benchmarks.report import markdown, rounded, shown
from ohlora_fast.benchmarks.result_file import value_of


@dataclass(frozen=True)
class Change:
    """One provider's medians in a group, before and after."""

    group: str
    provider: str
    old: float
    new: float
    unit: str

    @property
    def ratio(self) -> float:
        """New over old: above 1 it got slower, or larger."""
        return self.new / self.old


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """What both results hold, in the order of the new ones."""
    return [
        Change(group, provider, value_of(old["groups"][group][provider])[0], *value_of(side))
        for group, sides in new["groups"].items()
        for provider, side in sides.items()
        if provider in old["groups"].get(group, {})
    ]


def not_in_both(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """A line for each group, or provider of a group, that one of the results lacks.

    >>> not_in_both({"groups": {"a": {"x": {}, "y": {}}, "b": {"x": {}}}}, {"groups": {"a": {"x": {}}}})
    ['in the old results alone: a: y', 'in the old results alone: b']
    """
    lines = []
    for name, ours, theirs in (("old", old["groups"], new["groups"]), ("new", new["groups"], old["groups"])):
        for group, sides in ours.items():
            lacking = [f"{group}: {provider}" for provider in sides if provider not in theirs.get(group, {})]
            lines += [f"in the {name} results alone: {case}" for case in (lacking if group in theirs else [group])]
    return lines


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """A line for each difference of machine, version or setting, which may be why a time differs.

    >>> differences({"machine": {"cores": 2}, "versions": {}}, {"machine": {"cores": 4}, "versions": {}})
    ['cores: 2, now 4']
    """
    lines = []
    before, after = ({**one["machine"], **one["versions"], **settings(one)} for one in (old, new))
    for name in dict.fromkeys([*before, *after]):
        if before.get(name) != after.get(name):
            lines.append(f"{name}: {before.get(name, 'none')}, now {after.get(name, 'none')}")
    return lines


def settings(results: Mapping[str, Any]) -> dict[str, Any]:
    """How results were measured, as far as they say."""
    return {name: results[name] for name in ("threads", "quick") if name in results}


def comparison(old: Mapping[str, Any], new: Mapping[str, Any], tolerance: float) -> tuple[str, list[Change]]:
    """Compare medians.

    Args:
        old, new: results, as `ohlora_fast.benchmarks.run.run_questions` gives them.
        tolerance: how much slower a provider may get, as a share of its old median.

    Returns:
        A Markdown table with a line a provider, below it what stands in one of the results alone; and what got slower
        by more than the tolerance.
    """
    found = changes(old, new)
    slower = [change for change in found if change.ratio > 1 + tolerance]
    rows = [
        [
            change.group, change.provider, shown(change.old, change.unit), shown(change.new, change.unit),
            f"{rounded(change.ratio)}×" + (" SLOWER" if change in slower else ""),
        ]
        for change in found
    ]  # fmt: skip
    table = markdown(["group", "provider", "old", "new", "new / old"], rows, left=2)
    return "\n\n".join(filter(None, (table, "\n".join(not_in_both(old, new))))), slower
