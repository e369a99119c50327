"""Soft labels as recorded: faces of 224×224 beside their hair probabilities, with a ledger of which image is which.

A folder of soft labels holds, for each image,

- ``face_000000.png``: the RGB image squashed to 224×224 (bicubic, as the teacher was trained); alpha is dropped;
- ``parsing_hair_label_000000.png``: grey, the hair probability p as 255·p, rounded to the nearest;
- and a row of ``labels.csv``: index, path, source (the file name up to the first underscore), and the teacher: its
  name, its file's SHA-256 and its settings.

The row is written before the first image is labelled, and binds an index to an image for good. A row whose two files
are not there is still to be done, or its image could not be read. Every file is written whole or not at all.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from ohlora_fast.errors import InputError
from ohlora_fast.media.files import written_whole
from ohlora_fast.media.images import read_photo, write_photo
from ohlora_fast.media.overlay import mask_pixels
from ohlora_fast.student import SIZE
from ohlora_fast.teacher.engines import Teacher

LEDGER = "labels.csv"
FACE, LABEL = "face_", "parsing_hair_label_"
"""How the names of the two files begin; an index follows."""
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Row:
    """A line of the ledger. ``path`` is absolute."""

    index: int
    path: str
    source: str
    teacher: str
    sha256: str
    settings: str

    def files(self, folder: Path) -> tuple[Path, Path]:
        """The face and its label.

        >>> [path.name for path in Row(7, "/a.png", "a", "t", "0", "").files(Path("out"))]
        ['face_000007.png', 'parsing_hair_label_000007.png']
        """
        return folder / f"{FACE}{self.index:06d}.png", folder / f"{LABEL}{self.index:06d}.png"


@dataclass(frozen=True)
class Outcome:
    """What became of one image: nothing more to say, or notes on it, or why it could not be read."""

    row: Row
    notes: tuple[str, ...] = ()
    failure: str | None = None


COLUMNS = tuple(field.name for field in fields(Row))


def plan_labels(images: Sequence[str | Path], folder: str | Path, teacher: Teacher) -> tuple[list[Row], list[Row]]:
    """Give every image its index, write the ledger, and return all of these images' rows and those still to be done.

    Images that the ledger holds keep their index; new ones follow in the order given. The folder is made.

    Raises:
        InputError: the ledger is another teacher's or cannot be read, an image lies in the folder itself, or the folder
            cannot be written.
    """
    folder = Path(folder)
    paths = list(dict.fromkeys(os.path.abspath(image) for image in images))
    for path in paths:
        if os.path.realpath(os.path.dirname(path)) == os.path.realpath(folder):
            raise InputError(f"folder: {folder} came, which holds the image {path}; allowed is another folder")
    rows = {row.path: row for row in read_ledger(folder)}
    for row in rows.values():
        if (row.sha256, row.settings) != (teacher.sha256, teacher.settings):
            raise InputError(
                f"{folder / LEDGER}: is by the teacher {row.teacher} ({row.sha256[:12]}, {row.settings}), not by "
                f"{teacher.name} ({teacher.sha256[:12]}, {teacher.settings}); give another folder"
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".ohlora-*.tmp"):  # by a run that was killed while it wrote
            left.unlink()
    except OSError as error:
        raise InputError(f"cannot make the folder {folder}: {os.strerror(error.errno or 0)}") from error
    known = len(rows)
    following = max((row.index for row in rows.values()), default=-1) + 1
    for path in paths:
        if path not in rows:
            source = Path(path).stem.split("_")[0]
            rows[path] = Row(following, path, source, teacher.name, teacher.sha256, teacher.settings)
            following += 1
    if len(rows) > known:
        write_ledger(folder, list(rows.values()))
    asked = [rows[path] for path in paths]
    return asked, [row for row in asked if not all(file.exists() for file in row.files(folder))]


def read_ledger(folder: str | Path) -> list[Row]:
    """Read ``labels.csv``, or return [] if there is none.

    Raises:
        InputError: it is damaged.
    """
    path = Path(folder) / LEDGER
    if not path.exists():
        return []
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            header, *lines = csv.reader(file)
        if tuple(header) != COLUMNS:
            raise InputError(f"{path}: has the columns {','.join(header)}, expected {','.join(COLUMNS)}")
        rows = [Row(int(index), *rest) for index, *rest in lines]
    except (ValueError, TypeError, csv.Error, OSError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a readable ledger of soft labels ({error})") from error
    if len({row.index for row in rows}) < len(rows) or len({row.path for row in rows}) < len(rows):
        raise InputError(f"{path}: holds an index or an image twice")
    return rows


def write_ledger(folder: str | Path, rows: Sequence[Row]) -> None:
    """Write ``labels.csv``, whole or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(map(astuple, rows))
    with written_whole(Path(folder) / LEDGER) as file:
        file.write(text.getvalue().encode("utf-8", "surrogateescape"))


def write_labels(rows: Sequence[Row], folder: str | Path, teacher: Teacher, batch: int = 8) -> Iterator[Outcome]:
    """Label the images of `rows` in batches, and tell of each when its two files are written.

    An image that cannot be read is told of and passed over.

    Raises:
        InputError: the teacher fails, or the folder cannot be written: neither will do better with the next image.
    """
    folder = Path(folder)
    for start in range(0, len(rows), batch):
        read: list[tuple[Row, Array, Array, tuple[str, ...]]] = []
        for row in rows[start : start + batch]:
            try:
                photo = read_photo(row.path)
            except InputError as error:
                yield Outcome(row, failure=str(error))
                continue
            face = resized(photo.pixels, (SIZE, SIZE))
            seen = face if teacher.size == (SIZE, SIZE) else resized(photo.pixels, teacher.size)
            read.append((row, face, seen, photo.notes))
        if not read:
            continue
        probs = teacher.predict(np.stack([seen for _, _, seen, _ in read]))
        if not np.isfinite(probs).all():
            raise InputError(f"teacher {teacher.name}: gives what is no number for {read[0][0].path} or one after it")
        for (row, face, _, notes), prob in zip(read, probs, strict=True):
            face_file, label_file = row.files(folder)
            write_photo(face_file, face, overwrite=True)
            write_photo(label_file, mask_pixels(to_face(prob)), overwrite=True)
            yield Outcome(row, notes)


def resized(pixels: Array, size: tuple[int, int]) -> Array:
    """Squash uint8 pixels (H, W, 3 or 4) to RGB of another height and width, bicubic, wider when shrinking (Pillow's).

    >>> resized(np.zeros((9, 7, 4), np.uint8), (224, 224)).shape
    (224, 224, 3)
    """
    image = Image.fromarray(np.ascontiguousarray(pixels[..., :3]))
    return np.asarray(image.resize(size[::-1], Image.Resampling.BICUBIC))


def to_face(prob: Array) -> Array:
    """Resize probabilities (h, w) to (224, 224): averaged when shrinking, else bilinear, so that none leaves [0, 1]."""
    if prob.shape == (SIZE, SIZE):
        return prob
    method = cv2.INTER_AREA if min(prob.shape) > SIZE else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(prob), (SIZE, SIZE), interpolation=method).clip(0, 1)
