"""Scores of many images: a CSV file of them that is taken up again, and the choice of images by score."""

from __future__ import annotations

import csv
import io
import math
import operator
import os
import re
import shutil
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ohlora_fast.errors import InputError
from ohlora_fast.media.files import written_whole
from ohlora_fast.stylegan.scorer_data import read_images

PATH, SCORERS = "path", "scorers"
"""The first and the last column; between them stands one for each property."""
OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt,
}  # fmt: skip
CONDITION = re.compile(r"\s*(\w+)\s*(>=|<=|>|<)\s*(\S+)\s*")
Scores = dict[str, float]
"""Property → score."""


@dataclass(frozen=True)
class Condition:
    """What a score must be for an image to be kept."""

    property: str
    sign: str
    bound: float

    def holds(self, scores: Mapping[str, float]) -> bool:
        """Whether an image with these scores is kept.

        >>> Condition("age", "<=", 0.1).holds({"age": 0.1})
        True
        """
        return OPERATORS[self.sign](scores[self.property], self.bound)


def parse_keep(text: str, properties: Sequence[str]) -> list[Condition]:
    """Read conditions, all of which must hold.

    Args:
        text: as ``gender>=0.9,age<=0.1``.
        properties: those that are scored.

    Raises:
        InputError: it cannot be read, a bound is not within 0 to 1, or a property is not scored.

    >>> parse_keep("gender>=0.9", ["gender"])
    [Condition(property='gender', sign='>=', bound=0.9)]
    """
    conditions = []
    for part in text.split(","):
        match = CONDITION.fullmatch(part)
        if not match:
            raise InputError(f"keep: got {part!r}, expected is PROPERTY>=BOUND, or with <=, > or <, joined by commas")
        name, sign, number = match.groups()
        try:
            bound = float(number)
        except ValueError:
            bound = math.nan
        if not 0 <= bound <= 1:
            raise InputError(f"keep: {name}: got the bound {number!r}, allowed are numbers from 0 to 1")
        if name not in properties:
            raise InputError(f"keep: got {name!r}, which no scorer scores; allowed are {', '.join(properties)}")
        conditions.append(Condition(name, sign, bound))
    return conditions


def score_images(model: nn.Module, images: Tensor, device: str = "cpu") -> Tensor:
    """The scores (N,) of uint8 images (N, 3, 256, 256), by an `Ensemble` on that device."""
    with torch.inference_mode():
        scores: Tensor = model(images.to(device).float() / 255)[:, 0]
    return scores.float().cpu()


