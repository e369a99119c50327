"""Depthwise convolution: the compiled gradients against PyTorch's, on shapes nobody likes; registration."""

import json
import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from ohlora_fast import _core
from ohlora_fast.ops import depthwise_op
from ohlora_fast.ops.depthwise_op import compiled_takes, depthwise, depthwise_backward, gradients_cpp, gradients_torch

CASES = [
    (1, 16, 1, 1, 3, 1, 1), (2, 48, 7, 5, 5, 1, 2), (3, 16, 9, 2, 3, 2, 1), (1, 32, 5, 5, 5, 1, 0),
    (2, 32, 17, 12, 5, 2, 0), (1, 16, 8, 11, 3, 3, 2), (1, 80, 3, 4, 5, 4, 4),
]  # fmt: skip
"""Photos, channels, height, width, kernel, stride, padding; with stride 4 not every pixel is read."""


def arguments(count, channels, height, width, size, stride, padding):
    """grad, x, weight, stride, padding: maps in bfloat16, channels last."""
    draw = torch.Generator().manual_seed(height)
    x = torch.randn(count, channels, height, width, generator=draw).bfloat16()
    weight = torch.randn(channels, 1, size, size, generator=draw)
    out = F.conv2d(x.float(), weight, stride=stride, padding=padding, groups=channels)
    grad = torch.randn(out.shape, generator=draw).bfloat16()
    return *(one.contiguous(memory_format=torch.channels_last) for one in (grad, x)), weight, stride, padding


def differences(got, given):
    """The largest of x's and of the weight's gradient, as shares of the largest value, against float64."""
    expected = gradients_torch(*(one.double() for one in given[:3]), *given[3:])
    return [((one - other).abs().max() / other.abs().max()).item() for one, other in zip(got, expected, strict=True)]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("threads", [1, 3])
def test_compiled_equals_the_reference(case, threads):
    """x's gradient is rounded to bfloat16, that of the weight stays float32."""
    given = arguments(*case)
    x_grad, weight_grad = gradients_cpp(*given, threads)
    assert (x_grad.dtype, weight_grad.dtype) == (torch.bfloat16, torch.float32)
    assert x_grad.is_contiguous(memory_format=torch.channels_last)
    of_x, of_weight = differences((x_grad, weight_grad), given)
    assert of_x < 2**-8
    assert of_weight < 1e-5


def test_gradients_are_rounded_to_the_nearest_with_ties_to_even():
    grad = torch.linspace(0.5, 2, 64).bfloat16().view(1, 16, 2, 2).contiguous(memory_format=torch.channels_last)
    weight = torch.zeros(16, 1, 3, 3)
    weight[:, 0, 1, 1] = 1 + torch.arange(16) / 512  # products end between two numbers, and halfway
    x_grad, _ = gradients_cpp(grad, torch.zeros_like(grad), weight, 1, 1)
    assert torch.equal(x_grad, (grad.float() * weight[:, :, 1:2, 1]).bfloat16())


def test_what_is_not_finite_stays_so():
    grad, x, weight, *rest = arguments(1, 16, 4, 4, 3, 1, 1)
    grad[0, 0, 0, 0], grad[0, 1, 0, 0] = float("nan"), float("inf")
    weight[:, 0, 1, 1] = 1
    x_grad, weight_grad = gradients_cpp(grad, x, weight, *rest)
    assert x_grad[0, 0, 0, 0].isnan()
    assert x_grad[0, 1, 0, 0] == float("inf")
    assert weight_grad[:2].isfinite().all(dim=(1, 2, 3)).tolist() == [False, False]
    assert x_grad[0, 2:].isfinite().all()


def test_other_layouts_are_copied():
    grad, x, *rest = arguments(2, 32, 6, 5, 3, 1, 1)
    expected = gradients_cpp(grad, x, *rest)
    got = gradients_cpp(grad.contiguous(), x.contiguous(), *rest)
    assert all(torch.equal(one, other) for one, other in zip(got, expected, strict=True))


