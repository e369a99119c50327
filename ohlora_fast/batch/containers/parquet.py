"""Parquet files with a column of pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow
from pyarrow import parquet

from ohlora_fast.batch.containers.pictures import Pictures, RowWriter
from ohlora_fast.batch.containers.sample import Sample
from ohlora_fast.batch.recipe import Recipe
from ohlora_fast.errors import InputError

ROWS = 16
"""Rows that are read together."""
GROUP_BYTES = 2**26
"""A group of rows is written when one of the file that was read ends, or when it has this many bytes."""


class ParquetContainer:
    """A Parquet file. Arguments and errors are those of `open_container`.

    In memory are some rows at a time and the page that they come from, which some writers make of 1024 pictures.
    """

    def __init__(self, file: IO[bytes], name: str, recipe: Recipe) -> None:
        self._name = name
        with self._readable():
            # Groups of rows may be large: they are not read as a whole.
            self._file = parquet.ParquetFile(file, buffer_size=2**20, pre_buffer=False)
        self._pictures = Pictures(self._file.schema_arrow, name, recipe)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (pyarrow.ArrowException, OSError) as error:
            raise InputError(
                f"cannot read {self._name}: it is no Parquet file, corrupt or cut short ({error})"
            ) from None

    def count(self) -> int | None:
        return int(self._file.metadata.num_rows)

    def beside(self, below: str) -> Mapping[str, bytes]:
        return {}

    def samples(self) -> Iterator[Sample]:
        first = 0
        with self._readable():
            for group in range(self._file.num_row_groups):
                left = self._file.metadata.row_group(group).num_rows
                for batch in self._file.iter_batches(ROWS, row_groups=[group], use_threads=False):
                    left -= batch.num_rows
                    yield from self._pictures.samples(batch, first, left == 0)
                    first += batch.num_rows

    @contextmanager
    def writer(self, path: Path) -> Iterator[RowWriter]:
        held: list[Any] = []

        def write(batch: Any, ends_group: bool) -> None:
            held.append(batch)
            if ends_group or sum(one.nbytes for one in held) >= GROUP_BYTES:
                flush()

        def flush() -> None:
            if held:
                writer.write_table(pyarrow.Table.from_batches(held))
                held.clear()

        schema = self._pictures.schema
        with parquet.ParquetWriter(str(path), schema, **self._options()) as writer:
            yield RowWriter(self._pictures, write)
            flush()

    def _options(self) -> dict[str, Any]:
        """Compression and dictionaries of each column, as they were."""
        # Pages end between these: with more of them at a time, pages of large pictures would be huge.
        options: dict[str, Any] = {"write_batch_size": ROWS}
        if not self._file.num_row_groups:
            return options
        own = self._file.schema_arrow.names[self._pictures.number]
        group = self._file.metadata.row_group(0)
        compression, dictionaries = {}, []
        for column in map(group.column, range(group.num_columns)):
            codec = {"UNCOMPRESSED": "NONE"}.get(column.compression, column.compression)
            compression[column.path_in_schema] = codec
            name, dot, rest = column.path_in_schema.partition(".")
            if name == own:
                compression |= {f"{kind}{dot}{rest}": codec for kind in self._pictures.added}
            elif any("DICTIONARY" in encoding for encoding in column.encodings):
                dictionaries.append(column.path_in_schema)
        return {**options, "compression": compression, "use_dictionary": dictionaries}
