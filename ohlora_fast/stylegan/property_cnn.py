"""The networks that score a portrait: is it a woman's, is it a good picture, is she old, does she wear glasses.

The scores' targets in the fine-tuning are 1, 1, 0 and 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from ohlora_fast.errors import InputError

SIDE = 256
"""Height and width that an image is brought to before it is cropped."""
CHANNELS = (3, 32, 64, 128, 128, 256, 256)
UNITS = 512


@dataclass(frozen=True)
class Property:
    """What a property's network sees, and its shape.

    Attributes:
        convolutions: their number, 5 or 6.
        rows, columns: the crop, first to one past the last.
        pool_last: whether the last convolution is pooled as those before it are.
    """

    convolutions: int
    rows: tuple[int, int]
    columns: tuple[int, int]
    pool_last: bool


PROPERTIES = {
    "gender": Property(6, (0, 256), (0, 256), pool_last=True),
    "quality": Property(5, (0, 64), (64, 192), pool_last=False),
    "age": Property(6, (0, 128), (0, 256), pool_last=False),
    "glass": Property(5, (80, 128), (64, 192), pool_last=False),
}


class PropertyCNN(nn.Module):
    """The score of one property, with the reference's parameter names.

    Args:
        name: ``"gender"``, ``"quality"``, ``"age"`` or ``"glass"``.

    Raises:
        InputError: another name.

    >>> import torch
    >>> model = PropertyCNN("glass").eval()
    >>> score = model(torch.rand(2, 3, 256, 256))
    >>> tuple(score.shape), bool((0 < score).all() and (score < 1).all())
    ((2, 1), True)
    """

    def __init__(self, name: str) -> None:
        if name not in PROPERTIES:
            raise InputError(f"property: got {name!r}, allowed are {', '.join(PROPERTIES)}")
        super().__init__()
        self.name, self.property = name, PROPERTIES[name]
        height, width = (last - first for first, last in (self.property.rows, self.property.columns))
        for index in range(1, self.property.convolutions + 1):
            layers: list[nn.Module] = [
                nn.Conv2d(CHANNELS[index - 1], CHANNELS[index], 3), nn.LeakyReLU(0.01), nn.Dropout2d(0.05),
            ]  # fmt: skip
            height, width = height - 2, width - 2
            if 1 < index < self.property.convolutions or (index > 1 and self.property.pool_last):
                layers.append(nn.MaxPool2d(2))
                height, width = height // 2, width // 2
            setattr(self, f"conv{index}", nn.Sequential(*layers))
        features = CHANNELS[self.property.convolutions] * height * width
        self.fc1 = nn.Sequential(nn.Linear(features, UNITS), nn.Tanh(), nn.Dropout(0.45))
        self.fc_final = nn.Sequential(nn.Linear(UNITS, 1), nn.Sigmoid())

    def crop(self, image: Tensor) -> Tensor:
        """What the network sees of images (N, 3, H, W), once they are brought to 256×256."""
        if image.shape[2:] != (SIDE, SIDE):
            image = F.interpolate(image, size=(SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True)
        return image[:, :, slice(*self.property.rows), slice(*self.property.columns)]

    def forward(self, image: Tensor) -> Tensor:
        """Scores (N, 1) in (0, 1).

        Args:
            image: (N, 3, H, W), the whole image, RGB in [0, 1]; sizes other than 256×256 are resized to it, bilinear.

        Raises:
            InputError: another shape.
        """
        if image.ndim != 4 or image.shape[1] != 3:
            raise InputError(f"image: got shape {tuple(image.shape)}, allowed is (N, 3, H, W)")
        x = self.crop(image)
        for index in range(1, self.property.convolutions + 1):
            x = self.get_submodule(f"conv{index}")(x)
        score: Tensor = self.fc_final(self.fc1(x.flatten(1)))
        return score
