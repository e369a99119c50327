"""Hidden files and folders that are being written: a program that has to end at once removes them first."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_paths: set[str] = set()  # of strings: adding one cannot be interrupted halfway


@contextmanager
def unfinished(path: str | os.PathLike[str]) -> Iterator[None]:
    """Remove a file or folder when the block ends, unless it has another name by then.

    >>> import tempfile
    >>> name = os.path.join(tempfile.mkdtemp(), "half")
    >>> with unfinished(name):
    ...     _ = open(name, "wb").write(b"abc")
    >>> os.path.exists(name)
    False
    """
    text = os.fspath(path)
    _paths.add(text)
    try:
        yield
    finally:
        _remove(text)
        _paths.discard(text)


def remove_unfinished() -> None:
    """Remove all that is being written, in any thread of this process."""
    for path in tuple(_paths):
        _remove(path)


def _remove(path: str) -> None:
    if os.path.isdir(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            os.unlink(path)
