"""Inputs that a run finds, and the decision about each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ohlora_fast.batch.task import Task

Namings: TypeAlias = Sequence[tuple[str, ...]]


@dataclass(frozen=True)
class Entry:
    """An input that a run found: a task whose outputs are not settled yet.

    Attributes:
        task: what is to be done.
        fingerprint: changes when the file does.
        namings: outputs it may have, the first that nothing else has claimed.
        here: the file's path on this machine without links in its folders, if it is here.
        images: says how many photos it holds, None if that takes reading it, and why it cannot be read, if so.
        error: why it cannot be taken up at all.
        listed: whether a list or table names it.
    """

    task: Task
    fingerprint: str
    namings: Namings
    here: str | None = None
    images: Callable[[], tuple[int | None, str | None]] = lambda: (1, None)
    error: str | None = None
    listed: bool = False


@dataclass(frozen=True)
class Choice:
    """Decisions about files that have been seen before.

    Attributes:
        retry_failed: make another attempt at what failed.
        overwrite: replace outputs that stood there before the first run.
        skip_existing: keep them.
    """

    retry_failed: bool = False
    overwrite: bool = False
    skip_existing: bool = False
