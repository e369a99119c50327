"""What all providers share: how many threads they get, and the portrait that is dyed."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

from ohlora_fast.errors import InputError
from ohlora_fast.runtime import usable_cores

THREADS = "OHLORA_BENCH_THREADS"
"""The environment variable that says how many threads every provider gets."""


def threads() -> int:
    """How many threads every provider gets: the environment's `THREADS`, else one for each core that it may use.

    Raises:
        InputError: the variable holds no whole number from 1 on.

    >>> os.environ[THREADS] = "3"
    >>> threads()
    3
    >>> del os.environ[THREADS]
    """
    text = os.environ.get(THREADS)
    if text is None:
        return usable_cores()
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise InputError(f"{THREADS}: got {text!r}, allowed is a whole number from 1 on")
    return int(text)


def no_portrait() -> str | None:
    """Why there is no portrait to dye, or None."""
    return None if find_spec("skimage") else 'scikit-image is not installed: pip install "ohlora-fast[demo]"'


def portraits(count: int, size: int) -> Any:
    """The demo's portrait, uint8 (count, size, size, 3): what is dyed, and how quickly, depends on its hair."""
    import cv2
    import numpy as np

    from ohlora_fast.cli.demo import portrait

    one = cv2.resize(portrait(), (size, size), interpolation=cv2.INTER_AREA if size < 320 else cv2.INTER_CUBIC)
    return np.repeat(one[None], count, axis=0)
