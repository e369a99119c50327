"""Pairs of photos and hair masks: finding them, splitting them, holding them in memory, drawing batches."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from ohlora_fast.distill.augment import resized
from ohlora_fast.errors import InputError
from ohlora_fast.runtime import usable_cores
from ohlora_fast.student import SIZE
from ohlora_fast.student.preprocess import squash
from ohlora_fast.teacher.soft_labels import FACE, LABEL, read_ledger

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
ZOOM = 8 / 7
"""Training photos are squashed to a square so many times the student's: a little more than it takes, for zooming in."""
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Pair:
    """A photo and its hair mask. ``source`` is where it comes from, by which scores are told apart."""

    name: str
    source: str
    image: Path
    mask: Path

    def load(self) -> tuple[Array, Array]:
        """Return the photo (H, W, 3) and its mask (H, W), both uint8; 255 is hair, grey values are soft labels.

        Raises:
            InputError: a file cannot be read, or the two differ in size.
        """
        image, mask = read_image(self.image, cv2.IMREAD_COLOR), read_image(self.mask, cv2.IMREAD_GRAYSCALE)
        if image.shape[:2] != mask.shape:
            raise InputError(f"{self.mask}: is {mask.shape[1]}×{mask.shape[0]}, but its photo {self.image.name} is "
                             f"{image.shape[1]}×{image.shape[0]}; the two must agree")  # fmt: skip
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB), mask


def read_image(path: Path, flag: int) -> Array:
    pixels = cv2.imread(str(path), flag)
    if pixels is None:
        raise InputError(f"{path}: not a readable image")
    return pixels


