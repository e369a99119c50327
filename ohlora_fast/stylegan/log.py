"""The log of a fine-tuning run: reading it, its time axis, means over epochs."""

from __future__ import annotations

import math
import re
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ohlora_fast.errors import InputError
from ohlora_fast.media.csv_files import read_csv

Array = np.ndarray[Any, Any]

NEEDED = ("epoch", "idx", "d_loss", "g_loss", "real_fake_auroc")
COLUMNS = (
    "epoch", "idx", "d_loss", "g_loss", "d_train_count", "g_train_count", "real_scores_mean", "fake_scores_mean",
    "real_fake_auroc",
)  # fmt: skip
"""The recorded columns, in order; after them come the scores, ``mean_PROPERTY_score``."""
SCORE = re.compile(r"mean_(\w+)_score")


@dataclass(frozen=True)
class Log:
    """A run's log.

    Attributes:
        name: what tells the run from others.
        columns: name → one float64 per row, all finite; of those that are not in `NEEDED` any may be missing.
    """

    name: str
    columns: Mapping[str, Array]

    @cached_property
    def epoch(self) -> Array:
        """The epoch of each row, int64, from 0 on."""
        return self.columns["epoch"].astype(np.int64)

    @cached_property
    def time(self) -> Array:
        """When each row was written, in epochs since the start.

        The log does not tell how many batches an epoch has. Taken is the largest idx plus the usual step from one to
        the next, so that the rows are evenly spaced: recorded are 0, 50, …, 600, so 650; the truth was about 617.
        """
        idx = self.columns["idx"]
        steps = Counter(np.diff(idx)[np.diff(self.epoch) == 0].tolist())
        usual = max(steps, key=lambda step: (steps[step], step), default=1.0)
        return self.epoch + idx / (idx.max() + usual)

    @cached_property
    def full_epochs(self) -> list[int]:
        """The epochs with at least half as many rows as the median one: not the one row after the last, for example."""
        counts = Counter(self.epoch.tolist())
        usual = float(np.median(list(counts.values())))
        return sorted(epoch for epoch, count in counts.items() if count >= usual / 2)

    @property
    def properties(self) -> list[str]:
        """The properties that were scored, in the log's order."""
        return [match[1] for match in map(SCORE.fullmatch, self.columns) if match]

    def score(self, name: str) -> Array:
        """The mean score of a property at each row, in [0, 1]."""
        return self.columns[f"mean_{name}_score"]

    def within(self, epoch: int) -> Array:
        """Whether each row belongs to an epoch."""
        return np.equal(self.epoch, epoch)


def smoothed(time: Array, values: Array, width: float) -> Array:
    """The mean, at each point, of all values no further than half a width away; ``time`` ascends.

    >>> smoothed(np.arange(5.0), np.array([0.0, 0, 9, 0, 0]), 2.0).tolist()
    [0.0, 3.0, 3.0, 3.0, 0.0]
    """
    sums = np.concatenate(([0.0], np.cumsum(values)))
    low = np.searchsorted(time, time - width / 2 - 1e-9)
    high = np.searchsorted(time, time + width / 2 + 1e-9, side="right")
    means: Array = (sums[high] - sums[low]) / (high - low)
    return means


def find_log(run: str | Path) -> Path:
    """The log of a run: a CSV file, or ``log.csv`` in a folder.

    Raises:
        InputError: there is none.
    """
    run = Path(run)
    file = run / "log.csv" if run.is_dir() else run
    if not file.is_file():
        kind = "holds no log.csv" if run.is_dir() else "no such file or folder"
        raise InputError(f"{run}: {kind}; allowed is a fine-tuning log (CSV) or the folder of a run")
    return file


def default_name(run: str | Path) -> str:
    """What a run is called if nothing was said: its folder, or its file without suffix.

    >>> default_name("runs/v9/log.csv"), default_name("runs/v9"), default_name("logs/v8.csv")
    ('v9', 'v9', 'v8')
    """
    path = Path(run).resolve()
    return path.parent.name if path.name == "log.csv" else path.stem if path.suffix == ".csv" else path.name


def read_log(run: str | Path, name: str | None = None) -> Log:
    """Read a fine-tuning log.

    Rows with a value that is not finite are left out, with a warning; so is a last row that was cut short, as a kill
    may leave it. A column beyond `NEEDED` that is empty in every row counts as missing. Columns that are neither
    recorded ones nor scores are not looked at.

    Args:
        run: the CSV file, or the folder that holds it as ``log.csv``.
        name: of the run; by default its folder or file.

    Raises:
        InputError: there is no such file, it is no such log, a row does not fit the header, a cell is no number, the
            rows are not in order of time, or no row is left.
    """
    file = find_log(run)
    lines = [line for line in read_csv(file) if line]
    header, rows = (lines[0] if lines else []), lines[1:]
    if missing := [column for column in NEEDED if column not in header]:
        raise InputError(f"{file}: not a fine-tuning log, it lacks the columns {', '.join(missing)}")
    if rows and len(rows[-1]) < len(header):
        rows.pop()
        warnings.warn(f"{file}: the last row is cut short, and left out", stacklevel=2)
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise InputError(f"{file}: row {number} has {len(row)} cells, the header {len(header)}")
    wanted = [place for place, column in enumerate(header) if column in COLUMNS or SCORE.fullmatch(column)]
    columns = {
        header[place]: np.array(
            [number_in(file, number, header[place], row[place]) for number, row in enumerate(rows, 1)]
        )
        for place in wanted
        if header[place] in NEEDED or any(row[place].strip() for row in rows)
    }
    columns = finite_rows(file, columns)
    for column, low in (("epoch", "an epoch"), ("idx", "a batch")):
        values = columns[column]
        if (values < 0).any() or (values % 1).any():
            bad = values[(values < 0) | (values % 1 != 0)][0]
            raise InputError(f"{file}: {column}: got {bad:g}, allowed for {low} are whole numbers from 0 on")
    order = columns["epoch"] * (1 + columns["idx"].max()) + columns["idx"]
    if (back := np.flatnonzero(np.diff(order) <= 0)).size:
        epoch, idx = (int(columns[column][back[0] + 1]) for column in ("epoch", "idx"))
        raise InputError(f"{file}: epoch {epoch}, idx {idx} does not come after the row before it; expected is one run")
    return Log(name or default_name(file), columns)


def number_in(file: Path, number: int, column: str, cell: str) -> float:
    """A cell's number; nan if it is empty."""
    try:
        return float(cell) if cell.strip() else math.nan
    except ValueError:
        raise InputError(f"{file}: row {number}, {column}: got {cell!r}, expected a number") from None


def finite_rows(file: Path, columns: Mapping[str, Array]) -> dict[str, Array]:
    """The rows in which every number is finite; a warning tells of the others."""
    table = np.stack(list(columns.values()), axis=1)
    if not len(table):
        raise InputError(f"{file}: holds no rows yet; expected is a row for each test of the run")
    finite = np.isfinite(table).all(1)
    if not finite.all():
        row = int(np.flatnonzero(~finite)[0])
        column = list(columns)[int(np.flatnonzero(~np.isfinite(table[row]))[0])]
        what = f"row {row + 1}, {column}, is empty or not finite"
        count = int((~finite).sum())
        if count == len(table):
            raise InputError(f"{file}: {what}, and no row is without such a value")
        warnings.warn(f"{file}: {what}; {count} of {len(table)} rows are left out for that", stacklevel=3)
    return {name: values[finite] for name, values in columns.items()}
