"""What a set consists of: files found in folders, by globs, in lists and tables, on this machine or behind URLs."""

from __future__ import annotations

import csv
import glob
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from ohlora_fast.batch.containers import HF_DATASET, images_in, is_table_of_paths, kind_of
from ohlora_fast.batch.entry import Entry, Namings
from ohlora_fast.batch.outbox import filesystem, is_url, os_reason, place_of
from ohlora_fast.batch.recipe import Recipe
from ohlora_fast.batch.task import Task
from ohlora_fast.errors import InputError
from ohlora_fast.media.globs import fixed_part, matches
from ohlora_fast.media.images import FORMATS
from ohlora_fast.ombre import Ombre

COLUMNS = ("path", "color", "ombre_height", "ombre_grad_height")
LONGEST = 8192
"""Characters that a path in a list may have; file systems and stores allow fewer."""


@dataclass(frozen=True)
class Found:
    """A file of the set.

    Attributes:
        source: path or URL.
        below: its place below the output folder, with slashes.
        settings: of this photo, where a table gives them; fields that it leaves out come from the recipe.
        error: why it cannot be looked at: it is a folder that is locked.
        listed: whether a list or table names it.
    """

    source: str
    below: str
    settings: tuple[float | None, float | None, float | None] = (None, None, None)
    error: str | None = None
    listed: bool = False


def find(
    inputs: Sequence[str], recursive: bool, out: str, note: Callable[[str, str], None] = lambda name, text: None
) -> Iterator[Found]:
    """Yield the files that inputs stand for, in the order given, names within a folder sorted.

    An input is a photo, a container (``.tar``, ``.tar.gz``, ``.parquet`` with an image column, ``.arrow``), a folder, a
    glob, a text file with a path a line (``.txt``), a table with a column ``path`` and maybe the settings (``.csv``,
    ``.parquet``), or a URL of any of these.
    Folders give what has a picture's suffix and is not hidden; nothing comes from the output folder. A folder that
    Hugging Face's ``datasets`` saved gives its Arrow files. What a glob gives keeps its place below the glob's part
    without signs: ``photos/*/a.jpg`` the names of folders in ``photos``.

    Args:
        inputs: as above.
        recursive: go into the folders of a folder.
        out: the output folder.
        note: is told of what is left out: its name, and a phrase.

    Raises:
        InputError: nothing matches, or a folder or list cannot be read.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / "a.jpg").touch()
        >>> [found.below for found in find([str(folder)], False, "out")]
        ['a.jpg']
    """
    for text in inputs:
        if not text:
            raise InputError("an empty name came as an input")
        if "\0" in text:
            raise InputError(f"{text!r} came as an input, which no file can be called")
        if is_url(text):
            yield from _find_remote(text, recursive, out)
        elif os.path.lexists(text) or not glob.has_magic(text):
            yield from _find_local(text, recursive, out, note)
        else:
            for match, folder in matches(text):
                for found in _find_local(match, recursive, out, note):
                    yield found if found.listed else replace(found, below=(folder / found.below).as_posix())


def _find_local(path: str, recursive: bool, out: str, note: Callable[[str, str], None]) -> Iterator[Found]:
    suffix = Path(path).suffix.lower()
    if os.path.isdir(path):
        yield from _walk(path, recursive, out, note)
    elif suffix in (".txt", ".csv") or (suffix == ".parquet" and is_table_of_paths(path)):
        yield from _listed(path, suffix)
    else:
        yield Found(path, os.path.basename(path))


def _walk(top: str, recursive: bool, out: str, note: Callable[[str, str], None]) -> Iterator[Found]:
    made, start = os.path.realpath(out), os.path.realpath(top)
    locked: list[OSError] = []
    for parent, folders, files in os.walk(top, onerror=locked.append):
        deep = recursive or HF_DATASET.intersection(files)
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if deep else []
        if os.path.realpath(parent) == made != start:
            folders.clear()
            continue
        for name in folders:
            if os.path.islink(path := os.path.join(parent, name)):
                note(path, "it is a link to a folder, which is not followed")
        for name in sorted(files):
            if _is_wanted(name, "state.json" in files):
                path = os.path.join(parent, name)
                yield Found(path, os.path.relpath(path, top).replace(os.sep, "/"))
    for error in locked:
        reason = f"cannot read it: {os_reason(error)}"
        if error.filename == top:
            raise InputError(f"cannot read {top}: {os_reason(error)}")
        yield Found(error.filename, os.path.relpath(error.filename, top).replace(os.sep, "/"), error=reason)


