"""Losses between hair logits and hard or soft masks: response-based distillation.

Shapes everywhere: logits and target (N, 1, H, W), target in [0, 1]; a scalar comes back.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]


def soft_bce_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy with the teacher's probabilities as target, the mean over pixels.

    >>> round(float(soft_bce_loss(torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 0.5))), 4)
    0.6931
    """
    return F.binary_cross_entropy_with_logits(logits.float(), target)


def mse_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference of the probabilities.

    >>> float(mse_loss(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)))
    0.25
    """
    return F.mse_loss(torch.sigmoid(logits.float()), target)


def kl_loss(logits: Tensor, target: Tensor) -> Tensor:
    """target · log(target / p) as recorded, the mean over pixels: the hair's half of the Kullback-Leibler divergence.

    It falls wherever p rises, so that its student ends with hair everywhere, as the recorded table shows. It is here
    to reproduce that table. The whole divergence, with the half of what is not hair, has the gradients of
    `soft_bce_loss`, from which it differs by the target's entropy alone.

    >>> round(float(kl_loss(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2))), 4)
    0.6931
    """
    return (torch.xlogy(target, target) - target * F.logsigmoid(logits.float())).mean()


def dice_loss(logits: Tensor, target: Tensor, smooth: float = 1.0) -> Tensor:
    """1 − the Dice coefficient of sigmoid(logits) with the target, a sample each, averaged.

    >>> perfect = torch.full((1, 1, 2, 2), 50.0)
    >>> round(float(dice_loss(perfect, torch.ones(1, 1, 2, 2))), 6)
    0.0
    """
    prob, target = torch.sigmoid(logits.float()).flatten(1), target.flatten(1)
    overlap = (prob * target).sum(1)
    return (1 - (2 * overlap + smooth) / (prob.sum(1) + target.sum(1) + smooth)).mean()


def make_loss(name: str, dice_weight: float) -> Loss:
    """The loss of a name from `LOSSES`; ``dice_weight`` is that of the Dice part of ``dice+bce``."""
    if name == "dice+bce":
        return lambda logits, target: soft_bce_loss(logits, target) + dice_weight * dice_loss(logits, target)
    return {"soft-bce": soft_bce_loss, "mse": mse_loss, "kl": kl_loss}[name]
