"""Files of the folders that Hugging Face's ``datasets`` save: streams of Arrow, and tables of contents in JSON."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import posixpath
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import UnsupportedOperation
from pathlib import Path
from typing import IO

import pyarrow

from ohlora_fast.batch.containers.pictures import Pictures, RowWriter
from ohlora_fast.batch.containers.sample import Sample
from ohlora_fast.batch.dyer import open_source
from ohlora_fast.batch.outbox import filesystem, is_url
from ohlora_fast.batch.recipe import Recipe
from ohlora_fast.errors import InputError

END = b"\xff\xff\xff\xff\0\0\0\0"
"""The end mark of a stream."""


class ArrowContainer:
    """A stream of Arrow. Arguments and errors are those of `open_container`.

    One batch of the file is in memory at a time; ``datasets`` make them of 100 pictures.
    """

    def __init__(self, file: IO[bytes], name: str, recipe: Recipe) -> None:
        self._file, self._name, self._recipe = file, name, recipe
        if file.read(6) == b"ARROW1":
            raise InputError(f"cannot read {name}: it is Arrow's file format; allowed is its stream format")
        file.seek(0)
        with self._readable():
            self._stream = pyarrow.ipc.open_stream(file)
            # One that is cut short between two batches would pass for whole.
            begin = file.tell()
            file.seek(-len(END), os.SEEK_END)
            if file.read() != END:
                raise pyarrow.ArrowInvalid("no end mark")
            file.seek(begin)
        self._pictures = Pictures(self._stream.schema, name, recipe)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (pyarrow.ArrowException, OSError) as error:
            raise InputError(f"cannot read {self._name}: it is no Arrow file, corrupt or cut short ({error})") from None

    def count(self) -> int | None:
        try:
            descriptor = self._file.fileno()
        except (AttributeError, UnsupportedOperation):  # it is not of this machine
            return None
        with self._readable():
            # Of the file only the headers are read this way.
            mapped = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
            return sum(batch.num_rows for batch in pyarrow.ipc.open_stream(pyarrow.py_buffer(mapped)))

    def samples(self) -> Iterator[Sample]:
        first = 0
        with self._readable():
            for batch in self._stream:
                yield from self._pictures.samples(batch, first, True)
                first += batch.num_rows

    @contextmanager
    def writer(self, path: Path) -> Iterator[RowWriter]:
        with open(path, "wb") as file, pyarrow.ipc.new_stream(file, self._pictures.schema) as stream:
            yield RowWriter(self._pictures, lambda batch, _: stream.write_batch(batch))

    def beside(self, below: str) -> Mapping[str, bytes]:
        folder, parent = posixpath.dirname(below), posixpath.dirname(posixpath.dirname(below))
        beside = os.path.dirname(self._name)
        made = {}
        if (info := _content(beside, "dataset_info.json")) is not None:
            made[posixpath.join(folder, "dataset_info.json")] = self._extended(info)
        if (state := _content(beside, "state.json")) is not None:
            made[posixpath.join(folder, "state.json")] = self._restated(state)
        if folder and (splits := _content(os.path.dirname(beside), "dataset_dict.json")) is not None:
            made[posixpath.join(parent, "dataset_dict.json")] = splits
        return made

    def _extended(self, text: bytes) -> bytes:
        info = json.loads(text)
        if info.get("features"):
            info["features"] = self._pictures.features(info["features"])
        return json.dumps(info, indent=2).encode()

    def _restated(self, text: bytes) -> bytes:
        """With a fingerprint of its own: ``datasets`` find what they have cached by it."""
        state = json.loads(text)
        now = f"{state.get('_fingerprint')} {self._recipe} {self._recipe.digest()}"
        state["_fingerprint"] = hashlib.blake2b(now.encode(), digest_size=8).hexdigest()
        return json.dumps(state, indent=2).encode()


def _content(folder: str, name: str) -> bytes | None:
    """What is in a file, None if there is none."""
    path = posixpath.join(folder, name)
    if is_url(path):
        fs, place = filesystem(path)
        there = fs.exists(place)
    else:
        there = os.path.exists(path)
    if not there:
        return None
    with open_source(path) as file:
        return file.read()
