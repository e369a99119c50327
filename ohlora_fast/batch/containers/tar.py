"""Shards of WebDataset: tar archives, maybe compressed with gzip.

Files that follow each other and have the same name up to the first dot are a sample. Its photo is the file whose name
goes on with a picture's suffix alone, else the first that ends with one. Folders are left out: names imply them.
"""

from __future__ import annotations

import copy
import gzip
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO

from ohlora_fast.batch.containers.sample import Sample
from ohlora_fast.batch.recipe import Recipe
from ohlora_fast.errors import InputError
from ohlora_fast.media.images import FORMATS

MAX_BYTES = 2**30
"""A sample with more is refused by what its headers state."""

ELSEWHERE = re.compile(r"^$|^[/\\]|^[A-Za-z]:[/\\]|(^|[/\\])\.\.([/\\]|$)|\0")
"""Names that lead out of the folder that an archive would be unpacked in."""


@dataclass
class Files:
    """The files of a sample.

    Attributes:
        key: their name up to the first dot; None for a file whose name has none, which is by itself.
        files: their headers and contents, in their order.
        size: bytes of all, read or not.
        bad: the first file that cannot be taken up, and why.
    """

    key: str | None
    files: list[tuple[tarfile.TarInfo, bytes]] = field(default_factory=list)
    size: int = 0
    bad: tuple[str, str] | None = None

    @property
    def pictures(self) -> list[int]:
        """Pictures among the files."""
        return [
            number
            for number, (info, _) in enumerate(self.files)
            if self.key is not None and PurePosixPath(info.name).suffix.lower() in FORMATS
        ]

    @property
    def photo(self) -> int | None:
        """The photo among the files."""
        pictures = self.pictures
        plain = [number for number in pictures if self.files[number][0].name.count(".", len(self.key or "")) == 1]
        return next(iter(plain + pictures), None)

    def outputs(self, recipe: Recipe) -> dict[str, str]:
        """What is made of the photo → what it is called."""
        name = self.files[self.photo or 0][0].name
        own = PurePosixPath(name).suffix
        suffix = recipe.suffix or own
        names = {
            "dyed": name[: len(name) - len(own)] + suffix,
            "mask": f"{self.key}.mask.png",
            "overlay": f"{self.key}.overlay{suffix}",
        }
        return {kind: names[kind] for kind in recipe.save}


class TarContainer:
    """A shard. Arguments and errors are those of `open_container`."""

    def __init__(self, file: IO[bytes], name: str, recipe: Recipe) -> None:
        self._name, self._recipe = name, recipe
        self._zipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        self._file = gzip.GzipFile(fileobj=file, mode="rb") if self._zipped else file
        with self._readable():
            self._tar = tarfile.TarFile(fileobj=self._file, encoding="utf-8")

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
            text = f"cannot read {self._name}: it is no tar archive, corrupt or cut short ({error})"
            raise InputError(text) from None

    def count(self) -> int | None:
        return None

    def beside(self, below: str) -> Mapping[str, bytes]:
        return {}

    def samples(self) -> Iterator[Sample]:
        seen: set[str] = set()
        for files, offset in self._grouped():
            sample = self._sample(files)
            if files.key in seen:
                sample = replace(sample, name=f"{sample.name} (at byte {offset})")
            elif files.key is not None:
                seen.add(files.key)
            yield sample

    def _sample(self, files: Files) -> Sample:
        if files.bad is not None:
            return Sample(files.bad[0], None, error=files.bad[1])
        names = [info.name for info, _ in files.files]
        if files.photo is None:
            return Sample(names[0], None, files)
        photo = names.pop(files.photo)
        twice = [name for name in names if name == photo or names.count(name) > 1]
        taken = [name for name in files.outputs(self._recipe).values() if name in names]
        if twice or taken:
            error = f"it has {(twice or taken)[0]!r} {'twice' if twice else 'already'}"
            return Sample(photo, None, error=error)
        more = [files.files[number][0].name for number in files.pictures if number != files.photo]
        notes = tuple(f"{name} is another picture of the sample; it stays as it is" for name in more)
        return Sample(photo, files.files[files.photo][1], files, notes=notes)

    def _grouped(self) -> Iterator[tuple[Files, int]]:
        """Yield the files of each sample, and where they begin."""
        files, begin = None, 0
        for info in self._infos():
            folder, slash, base = info.name.rpartition("/")
            stem, dot, _ = base.partition(".")
            key = f"{folder}{slash}{stem}" if stem and dot else None
            if files is not None and (key is None or key != files.key):
                yield files, begin
                files = None
            if files is None:
                files, begin = Files(key), info.offset
            with self._readable():
                self._read(info, files)
        if files is not None:
            yield files, begin

    def _infos(self) -> Iterator[tarfile.TarInfo]:
        """Yield the headers of all but folders."""
        tar = self._tar
        offset = -1
        with self._readable():
            while (info := tar.next()) is not None:
                if info.size < 0 or tar.offset <= offset:  # older versions of Python would go round for ever
                    raise tarfile.ReadError("a header leads backwards")
                offset = tar.offset
                # It would come to hold the headers of the whole archive.
                tar.members = []  # type: ignore[attr-defined]
                if not info.isdir():
                    yield info
            # At a header that is corrupt or cut short, tarfile just ends.
            self._file.seek(tar.offset)
            if self._file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError(f"no end mark at byte {tar.offset}")
            while self._zipped and self._file.read(2**20):  # up to the check sum
                pass

    def _read(self, info: tarfile.TarInfo, files: Files) -> None:
        files.size += info.size
        if ELSEWHERE.search(info.name):
            problem = "is a name that leads elsewhere"
        elif not info.isreg() or info.issparse():
            problem = "is no regular file"
        elif files.size > MAX_BYTES:
            problem = f"would make it {files.size:,} bytes long; allowed are {MAX_BYTES:,}"
        else:
            problem = None
        if problem is not None:
            files.bad = files.bad or (info.name, f"{info.name!r} {problem}")
        if files.bad is not None:
            files.files.clear()
            return
        content = self._tar.extractfile(info)
        files.files.append((info, content.read() if content is not None else b""))

    @contextmanager
    def writer(self, path: Path) -> Iterator[TarWriter]:
        with (
            open(path, "wb") as file,
            _zipping(file) if self._zipped else nullcontext(file) as content,
            tarfile.TarFile(fileobj=content, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8") as tar,
        ):
            yield TarWriter(tar, self._recipe)


def _zipping(file: IO[bytes]) -> gzip.GzipFile:
    """Without a name or a time in its header, and quick: pictures do not get smaller."""
    return gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0)


class TarWriter:
    """Writes a shard; samples whose photo failed are left out."""

    def __init__(self, tar: tarfile.TarFile, recipe: Recipe) -> None:
        self._tar, self._recipe = tar, recipe

    def add(self, sample: Sample, made: Mapping[str, bytes] | None) -> None:
        files: Files = sample.rest
        if sample.has_photo and made is None:
            return
        for number, (info, data) in enumerate(files.files):
            if made is None or number != files.photo:
                self._add(info, info.name, data)
                continue
            if "dyed" not in made:
                self._add(info, info.name, data)
            for kind, name in files.outputs(self._recipe).items():
                self._add(info, name, made[kind])

    def _add(self, like: tarfile.TarInfo, name: str, data: bytes) -> None:
        info = copy.copy(like)
        info.name, info.size = name, len(data)
        # They would go before the name and the size.
        info.pax_headers = {key: value for key, value in like.pax_headers.items() if key not in ("path", "size")}
        self._tar.addfile(info, BytesIO(data))
