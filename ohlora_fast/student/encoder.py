"""EfficientNet-B0, -Lite0 and -Lite2 as feature pyramids, the last also shortened.

Parameter names, padding and numbers are those of the published checkpoints: MONAI's ``EfficientNetBNFeatures``
for ``efficientnet-b0`` (blocks grouped by stage) and the PyPI package ``efficientnet-lite-pytorch`` for
``efficientnet-lite0`` and ``-lite2`` (one flat list, ReLU6, no squeeze-and-excite).

Source: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EncoderName = Literal["efficientnet-b0", "efficientnet-lite0", "efficientnet-lite2", "efficientnet-lite2-short"]
SCALES: dict[EncoderName, tuple[float, float]] = {
    "efficientnet-b0": (1.0, 1.0), "efficientnet-lite0": (1.0, 1.0), "efficientnet-lite2": (1.1, 1.2),
    "efficientnet-lite2-short": (1.1, 1.2),
}  # fmt: skip
"""Multipliers of width and depth."""
LEFT_OUT: dict[EncoderName, tuple[int, ...]] = {"efficientnet-lite2-short": (16, 17, 18)}
"""Blocks that an encoder lacks. They have skips, so that the others' weights still fit together.

Three of the five blocks at stride 32 before Lite2's last hold 38 % of its parameters and take 15 % of its arithmetic.
"""
ENCODERS = tuple(SCALES)
BN_EPS = 1e-3
BN_MOMENTUM = 0.01
DROP_CONNECT_RATE = 0.2


@dataclass(frozen=True)
class Stage:
    """One EfficientNet stage: ``repeats`` inverted-bottleneck blocks, the first with ``stride``."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    in_channels: int
    out_channels: int


BASE_STAGES = (
    Stage(1, 3, 1, 1, 32, 16),
    Stage(2, 3, 2, 6, 16, 24),
    Stage(2, 5, 2, 6, 24, 40),
    Stage(3, 3, 2, 6, 40, 80),
    Stage(3, 5, 1, 6, 80, 112),
    Stage(4, 5, 2, 6, 112, 192),
    Stage(1, 3, 1, 6, 192, 320),
)
FEATURE_STAGES = (0, 1, 2, 4, 6)
"""Stages whose outputs are the features at strides 2, 4, 8, 16 and 32."""


