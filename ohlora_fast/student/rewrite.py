"""The exact inference form of the student: the same function of its input, for less arithmetic.

Nearest upsampling commutes with every pointwise map, and composes; bilinear upsampling commutes with the affine ones.
Hence
* each level's batch norm, the sum's batch norm and the first ghost module's 1×1 convolution become one 1×1
  convolution a level, at that level's own resolution, and the five maps are summed from coarse to fine, doubling;
* the first ghost module's ReLU and batch norm run at 112×112 also where the head's resolution is 224×224;
* a batch norm that only a 1×1 convolution reads is folded into it.
What stays at the head's resolution are the depthwise convolutions (a batch norm before one cannot be folded into
it: its zero padding comes after the norm) and the 1×1 convolutions between them.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ohlora_fast.student.encoder import EfficientNetFeatures
from ohlora_fast.student.model import EffiSegNet, double_bilinear

CONV_AND_NORM = (
    ("_conv_stem", "_bn0"), ("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"),
)  # fmt: skip


class Affine(nn.Module):
    """scale · x + shift, a channel each: a batch norm in evaluation mode."""

    scale: Tensor
    shift: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(channels, 1, 1))
        self.register_buffer("shift", torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.shift


class InferenceEffiSegNet(nn.Module):
    """A trained `EffiSegNet`, rewritten: (N, 3, size, size) in [−1, 1] → (N, 1, size, size) in [0, 1], and no others.

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
        width = model.head_channels
        half = width // 2
        self.head_stride, self.size, self.upsampling = model.head_stride, model.size, model.upsampling
        self.encoder = copy.deepcopy(model.encoder)
        if fold:
            drop_norms(self.encoder)
        self.laterals = nn.ModuleList([copy.deepcopy(conv) for conv, _ in model.laterals()])
        levels = len(self.laterals)
        # All shifts end in one bias, that of the coarsest level, where it is cheapest.
        self.pointwise = nn.ModuleList([nn.Conv2d(width, half, 1, bias=level == levels - 1) for level in range(levels)])
        self.norm1 = Affine(half)
        self.depthwise1 = nn.Conv2d(half, half, 3, padding=1, groups=half, bias=False)
        self.primary2, self.cheap2 = nn.Conv2d(half, half, 1, bias=False), nn.Conv2d(half, half, 1)
        self.norm2 = Affine(half)
        self.depthwise2 = nn.Conv2d(half, half, 3, padding=1, groups=half, bias=False)
        self.primary3, self.cheap3 = nn.Conv2d(half, 1, 1, bias=False), nn.Conv2d(half, 1, 1)
        with torch.no_grad():
            self.to(model.conv6.weight).load_state_dict(rewritten_state(model, fold))
        self.eval().requires_grad_(False)

    def logits(self, x: Tensor) -> Tensor:
        """Hair logits, (N, 1, size, size)."""
        return self.head(self.encoder(x))

    def head(self, features: Sequence[Tensor]) -> Tensor:
        """Hair logits (N, 1, 2h, 2w) from features (N, C, h, w), finest first, each twice the size of the next."""
        return self.readout(self.sums(features))

    def sums(self, features: Sequence[Tensor]) -> Tensor:
        """The levels' maps, added up: (N, half of the head's width, h, w)."""
        maps = [
            pointwise(F.relu(lateral(feature)))
            for feature, lateral, pointwise in zip(features, self.laterals, self.pointwise, strict=True)
        ]
        return summed(maps, self.upsampling)

    def readout(self, sums: Tensor) -> Tensor:
        """Hair logits (N, 1, 2h, 2w) from the sums."""
        primary = self.norm1(F.relu(sums))
        up = double_nearest if self.head_stride == 1 else nn.Identity()
        cheap = F.relu(self.depthwise1(up(primary)))
        primary = self.norm2(F.relu(up(self.primary2(primary)) + self.cheap2(cheap)))
        cheap = F.relu(self.depthwise2(primary))
        logits = self.primary3(primary) + self.cheap3(cheap)
        return logits if self.head_stride == 1 else double_bilinear(logits)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.logits(x))


def summed(maps: Sequence[Tensor], upsampling: str) -> Tensor:
    """The sum of the levels' maps, finest first, at the finest one's resolution, from coarse to fine, doubling."""
    total = maps[-1]
    for level in reversed(range(len(maps) - 1)):
        double = double_bilinear if bilinear_to(level, upsampling) else double_nearest
        total = maps[level] + double(total)
    return total


def bilinear_to(level: int, upsampling: str) -> bool:
    """Whether a student of that upsampling doubles bilinearly what it adds to a level, of which 0 is the finest."""
    return upsampling == "bilinear" and level > 0


