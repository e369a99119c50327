"""What containers consist of, and what reads and writes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class Sample:
    """A photo in a container, and what is kept beside it.

    With neither `data` nor `error` it has no photo: there is nothing to dye, and it is written as it came.

    Attributes:
        name: unique in the container, such as "0007.jpg" or "row 7".
        data: the photo's file.
        rest: what the container's writer needs to write the sample again.
        error: why it cannot be taken up.
        notes: what is to be said about it otherwise.

    Example:
        >>> Sample("README", None).has_photo, Sample("a.jpg", None, error="it is a link").has_photo
        (False, True)
    """

    name: str
    data: bytes | None
    rest: Any = None
    error: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def has_photo(self) -> bool:
        """Whether something is to be made of it, or would be if it could be taken up."""
        return self.data is not None or self.error is not None


class Writer(Protocol):
    """Writes a container like the one that was read."""

    def add(self, sample: Sample, made: Mapping[str, bytes] | None) -> None:
        """Write a sample with what was made of its photo, by what `Recipe.save` calls it; None: nothing was."""


class Container(Protocol):
    """An open container. Samples come, and are added, in their order."""

    def count(self) -> int | None:
        """How many photos there may be, None if that takes reading them."""

    def samples(self) -> Iterator[Sample]:
        """Yield the photos.

        Raises:
            InputError: the container is cut short or corrupt.
        """

    def writer(self, path: Path) -> AbstractContextManager[Writer]:
        """Write a container of the same kind, with what is kept beside the photos, to a file of this machine."""

    def beside(self, below: str) -> Mapping[str, bytes]:
        """What must stand beside the new container for it to be of use: name below the output folder → content.

        Args:
            below: the new container's own place there.
        """
