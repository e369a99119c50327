"""What generator and discriminator are made of: weight-scaled layers, the blur, the fused resizing convolutions.

Source: Karras et al., "A Style-Based Generator Architecture for Generative Adversarial Networks", 2019.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ohlora_fast.errors import InputError
from ohlora_fast.ops.stylegan_layer_op import LEAK

GAIN = math.sqrt(2)
FUSED_FROM = 128
"""From this resolution on, resizing and convolving are one step."""
BASE, WIDTH = 16384, 512
"""Of the reference networks: feature maps times resolution, and the most feature maps."""
LABELS = 7
"""Eyes, hair colour, hair length, mouth, pose, mean and deviation of the background."""
RESOLUTIONS = tuple(2**power for power in range(3, 11))


def check_size(resolution: int, base: int, width: int) -> None:
    """Refuse a size that no network can have.

    Raises:
        InputError: naming the argument.
    """
    if resolution not in RESOLUTIONS:
        raise InputError(f"resolution: got {resolution!r}, allowed are {', '.join(map(str, RESOLUTIONS))}")
    if not isinstance(base, int) or base < resolution:
        raise InputError(f"base: got {base!r}, allowed are whole numbers from the resolution, {resolution}, on")
    if not isinstance(width, int) or width < 1:
        raise InputError(f"width: got {width!r}, allowed are whole numbers from 1 on")


def resolutions_to(largest: int) -> Iterator[int]:
    """4, 8, … up to the largest.

    >>> list(resolutions_to(16))
    [4, 8, 16]
    """
    return (2**power for power in range(2, largest.bit_length()))


def scale_of(weight: Tensor, gain: float) -> float:
    """What a weight whose values start at N(0, 1) is multiplied with: gain/√fan_in."""
    return gain / math.sqrt(weight[0].numel())


def leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, LEAK)


class Dense(nn.Module):
    """A weight-scaled linear layer, without an activation.

    Args:
        inputs, outputs: its size.
        gain: √2 before a leaky ReLU, 1 elsewhere.
        rate: learning-rate multiplier of weight and bias, which start larger by as much.
    """

    def __init__(self, inputs: int, outputs: int, gain: float = GAIN, rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale, self.rate = scale_of(self.weight, gain) * rate, rate

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.scale, self.bias * self.rate)


class Blur(nn.Module):
    """Each channel convolved with outer([1, 2, 1])/16, zeros beyond the border."""

    kernel: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        line = torch.tensor([1.0, 2.0, 1.0])
        self.register_buffer("kernel", (torch.outer(line, line) / 16).repeat(channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.kernel, padding=1, groups=self.kernel.shape[0])


def over_shifts(weight: Tensor) -> Tensor:
    """A 3×3 kernel's sum over its four shifts within 4×4: what follows, or precedes, a doubling of every pixel."""
    padded = F.pad(weight, (1, 1, 1, 1))
    return padded[..., 1:, 1:] + padded[..., :-1, 1:] + padded[..., 1:, :-1] + padded[..., :-1, :-1]


def up_convolution(x: Tensor, weight: Tensor, fused: bool) -> Tensor:
    """Double height and width and convolve, (N, C, H, W) → (N, O, 2H, 2W): nearest neighbours then 3×3, or fused."""
    if fused:
        return F.conv_transpose2d(x, over_shifts(weight).transpose(0, 1), stride=2, padding=1)
    return F.conv2d(F.interpolate(x, scale_factor=2.0, mode="nearest"), weight, padding=1)


def down_convolution(x: Tensor, weight: Tensor, fused: bool) -> Tensor:
    """Convolve and halve height and width, (N, C, H, W) → (N, O, H/2, W/2): 3×3 then the mean of four, or fused."""
    if fused:
        return F.conv2d(x, 0.25 * over_shifts(weight), stride=2, padding=1)
    return F.avg_pool2d(F.conv2d(x, weight, padding=1), 2)
