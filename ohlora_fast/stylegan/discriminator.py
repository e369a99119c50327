"""The discriminator: one score an image and its label, larger for real ones.

Source: Karras et al., "A Style-Based Generator Architecture for Generative Adversarial Networks", 2019; the spread
over a batch: Karras et al., "Progressive Growing of GANs for Improved Quality, Stability, and Variation", 2018.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ohlora_fast.errors import InputError
from ohlora_fast.ops.stylegan_layer_op import EPS
from ohlora_fast.stylegan.layers import (
    BASE,
    FUSED_FROM,
    GAIN,
    LABELS,
    WIDTH,
    Blur,
    Dense,
    check_size,
    down_convolution,
    leaky,
    resolutions_to,
    scale_of,
)

GROUP = 16
"""Images over which the spread is taken."""


class Convolution(nn.Module):
    """A weight-scaled convolution that keeps the size, or halves it after a blur, then a leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, size: int, resolution: int, down: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, size, size))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.resolution, self.down = resolution, down
        if down:
            self.blur = Blur(inputs)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight * scale_of(self.weight, GAIN)
        if self.down:
            x = down_convolution(self.blur(x), weight, fused=self.resolution >= FUSED_FROM)
        else:
            x = F.conv2d(x, weight, padding=weight.shape[2] // 2)
        return leaky(x + self.bias[:, None, None])


def with_spread(x: Tensor) -> Tensor:
    """Append a channel: the deviation over the group, averaged over all channels and pixels.

    In a batch of several groups, image i belongs to the group of i modulo their number. It is computed in float32:
    `EPS` is 0 in half precision, and a root's gradient infinite there.
    """
    count, size = x.shape[0], min(GROUP, x.shape[0])
    groups = x.float().reshape(size, count // size, *x.shape[1:])
    deviation = (groups.var(dim=0, unbiased=False) + EPS).sqrt().mean(dim=(1, 2, 3)).to(x.dtype)
    plane = deviation.repeat(size)[:, None, None, None].expand(-1, 1, *x.shape[2:])
    return torch.cat([x, plane], dim=1)


class Discriminator(nn.Module):
    """Scores of images with labels, with the reference's parameter names.

    Names count from the images on, so that a smaller network's begin with ``input0`` and ``layer0`` at its own
    resolution: at 64×64, the last block is ``layer8`` to ``layer10``, which are ``layer12`` to ``layer14`` at 256×256.

    Args:
        resolution, base, width: as of `Generator`.

    Raises:
        InputError: an argument is outside of what is allowed.

    >>> model = Discriminator(resolution=16, width=8)
    >>> tuple(model(torch.zeros(4, 3, 16, 16), torch.zeros(4, 7)).shape)
    (4, 1)
    """

    lod: Tensor

    def __init__(self, resolution: int = 256, base: int = BASE, width: int = WIDTH) -> None:
        check_size(resolution, base, width)
        super().__init__()
        self.resolution, self.base, self.width = resolution, base, width
        self.register_buffer("lod", torch.zeros(()))  # of growing in training; nothing reads it
        sides = list(resolutions_to(resolution))[::-1]
        self.blocks = len(sides)
        for block, side in enumerate(sides):
            channels, coarser = (min(base // edge, width) for edge in (side, side // 2))
            setattr(self, f"input{block}", Convolution(3, channels, 1, side))  # all but the first are only kept
            if side > 4:
                setattr(self, f"layer{2 * block}", Convolution(channels, channels, 3, side))
                setattr(self, f"layer{2 * block + 1}", Convolution(channels, coarser, 3, side, down=True))
            else:
                setattr(self, f"layer{2 * block}", Convolution(channels + 1, channels, 3, side))
                setattr(self, f"layer{2 * block + 1}", Dense(16 * channels, coarser))
                setattr(self, f"layer{2 * block + 2}", Dense(coarser + LABELS, 1, gain=1.0))

    def forward(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        """Raw scores (N, 1), larger for real images.

        Args:
            image: (N, 3, H, W), RGB in [−1, 1]; N is at most 16, or a multiple of it.
            label: (N, 7); None for zeros.

        Raises:
            InputError: another shape.
        """
        side, count = self.resolution, image.shape[0]
        if image.ndim != 4 or image.shape[1:] != (3, side, side):
            raise InputError(f"image: got shape {tuple(image.shape)}, allowed is (N, 3, {side}, {side})")
        if count == 0 or (count > GROUP and count % GROUP):
            raise InputError(f"image: got {count}, allowed are 1 to {GROUP} or a multiple of {GROUP}")
        if label is None:
            label = image.new_zeros(count, LABELS)
        if label.shape != (count, LABELS):
            raise InputError(
                f"label: got shape {tuple(label.shape)}, allowed is ({count}, {LABELS}), a row for each image"
            )
        x = self.get_submodule("input0")(image)
        last = 2 * self.blocks - 2
        for index in range(last):
            x = self.get_submodule(f"layer{index}")(x)
        x = self.get_submodule(f"layer{last}")(with_spread(x))
        x = leaky(self.get_submodule(f"layer{last + 1}")(x.flatten(1)))
        score: Tensor = self.get_submodule(f"layer{last + 2}")(torch.cat([x, label], dim=1))
        return score
