"""Checks of settings: what is not allowed is refused by its name."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from ohlora_fast.errors import InputError


def check_choices(settings: Any, **choices: Collection[str]) -> None:
    """Check that each setting is one of its choices.

    Raises:
        InputError: one is not.

    >>> from types import SimpleNamespace
    >>> check_choices(SimpleNamespace(loss="focal"), loss=("mse", "kl"))
    Traceback (most recent call last):
    ...
    ohlora_fast.errors.InputError: loss: got 'focal', allowed are mse, kl
    """
    for name, allowed in choices.items():
        if getattr(settings, name) not in allowed:
            raise InputError(f"{name}: got {getattr(settings, name)!r}, allowed are {', '.join(allowed)}")


def check_numbers(settings: Any, allowed: str, fits: Callable[[Any], bool], *names: str) -> None:
    """Check that each of the named settings fits.

    Raises:
        InputError: one does not; `allowed` says which numbers do.

    >>> from types import SimpleNamespace
    >>> check_numbers(SimpleNamespace(gamma=-1.0), "numbers from 0 on", lambda value: value >= 0, "gamma")
    Traceback (most recent call last):
    ...
    ohlora_fast.errors.InputError: gamma: got -1.0, allowed are numbers from 0 on
    """
    for name in names:
        if not fits(getattr(settings, name)):
            raise InputError(f"{name}: got {getattr(settings, name)}, allowed are {allowed}")


def check_counts(settings: Any, least: int, *names: str) -> None:
    """Check that each of the named settings is at least so much, see `check_numbers`."""
    check_numbers(settings, f"whole numbers from {least} on", lambda value: value >= least, *names)
