"""The server's folder for files: its own, removed at the end, or by the next server if this one was killed."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout

PREFIX = "ohlora-web-"
SUFFIX = ".lock"


@contextmanager
def own_folder() -> Iterator[Path]:
    """Make a folder for as long as the block runs, and remove those of servers that no longer run.

    A lock file beside each folder tells them apart: the operating system frees the lock when its process ends, however
    it ends. The folder is readable for this user alone.

    >>> with own_folder() as folder:
    ...     folder.is_dir()
    True
    >>> folder.exists()
    False
    """
    root = Path(tempfile.gettempdir()).resolve()
    remove_leftovers(root)
    lock = _locked(root)
    folder = Path(lock.lock_file).with_suffix("")
    try:
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        _remove(folder, lock)


def remove_leftovers(root: Path) -> None:
    """Remove the folders of this user's servers that no longer run."""
    for path in root.glob(f"{PREFIX}*{SUFFIX}"):
        try:
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode) or (hasattr(os, "getuid") and status.st_uid != os.getuid()):
                continue
            lock = FileLock(path)
            lock.acquire(timeout=0)
        except (OSError, Timeout):  # gone, or its server runs
            continue
        _remove(path.with_suffix(""), lock)


def _locked(root: Path) -> FileLock:
    """Lock a file of a new name."""
    while True:
        lock = FileLock(root / f"{PREFIX}{uuid4().hex}{SUFFIX}", mode=0o600)
        lock.acquire()
        if Path(lock.lock_file).exists():
            return lock
        lock.release()  # another server that starts took it for a leftover before it was locked


def _remove(folder: Path, lock: FileLock) -> None:
    """Remove a folder, then its lock file: after a kill in between, the lock file leads to the rest."""
    shutil.rmtree(folder, ignore_errors=True)
    if not folder.exists():
        Path(lock.lock_file).unlink(missing_ok=True)
    lock.release()
