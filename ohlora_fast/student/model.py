"""EffiSegNet, the student: an EfficientNet encoder under a ghost-module head, in its training form.

Source: Vezakis et al., "EffiSegNet: Gastrointestinal Polyp Segmentation through a Pre-Trained
EfficientNet-based Network with a Simplified Decoder", 2024; ghost modules: Han et al., "GhostNet", 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ohlora_fast.errors import InputError
from ohlora_fast.student import SIZE
from ohlora_fast.student.encoder import ENCODERS, EfficientNetFeatures, EncoderName

HEAD_STRIDES = (1, 2)
UPSAMPLINGS = ("nearest", "bilinear")


class GhostModule(nn.Module):
    """Half of the channels from a 1×1 convolution, the other half from a depthwise 3×3 on those."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        half = out_channels // 2
        self.primary_conv = nn.Sequential(
            nn.Conv2d(in_channels, half, 1, bias=False), nn.ReLU(inplace=True), nn.BatchNorm2d(half)
        )
        self.cheap_operation = nn.Sequential(
            nn.Conv2d(half, half, 3, padding=1, groups=half, bias=False), nn.ReLU(inplace=True), nn.BatchNorm2d(half)
        )

    def forward(self, x: Tensor) -> Tensor:
        primary = self.primary_conv(x)
        return torch.cat([primary, self.cheap_operation(primary)], dim=1)


class EffiSegNet(nn.Module):
    """The hair-segmentation student in its training form.

    Args:
        encoder: ``"efficientnet-lite2-short"`` (with ``head_stride=2`` and ``upsampling="bilinear"`` the default
            student), ``"efficientnet-lite2"`` (three blocks more), ``"efficientnet-lite0"`` (0.8 times the shortened
            one's arithmetic), or ``"efficientnet-b0"`` (with ``head_stride=1`` the reference student: names and
            numbers of the Oh-LoRA v4 checkpoint).
        head_stride: 1 runs the ghost head at 224×224; 2 runs it at 112×112, and its logits are doubled bilinearly.
        head_channels: width of the head, an even number.
        size: side of the squares that come in and of the maps that come out, a multiple of 32; the reference student's
            is 224. "224" and "112" in what is said of students stand for the size and its half.
        upsampling: how the head brings the encoder's five levels to one resolution. ``"nearest"`` repeats their
            values, as the reference student does: the coarsest is then constant over 16×16 of the head's cells.
            ``"bilinear"`` doubles the three coarsest bilinearly as far as 56×56, adding each to the next finer level,
            and repeats from there on, where it would cost most and hardly shows.

    Raises:
        InputError: an argument is outside what is listed above.

    >>> model = EffiSegNet(head_stride=2).eval()
    >>> prob = model(torch.zeros(2, 3, 224, 224))
    >>> tuple(prob.shape), bool((prob >= 0).all() and (prob <= 1).all())
    ((2, 1, 224, 224), True)
    """

    def __init__(
        self,
        encoder: EncoderName = "efficientnet-lite2-short",
        head_stride: int = 2,
        head_channels: int = 64,
        size: int = SIZE,
        upsampling: str = "nearest",
    ) -> None:
        if encoder not in ENCODERS:
            raise InputError(f"encoder: got {encoder!r}, allowed are {', '.join(ENCODERS)}")
        if head_stride not in HEAD_STRIDES:
            raise InputError(f"head_stride: got {head_stride!r}, allowed are 1 and 2")
        if not isinstance(head_channels, int) or head_channels < 2 or head_channels % 2:
            raise InputError(f"head_channels: got {head_channels!r}, allowed are even numbers from 2 on")
        if not isinstance(size, int) or size % 32 or not 32 <= size <= 1024:  # the encoder halves it five times
            raise InputError(f"size: got {size!r}, allowed are multiples of 32 from 32 to 1024")
        if upsampling not in UPSAMPLINGS:
            raise InputError(f"upsampling: got {upsampling!r}, allowed are {', '.join(UPSAMPLINGS)}")
        super().__init__()
        self.encoder_name, self.head_stride, self.head_channels, self.size = encoder, head_stride, head_channels, size
        self.upsampling = upsampling
        self.encoder = EfficientNetFeatures(encoder)
        for level, channels in enumerate(self.encoder.channels, start=1):
            setattr(self, f"conv{level}", nn.Conv2d(channels, head_channels, 3, padding=1, bias=False))
            setattr(self, f"bn{level}", nn.BatchNorm2d(head_channels))
        self.bn6 = nn.BatchNorm2d(head_channels)
        self.ghost1 = GhostModule(head_channels, head_channels)
        self.ghost2 = GhostModule(head_channels, head_channels)
        self.conv6 = nn.Conv2d(head_channels, 1, 1, bias=False)

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path | None = None) -> EffiSegNet:
        """Load trained weights, in evaluation mode.

        Args:
            name_or_path: None for the bundled default student; ``"ohlora-v4"`` for the reference student on the
                Hugging Face hub, downloaded once; or a file (see `student.weights.load_student`).

        Raises:
            InputError: the file can neither be found nor downloaded, or is not a student's.

        >>> EffiSegNet.from_pretrained().encoder_name
        'efficientnet-lite2-short'
        """
        from ohlora_fast.student.weights import load_student  # which imports this module

        if str(name_or_path) == "ohlora-v4":
            from ohlora_fast.hub import fetch

            name_or_path = fetch("ohlora-v4").path
        return load_student(name_or_path)

    def laterals(self) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
        """The 3×3 convolution and batch norm of each feature level, finest first."""
        return [(getattr(self, f"conv{level}"), getattr(self, f"bn{level}")) for level in range(1, 6)]

    def logits(self, x: Tensor) -> Tensor:
        """Hair logits, (N, 1, size, size), for RGB images (N, 3, H, W) scaled to [−1, 1].

        H and W should be the student's size; others of at least 32 run too, and the map is of its size all the same.
        """
        levels = zip(self.encoder(x), self.laterals(), strict=True)
        fused = self.fuse([bn(F.relu(conv(feature))) for feature, (conv, bn) in levels])
        logits = self.conv6(self.ghost2(self.ghost1(self.bn6(fused))))
        return logits if self.head_stride == 1 else double_bilinear(logits)

    def fuse(self, maps: Sequence[Tensor]) -> Tensor:
        """The sum of the levels' maps, finest first, at the head's resolution."""
        if self.upsampling == "bilinear":
            total = maps[-1]
            for finer in reversed(maps[1:-1]):
                total = finer + F.interpolate(total, size=finer.shape[-2:], mode="bilinear", align_corners=False)
            maps = [maps[0], total]
        size = self.size // self.head_stride
        first, *others = (F.interpolate(level, size=(size, size)) for level in maps)
        return sum(others, start=first)

    def forward(self, x: Tensor) -> Tensor:
        """Hair probabilities in [0, 1]: the sigmoid of `logits`."""
        return torch.sigmoid(self.logits(x))


def double_bilinear(x: Tensor) -> Tensor:
    """Double height and width bilinearly (align_corners=False)."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