def _is_wanted(name: str, saved: bool) -> bool:
    """Whether a folder gives a file; `saved`: Hugging Face's ``datasets`` have saved the folder, and cache in it."""
    suffix = os.path.splitext(name)[1].lower()
    if saved:
        return suffix == ".arrow" and not name.startswith("cache-")
    return suffix in FORMATS and not name.startswith(".")


def _find_remote(url: str, recursive: bool, out: str) -> Iterator[Found]:
    fs, path = filesystem(url)
    made = filesystem(out)[1] if is_url(out) else None
    try:
        if glob.has_magic(path):
            names, top, chosen = sorted(fs.glob(path)), fixed_part(path), True
        elif fs.isdir(path):
            saved = HF_DATASET.intersection(PurePosixPath(name).name for name in fs.ls(path, detail=False))
            names, top, chosen = sorted(fs.find(path, maxdepth=None if recursive or saved else 1)), path, False
        else:
            yield Found(url, PurePosixPath(path).name)
            return
    except Exception as error:  # what opens URLs raises what it likes
        raise InputError(f"cannot read {url}: {os_reason(error)}") from None
    if not names:
        raise InputError(f"nothing matches {url}")
    states = {name.rpartition("/")[0] for name in names if name.endswith("/state.json")}
    for name in names:
        below = name[len(top) :].lstrip("/")
        if not chosen:
            inside = made is not None and made != top and name.startswith(f"{made}/")
            hidden = any(part.startswith(".") for part in below.split("/"))
            folder, _, base = name.rpartition("/")
            if inside or hidden or not _is_wanted(base, folder in states):
                continue
        yield Found(fs.unstrip_protocol(name), below)


def _listed(path: str, suffix: str) -> Iterator[Found]:
    """The files that a list or table names, relative to its own folder."""
    folder = os.path.dirname(path)
    rows = {".txt": _lines, ".csv": _csv_rows, ".parquet": _parquet_rows}[suffix](path)
    for number, row in rows:
        name = row["path"]
        if "\0" in name or len(name) > LONGEST:
            came = "a NUL character" if "\0" in name else f"{len(name):,} characters"
            raise InputError(
                f"{path}, {'row' if suffix == '.parquet' else 'line'} {number}: the path has {came}; allowed are "
                f"paths of at most {LONGEST:,} characters, in UTF-8"
            )
        settings = tuple(_setting(path, number, column, row.get(column)) for column in COLUMNS[1:])
        source = name if is_url(name) else os.path.join(folder, name)
        yield Found(source, _place(name), (settings[0], settings[1], settings[2]), listed=True)


def _place(name: str) -> str:
    """Where an output goes whose input is called so: below the output folder, whatever the name tries."""
    plain = name.partition("://")[2] if is_url(name) else os.path.normpath(name)
    parts = [part for part in plain.replace(os.sep, "/").split("/") if part not in ("", ".", "..")]
    return "/".join(part.replace(":", "_") for part in parts)