class ScoreFile:
    """A CSV file of scores: path (absolute), one column a property, and which scorers gave them.

    It is rewritten whole, every few seconds and at the end, so that a kill loses only the last seconds' work.

    Args:
        path: the file; what it holds is taken up.
        properties: the columns.
        scorers: see `fingerprint`.

    Raises:
        InputError: what is there is no such file, has other columns, or is by other scorers.
    """

    def __init__(self, path: str | Path, properties: Sequence[str], scorers: str) -> None:
        self.path, self.scorers = Path(path), scorers
        self.columns = [PATH, *properties, SCORERS]
        self.scores: dict[str, Scores] = {}
        if not self.path.parent.is_dir():
            raise InputError(f"{self.path}: its folder does not exist")
        if self.path.exists():
            self.read()

    def read(self) -> None:
        try:
            with self.path.open(newline="", encoding="utf-8", errors="surrogateescape") as stream:
                lines = list(csv.reader(stream, strict=True))
        except (OSError, csv.Error) as error:
            raise InputError(f"{self.path}: exists, and is not readable as scores ({error})") from error
        if not lines or lines[0] != self.columns:
            found = ", ".join(lines[0]) if lines else "nothing"
            raise InputError(
                f"{self.path}: exists with the columns {found}, not with {', '.join(self.columns)}; give another file"
            )
        for number, row in enumerate(lines[1:], 1):
            try:
                path, *values, scorers = row
                scores = [float(value) for value in values]
            except ValueError as error:
                raise InputError(f"{self.path}: row {number} is damaged ({error})") from None
            if scorers != self.scorers:
                raise InputError(
                    f"{self.path}: row {number} is by the scorers {scorers}, not by {self.scorers}; give another file"
                )
            self.scores[path] = dict(zip(self.columns[1:-1], scores, strict=True))

    def write(self) -> None:
        """Write all scores.

        Raises:
            InputError: the folder is missing, or cannot be written.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        for path, scores in self.scores.items():
            writer.writerow([path, *(f"{scores[name]:.6f}" for name in self.columns[1:-1]), self.scorers])
        with written_whole(self.path) as file:
            file.write(text.getvalue().encode("utf-8", "surrogateescape"))


def score_files(
    paths: Sequence[str], models: Mapping[str, nn.Module], file: ScoreFile, batch: int = 16, device: str = "cpu",
    seconds: float = 10,
) -> Iterator[str | InputError]:  # fmt: skip
    """Score the images that the file does not hold yet, and tell of each: its path, or why it could not be read.

    The file is written every so many seconds, at the end, and if the caller stops asking.

    Args:
        paths: absolute paths of images.
        models: property → ensemble, on the device.
        file: gets the scores.
        batch: images at a time.
        device: where the models are.
        seconds: how often the file is written.

    Raises:
        InputError: a model gives what is no number, or the file cannot be written.
    """
    todo = [path for path in paths if path not in file.scores]
    written = time.monotonic()
    try:
        for start in range(0, len(todo), batch):
            chosen = todo[start : start + batch]
            read = list(zip(chosen, read_images(chosen), strict=True))
            good = [(path, image) for path, image in read if isinstance(image, Tensor)]
            if good:
                images = torch.stack([image for _, image in good])
                scored = {name: score_images(model, images, device) for name, model in models.items()}
                for name, scores in scored.items():
                    if not torch.isfinite(scores).all():
                        raise InputError(f"scorer of {name}: gives what is no number for {good[0][0]} or one after it")
                for place, (path, _) in enumerate(good):
                    # As it is written, so that a run that was taken up chooses the same images.
                    file.scores[path] = {name: round(float(scores[place]), 6) for name, scores in scored.items()}
            if time.monotonic() - written > seconds:
                file.write()
                written = time.monotonic()
            for path, image in read:
                yield image if isinstance(image, InputError) else path
    finally:
        file.write()


def keep(paths: Sequence[str], scores: Mapping[str, Scores], conditions: Sequence[Condition]) -> list[str]:
    """Those of the scored images that meet all conditions, in order.

    >>> keep(["/a", "/b", "/c"], {"/a": {"age": 0.2}, "/b": {"age": 0.0}}, [Condition("age", "<", 0.1)])
    ['/b']
    """
    return [path for path in paths if path in scores and all(one.holds(scores[path]) for one in conditions)]


def place_images(paths: Sequence[str], folder: str | Path, link: bool = False) -> None:
    """Copy images into a folder, or link to them from there; what lies there already is left as it is.

    They keep their names; where several share one, a checksum of each one's path comes before the suffix.

    Raises:
        InputError: the folder cannot be written, or a file there is another one of the same name.
    """
    folder = Path(folder)
    shared = Counter(os.path.basename(path) for path in paths)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in paths:
            source = Path(path)
            mark = "" if shared[source.name] == 1 else f"-{zlib.crc32(os.fsencode(path)):08x}"
            place_image(source, folder / f"{source.stem}{mark}{source.suffix}", link)
    except OSError as error:
        raise InputError(f"cannot write {folder}: {os.strerror(error.errno or 0)}") from error


def place_image(source: Path, target: Path, link: bool) -> None:
    """Put one image where it belongs, unless it is there."""
    if link and not os.path.lexists(target):
        target.symlink_to(source)
    elif not link and not os.path.lexists(target):
        with source.open("rb") as stream, written_whole(target) as file:
            shutil.copyfileobj(stream, file)
    elif target.is_symlink() != link or not (
        os.readlink(target) == str(source) if link else target.stat().st_size == source.stat().st_size
    ):
        raise InputError(
            f"{target}: exists, and is not a {'link to' if link else 'copy of'} {source}; give another folder"
        )


def write_kept(paths: Sequence[str], file: str | Path) -> None:
    """Write paths, a line each."""
    with written_whole(file) as stream:
        stream.write("".join(f"{path}\n" for path in paths).encode("utf-8", "surrogateescape"))
