"""Patterns for names of files, and where what matches them belongs in an output folder."""

from __future__ import annotations

import glob
import os
from pathlib import Path

from ohlora_fast.errors import InputError

__all__ = ["fixed_part", "matches"]


def fixed_part(pattern: str) -> str:
    """The folder in which a glob begins to look: what stands before its first sign.

    Example:
        >>> fixed_part("photos/cam*/*.jpg"), fixed_part("*.jpg")
        ('photos', '')
    """
    while glob.has_magic(pattern):
        pattern = os.path.dirname(pattern)
    return pattern


def matches(pattern: str) -> list[tuple[str, Path]]:
    """Files and folders that match a glob, sorted, each with the folder in an output folder that mirrors them.

    That of a file is where it lies below the glob's fixed part, and that of a folder is the folder itself.

    Raises:
        InputError: nothing matches.

    Example:
        >>> import tempfile
        >>> top = Path(tempfile.mkdtemp())
        >>> for name in ("cam1/a.jpg", "cam2/a.jpg"):
        ...     (top / name).parent.mkdir()
        ...     (top / name).touch()
        >>> [str(place) for _, place in matches(f"{top}/cam*/*.jpg")]
        ['cam1', 'cam2']
    """
    found = sorted(glob.glob(pattern, recursive=True))
    if not found:
        raise InputError(f"nothing matches {pattern}")
    top = fixed_part(pattern) or "."
    placed = []
    for match in found:
        place = os.path.relpath(match, top)
        folder = Path(place if os.path.isdir(match) else os.path.dirname(place))
        placed.append((match, Path(*(part for part in folder.parts if part != ".."))))
    return placed
