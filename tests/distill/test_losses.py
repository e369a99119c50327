"""Losses against what they are defined to be."""

import pytest
import torch

from ohlora_fast.distill.losses import dice_loss, make_loss


def test_dice_loss_is_one_minus_dice_a_sample():
    logits = torch.full((2, 1, 8, 8), -50.0)
    logits[0, :, :4] = 50.0
    target = torch.zeros(2, 1, 8, 8)
    target[0, :, 2:6] = 1.0
    first, second = 1 - (2 * 16 + 1) / (32 + 32 + 1), 0.0
    assert float(dice_loss(logits, target)) == pytest.approx((first + second) / 2, abs=1e-6)


def test_dice_and_bce_take_soft_targets_and_fall_towards_them():
    target = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    logits = torch.zeros_like(target, requires_grad=True)
    optimizer = torch.optim.Adam([logits], 0.1)
    losses = []
    for _ in range(60):
        loss = make_loss("dice+bce", dice_weight=0.0)(logits, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    assert (torch.sigmoid(logits) - target).abs().mean() < 0.08
