"""Head finder: a heat map of head centres with their boxes, over a shortened EfficientNet-Lite0.

Source: Zhou et al., "Objects as Points", 2019 (arXiv:1904.07850): a heat map and a regression at each centre;
Tan and Le, "EfficientNet", 2019, for the encoder.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ohlora_fast.student.encoder import EfficientNetFeatures
from ohlora_fast.student.rewrite import drop_norms, folded_encoder

STRIDE = 8
"""Pixels a cell of the heat map."""
WIDTH = 64
"""Channels of the head of the network."""
LEFT_OUT = (12, 13, 15)
"""Blocks of Lite0 that the encoder lacks: two with skips at stride 32 and the last stage, 57 % of the parameters."""
CHANNELS = (40, 112, 192)
"""Of the features at strides 8, 16 and 32."""
OUTPUTS = 5
"""Channels of the output: heat, offset of the centre (x, y), logarithm of the box's width and height, in cells."""
START = (-4.0, 0.0, 0.0, 1.5, 1.5)
"""Of the output where training starts: heads are rare, and of a middling size."""


class HeadFinderNet(nn.Module):
    """The head finder in its training form.

    Shape: RGB (N, 3, H, W) in [−1, 1], H and W multiples of 32, → (N, 5, H/8, W/8): logit of the heat; x and y of the
    centre, from the cell's middle; logarithm of the box's width and height. Lengths are in cells of 8 pixels.

    >>> tuple(HeadFinderNet().eval()(torch.zeros(1, 3, 64, 96)).shape)
    (1, 5, 8, 12)
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = EfficientNetFeatures("efficientnet-lite0")
        stages = self.encoder.stages()
        numbered = iter(range(len(self.encoder._blocks)))
        kept = [[block for block in stage if next(numbered) not in LEFT_OUT] for stage in stages]
        self.encoder._blocks = nn.ModuleList([block for stage in kept for block in stage])
        self.encoder.repeats = [len(stage) for stage in kept]
        self.laterals = nn.ModuleList([nn.Conv2d(channels, WIDTH, 1, bias=False) for channels in CHANNELS])
        self.norm = nn.BatchNorm2d(WIDTH)
        self.layers = nn.Sequential(*(separable(WIDTH) for _ in range(3)))
        self.last = nn.Conv2d(WIDTH, OUTPUTS, 1)
        with torch.no_grad():
            self.last.weight.mul_(0.1)
            self.last.bias = nn.Parameter(torch.tensor(START))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(x))

    def head(self, features: list[Tensor]) -> Tensor:
        """The output from the encoder's five features, finest first."""
        total = self.laterals[2](features[4])
        for lateral, feature in ((self.laterals[1], features[3]), (self.laterals[0], features[2])):
            total = lateral(feature) + F.interpolate(total, scale_factor=2.0, mode="nearest")
        output: Tensor = self.last(self.layers(F.relu(self.norm(total))))
        return output


def separable(channels: int) -> nn.Module:
    """A depthwise 5×5 and a pointwise convolution."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 5, padding=2, groups=channels, bias=False),
        nn.BatchNorm2d(channels),
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    )


class FrozenEncoder(nn.Module):
    """Output of a head finder in training whose encoder keeps its batch norms' statistics.

    The norms are folded into the convolutions at every call, with gradients: twice as quick as applying them.
    """

    def __init__(self, net: HeadFinderNet) -> None:
        super().__init__()
        self.form = copy.deepcopy(net.encoder)
        drop_norms(self.form)

    def forward(self, net: HeadFinderNet, x: Tensor) -> Tensor:
        features = torch.func.functional_call(self.form, folded_encoder(net.encoder), (x,))
        return net.head(features)