def double_nearest(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def drop_norms(encoder: EfficientNetFeatures) -> None:
    """Make room for folded batch norms: identities in their places, biases in the convolutions before them."""
    for unused in ("_conv_head", "_bn1"):
        if hasattr(encoder, unused):
            delattr(encoder, unused)
    for module in encoder.modules():
        for conv_name, norm_name in CONV_AND_NORM:
            conv = getattr(module, conv_name, None)
            if conv is not None:
                conv.bias = nn.Parameter(torch.zeros(conv.out_channels))
                setattr(module, norm_name, nn.Identity())


def rewritten_state(model: EffiSegNet, fold: bool = False) -> dict[str, Tensor]:
    """The state dict of a student's `InferenceEffiSegNet`, differentiable in the student's parameters.

    So a student can also be trained in its inference form, with the statistics of its batch norms frozen.
    """
    state = {f"encoder.{name}": value for name, value in model.encoder.state_dict(keep_vars=True).items()}
    if fold:
        state = {f"encoder.{name}": value for name, value in folded_encoder(model.encoder).items()}
    state |= {f"laterals.{level}.weight": conv.weight for level, (conv, _) in enumerate(model.laterals())}
    state |= folded_laterals(model)
    readers = ((model.ghost1, model.ghost2.primary_conv[0]), (model.ghost2, model.conv6))
    for number, (ghost, reader) in enumerate(readers, start=1):
        scale, shift = norm_affine(ghost.primary_conv[2])
        state |= {f"norm{number}.scale": scale[:, None, None], f"norm{number}.shift": shift[:, None, None]}
        state[f"depthwise{number}.weight"] = ghost.cheap_operation[0].weight
        # The reader of the ghost module's two halves takes the second half's batch norm into itself, shift included.
        primary, cheap = reader.weight[:, :, 0, 0].chunk(2, dim=1)  # type: ignore[index]
        scale, shift = norm_affine(ghost.cheap_operation[2])
        state[f"primary{number + 1}.weight"] = primary[:, :, None, None]
        state[f"cheap{number + 1}.weight"] = (cheap * scale)[:, :, None, None]
        state[f"cheap{number + 1}.bias"] = cheap @ shift
    return state


def norm_affine(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """The (scale, shift) of a batch norm in evaluation mode."""
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale


def folded_encoder(encoder: EfficientNetFeatures) -> dict[str, Tensor]:
    """The encoder's state with every batch norm folded into the convolution before it."""
    state = {}
    for prefix, module in encoder.named_modules():
        dot = f"{prefix}." if prefix else ""
        for conv_name, norm_name in CONV_AND_NORM:
            conv = getattr(module, conv_name, None)
            if conv is not None:
                scale, shift = norm_affine(getattr(module, norm_name))
                state[f"{dot}{conv_name}.weight"] = conv.weight * scale[:, None, None, None]
                state[f"{dot}{conv_name}.bias"] = shift
        for name in ("_se_reduce", "_se_expand"):
            if hasattr(module, name):
                state |= {f"{dot}{name}.{leaf}": value for leaf, value in getattr(module, name).named_parameters()}
    return state


@torch.no_grad()
def with_binary_norms(model: EffiSegNet) -> EffiSegNet:
    """A copy whose encoder's batch norms multiply by powers of two, the rest being in the convolutions before them.

    The same function in evaluation; the norms' statistics are still those of what reaches them. Its folded
    convolutions are those of its state dict times powers of two: stored in float16, they are not rounded again when it
    runs in float16. And kernels are at most √2 times as large or small as before, so that it trains on as before: were
    the whole factors in them, some would be eight times smaller, and an optimizer's steps eight times too large.
    """
    copied = copy.deepcopy(model)
    for module in copied.encoder.modules():
        for conv_name, norm_name in CONV_AND_NORM:
            conv, norm = getattr(module, conv_name, None), getattr(module, norm_name, None)
            if conv is not None and norm is not None:
                scale, _ = norm_affine(norm)
                power = torch.where(scale == 0, 1.0, torch.exp2(torch.log2(scale.abs()).round()))
                conv.weight *= (scale / power)[:, None, None, None]
                norm.running_mean *= scale / power
                norm.running_var *= (scale / power) ** 2
                norm.weight.copy_(power * torch.sqrt(norm.running_var + norm.eps))
    return copied


def folded_laterals(model: EffiSegNet) -> dict[str, Tensor]:
    """For each level, finest first, the 1×1 convolution that stands for its BN, the sum's BN and ghost 1's 1×1."""
    sum_scale, sum_shift = norm_affine(model.bn6)
    ghost: Tensor = model.ghost1.primary_conv[0].weight[:, :, 0, 0]  # type: ignore[index]
    affines = [norm_affine(norm) for _, norm in model.laterals()]
    shift = sum_scale * torch.stack([shift for _, shift in affines]).sum(0) + sum_shift
    state = {
        f"pointwise.{level}.weight": (ghost * (sum_scale * scale))[:, :, None, None]
        for level, (scale, _) in enumerate(affines)
    }
    return state | {f"pointwise.{len(affines) - 1}.bias": ghost @ shift}


class FrozenNorms(nn.Module):
    """Hair logits of a student that is being trained with the statistics of its batch norms frozen.

    Computes in the inference form, whose weights are made anew from the student's at every call and carry gradients
    to them: in training twice as quick as the form with batch norms. Stochastic depth stays.

    >>> student = EffiSegNet().train()
    >>> FrozenNorms(student)(student, torch.zeros(1, 3, 224, 224)).mean().backward()
    >>> student.conv1.weight.grad is None
    False
    """

    def __init__(self, student: EffiSegNet) -> None:
        super().__init__()
        self.form = InferenceEffiSegNet(student, fold=True).train()

    def forward(self, student: EffiSegNet, x: Tensor) -> Tensor:
        state = {f"form.{name}": value for name, value in rewritten_state(student, fold=True).items()}
        return torch.func.functional_call(Logits(self.form), state, (x,))


class Logits(nn.Module):
    """A student whose call gives logits."""

    def __init__(self, form: InferenceEffiSegNet) -> None:
        super().__init__()
        self.form = form

    def forward(self, x: Tensor) -> Tensor:
        return self.form.logits(x)
