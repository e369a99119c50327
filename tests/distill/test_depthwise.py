"""Within `QuickDepthwise`, training is as without, but for what bfloat16 rounds."""

from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ohlora_fast.distill.depthwise import QuickDepthwise, as_depthwise
from ohlora_fast.student.model import EffiSegNet
from ohlora_fast.student.rewrite import FrozenNorms


def is_quick(conv, x):
    with QuickDepthwise(), torch.autocast("cpu", torch.bfloat16):
        return "depthwise" in conv(x).grad_fn.name()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"groups": 32, "padding": 1}, True),
        ({"groups": 32, "stride": 2}, True),
        ({"groups": 32, "stride": (2, 1)}, False),
        ({"groups": 32, "padding": (1, 0)}, False),
        ({"groups": 32, "padding": "same"}, False),
        ({"groups": 32, "dilation": 2}, False),
        ({"groups": 16}, False),
        ({}, False),
    ],
)
def test_only_what_the_kernel_takes_is_replaced(options, expected):
    conv, x = nn.Conv2d(32, 32, 3, **options), torch.randn(2, 32, 9, 9)
    assert is_quick(conv, x) == expected
    with QuickDepthwise(), torch.autocast("cpu", torch.bfloat16):
        got = conv(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.allclose(got, conv(x), rtol=1e-2, atol=1e-2)


def test_float32_and_inference_stay_as_they_are():
    conv, x = nn.Conv2d(32, 32, 3, groups=32), torch.randn(2, 32, 9, 9)
    assert as_depthwise(x, conv.weight, groups=32) is None
    with QuickDepthwise():
        assert torch.equal(conv(x), F.conv2d(x, conv.weight, conv.bias, groups=32))
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            assert conv(x).grad_fn is None


@pytest.mark.parametrize("frozen", [True, False])
def test_a_students_gradients_are_those_without(frozen, wavy):
    """As close to float32's as plain bfloat16 is, at the same loss."""
    torch.manual_seed(0)
    student, x = EffiSegNet(size=64).train(), wavy(4, 64, 1)
    form = FrozenNorms(student) if frozen else None
    target = torch.rand(4, 1, 64, 64)

    def gradient(quick, precise=False):
        student.zero_grad()
        torch.manual_seed(3)  # of stochastic depth
        with quick, torch.autocast("cpu", torch.bfloat16, enabled=not precise):
            logits = form(student, x) if frozen else student.logits(x)
        loss = F.binary_cross_entropy_with_logits(logits.float(), target)
        loss.backward()
        found = [value.grad.flatten() for value in student.parameters() if value.grad is not None]
        return loss.item(), torch.cat(found)

    _, exact = gradient(nullcontext(), precise=True)
    plain_loss, plain = gradient(nullcontext())
    quick_loss, quick = gradient(QuickDepthwise())
    assert quick_loss == pytest.approx(plain_loss, rel=5e-3)
    errors = [float((one - exact).norm() / exact.norm()) for one in (plain, quick)]
    assert errors[1] < 1.2 * errors[0]
