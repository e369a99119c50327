"""Let pytest run one provider alone, in a process of its own, and fewer rounds."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import pytest

QUICK_SHARE, QUICK_S = 4, 1.0
"""With ``--quick``, one of so many rounds is run, and fewer if they would take longer than so many seconds."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--provider", help="run this provider alone")
    parser.addoption("--quick", action="store_true", help="run a quarter of the rounds, a second's at most")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if wanted := config.getoption("--provider"):
        items[:] = [item for item in items if item.callspec.params["provider"] == wanted]  # type: ignore[attr-defined]


@pytest.fixture
def measure(benchmark: Any, request: pytest.FixtureRequest) -> Callable[..., None]:
    """Time a call as one of a group: ``measure(group, call, rounds, warm_up)``; a third as many warm up by default."""

    def timed(group: str, call: Callable[[], object], rounds: int, warm_up: int | None = None) -> None:
        warm_up = -(-rounds // 3) if warm_up is None else warm_up
        if rounds > 1 and request.config.getoption("--quick"):
            rounds = affordable(call, -(-rounds // QUICK_SHARE))
            warm_up = min(warm_up, rounds // 3)
        benchmark.group = group
        benchmark.extra_info["provider"] = request.node.callspec.params["provider"]
        benchmark.pedantic(call, rounds=rounds, warmup_rounds=warm_up)

    return timed


def affordable(call: Callable[[], object], most: int) -> int:
    """How many calls fit into `QUICK_S`, 1 to ``most``; the first call, which may be slow, counts if it is alone."""
    seconds: list[float] = []
    while len(seconds) < 2 and sum(seconds) < QUICK_S:
        start = perf_counter()
        call()
        seconds.append(perf_counter() - start)
    return max(1, min(most, int(QUICK_S / max(seconds[-1], 1e-9))))
