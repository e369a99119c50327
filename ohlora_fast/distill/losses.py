"""Losses between hair logits and hard or soft masks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def dice_loss(logits: Tensor, target: Tensor, smooth: float = 1.0) -> Tensor:
    """1 − the Dice coefficient of sigmoid(logits) with the target, a sample each, averaged.

    Shapes: (N, 1, H, W) both; target in [0, 1].

    >>> perfect = torch.full((1, 1, 2, 2), 50.0)
    >>> round(float(dice_loss(perfect, torch.ones(1, 1, 2, 2))), 6)
    0.0
    """
    prob, target = torch.sigmoid(logits.float()).flatten(1), target.flatten(1)
    overlap = (prob * target).sum(1)
    return (1 - (2 * overlap + smooth) / (prob.sum(1) + target.sum(1) + smooth)).mean()


def bce_dice_loss(logits: Tensor, target: Tensor, dice_weight: float = 0.5) -> Tensor:
    """Soft binary cross-entropy plus ``dice_weight`` times `dice_loss`; shapes and ranges as there."""
    return F.binary_cross_entropy_with_logits(logits.float(), target) + dice_weight * dice_loss(logits, target)