def test_levels_of_instructions_agree():
    code = (
        "import json, torch\n"
        "from ohlora_fast import _core\n"
        "from ohlora_fast.ops.depthwise_op import gradients_cpp\n"
        "draw = torch.Generator().manual_seed(0)\n"
        "x, grad = (torch.randn(2, 48, 9, 7, generator=draw).bfloat16() for _ in range(2))\n"
        "found = gradients_cpp(grad, x, torch.randn(48, 1, 5, 5, generator=draw), 1, 2)\n"
        "found = [one.flatten().tolist() for one in found]\n"
        "print(json.dumps([_core.build_info()['simd'], found]))\n"
    )
    found = {}
    for level in _core.build_info()["simd_compiled"]:
        environment = os.environ | {"OHLORA_SIMD": level}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        name, gradients = json.loads(done.stdout)
        found[name] = [torch.tensor(one) for one in gradients]
    first, *others = found.values()
    for x_grad, weight_grad in others:
        assert (first[0] - x_grad).abs().max() <= 2**-8 * first[0].abs().max()
        assert (first[1] - weight_grad).abs().max() < 1e-5 * first[1].abs().max()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("with_bias", [True, False])
def test_the_operation_is_conv2d(dtype, with_bias):
    """Value and gradients; bfloat16's against float32's of the rounded maps and weights."""
    _, x, weight, stride, padding = arguments(2, 32, 11, 8, 3, 2, 1)
    wide = torch.float32 if dtype == torch.bfloat16 else dtype
    bias = torch.linspace(-1, 1, 32) if with_bias else None
    given = [x.to(dtype), weight.bfloat16().to(wide), *([bias.bfloat16().to(wide)] if with_bias else [])]
    ours, plain = ([one.clone().requires_grad_() for one in given] for _ in range(2))
    out = depthwise(*ours[:2], ours[2] if with_bias else None, stride, padding)
    expected = F.conv2d(
        plain[0].to(wide), plain[1], plain[2] if with_bias else None, stride=stride, padding=padding, groups=32
    )
    tolerance = 1e-2 if dtype == torch.bfloat16 else 1e-5
    assert out.dtype == dtype
    assert torch.allclose(out.to(wide), expected, rtol=tolerance, atol=tolerance)
    grad = torch.randn(out.shape, generator=torch.Generator().manual_seed(1)).bfloat16()
    out.backward(grad.to(dtype))
    expected.backward(grad.to(wide))
    for one, other in zip(ours, plain, strict=True):
        assert one.grad.dtype == one.dtype
        assert torch.allclose(one.grad.to(wide), other.grad.to(wide), rtol=tolerance, atol=tolerance)


def test_what_the_compiled_form_takes(monkeypatch):
    x, weight = torch.zeros(1, 32, 9, 9, dtype=torch.bfloat16), torch.zeros(32, 1, 3, 3)
    assert compiled_takes(x, weight)
    assert not compiled_takes(x.float(), weight)
    assert not compiled_takes(x, weight.bfloat16())
    assert not compiled_takes(x, torch.zeros(32, 1, 7, 7))
    assert not compiled_takes(x[:, :24], weight[:24])
    monkeypatch.setattr(depthwise_op, "backend_problem", lambda name: "not built")
    assert not compiled_takes(x, weight)


def test_registration():
    grad, x, weight, stride, padding = arguments(2, 32, 9, 6, 5, 2, 2)
    torch.library.opcheck(depthwise_backward, (grad, x, weight, stride, padding))
    for given in ((x, weight, None), tuple(one.double().requires_grad_() for one in (x, weight, torch.zeros(32)))):
        torch.library.opcheck(depthwise, (*given, stride, padding))


def test_compile():
    _, x, weight, stride, padding = arguments(2, 32, 9, 6, 5, 2, 2)
    compiled = torch.compile(lambda *given: depthwise(*given, stride, padding) * 2, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(x, weight, None), depthwise(x, weight, None, stride, padding) * 2)
