"""Let pytest run one provider alone, in a process of its own."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--provider", help="run this provider alone")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if wanted := config.getoption("--provider"):
        items[:] = [item for item in items if item.callspec.params["provider"] == wanted]  # type: ignore[attr-defined]
