"""Photos for containers, what becomes of them, and what a run says of those that failed."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ohlora_fast import HairStylist
from ohlora_fast.batch.run import Summary
from ohlora_fast.media.images import decode_photo, encode_photo


@pytest.fixture(scope="session")
def photos(portrait_pixels: np.ndarray) -> list[bytes]:
    """Six pictures that differ, as files: every other one a JPEG, the others PNG."""
    files = []
    for number in range(6):
        file = io.BytesIO()
        picture = Image.fromarray(np.roll(portrait_pixels, 3 * number, axis=1))
        picture.save(file, "PNG" if number % 2 else "JPEG", **({} if number % 2 else {"quality": 90}))
        files.append(file.getvalue())
    return files


@pytest.fixture(scope="session")
def dyed(photos: list[bytes]) -> Callable[..., bytes]:
    """The file that a photo becomes, given its file; `suffix` tells its format, else it keeps its own."""
    stylist = HairStylist()

    def dye(file: bytes, suffix: str | None = None) -> bytes:
        photo = decode_photo(io.BytesIO(file), "photo")
        made = io.BytesIO()
        own = ".jpg" if photo.format == "JPEG" else ".png"
        encode_photo(made, stylist.dye(photo.pixels), f"photo{suffix or own}", photo)
        return made.getvalue()

    return dye


@pytest.fixture(scope="session")
def failures() -> Callable[[Summary], dict[str, str]]:
    """Member → why it failed; the container itself is the member ""."""

    def read(summary: Summary) -> dict[str, str]:
        if summary.failures is None:
            return {}
        with open(summary.failures, encoding="utf-8", errors="surrogateescape", newline="") as file:
            return {row["member"]: row["error"] for row in csv.DictReader(file)}

    return read


@pytest.fixture
def memory() -> Iterator[Any]:
    """fsspec's file system in memory, which is one for the whole process, and what the test left in it gone."""
    fs = pytest.importorskip("fsspec").filesystem("memory")
    yield fs
    fs.rm("/containers", recursive=True)


@pytest.fixture(scope="session")
def files_in() -> Callable[[Path], list[str]]:
    """Every file of a folder but the manifest's."""

    def names(folder: Path) -> list[str]:
        found = (path for path in folder.rglob("*") if path.is_file() and "manifest.sqlite" not in path.name)
        return sorted(path.relative_to(folder).as_posix() for path in found)

    return names
