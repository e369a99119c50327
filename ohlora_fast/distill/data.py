"""Pairs of photos and hair masks: finding them, holding them in memory, augmenting them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from ohlora_fast.distill.augment import Augmentation
from ohlora_fast.errors import InputError
from ohlora_fast.student import SIZE
from ohlora_fast.student.preprocess import to_input

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
LONGEST_SIDE = 2 * SIZE
"""Training photos are kept in memory at most this large."""
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Pair:
    """A photo and its hair mask. ``source`` is the file name up to the first underscore, as in ``figaro_0001.jpg``."""

    name: str
    source: str
    image: Path
    mask: Path

    def load(self) -> tuple[Array, Array]:
        """Return the photo (H, W, 3) and its mask (H, W), both uint8; 255 is hair.

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
    """Find the pairs ``images/NAME.jpg`` and ``masks/NAME.png`` under ``folder``, sorted by name.

    Raises:
        InputError: the folder has no such layout, holds no pairs, or a photo lacks its mask.
    """
    folder = Path(folder)
    images, masks = folder / "images", folder / "masks"
    for part in (folder, images, masks):
        if not part.is_dir():
            raise InputError(f"{part}: no such folder; expected {folder}/images/NAME.jpg and {folder}/masks/NAME.png")
    pairs = [
        Pair(path.stem, path.stem.split("_")[0], path, masks / f"{path.stem}.png")
        for path in sorted(images.iterdir())
        if path.suffix.lower() in IMAGE_SUFFIXES
    ]
    if not pairs:
        raise InputError(f"{images}: holds no photos ({', '.join(IMAGE_SUFFIXES)})")
    missing = [pair.mask for pair in pairs if not pair.mask.is_file()]
    if missing:
        raise InputError(f"{missing[0]}: missing, the mask of {missing[0].stem} ({len(missing)} masks missing in all)")
    return pairs


def hold_out(pairs: Sequence[Pair], fraction: float) -> tuple[list[Pair], list[Pair]]:
    """Split pairs into (train, held out) by a hash of the name, so that the split outlives changes of the folder.

    >>> pairs = [Pair(f"a_{i}", "a", Path(), Path()) for i in range(1000)]
    >>> train, held = hold_out(pairs, 0.1)
    >>> len(train) + len(held), 60 < len(held) < 140
    (1000, True)
    """
    held = {pair.name for pair in pairs if zlib.crc32(pair.name.encode()) < fraction * 2**32}
    return [pair for pair in pairs if pair.name not in held], [pair for pair in pairs if pair.name in held]


def load_shrunk(pair: Pair) -> tuple[Array, Array]:
    """Load a pair, shrunk so that no side is longer than `LONGEST_SIDE`: twice what the student takes is plenty."""
    image, mask = pair.load()
    scale = LONGEST_SIDE / max(mask.shape)
    if scale >= 1:
        return image, mask
    size = tuple(max(1, round(side * scale)) for side in mask.shape[::-1])
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.resize(mask, size, interpolation=cv2.INTER_AREA)


class Photos:
    """Pairs decoded once into memory, no side longer than `LONGEST_SIDE`, served as augmented batches.

    Every batch is a function of (seed, step) alone, so that training resumes exactly where it stopped.

    Args:
        pairs: what to train on.
        batch: images a batch.
        repeat: how often an epoch draws each source, e.g. ``{"figaro": 2}``; 1 for those not named.
        seed: of the order and of the augmentation.
    """

    def __init__(
        self, pairs: Sequence[Pair], batch: int, repeat: Mapping[str, int] | None = None, seed: int = 0,
        augmentation: Augmentation | None = None,
    ) -> None:  # fmt: skip
        with ThreadPoolExecutor(2) as pool:
            self.images = list(pool.map(load_shrunk, pairs))
        counts = [(repeat or {}).get(pair.source, 1) for pair in pairs]
        self.order = np.repeat(np.arange(len(pairs)), counts)
        self.batch, self.seed, self.augment = batch, seed, augmentation or Augmentation()
        self.steps_per_epoch = len(self.order) // batch
        if self.steps_per_epoch == 0:
            raise InputError(f"batch: got {batch}, but the training set draws only {len(self.order)} photos an epoch")

    def load(self, step: int) -> tuple[Tensor, Tensor]:
        """The batch of one training step: images (N, 3, 224, 224) in [−1, 1] and masks (N, 1, 224, 224) in [0, 1]."""
        epoch, index = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng([self.seed, epoch]).permutation(self.order)
        chosen = order[index * self.batch : (index + 1) * self.batch]
        rngs = [np.random.default_rng([self.seed, step, slot]) for slot in range(self.batch)]
        pairs = [self.augment(*self.images[int(which)], rng) for which, rng in zip(chosen, rngs, strict=True)]
        images = torch.from_numpy(to_input(np.stack([image for image, _ in pairs])))
        masks = torch.from_numpy(np.stack([mask for _, mask in pairs])[:, None].astype(np.float32) / 255)
        return images, masks

    def batches(self, first: int, last: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Serve steps ``first`` to ``last`` − 1, each prepared in a thread while the one before is trained on."""
        with ThreadPoolExecutor(1) as pool:
            upcoming = pool.submit(self.load, first) if first < last else None
            for step in range(first, last):
                current = upcoming
                upcoming = pool.submit(self.load, step + 1) if step + 1 < last else None
                assert current is not None
                yield current.result()
