"""The images of a fine-tuning: finding out which can be used, holding them in memory or reading them as they come."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from ohlora_fast.errors import InputError
from ohlora_fast.media.images import read_photo

IN_MEMORY = 10**9
"""Bytes; larger sets are read as their images come."""


def read_square(path: str | Path, side: int, resize: bool = False) -> Tensor:
    """An image, uint8 (3, side, side), RGB; transparency is dropped.

    Args:
        path: of the image.
        side: the size that it must have, or comes to.
        resize: whether it is brought there: the central square, resized bilinearly and antialiased.

    Raises:
        InputError: it cannot be read, or has another size.
    """
    pixels = read_photo(path).pixels[..., :3]
    height, width = pixels.shape[:2]
    if (height, width) != (side, side) and not resize:
        raise WrongSize(f"{path}: got {width}×{height} pixels, allowed is {side}×{side}, or with resize any size")
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    square = pixels[top : top + edge, left : left + edge].transpose(2, 0, 1)
    image = torch.from_numpy(np.ascontiguousarray(square))
    if edge == side:
        return image
    return F.interpolate(image[None], (side, side), mode="bilinear", align_corners=False, antialias=True)[0]


class WrongSize(InputError):
    """An image that can be read, but not be used as it is."""


class TrainingImages(Dataset[Tensor]):
    """Images of one size, uint8 (3, side, side): in memory up to 1 GB, else read when they are asked for.

    All are read once at the start. Those that cannot be are left out, with a warning for each.

    Args:
        paths: the files.
        side, resize: see `read_square`.
        in_memory: bytes up to which they are held.

    Raises:
        InputError: none can be read, or one has another size.
    """

    def __init__(
        self, paths: Sequence[str | Path], side: int, resize: bool = False, in_memory: int = IN_MEMORY
    ) -> None:
        self.side, self.resize = side, resize
        hold = len(paths) * 3 * side * side <= in_memory
        images = torch.empty(len(paths) if hold else 0, 3, side, side, dtype=torch.uint8)
        self.paths: list[Path] = []
        failures: list[InputError] = []

        def read(path: str | Path) -> Tensor | InputError:
            try:
                return read_square(path, side, resize)
            except WrongSize:
                raise
            except InputError as error:
                return error

        with ThreadPoolExecutor(2) as pool:
            found = zip(paths, pool.map(read, paths), strict=True)
            for path, image in tqdm(found, "reading the images", len(paths), unit="image", disable=None, leave=False):
                if isinstance(image, InputError):
                    failures.append(image)
                    continue
                if hold:
                    images[len(self.paths)] = image
                self.paths.append(Path(path))
        if not self.paths:
            raise InputError(f"{failures[0]}; of {len(paths)} images none can be read")
        for failure in failures:
            warnings.warn(f"{failure}; left out", stacklevel=2)
        self.images = images[: len(self.paths)] if hold else None

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        if self.images is not None:
            return self.images[index]
        return read_square(self.paths[index], self.side, self.resize)

    def fingerprint(self) -> str:
        """What tells one set from another: how many there are, and a checksum of their names."""
        names = "\n".join(path.name for path in self.paths)
        return f"{len(self)} images, crc32 {zlib.crc32(names.encode('utf-8', 'surrogateescape')):08x}"
