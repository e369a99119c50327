"""The column of a table that holds the photos, and the columns that are made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from ohlora_fast.batch.containers.sample import Sample
from ohlora_fast.batch.recipe import Recipe
from ohlora_fast.errors import InputError

NAMES = ("image", "img", "photo", "picture", "jpg", "png")
"""What such a column is called, the likeliest first."""


def need_pyarrow(name: str) -> None:
    """Check that Parquet and Arrow files can be read.

    Raises:
        InputError: pyarrow is not installed.
    """
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise InputError(f"cannot read {name}: it takes pyarrow; install ohlora-fast[batch]") from None


def find_column(schema: Any) -> int | None:
    """Number of the column that holds pictures: by its name, else the only one of such a type; None: there is none.

    Example:
        >>> import pyarrow
        >>> find_column(pyarrow.schema({"label": pyarrow.int64(), "jpg": pyarrow.binary(), "thumb": pyarrow.binary()}))
        1
    """
    fitting = [number for number, type_ in enumerate(schema.types) if holds_files(type_)]
    named = [number for name in NAMES for number in fitting if schema.names[number] == name]
    if named:
        return named[0]
    return fitting[0] if len(fitting) == 1 else None


def holds_files(type_: Any) -> bool:
    """Whether values of a type may be files: bytes, or as Hugging Face's ``datasets`` keep them, bytes and a path.

    Example:
        >>> import pyarrow
        >>> binary, text = pyarrow.binary(), pyarrow.string()
        >>> holds_files(binary), holds_files(text), holds_files(pyarrow.struct({"bytes": binary, "path": text}))
        (True, False, True)
    """
    import pyarrow

    binary, text = (pyarrow.binary(), pyarrow.large_binary()), (pyarrow.string(), pyarrow.large_string())
    if not pyarrow.types.is_struct(type_):
        return type_ in binary
    fields = {type_.field(number).name: type_.field(number).type for number in range(type_.num_fields)}
    return fields.keys() == {"bytes", "path"} and fields["bytes"] in binary and fields["path"] in text


@dataclass(frozen=True)
class Row:
    """Where a photo comes from.

    Attributes:
        batch: rows that were read together.
        number: of the row, in it.
        ends_group: whether a group of rows of the file ends with the batch.
    """

    batch: Any
    number: int
    ends_group: bool


class Pictures:
    """The column of pictures in tables of a schema.

    Args:
        schema: of the table that is read.
        name: stands for the file in messages.
        recipe: what is made of the photos.

    Attributes:
        schema: of the table that is made: "dyed" goes into the column itself, "mask" and "overlay" into new ones.
        added: the names of these.

    Raises:
        InputError: it has no column of pictures, or one is called as a new one would be.

    Example:
        >>> import pyarrow
        >>> pictures = Pictures(pyarrow.schema({"jpg": pyarrow.binary()}), "a.parquet", Recipe(save=("dyed", "mask")))
        >>> pictures.schema.names
        ['jpg', 'mask']
    """

    def __init__(self, schema: Any, name: str, recipe: Recipe) -> None:
        self._recipe = recipe
        self.number = _chosen(schema, name, recipe.column)
        self._field = schema.field(self.number)
        self._dyes = "dyed" in recipe.save
        self.added = [kind for kind in recipe.save if kind != "dyed"]
        for kind in self.added:
            if kind in schema.names:
                raise InputError(f"cannot read {name}: it has a column named {kind} already, which would be added")
        field = self._field.with_nullable(True)
        if self._dyes:
            schema = schema.set(self.number, field)
        for kind in self.added:
            schema = schema.append(field.with_name(kind))
        self.schema = schema.with_metadata(self._metadata(schema.metadata))

    def _metadata(self, metadata: Any) -> Any:
        """Tell Hugging Face's ``datasets`` of the new columns."""
        import json

        try:
            info = json.loads(metadata[b"huggingface"])
            info["info"]["features"] = self.features(info["info"]["features"])
        except (KeyError, TypeError, ValueError):  # it does not come from there
            return metadata
        return {**metadata, b"huggingface": json.dumps(info).encode()}

    def features(self, features: Mapping[str, Any]) -> dict[str, Any]:
        """The features, as Hugging Face's ``datasets`` call a table's columns, of the table that is made."""
        like = features.get(self._field.name)
        if like is None:
            return dict(features)
        if isinstance(like, dict) and like.get("_type") == "Image":
            like = {"_type": "Image"}  # without a mode: a mask is grey, and pictures become RGB
        return {**features, **{kind: like for kind in self.added}}

    def samples(self, batch: Any, first: int, ends_group: bool) -> Iterator[Sample]:
        """Yield the photos of some rows, of which the first is number `first` of the file."""
        batch.validate(full=True)  # of hostile offsets, too
        column = batch.column(self.number)
        for number in range(batch.num_rows):
            value, path = self._value(column[number])
            error = None
            if value is None and path is not None:
                error = f"its bytes are not in the file, only the path {path!r}"
            yield Sample(f"row {first + number}", value, Row(batch, number, ends_group), error)

    def _value(self, scalar: Any) -> tuple[bytes | None, str | None]:
        value = scalar.as_py()
        return (value["bytes"], value["path"]) if isinstance(value, dict) else (value, None)

    def remade(self, batch: Any, made: list[Mapping[str, bytes] | None]) -> Any:
        """The rows with what was made of each photo, which is null where that is None."""
        import pyarrow

        columns = batch.columns
        for kind in self._recipe.save:
            cells = [
                None if one is None else self._cell(kind, one[kind], old)
                for one, old in zip(made, batch.column(self.number), strict=True)
            ]
            array = pyarrow.array(cells, self._field.type)
            if kind == "dyed":
                columns[self.number] = array
            else:
                columns.append(array)
        return pyarrow.record_batch(columns, schema=self.schema)

    def _cell(self, kind: str, data: bytes, old: Any) -> Any:
        value = old.as_py()
        if not isinstance(value, dict):
            return data
        return {"bytes": data, "path": _renamed(value["path"], kind, self._recipe.suffix)}