def _lines(path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    with _open_list(path) as file:
        number = 0
        while line := file.readline(LONGEST + 3):  # a file without ends of lines is not read as a whole
            number += 1
            if line.strip("\r\n"):
                yield number, {"path": line.strip("\r\n")}


def _csv_rows(path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    with _open_list(path) as file:
        reader = csv.DictReader(file)
        yield from _checked_rows(path, reader)


def _checked_rows(path: str, reader: csv.DictReader[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        if "path" not in (reader.fieldnames or ()):
            raise InputError(f"{path}: got the columns {', '.join(reader.fieldnames or ())}, allowed is one named path")
        for row in reader:
            if not row["path"]:
                raise InputError(f"{path}, line {reader.line_num}: the path is empty")
            yield reader.line_num, row
    except csv.Error as error:  # a field of more than 131,072 characters, say
        raise InputError(f"{path}, line {reader.line_num + 1}: cannot be read as CSV ({error})") from None


def _parquet_rows(path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    import pyarrow
    from pyarrow import parquet

    try:
        yield from _read_rows(path, parquet.ParquetFile(path))
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"cannot read {path}: it is no Parquet file, corrupt or cut short ({error})") from None


def _read_rows(path: str, file: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    columns = [name for name in file.schema_arrow.names if name in COLUMNS]
    number = 0
    for batch in file.iter_batches(columns=columns):
        for row in batch.to_pylist():
            number += 1
            if not row["path"]:
                raise InputError(f"{path}, row {number}: the path is empty")
            yield number, row


def _open_list(path: str) -> IO[str]:
    try:
        # A file name may be no UTF-8, and a spreadsheet may have put a mark before it.
        return open(path, encoding="utf-8-sig", errors="surrogateescape", newline="" if path.endswith("csv") else None)
    except OSError as error:
        raise InputError(f"cannot read {path}: {os.strerror(error.errno or 0)}") from None


def _setting(path: str, number: int, column: str, value: Any) -> float | None:
    if value is None or value == "":
        return None
    try:
        number_ = float(value)
    except (TypeError, ValueError):
        number_ = -1.0
    if not 0 <= number_ <= 1:
        raise InputError(f"{path}, row {number}: {column}: got {value!r}, allowed is a number from 0 to 1")
    return number_


def entries(found: Iterable[Found], recipe: Recipe) -> Iterator[Entry]:
    """Turn files into what the manifest enters."""
    for one in found:
        kind = kind_of(one.below)
        drawn = recipe.settings(one.below)
        values = (drawn.color, drawn.ombre_height, drawn.ombre_grad_height)
        settings = tuple(own if given is None else given for given, own in zip(one.settings, values, strict=True))
        fingerprint, error = _fingerprint(one.source) if one.error is None else ("", one.error)
        here = None if is_url(one.source) else place_of(one.source)
        if kind == "photo":
            namings = photo_namings(one.below, recipe)
        else:
            namings = [(one.below,)]
            # Settings of the members come from the recipe, not from their file's name.
            settings = Ombre.color, Ombre.ombre_height, Ombre.ombre_grad_height
            fingerprint += f" {recipe.color} {recipe.ombre_height} {recipe.ombre_grad_height} {recipe.seed}"
        task = Task(one.source, kind, one.below, (), (settings[0], settings[1], settings[2]))
        if kind == "photo":
            yield Entry(task, fingerprint, namings, here, error=error, listed=one.listed)
        else:
            images = partial(images_in, one.source, kind, recipe)
            yield Entry(task, fingerprint, namings, here, images, error, one.listed)


def photo_namings(below: str, recipe: Recipe) -> Namings:
    """Names for what is made of a photo: the plain ones, and those for when something else has them.

    Example:
        >>> photo_namings("deep/a.jpg", Recipe(save=("dyed", "mask"), suffix=".png"))
        [('deep/a.png', 'deep/a_mask.png'), ('deep/a.jpg.png', 'deep/a.jpg_mask.png')]
    """
    path = PurePosixPath(below)
    known = path.suffix.lower() in FORMATS
    own = path.suffix if known else ".png"
    suffix = recipe.suffix or own
    plain, full = (path.stem if known else path.name), path.name

    def names(base: str) -> tuple[str, ...]:
        endings = {"dyed": suffix, "mask": "_mask.png", "overlay": f"_overlay{suffix}"}
        return tuple(str(path.with_name(base + endings[kind])) for kind in recipe.save)

    return [names(plain), names(full)]


def _fingerprint(source: str) -> tuple[str, str | None]:
    """What changes when a file does; and why it cannot be read, if that shows already."""
    try:
        if is_url(source):
            fs, path = filesystem(source)
            return str(fs.ukey(path)), None
        status = os.stat(source)
        return f"{status.st_size} {status.st_mtime_ns}", None
    except InputError as error:
        return "", str(error)
    except Exception as error:  # what opens URLs raises what it likes
        return "", f"cannot read it: {os_reason(error)}"
