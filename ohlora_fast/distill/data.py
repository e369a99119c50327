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

from ohlora_fast.errors import InputError
from ohlora_fast.student import SIZE
from ohlora_fast.student.preprocess import to_input

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
ARRAY = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Pair:
    """A photo and its hair mask. ``source`` is the file name up to the first underscore, as in ``figaro_0001.jpg``."""

    name: str
    source: str
    image: Path
    mask: Path

    def load(self) -> tuple[ARRAY, ARRAY]:
        """Return the photo (H, W, 3) and its mask (H, W), both uint8; 255 is hair.

        Raises:
            InputError: a file cannot be read, or the two differ in size.
        """
        image, mask = read_image(self.image, cv2.IMREAD_COLOR), read_image(self.mask, cv2.IMREAD_GRAYSCALE)
        if image.shape[:2] != mask.shape:
            raise InputError(f"{self.mask}: is {mask.shape[1]}×{mask.shape[0]}, but its photo {self.image.name} is "
                             f"{image.shape[1]}×{image.shape[0]}; the two must agree")  # fmt: skip
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB), mask


def read_image(path: Path, flag: int) -> ARRAY:
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


@dataclass(frozen=True)
class Augmentation:
    """How far photos are bent in training. Angles in degrees, the rest as fractions."""

    flip: float = 0.5
    mirror: float = 0.4
    rotation: float = 25.0
    scale: float = 0.3
    aspect: float = 0.15
    shift: float = 0.12
    brightness: float = 0.3
    contrast: float = 0.3
    saturation: float = 0.4
    tint: float = 0.12
    grey: float = 0.05
    blur: float = 0.15

    def __call__(self, image: ARRAY, mask: ARRAY, rng: np.random.Generator) -> tuple[ARRAY, ARRAY]:
        """Return an augmented (224, 224, 3) photo and its (224, 224) mask, uint8."""
        matrix = self.affine(image.shape[:2], rng)
        # What lies outside the photo is mirrored or one colour: mirroring alone would teach upside-down heads.
        border = cv2.BORDER_REFLECT_101 if rng.random() < self.mirror else cv2.BORDER_CONSTANT
        outside = [int(value) for value in rng.integers(0, 256, 3)]
        image = cv2.warpAffine(image, matrix, (SIZE, SIZE), None, cv2.INTER_LINEAR, border, outside)
        mask = cv2.warpAffine(mask, matrix, (SIZE, SIZE), None, cv2.INTER_LINEAR, border, 0)
        return self.colour(image, rng), mask

    def affine(self, shape: tuple[int, ...], rng: np.random.Generator) -> ARRAY:
        """Draw the 2×3 matrix that squashes an image of this (H, W) to 224×224 while flipping, turning, …"""
        height, width = shape
        angle = np.deg2rad(rng.uniform(-self.rotation, self.rotation))
        zoom, stretch = np.exp(rng.uniform(-self.scale, self.scale)), np.exp(rng.uniform(-self.aspect, self.aspect))
        flip = -1.0 if rng.random() < self.flip else 1.0
        shift = SIZE * (0.5 + rng.uniform(-self.shift, self.shift, 2))
        # Turn in the photo's own proportions, then squash: a squashed turn would shear.
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        linear = np.diag([flip * zoom * stretch * SIZE / width, zoom / stretch * SIZE / height]) @ turn
        centre = np.array([(width - 1) / 2, (height - 1) / 2])
        return np.hstack([linear, (shift - 0.5 - linear @ centre)[:, None]])

    def colour(self, image: ARRAY, rng: np.random.Generator) -> ARRAY:
        if rng.random() < self.blur:
            image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.5))
        pixels = image.astype(np.float32)
        grey = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
        saturation = 0.0 if rng.random() < self.grey else rng.uniform(1 - self.saturation, 1 + self.saturation)
        pixels = grey[..., None] + np.float32(saturation) * (pixels - grey[..., None])
        contrast = rng.uniform(1 - self.contrast, 1 + self.contrast)
        gain = contrast * rng.uniform(1 - self.tint, 1 + self.tint, 3)
        offset = float(grey.mean()) * (1 - contrast) + 255 * rng.uniform(-self.brightness, self.brightness) / 2
        pixels = pixels * gain.astype(np.float32) + np.float32(offset)
        return np.clip(pixels, 0, 255).astype(np.uint8)


class Photos:
    """Pairs decoded once into memory, served as augmented batches.

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
            self.images = list(pool.map(Pair.load, pairs))
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