def scaled_stages(name: EncoderName) -> list[Stage]:
    """The stages of an encoder. As in all Lite models, the stem and the depths of the outer stages are not scaled.

    >>> [stage.out_channels for stage in scaled_stages("efficientnet-lite2")]
    [16, 24, 48, 88, 120, 208, 352]
    >>> [stage.repeats for stage in scaled_stages("efficientnet-lite2-short")]
    [1, 3, 3, 4, 4, 2, 1]
    """
    width, depth = SCALES[name]
    left_out = set(LEFT_OUT.get(name, ()))
    stages, channels, first = [], BASE_STAGES[0].in_channels, 0
    for stage in BASE_STAGES:
        out = max(8, int(stage.out_channels * width + 4) // 8 * 8)  # to the nearest multiple of 8
        inner = stage not in (BASE_STAGES[0], BASE_STAGES[-1])
        repeats = math.ceil(stage.repeats * depth) if inner else stage.repeats
        kept = repeats - len(left_out.intersection(range(first, first + repeats)))
        stages.append(replace(stage, repeats=kept, in_channels=channels, out_channels=out))
        channels, first = out, first + repeats
    return stages


def feature_channels(name: EncoderName) -> list[int]:
    """The channels of an encoder's five features, finest first.

    >>> feature_channels("efficientnet-lite0")
    [16, 24, 40, 112, 320]
    """
    stages = scaled_stages(name)
    return [stages[index].out_channels for index in FEATURE_STAGES]


class SameConv2d(nn.Conv2d):
    """Convolution without bias, padded as TensorFlow's SAME pads an even-sized input.

    A stride-2 convolution of kernel k then has k − 2 columns of zeros, the smaller half of them on the left.
    The amount is fixed, as in the reference models, which compute it once for 224×224.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        before, after = ((kernel - 1) // 2,) * 2 if stride == 1 else ((kernel - 2) // 2, (kernel - 1) // 2)
        super().__init__(
            in_channels, out_channels, kernel, stride, before if before == after else 0, groups=groups, bias=False
        )
        self.same_pad = None if before == after else (before, after, before, after)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if self.same_pad is None else F.pad(x, self.same_pad))


def batch_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=BN_EPS, momentum=BN_MOMENTUM)


class MBConvBlock(nn.Module):
    """Inverted bottleneck: expand 1×1, depthwise, optional squeeze-and-excite, project 1×1, skip."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int, expand: int, drop_rate: float, lite: bool
    ) -> None:
        super().__init__()
        wide = in_channels * expand
        self.drop_rate = drop_rate
        self.skip = stride == 1 and in_channels == out_channels
        if expand != 1:
            self._expand_conv = SameConv2d(in_channels, wide, 1)
            self._bn0 = batch_norm(wide)
        self._depthwise_conv = SameConv2d(wide, wide, kernel, stride, groups=wide)
        self._bn1 = batch_norm(wide)
        if not lite:
            squeezed = max(1, in_channels // 4)
            self._se_reduce = nn.Conv2d(wide, squeezed, 1)
            self._se_expand = nn.Conv2d(squeezed, wide, 1)
        self._project_conv = SameConv2d(wide, out_channels, 1)
        self._bn2 = batch_norm(out_channels)
        self.activation = nn.ReLU6(inplace=True) if lite else nn.SiLU(inplace=True)
        self.expands, self.lite = expand != 1, lite

    def forward(self, x: Tensor) -> Tensor:
        y = self.activation(self._bn0(self._expand_conv(x))) if self.expands else x
        y = self.activation(self._bn1(self._depthwise_conv(y)))
        if not self.lite:
            squeezed = self.activation(self._se_reduce(F.adaptive_avg_pool2d(y, 1)))
            y = torch.sigmoid(self._se_expand(squeezed)) * y
        y = self._bn2(self._project_conv(y))
        if not self.skip:
            return y
        if self.training and self.drop_rate > 0:  # stochastic depth, a sample at a time
            keep = 1 - self.drop_rate
            y = y * (torch.empty_like(y[:, :1, :1, :1]).bernoulli_(keep) / keep)
        return x + y


class EfficientNetFeatures(nn.Module):
    """The five-level feature pyramid of one of `ENCODERS`.

    Shape: (N, 3, H, W) in about [−1, 1] → features of `channels` (16, 24, 40, 112 and 320 of B0 and Lite0) at strides
    2 to 32.

    >>> features = EfficientNetFeatures("efficientnet-lite0").eval()(torch.zeros(1, 3, 224, 224))
    >>> [tuple(feature.shape[1:]) for feature in features]
    [(16, 112, 112), (24, 56, 56), (40, 28, 28), (112, 14, 14), (320, 7, 7)]
    """

    def __init__(self, name: EncoderName) -> None:
        super().__init__()
        lite = name != "efficientnet-b0"
        table = scaled_stages(name)
        self.repeats = [stage.repeats for stage in table]
        self.channels = feature_channels(name)
        self._conv_stem = SameConv2d(3, 32, 3, 2)
        self._bn0 = batch_norm(32)
        total = sum(self.repeats)
        stages: list[dict[str, nn.Module]] = []
        index = 0
        for stage in table:
            blocks: dict[str, nn.Module] = {}
            for repeat in range(stage.repeats):
                channels, stride = (stage.in_channels, stage.stride) if repeat == 0 else (stage.out_channels, 1)
                drop_rate = DROP_CONNECT_RATE * index / total
                blocks[str(index)] = MBConvBlock(
                    channels, stage.out_channels, stage.kernel, stride, stage.expand, drop_rate, lite
                )
                index += 1
            stages.append(blocks)
        if lite:  # one flat list
            self._blocks = nn.ModuleList([block for blocks in stages for block in blocks.values()])
        else:  # grouped by stage, numbered throughout
            self._blocks = nn.ModuleList([nn.ModuleDict(blocks) for blocks in stages])
            # The classifier's last convolution is unused here, but stands in the published checkpoints.
            self._conv_head = SameConv2d(320, 1280, 1)
            self._bn1 = batch_norm(1280)
        self.activation = nn.ReLU6(inplace=True) if lite else nn.SiLU(inplace=True)
        self.lite = lite

    def stages(self) -> list[list[nn.Module]]:
        """The blocks of each stage, in order."""
        if not self.lite:
            return [list(stage.values()) for stage in self._blocks]  # type: ignore[operator]
        blocks = iter(self._blocks)
        return [[next(blocks) for _ in range(repeats)] for repeats in self.repeats]

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.activation(self._bn0(self._conv_stem(x)))
        features = []
        for index, blocks in enumerate(self.stages()):
            for block in blocks:
                x = block(x)
            if index in FEATURE_STAGES:
                features.append(x)
        return features
