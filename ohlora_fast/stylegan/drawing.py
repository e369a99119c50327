"""What a picture begins with: latent, label and noise, drawn from a seed and the picture's number, and nothing else.

So picture 17 of seed 0 is the same whichever others are made beside it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ohlora_fast.errors import InputError
from ohlora_fast.media.csv_files import read_csv
from ohlora_fast.stylegan.generator import LATENT
from ohlora_fast.stylegan.layers import LABELS

Z, LABEL, NOISE = range(3)
"""What is drawn, each independently of the others."""
ALLOWED = f"allowed are zeros, random, {LABELS} numbers with commas between, or a CSV file of {LABELS} numbers a row"


@dataclass(frozen=True)
class Labels:
    """Which label each picture has.

    Attributes:
        name: ``"zeros"``, ``"random"``, the numbers, or a checksum of the rows: what tells one choice from another.
        rows: one row for all pictures, or one each; none where the name says all.
    """

    name: str = "zeros"
    rows: tuple[tuple[float, ...], ...] = ()

    def of(self, seed: int, indices: Sequence[int]) -> Tensor:
        """Labels (N, 7) of the pictures with these numbers.

        Raises:
            InputError: there are several rows, and none for one of the pictures.

        >>> Labels("table", ((0.0,) * 7, (1.0,) * 7)).of(0, [1]).tolist()
        [[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]]
        """
        if self.name == "random":
            return drawn(seed, indices, LABEL, LABELS)
        if not self.rows:
            return torch.zeros(len(indices), LABELS)
        if len(self.rows) == 1:
            return torch.tensor(self.rows).repeat(len(indices), 1)
        if max(indices, default=0) >= len(self.rows):
            raise InputError(
                f"labels: {len(self.rows)} rows came, and none is for picture {max(indices)}, numbered from 0; "
                "allowed are one row for each picture, or one for all"
            )
        return torch.tensor([self.rows[index] for index in indices])


def parse_labels(text: str) -> Labels:
    """Read which labels are wanted.

    Args:
        text: ``zeros``; ``random``, of N(0, 1); seven numbers with commas between, for all pictures; or a CSV file of
            seven numbers a row, for the pictures in order. Its first row may name the columns.

    Raises:
        InputError: none of these.

    >>> parse_labels("0,0,1,0,0,0,-2").rows
    ((0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -2.0),)
    """
    if text in ("zeros", "random"):
        return Labels(text)
    cells = text.split(",")
    if (row := numbers(cells)) is not None:
        if len(row) != LABELS:
            raise InputError(f"labels: {len(row)} numbers came, {text!r}; {ALLOWED}")
        return Labels(text, (row,))
    rows = read_rows(Path(text))
    return Labels(hashlib.sha256(repr(rows).encode()).hexdigest()[:12], rows)


def read_rows(file: Path) -> tuple[tuple[float, ...], ...]:
    """The rows of a CSV file of labels.

    Raises:
        InputError: it cannot be read, has no rows, or a row is not of seven numbers.
    """
    if not file.is_file():
        raise InputError(f"labels: {str(file)!r} came, and there is no such file; {ALLOWED}")
    lines = [(number, line) for number, line in enumerate(read_csv(file), 1) if line]
    if lines and numbers(lines[0][1]) is None:
        lines = lines[1:]
    rows = []
    for number, line in lines:
        row = numbers(line)
        if row is None or len(row) != LABELS:
            raise InputError(f"{file}: row {number} is {','.join(line)[:60]!r}; allowed are {LABELS} numbers")
        rows.append(row)
    if not rows:
        raise InputError(f"{file}: holds no labels; allowed are rows of {LABELS} numbers")
    return tuple(rows)


def numbers(cells: Sequence[str]) -> tuple[float, ...] | None:
    """Cells as finite numbers, or None."""
    try:
        row = tuple(map(float, cells))
    except ValueError:
        return None
    return row if all(map(math.isfinite, row)) else None


def latents(seed: int, indices: Sequence[int]) -> Tensor:
    """z (N, 512) of the pictures with these numbers.

    >>> bool((latents(0, [17]) == latents(0, [3, 17])[1]).all())
    True
    """
    return drawn(seed, indices, Z, LATENT)


def noise_source(seed: int, index: int) -> torch.Generator:
    """What the fresh noise of one picture is drawn from, on the CPU."""
    (state,) = np.random.SeedSequence([seed, index, NOISE]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


def drawn(seed: int, indices: Sequence[int], what: int, size: int) -> Tensor:
    """Rows of N(0, 1), float32 (N, size): NumPy's generator gives the same on every machine."""
    rows = [np.random.default_rng([seed, index, what]).standard_normal(size, np.float32) for index in indices]
    return torch.from_numpy(np.stack(rows) if rows else np.zeros((0, size), np.float32))