def _chosen(schema: Any, name: str, wanted: str | None) -> int:
    columns = ", ".join(f"{field.name} ({field.type})" for field in schema)
    if wanted is not None:
        if wanted not in schema.names or not holds_files(schema.types[schema.names.index(wanted)]):
            raise InputError(f"column: got {wanted!r}, allowed is one of pictures; {name} has {columns}")
        return int(schema.names.index(wanted))
    number = find_column(schema)
    if number is None:
        raise InputError(
            f"cannot read {name}: which column holds pictures? It has {columns}; allowed is one of bytes named "
            f"{', '.join(NAMES)}, or chosen by --column"
        )
    return number


def _renamed(path: str | None, kind: str, suffix: str | None) -> str | None:
    """What a picture is called that was made of one called `path`."""
    if not path:
        return path
    old = PurePosixPath(path)
    ending = ".png" if kind == "mask" else suffix or old.suffix
    return path[: len(path) - len(old.suffix)] + ("" if kind == "dyed" else f"_{kind}") + ending


class RowWriter:
    """Collects what becomes of rows that were read together, and hands them on.

    Args:
        pictures: their column.
        write: takes the new rows, and whether a group of rows ends with them.
    """

    def __init__(self, pictures: Pictures, write: Callable[[Any, bool], None]) -> None:
        self._pictures, self._write = pictures, write
        self._made: list[Mapping[str, bytes] | None] = []

    def add(self, sample: Sample, made: Mapping[str, bytes] | None) -> None:
        row: Row = sample.rest
        self._made.append(made)
        if len(self._made) == row.batch.num_rows:
            self._write(self._pictures.remade(row.batch, self._made), row.ends_group)
            self._made = []
