"""The exact inference form of the student: the same function of its input, for less arithmetic.

Nearest upsampling commutes with every pointwise map, and composes. Hence
* each level's batch norm, the sum's batch norm and the first ghost module's 1×1 convolution become one 1×1
  convolution a level, at that level's own resolution, and the five maps are summed from coarse to fine, doubling;
* the first ghost module's ReLU and batch norm run at 112×112 also where the head's resolution is 224×224;
* a batch norm that only a 1×1 convolution reads is folded into it.
What stays at the head's resolution are the depthwise convolutions (a batch norm before one cannot be folded into
it: its zero padding comes after the norm) and the 1×1 convolutions between them.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ohlora_fast.student.encoder import EfficientNetFeatures
from ohlora_fast.student.model import EffiSegNet, double_bilinear

CONV_AND_NORM = (
    ("_conv_stem", "_bn0"), ("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"),
)  # fmt: skip


class Affine(nn.Module):
    """scale · x + shift, a channel each: a batch norm in evaluation mode."""

    scale: Tensor
    shift: Tensor

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        scale, shift = norm_affine(norm)
        self.register_buffer("scale", scale[:, None, None])
        self.register_buffer("shift", shift[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.shift


class InferenceEffiSegNet(nn.Module):
    """A trained `EffiSegNet`, rewritten. Takes exactly (N, 3, 224, 224) in [−1, 1], gives (N, 1, 224, 224) in [0, 1].

    Args:
        model: the student to rewrite; it stays as it is.
        fold: also fold the encoder's batch norms into its convolutions. This is as exact in real numbers, but changes
            the encoder's float32 rounding, which deep random weights magnify to a few 1e-5 of probability.

    >>> _ = torch.manual_seed(0)
    >>> model, x = EffiSegNet().eval(), torch.randn(1, 3, 224, 224)
    >>> with torch.inference_mode():
    ...     bool((InferenceEffiSegNet(model)(x) - model(x)).abs().max() < 1e-5)
    True
    """

    def __init__(self, model: EffiSegNet, fold: bool = False) -> None:
        super().__init__()
        model = copy.deepcopy(model).eval().requires_grad_(False)
        self.head_stride = model.head_stride
        self.encoder = fold_encoder(model.encoder) if fold else model.encoder
        self.laterals = nn.ModuleList([conv for conv, _ in model.laterals()])
        self.pointwise = nn.ModuleList(fold_laterals(model))
        self.norm1 = Affine(model.ghost1.primary_conv[2])  # type: ignore[arg-type]
        self.depthwise1 = model.ghost1.cheap_operation[0]
        self.primary2, self.cheap2 = split_ghost_input(model.ghost2.primary_conv[0], model.ghost1.cheap_operation[2])
        self.norm2 = Affine(model.ghost2.primary_conv[2])  # type: ignore[arg-type]
        self.depthwise2 = model.ghost2.cheap_operation[0]
        self.primary3, self.cheap3 = split_ghost_input(model.conv6, model.ghost2.cheap_operation[2])

    def logits(self, x: Tensor) -> Tensor:
        """Hair logits, (N, 1, 224, 224)."""
        maps = [
            pointwise(F.relu(lateral(feature)))
            for feature, lateral, pointwise in zip(self.encoder(x), self.laterals, self.pointwise, strict=True)
        ]
        total = maps[-1]
        for finer in reversed(maps[:-1]):
            total = finer + double_nearest(total)
        primary = self.norm1(F.relu(total))
        up = double_nearest if self.head_stride == 1 else nn.Identity()
        cheap = F.relu(self.depthwise1(up(primary)))
        primary = self.norm2(F.relu(up(self.primary2(primary)) + self.cheap2(cheap)))
        cheap = F.relu(self.depthwise2(primary))
        logits = self.primary3(primary) + self.cheap3(cheap)
        return logits if self.head_stride == 1 else double_bilinear(logits)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.logits(x))


def double_nearest(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def norm_affine(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """The (scale, shift) of a batch norm in evaluation mode."""
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale


def conv1x1(weight: Tensor, bias: Tensor | None = None) -> nn.Conv2d:
    """A 1×1 convolution of a (out, in) matrix."""
    conv = nn.Conv2d(weight.shape[1], weight.shape[0], 1, bias=bias is not None)
    conv.weight.data = weight[:, :, None, None].contiguous()
    if bias is not None:
        assert conv.bias is not None
        conv.bias.data = bias
    return conv.requires_grad_(False)


def fold_encoder(encoder: EfficientNetFeatures) -> EfficientNetFeatures:
    """Fold every batch norm into the convolution before it, in place."""
    for module in list(encoder.modules()):
        for conv_name, norm_name in CONV_AND_NORM:
            conv, norm = getattr(module, conv_name, None), getattr(module, norm_name, None)
            if conv is not None and isinstance(norm, nn.BatchNorm2d):
                setattr(module, conv_name, fuse_conv_bn_eval(conv, norm))
                setattr(module, norm_name, nn.Identity())
    for unused in ("_conv_head", "_bn1"):
        if hasattr(encoder, unused):
            delattr(encoder, unused)
    return encoder


def fold_laterals(model: EffiSegNet) -> list[nn.Conv2d]:
    """For each level, finest first, the 1×1 convolution that stands for its BN, the sum's BN and ghost 1's 1×1."""
    sum_scale, sum_shift = norm_affine(model.bn6)
    ghost: Tensor = model.ghost1.primary_conv[0].weight[:, :, 0, 0]  # type: ignore[index]
    affines = [norm_affine(norm) for _, norm in model.laterals()]
    shift = ghost @ (sum_scale * torch.stack([shift for _, shift in affines]).sum(0) + sum_shift)
    matrices = [ghost * (sum_scale * scale) for scale, _ in affines]
    # All shifts end in one bias, that of the coarsest level, where it is cheapest.
    return [conv1x1(matrix) for matrix in matrices[:-1]] + [conv1x1(matrices[-1], shift)]


def split_ghost_input(conv: nn.Module, cheap_norm: nn.Module) -> tuple[nn.Conv2d, nn.Conv2d]:
    """Split a 1×1 convolution that reads a ghost module into its primary half and its cheap half.

    The cheap half takes the ghost module's last batch norm into itself, shift included.
    """
    assert isinstance(conv, nn.Conv2d)
    primary, cheap = conv.weight[:, :, 0, 0].chunk(2, dim=1)
    scale, shift = norm_affine(cheap_norm)
    return conv1x1(primary), conv1x1(cheap * scale, cheap @ shift)
