"""Containers of photos: which there are, and what reads and writes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

KINDS = {".tar": "tar", ".parquet": "parquet", ".arrow": "arrow"}
"""Suffix → kind of container."""

HF_DATASET = frozenset({"state.json", "dataset_dict.json"})
"""A folder that Hugging Face's ``datasets`` saved holds one of these."""


@dataclass(frozen=True)
class Sample:
    """A photo in a container, and what is kept beside it.

    Attributes:
        name: unique in the container, such as "0007.jpg" or "row 7".
        data: the photo's file, or None if it is missing.
        rest: what the container's writer needs to write the sample again.
        error: why it cannot be taken up.
    """

    name: str
    data: bytes | None
    rest: Any = None
    error: str | None = None


class Writer(Protocol):
    """Writes a container like the one that was read."""

    def add(self, sample: Sample, made: Mapping[str, bytes] | None) -> None:
        """Write a sample with what was made of its photo, by what `Recipe.save` calls it; None: it failed."""


class Container(Protocol):
    """An open container. Samples come, and are added, in their order."""

    def samples(self) -> Iterator[Sample]:
        """Yield the photos."""

    def writer(self, path: Path, save: tuple[str, ...], suffix: str | None) -> AbstractContextManager[Writer]:
        """Write a container of the same kind, with what is kept beside the photos, to a file of this machine."""


def open_container(file: IO[bytes], kind: str, name: str) -> Container:
    """Return the container in a file that can be sought.

    Args:
        file: at its begin.
        kind: one of those of `KINDS`.
        name: stands for it in messages.

    Raises:
        InputError: it is none, or holds no photos.
    """
    raise NotImplementedError


def images_in(source: str, kind: str) -> tuple[int | None, str | None]:
    """How many photos a container holds, None if that takes reading it; and why it cannot be read, if so."""
    return None, None


def is_table_of_paths(path: str) -> bool:
    """Whether a Parquet file lists photos (a column ``path`` of text) rather than holding them."""
    return False
