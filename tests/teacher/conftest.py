"""The teacher with the recipe's weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ohlora_fast.teacher.facexformer import FaceXFormer


@pytest.fixture(scope="session")
def facexformer(fill: Callable[..., Any]) -> FaceXFormer:
    """Built once: it has 92 M parameters."""
    return fill(FaceXFormer())
