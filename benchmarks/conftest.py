"""Let pytest run one provider alone, in a process of its own, and fewer rounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

QUICK_SHARE = 4
"""With ``--quick``, one of so many rounds is run."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--provider", help="run this provider alone")
    parser.addoption("--quick", action="store_true", help="run a quarter of the rounds")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if wanted := config.getoption("--provider"):
        items[:] = [item for item in items if item.callspec.params["provider"] == wanted]  # type: ignore[attr-defined]


@pytest.fixture
def measure(benchmark: Any, request: pytest.FixtureRequest) -> Callable[..., None]:
    """Time a call as one of a group: ``measure(group, call, rounds, warm_up)``; a third as many warm up by default."""
    share = QUICK_SHARE if request.config.getoption("--quick") else 1

    def timed(group: str, call: Callable[[], object], rounds: int, warm_up: int | None = None) -> None:
        benchmark.group = group
        benchmark.extra_info["provider"] = request.node.callspec.params["provider"]
        warm_up = -(-rounds // 3) if warm_up is None else warm_up
        benchmark.pedantic(call, rounds=-(-rounds // share), warmup_rounds=-(-warm_up // share))

    return timed
