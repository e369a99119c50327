"""Augmentation of batches, by kornia, on whatever device the batch is on."""

from __future__ import annotations

from importlib.util import find_spec

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ohlora_fast.errors import InputError
from ohlora_fast.student import SIZE

STRENGTHS = {"light": 0.25, "mild": 0.6, "strong": 1.0}


def make_augmentation(name: str, size: int = SIZE) -> nn.Module:
    """The augmentation of a name from `AUGMENTATIONS`, for a student of that size.

    Raises:
        InputError: kornia is not installed.
    """
    if name == "none":
        return Shrink(size)
    if not find_spec("kornia"):
        raise InputError('augmentation needs kornia: pip install "ohlora_fast[train]"')
    return Augmentation(STRENGTHS[name], size=size)


class Shrink(nn.Module):
    """Photos (N, 3, S, S) and masks (N, 1, S, S) in [0, 1] → the same at the student's size."""

    def __init__(self, size: int = SIZE) -> None:
        super().__init__()
        self.size = size

    def forward(self, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        return resized(images, self.size), resized(masks, self.size)


class Augmentation(nn.Module):
    """Photos bent and recoloured, then brought to the student's size; masks bent alike.

    Flips, turns, zooms, stretches, shifts, light, contrast, saturation, tint, at times no colour, and blur. What
    comes in from outside the photo is the photo mirrored, or one colour, often black or white, which is not hair, as
    photos have such margins. PyTorch's generator of the CPU decides, so that a seed does.

    Args:
        strength: 1 turns photos by up to 25°, zooms by up to 1.3, …; smaller is milder.
        margin: share of the batches with one colour around.
        size: the student's.
    """

    def __init__(self, strength: float = 1.0, margin: float = 0.5, size: int = SIZE) -> None:
        super().__init__()
        import kornia.augmentation as K
        from kornia.constants import DataKey, Resample

        self.margin, self.size = margin, size
        zoom = 1 + 0.3 * strength

        def bend(padding: str, masks: int) -> nn.Module:
            return K.AugmentationSequential(
                K.RandomHorizontalFlip(p=0.5),
                K.RandomAffine(
                    degrees=25.0 * strength, translate=(0.12 * strength,) * 2, scale=(1 / zoom, zoom) * 2,
                    padding_mode=padding, p=1.0,
                ),
                data_keys=["image", *["mask"] * masks],
                extra_args={DataKey.MASK: {"resample": Resample.BILINEAR, "align_corners": None}},
            )  # fmt: skip

        self.mirrored, self.within = bend("reflection", 1), bend("zeros", 2)
        light, tint = 0.25 * strength, 0.1 * strength
        self.recolour = nn.Sequential(
            K.RandomBrightness((1 - light, 1 + light), p=0.8),
            K.RandomContrast((1 - light, 1 + light), p=0.8),
            K.RandomSaturation((1 - 1.5 * light, 1 + 1.5 * light), p=0.5),
            K.RandomRGBShift(tint, tint, tint, p=0.5),
            K.RandomGrayscale(p=0.1 * strength),
            K.RandomGaussianBlur((5, 5), (0.4, 1.5), p=0.15 * strength),
        )

    def forward(self, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        if torch.rand(()) < self.margin:
            images, masks, inside = self.within(images, masks, torch.ones_like(masks))
            # Beyond 0 to 1, then clamped: a third of the values are 0, a third 1.
            grey, tint = 3 * torch.rand(len(images), 1, 1, 1) - 1, 0.3 * torch.randn(len(images), 3, 1, 1)
            images = images + (1 - inside) * (grey + tint).clamp(0, 1).to(images)
        else:
            images, masks = self.mirrored(images, masks)
        images, masks = resized(images, self.size), resized(masks, self.size)
        return self.recolour(images).clamp(0, 1), masks.clamp(0, 1)


def resized(x: Tensor, size: int) -> Tensor:
    """Squares (N, C, S, S) at another size, bilinearly, averaging where they shrink."""
    return F.interpolate(x, (size, size), mode="bilinear", antialias=True) if x.shape[-1] != size else x
