"""Containers of photos: which there are, and what reads and writes them.

Of each kind a new one is written that has the old one's order, and what it holds beside the photos: `tar` are shards of
WebDataset, `parquet` tables with a column of pictures, `arrow` the files of a folder that Hugging Face's ``datasets``
saved.
"""

from __future__ import annotations

from typing import IO

from ohlora_fast.batch.containers.pictures import find_column, need_pyarrow
from ohlora_fast.batch.containers.sample import Container, Sample, Writer
from ohlora_fast.batch.containers.tar import TarContainer
from ohlora_fast.batch.dyer import open_source, reason
from ohlora_fast.batch.recipe import Recipe

__all__ = [
    "HF_DATASET",
    "KINDS",
    "Container",
    "Sample",
    "Writer",
    "images_in",
    "is_table_of_paths",
    "kind_of",
    "open_container",
]

KINDS = {".tar": "tar", ".tar.gz": "tar", ".tgz": "tar", ".parquet": "parquet", ".arrow": "arrow"}
"""Suffix → kind of container."""

HF_DATASET = frozenset({"state.json", "dataset_dict.json"})
"""A folder that Hugging Face's ``datasets`` saved holds one of these."""


def kind_of(name: str) -> str:
    """What a file of this name is.

    Example:
        >>> kind_of("a.jpg"), kind_of("deep/0000.TAR.gz"), kind_of("a.parquet")
        ('photo', 'tar', 'parquet')
    """
    return next((kind for suffix, kind in KINDS.items() if name.lower().endswith(suffix)), "photo")


def open_container(file: IO[bytes], kind: str, name: str, recipe: Recipe) -> Container:
    """Return the container in a file that can be sought.

    Args:
        file: at its begin; it stays open as long as the container is used.
        kind: one of those of `KINDS`.
        name: the file's path or URL.
        recipe: what is made of the photos, and where they are in a table.

    Raises:
        InputError: it is none, it has no column of pictures, or what reads it is not installed.

    Example:
        >>> import io, tarfile
        >>> file = io.BytesIO()
        >>> with tarfile.open(fileobj=file, mode="w") as tar:
        ...     for member in ("0001.jpg", "0001.json", "0002.jpg"):
        ...         tar.addfile(tarfile.TarInfo(member))
        >>> _ = file.seek(0)
        >>> [sample.name for sample in open_container(file, "tar", "0000.tar", Recipe()).samples()]
        ['0001.jpg', '0002.jpg']
    """
    if kind == "tar":
        return TarContainer(file, name, recipe)
    need_pyarrow(name)
    if kind == "parquet":
        from ohlora_fast.batch.containers.parquet import ParquetContainer

        return ParquetContainer(file, name, recipe)
    from ohlora_fast.batch.containers.arrow import ArrowContainer

    return ArrowContainer(file, name, recipe)


def images_in(source: str, kind: str, recipe: Recipe) -> tuple[int | None, str | None]:
    """How many photos a container holds, None if that takes reading it; and why it cannot be read, if that shows.

    Raises:
        InputError: what reads it is not installed.

    Example:
        >>> images_in("missing.tar", "tar", Recipe())
        (None, 'cannot read it: No such file or directory')
    """
    if kind != "tar":
        need_pyarrow(source)
    try:
        with open_source(source) as file:
            return open_container(file, kind, source, recipe).count(), None
    except Exception as error:  # whatever one container brings up, the others go on
        return None, reason(error, source)


def is_table_of_paths(path: str) -> bool:
    """Whether a Parquet file of this machine lists photos (a column ``path`` of text) rather than holding them.

    Raises:
        InputError: pyarrow is not installed.

    Example:
        >>> import tempfile, pyarrow, pyarrow.parquet
        >>> path = f"{tempfile.mkdtemp()}/list.parquet"
        >>> pyarrow.parquet.write_table(pyarrow.table({"path": ["a.jpg"], "color": [0.3]}), path)
        >>> is_table_of_paths(path)
        True
    """
    need_pyarrow(path)
    import pyarrow
    from pyarrow import parquet

    try:
        with open_source(path) as file:
            schema = parquet.ParquetFile(file).schema_arrow
    except Exception:  # what is wrong with it is said when it is opened as a container
        return False
    text = "path" in schema.names and schema.types[schema.names.index("path")] in (
        pyarrow.string(),
        pyarrow.large_string(),
    )
    return text and find_column(schema) is None