def find_pairs(folder: str | Path) -> list[Pair]:
    """Find the pairs under ``folder``, sorted by name, in either layout.

    Photos with masks are ``images/NAME.jpg`` and ``masks/NAME.png``; a pair's source is NAME up to its first
    underscore. What ``ohlora-fast label`` writes is ``face_000000.png`` and ``parsing_hair_label_000000.png``; the
    source stands in its ``labels.csv``, or else is ``face``.

    Raises:
        InputError: the folder has neither layout, holds no pairs, or a photo or a mask lacks the other.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    if (folder / "images").is_dir() or (folder / "masks").is_dir():
        return pairs_in_folders(folder)
    if any(folder.glob(f"{FACE}*.png")) or any(folder.glob(f"{LABEL}*.png")):
        return recorded_pairs(folder)
    raise InputError(
        f"{folder}: holds no pairs; expected {folder}/images/NAME.jpg with {folder}/masks/NAME.png, or "
        f"{folder}/{FACE}000000.png with {folder}/{LABEL}000000.png"
    )


def pairs_in_folders(folder: Path) -> list[Pair]:
    """The pairs ``images/NAME.*`` and ``masks/NAME.png``."""
    for part in (folder / "images", folder / "masks"):
        if not part.is_dir():
            raise InputError(f"{part}: no such folder; expected {folder}/images/NAME.jpg and {folder}/masks/NAME.png")
    images: dict[str, Path] = {}
    for path in sorted((folder / "images").iterdir()):
        if path.suffix.lower() in IMAGE_SUFFIXES and (other := images.setdefault(path.stem, path)) is not path:
            raise InputError(f"{path}: shares its mask's name with {other.name}; names without suffix must differ")
    masks = {path.stem: path for path in (folder / "masks").glob("*.png")}
    return matched(images, masks, {name: name.split("_")[0] for name in images}, folder)


def recorded_pairs(folder: Path) -> list[Pair]:
    """The pairs ``face_INDEX.png`` and ``parsing_hair_label_INDEX.png``."""
    images, masks = (
        {path.stem.removeprefix(start): path for path in folder.glob(f"{start}*.png")} for start in (FACE, LABEL)
    )
    sources = dict.fromkeys(images, "face")
    sources |= {f"{row.index:06d}": row.source for row in read_ledger(folder)}
    return matched(images, masks, sources, folder)


def matched(images: dict[str, Path], masks: dict[str, Path], sources: dict[str, str], folder: Path) -> list[Pair]:
    """Join photos and masks by name."""
    if not images and not masks:
        raise InputError(f"{folder}: holds no photos ({', '.join(IMAGE_SUFFIXES)})")
    for these, those, what in ((images, masks, "a mask"), (masks, images, "a photo")):
        if alone := sorted(set(these) - set(those)):
            raise InputError(f"{these[alone[0]]}: lacks {what} of the same name ({len(alone)} such files in all)")
    return [Pair(images[name].stem, sources[name], images[name], masks[name]) for name in sorted(images)]


def split(pairs: Sequence[Pair], *shares: float) -> list[list[Pair]]:
    """Split pairs into a part for each share and the rest, by a hash of the name: it outlives changes of the folder.

    A part that would be empty, though its share is not 0, takes one pair from the rest. A copy of a pair, KIND__NAME,
    goes where NAME goes: nothing held out is trained on.

    >>> pairs = [Pair(f"a_{i}", "a", Path(), Path()) for i in range(1000)]
    >>> [len(part) for part in split(pairs, 0.1, 0.1)]
    [128, 103, 769]
    """
    bounds = np.cumsum(shares)
    parts: list[list[Pair]] = [[] for _ in range(len(shares) + 1)]
    for pair in pairs:
        place = zlib.crc32(pair.name.rpartition("__")[2].encode()) / 2**32
        parts[int(np.searchsorted(bounds, place, side="right"))].append(pair)
    for part, share in zip(parts, shares, strict=False):
        if share and not part and parts[-1]:
            part.append(parts[-1].pop())
    return parts


def fingerprint(pairs: Sequence[Pair]) -> str:
    """What tells one set of pairs from another: how many there are, and a checksum of their names."""
    return f"{len(pairs)} pairs, crc32 {zlib.crc32(chr(10).join(pair.name for pair in pairs).encode()):08x}"


class TrainingPhotos(Dataset[tuple[Tensor, Tensor]]):
    """Pairs decoded once into memory: uint8 photos (3, S, S) and masks (1, S, S), where S is `ZOOM` times the size.

    For a student of 224, S is 256, and a pair takes 256 KB. A batch is taken out at once, see `__getitems__`.

    Args:
        pairs: what to read.
        size: the student's.

    Raises:
        InputError: a pair cannot be read, or its two files differ in size.
    """

    def __init__(self, pairs: Sequence[Pair], size: int = SIZE) -> None:
        side = round(ZOOM * size)
        self.size = size
        self.images = torch.empty(len(pairs), 3, side, side, dtype=torch.uint8)
        self.masks = torch.empty(len(pairs), 1, side, side, dtype=torch.uint8)

        def load(index: int) -> None:
            image, mask = pairs[index].load()
            self.images[index] = torch.from_numpy(squared(image, side)).permute(2, 0, 1)
            self.masks[index, 0] = torch.from_numpy(squared(mask, side))

        with ThreadPoolExecutor(usable_cores()) as pool:
            list(pool.map(load, range(len(pairs))))

    def settle(self, device: torch.device) -> None:
        """Move to a GPU's memory, if that takes at most half of what is free there."""
        size = self.images.nbytes + self.masks.nbytes
        if device.type == "cuda" and self.images.device != device and size <= torch.cuda.mem_get_info(device)[0] / 2:
            self.images, self.masks = self.images.to(device), self.masks.to(device)

    def soft_labels(self, teacher: Callable[[Tensor], Tensor], size: int, device: str = "cpu") -> Tensor:
        """A teacher's maps of all photos as they are, uint8, in the masks' shape.

        ``teacher`` takes photos (N, 3, size, size) in [−1, 1] on that device, and gives maps (N, 1, size, size) in
        [0, 1].
        """
        found = torch.empty_like(self.masks)
        parts = list(zip(self.images.split(16), found.split(16), strict=True))
        for photos, labels in tqdm(parts, "asking the teacher", disable=None):
            x = resized(photos.to(device).float(), size) * (2 / 255) - 1
            with torch.inference_mode():
                maps = F.interpolate(teacher(x), labels.shape[-2:], mode="bilinear")
            labels.copy_((255 * maps).round())
        return found

    def agreements(self, labels: Tensor) -> list[float]:
        """The IoU of each mask with a soft label, both cut at 0.5."""
        hair, found = ((one >= 128).flatten(1) for one in (self.masks, labels))
        return (1 - (hair ^ found).sum(1) / (hair | found).sum(1).clamp(min=1)).tolist()

    def mix(self, labels: Tensor, weight: float) -> None:
        """Let the masks be 1 − weight of what they were, and that weight of soft labels."""
        for masks, soft in zip(self.masks.split(16), labels.split(16), strict=True):
            masks.copy_(torch.lerp(masks.float(), soft.float(), weight).round())

    def keep(self, indices: Sequence[int]) -> None:
        """Forget all pairs but these."""
        self.images, self.masks = self.images[list(indices)], self.masks[list(indices)]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.images[index], self.masks[index]

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        """The photos (N, 3, S, S) and masks (N, 1, S, S) of a batch."""
        return self.images[indices], self.masks[indices]


