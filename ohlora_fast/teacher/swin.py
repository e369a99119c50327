"""Swin-B, the teacher's backbone, with torchvision's parameter names.

Source: Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows", 2021.
Maps are channels-last, (N, H, W, C), and every side is a multiple of the window: 224×224 images alone need no padding.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WINDOW = 7
SHIFT = WINDOW // 2
CHANNELS = (128, 256, 512, 1024)
DEPTHS = (2, 2, 18, 2)
HEADS = (4, 8, 16, 32)
MASKED = -100.0
"""Added to the attention between pixels that only the shift made neighbours."""


def to_windows(x: Tensor) -> Tensor:
    """Cut maps (N, H, W, C) into windows (N · H/7 · W/7, 49, C), rows of windows first.

    >>> tuple(to_windows(torch.zeros(2, 14, 21, 5)).shape)
    (12, 49, 5)
    """
    n, height, width, channels = x.shape
    x = x.view(n, height // WINDOW, WINDOW, width // WINDOW, WINDOW, channels)
    return x.transpose(2, 3).reshape(-1, WINDOW * WINDOW, channels)


def from_windows(windows: Tensor, height: int, width: int) -> Tensor:
    """Undo `to_windows`.

    >>> x = torch.rand(2, 14, 21, 5)
    >>> bool((from_windows(to_windows(x), 14, 21) == x).all())
    True
    """
    x = windows.view(-1, height // WINDOW, width // WINDOW, WINDOW, WINDOW, windows.shape[-1])
    return x.transpose(2, 3).reshape(-1, height, width, windows.shape[-1])


def shift_mask(height: int, width: int, device: torch.device | None = None) -> Tensor:
    """What is added to the attention in each window of a map rolled by the shift: 0 or −100, (windows, 49, 49).

    The roll brings the first 3 rows behind the last ones, the columns likewise: pixels attend to those of their own
    side of such a seam.

    >>> [int((window != 0).sum()) for window in shift_mask(14, 14)]
    [0, 1176, 1176, 1776]
    """
    rows = torch.arange(height, device=device) >= height - SHIFT
    columns = torch.arange(width, device=device) >= width - SHIFT
    region = to_windows((2 * rows[:, None] + columns[None, :]).view(1, height, width, 1)).squeeze(2)
    return MASKED * (region[:, :, None] != region[:, None, :]).float()


def relative_index() -> Tensor:
    """For each pair of a window's pixels, flattened to (2401,), the row of the bias table that their offset has."""
    grid = torch.stack(torch.meshgrid(torch.arange(WINDOW), torch.arange(WINDOW), indexing="ij")).flatten(1)
    offset = grid[:, :, None] - grid[:, None, :] + WINDOW - 1
    return (offset[0] * (2 * WINDOW - 1) + offset[1]).flatten()


class WindowAttention(nn.Module):
    """Self-attention within windows, every other block's shifted by 3 pixels, with a bias for each offset."""

    relative_position_index: Tensor

    def __init__(self, channels: int, heads: int, shifted: bool) -> None:
        super().__init__()
        self.heads, self.shifted = heads, shifted
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * WINDOW - 1) ** 2, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        self.register_buffer("relative_position_index", relative_index())
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        n, height, width, channels = x.shape
        shifted = self.shifted and min(height, width) > WINDOW
        if shifted:
            x = x.roll((-SHIFT, -SHIFT), (1, 2))
        windows = to_windows(x)
        count, pixels, _ = windows.shape
        q, k, v = self.qkv(windows).view(count, pixels, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        bias = self.relative_position_bias_table[self.relative_position_index].view(1, pixels, pixels, self.heads)
        bias = bias.permute(0, 3, 1, 2)
        if shifted:
            bias = bias + shift_mask(height, width, x.device).to(bias.dtype)[:, None]
            bias = bias.repeat(n, 1, 1, 1)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        x = from_windows(self.proj(mixed.transpose(1, 2).reshape(count, pixels, channels)), height, width)
        return x.roll((SHIFT, SHIFT), (1, 2)) if shifted else x


class SwinBlock(nn.Module):
    """Attention within windows, then two linear layers on each pixel, both pre-norm and residual."""

    def __init__(self, channels: int, heads: int, shifted: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn = WindowAttention(channels, heads, shifted)
        self.norm2 = nn.LayerNorm(channels)
        # The third is dropout in the published network, and off.
        self.mlp = nn.Sequential(
            nn.Linear(channels, 4 * channels), nn.GELU(), nn.Identity(), nn.Linear(4 * channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchMerging(nn.Module):
    """Halve the sides: the 4 pixels of a square become one, of twice the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)
        self.norm = nn.LayerNorm(4 * channels)

    def forward(self, x: Tensor) -> Tensor:
        corners = [x[:, row::2, column::2] for row, column in ((0, 0), (1, 0), (0, 1), (1, 1))]
        return self.reduction(self.norm(torch.cat(corners, dim=-1)))


class PatchEmbedding(nn.Sequential):
    """The image (N, 3, H, W) cut into 4×4 patches: (N, H/4, W/4, 128)."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, CHANNELS[0], 4, stride=4), nn.Identity(), nn.LayerNorm(CHANNELS[0]))

    def forward(self, x: Tensor) -> Tensor:
        return self[2](self[0](x).permute(0, 2, 3, 1))


class SwinFeatures(nn.Sequential):
    """Swin-B without its final norm and classifier."""

    def __init__(self) -> None:
        layers: list[nn.Module] = [PatchEmbedding()]
        for stage, (channels, depth, heads) in enumerate(zip(CHANNELS, DEPTHS, HEADS, strict=True)):
            if stage:
                layers.append(PatchMerging(CHANNELS[stage - 1]))
            layers.append(nn.Sequential(*(SwinBlock(channels, heads, bool(block % 2)) for block in range(depth))))
        super().__init__(*layers)

    def forward(self, x: Tensor) -> list[Tensor]:
        """The outputs of the four stages, finest first: (N, H/4, W/4, 128) to (N, H/32, W/32, 1024)."""
        maps = []
        for index, layer in enumerate(self):
            x = layer(x)
            if index % 2:
                maps.append(x)
        return maps
