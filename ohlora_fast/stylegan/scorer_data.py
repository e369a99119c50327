"""Images labelled 0 or 1: reading the list, splitting it into folds, holding the images in memory."""

from __future__ import annotations

import warnings
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ohlora_fast.errors import InputError
from ohlora_fast.media.csv_files import read_csv
from ohlora_fast.media.images import read_photo
from ohlora_fast.stylegan.property_cnn import SIDE


@dataclass(frozen=True)
class Labelled:
    """An image, the name it has in its list, and whether it has the property: 0 or 1."""

    name: str
    path: Path
    label: int


def read_labels(file: str | Path) -> list[Labelled]:
    """Read a CSV file with the columns path and label; others are not looked at.

    Paths are relative to the file's folder, or absolute.

    Raises:
        InputError: there is no such file, it lacks a column or has no rows, a label is not 0 or 1, or an image comes
            twice: it might come into training and validation.
    """
    file = Path(file)
    if not file.is_file():
        raise InputError(f"{file}: no such file; expected is a CSV file with the columns path and label")
    lines = [line for line in read_csv(file) if line]
    header, rows = (lines[0] if lines else []), lines[1:]
    if missing := [column for column in ("path", "label") if column not in header]:
        raise InputError(f"{file}: lacks the column {' and the column '.join(missing)}; expected are path and label")
    if not rows:
        raise InputError(f"{file}: holds no images, only its header")
    found: list[Labelled] = []
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise InputError(f"{file}: row {number} has {len(row)} cells, the header {len(header)}")
        name, label = row[header.index("path")], row[header.index("label")].strip()
        if label not in ("0", "1"):
            raise InputError(f"{file}: row {number}, label: got {label!r}, allowed are 0 and 1")
        if not name:
            raise InputError(f"{file}: row {number} has no path")
        found.append(Labelled(name, file.parent / name, int(label)))
    counts = Counter(one.name for one in found)
    if twice := [name for name, count in counts.items() if count > 1]:
        raise InputError(f"{file}: {twice[0]} comes {counts[twice[0]]} times; allowed is once")
    return found


def read_image(path: str | Path) -> Tensor:
    """An image squashed to 256×256: uint8 (3, 256, 256), RGB; transparency is dropped.

    Raises:
        InputError: it cannot be read.
    """
    pixels = np.ascontiguousarray(read_photo(path).pixels[..., :3].transpose(2, 0, 1))
    image = torch.from_numpy(pixels)
    if image.shape[1:] == (SIDE, SIDE):
        return image
    return F.interpolate(image[None], (SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True)[0]


def read_images(paths: Sequence[str | Path]) -> Iterator[Tensor | InputError]:
    """`read_image` of each, in order, by two threads; an error where an image cannot be read."""

    def read(path: str | Path) -> Tensor | InputError:
        try:
            return read_image(path)
        except InputError as error:
            return error

    with ThreadPoolExecutor(2) as pool:
        yield from pool.map(read, paths)


def load_labelled(labelled: Sequence[Labelled]) -> tuple[list[Labelled], Tensor]:
    """Read the images, 192 KB each; those that cannot be read are left out, with a warning for each.

    Returns:
        Those that were read, and uint8 (N, 3, 256, 256).

    Raises:
        InputError: none can be read.
    """
    kept, images = [], []
    for one, image in zip(labelled, read_images([one.path for one in labelled]), strict=True):
        if isinstance(image, InputError):
            warnings.warn(f"{image}; left out", stacklevel=2)
        else:
            kept.append(one)
            images.append(image)
    if not kept:
        raise InputError(f"{labelled[0].path.parent}: of {len(labelled)} labelled images none can be read")
    return kept, torch.stack(images)


def make_folds(labels: Sequence[int], folds: int, seed: int = 0) -> list[list[int]]:
    """Split indices into folds of almost one size, in which both labels are as frequent as in all, to one image.

    Raises:
        InputError: a label has fewer images than there are folds.

    >>> [sorted(fold) for fold in make_folds([0, 0, 0, 0, 1, 1], 2)]
    [[1, 2, 5], [0, 3, 4]]
    """
    rng = np.random.default_rng(seed)
    order: list[int] = []
    for label in (0, 1):
        chosen = [index for index, one in enumerate(labels) if one == label]
        if len(chosen) < folds:
            raise InputError(
                f"label {label}: {len(chosen)} images have it, so that some of {folds} folds would be without; "
                f"expected are at least {folds} of each label"
            )
        order += rng.permutation(chosen).tolist()
    # Dealt out like cards, the second label where the first left off.
    return [order[fold::folds] for fold in range(folds)]


def epoch_batches(count: int, batch: int, *seed: int) -> list[list[int]]:
    """All of ``count`` indices in the order that a seed gives, in batches; the last may be smaller.

    >>> [len(indices) for indices in epoch_batches(10, 4, 0, 1)]
    [4, 4, 2]
    """
    order = np.random.default_rng(seed).permutation(count).tolist()
    return [order[start : start + batch] for start in range(0, count, batch)]


def data_fingerprint(labelled: Sequence[Labelled]) -> str:
    """What tells one labelled set from another."""
    text = "\n".join(f"{one.name},{one.label}" for one in labelled)
    return f"{len(labelled)} images, crc32 {zlib.crc32(text.encode('utf-8', 'surrogateescape')):08x}"