def squared(pixels: Array, side: int) -> Array:
    """Squash to a square, averaging where it shrinks."""
    if pixels.shape[:2] == (side, side):
        return pixels
    way = cv2.INTER_AREA if min(pixels.shape[:2]) >= side else cv2.INTER_LINEAR
    return cv2.resize(pixels, (side, side), interpolation=way)


class Batches:
    """The batches of one epoch, as indices; a function of (seed, epoch) alone, so that training resumes exactly.

    Args:
        sources: the source of each photo.
        batch: photos a batch.
        balance: draw every source equally often, rather than every photo once.
        seed: of the order.
        epoch: which epoch.
        first: leave out this many batches, which were trained on before an interruption.
        rank, world: this process takes every ``world``-th part of each ``world · batch`` photos.
        rounds: an epoch draws as many photos as there are, so many times.

    Raises:
        InputError: a batch takes more photos than an epoch has.

    >>> batches = Batches(["a"] * 6 + ["b"] * 2, 2, balance=True)
    >>> drawn = [index for batch in batches for index in batch]
    >>> len(batches), sum(index >= 6 for index in drawn)
    (4, 4)
    """

    def __init__(
        self, sources: Sequence[str], batch: int, balance: bool = False, seed: int = 0, epoch: int = 0, first: int = 0,
        rank: int = 0, world: int = 1, rounds: int = 1,
    ) -> None:  # fmt: skip
        self.sources, self.batch, self.balance, self.rounds = np.asarray(sources), batch, balance, rounds
        self.seed, self.epoch, self.first, self.rank, self.world = seed, epoch, first, rank, world
        if len(self) == 0:
            raise InputError(
                f"batch: got {batch} on {world} devices, but there are only {len(sources)} training photos"
            )

    def __len__(self) -> int:
        return self.rounds * len(self.sources) // (self.batch * self.world)

    def __iter__(self) -> Iterator[list[int]]:
        order, share = self.draw(), self.batch * self.world
        for step in range(self.first, len(self)):
            yield order[step * share : (step + 1) * share][self.rank :: self.world].tolist()

    def draw(self) -> Array:
        """This epoch's photos, in order."""
        rng = np.random.default_rng([self.seed, self.epoch])
        total = self.rounds * len(self.sources)
        if not self.balance:
            return np.concatenate([rng.permutation(len(self.sources)) for _ in range(self.rounds)])
        groups = [np.flatnonzero(self.sources == source) for source in np.unique(self.sources)]
        each = -(-total // len(groups))
        drawn = [[rng.permutation(group) for _ in range(-(-each // len(group)))] for group in groups]
        return rng.permutation(np.concatenate([np.concatenate(parts)[:each] for parts in drawn]))[:total]


class ScoringPhotos(Dataset[tuple[Array, Array, str]]):
    """Pairs read as they are needed: the photo squashed to the student's size, its mask at its own size, its source."""

    def __init__(self, pairs: Sequence[Pair], size: int = SIZE) -> None:
        self.pairs, self.size = pairs, size

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Array, Array, str]:
        image, mask = self.pairs[index].load()
        return squash(image, 1, self.size), mask, self.pairs[index].source
