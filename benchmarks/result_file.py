"""A file of results, and the medians in it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ohlora_fast.errors import InputError


def read_results(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a file that ``ohlora-fast benchmark -o`` wrote.

    Raises:
        InputError: there is none, or it is something else.
    """
    try:
        results = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:
        results = None
    if not isinstance(results, dict) or not isinstance(results.get("groups"), dict):
        raise InputError(f"{path}: got something else, allowed are results of `ohlora-fast benchmark -o FILE`")
    return results


def value_of(side: Mapping[str, Any]) -> tuple[float, str]:
    """A provider's median, and its unit: "s" or "bytes".

    >>> value_of({"median_bytes": 1024, "rounds": 3})
    (1024, 'bytes')
    """
    return next((value, name.removeprefix("median_")) for name, value in side.items() if name.startswith("median_"))
