"""A run's folder: what it holds was made with the settings in its settings.json, and with no others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ohlora_fast.errors import InputError
from ohlora_fast.media.files import written_whole

SETTINGS = "settings.json"


def refuse_another(folder: Path, wanted: Mapping[str, Any]) -> None:
    """Make sure that what a folder holds, if anything, is the run that is determined by ``wanted``.

    Raises:
        InputError: it is a file, or holds a run of other settings.
    """
    file = folder / SETTINGS
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; a run needs a folder")
    if not file.is_file():
        return
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        raise InputError(f"{file}: damaged; remove it to begin anew, or choose another folder") from None
    wanted = json.loads(json.dumps(wanted))  # which makes lists of tuples
    if differing := sorted(key for key in found | wanted if found.get(key) != wanted.get(key)):
        changes = [f"{key}: {found.get(key)!r} there, {wanted.get(key)!r} now" for key in differing]
        raise InputError(f"{folder}: holds a run with other settings ({'; '.join(changes[:4])}); choose another folder")


def claim(folder: Path, wanted: Mapping[str, Any]) -> None:
    """Make a folder the run's that is determined by ``wanted``, unless it is another's.

    Raises:
        InputError: see `refuse_another`; or it cannot be written.
    """
    refuse_another(folder, wanted)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / SETTINGS, wanted)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file of JSON, whole or not at all."""
    with written_whole(path) as file:
        file.write((json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())
