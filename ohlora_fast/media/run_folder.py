"""A run's folder: what it holds was made with the settings in its settings.json, and with no others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ohlora_fast.errors import InputError
from ohlora_fast.media.files import written_whole

SETTINGS = "settings.json"


def refuse_other_settings(folder: Path, wanted: Mapping[str, Any]) -> None:
    """Make sure that what the folder holds, if it is a run's, was made with these settings.

    Args:
        folder: it need not exist.
        wanted: names and values, as JSON knows them.

    Raises:
        InputError: it is a file, holds a run with other settings, or its settings cannot be read.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; a run needs a folder")
    file = folder / SETTINGS
    if not file.is_file():
        return
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        raise InputError(f"{file}: damaged; remove it to begin anew, or choose another folder") from None
    if differing := sorted(key for key in found | wanted if found.get(key) != wanted.get(key)):
        changes = [f"{key}: {found.get(key)!r} there, {wanted.get(key)!r} now" for key in differing]
        raise InputError(f"{folder}: holds a run with other settings ({'; '.join(changes[:4])}); choose another folder")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file of JSON, whole or not at all."""
    with written_whole(path) as file:
        file.write((json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())
