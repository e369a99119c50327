"""What a worker gets, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

Settings: TypeAlias = tuple[float, float, float]
"""color, ombre_height, ombre_grad_height."""


@dataclass(frozen=True)
class Task:
    """A file to read: a photo, or a container of many photos.

    Attributes:
        source: path or URL.
        kind: "photo", or which container it is: "tar", "parquet" or "arrow".
        below: the file's place below the output folder, were its name kept; members' settings are drawn from it.
        outputs: what is written, below the output folder: for a photo one for each of `Recipe.save`.
        settings: a photo's.
    """

    source: str
    kind: str
    below: str
    outputs: tuple[str, ...]
    settings: Settings


@dataclass(frozen=True)
class Result:
    """What became of a photo, or of a container as a whole.

    Attributes:
        source: as of `Task`.
        member: name of a photo in a container; None for a photo of its own, and for the container itself.
        settings: the photo's.
        seconds: how long a worker was at it.
        checksums: BLAKE2b, 128 bits, of what was made, in the order of `Recipe.save`.
        size: bytes of what was made.
        error: why it failed.
        notes: what is to be said about it otherwise.
        container: whether this is what became of a container as a whole.
        images: how many photos were in it.
        without_hair: whether no hair was found in the photo.
    """

    source: str
    member: str | None = None
    settings: Settings | None = None
    seconds: float = 0.0
    checksums: tuple[str, ...] = ()
    size: int = 0
    error: str | None = None
    notes: tuple[str, ...] = ()
    container: bool = False
    images: int = 1
    without_hair: bool = False
