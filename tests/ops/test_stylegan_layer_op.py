"""The synthesis layer as an operation: the compiled form on shapes nobody likes, registration, gradients."""

import json
import os
import subprocess
import sys

import pytest
import torch

from ohlora_fast import _core
from ohlora_fast.ops.stylegan_layer_op import BACKENDS, layer_backend_problem, layer_cpp, layer_torch, stylegan_layer

SHAPES = [
    (1, 1, 1, 1, 1), (2, 5, 7, 5, 2), (1, 16, 1, 9, 1), (3, 70, 9, 1, 3), (2, 512, 4, 4, 1), (2, 83, 40, 33, 2),
    (1, 64, 96, 64, 1),
]  # fmt: skip
"""Samples, channels, height, width, planes of noise. The last two are cut into bands."""


def arguments(count, channels, height, width, noises, mean=1.0):
    draw = torch.Generator().manual_seed(channels)
    shapes = (
        (count, channels, height, width),
        (noises, 1, height, width),
        (channels,),
        (channels,),
        (count, 2 * channels),
    )
    x, *others = (torch.randn(shape, generator=draw) for shape in shapes)
    return x + mean, *others


def difference(got, given, blur):
    """The largest, as a share of the largest value."""
    expected = layer_torch(*(one.double() for one in given), blur)
    return ((got - expected).abs().max() / expected.abs().max()).item()


@pytest.mark.parametrize("blur", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("threads", [1, 3])
def test_compiled_equals_the_reference(shape, blur, threads):
    given = arguments(*shape)
    for x in (given[0], given[0].contiguous(memory_format=torch.channels_last)):
        got = layer_cpp(x, *given[1:], blur, threads)
        assert got.is_contiguous(memory_format=torch.channels_last)
        assert difference(got, given, blur) < 1e-5


def test_a_mean_far_from_zero_costs_no_digits():
    for mean in (1e3, -1e4):
        given = arguments(2, 20, 32, 32, 1, mean)
        assert difference(layer_cpp(*given, False), given, False) < 1e-3 * abs(mean) / 1e3


def test_constant_planes_become_their_shift():
    """Their deviation is zero, so that nothing may be left of a mean once it is taken away."""
    x, noise, style = torch.full((2, 6, 5, 5), 3.3), torch.zeros(1, 1, 5, 5), torch.randn(2, 12)
    got = layer_cpp(x, noise, torch.zeros(6), torch.linspace(0.1, 7, 6), style, False)
    assert torch.equal(got, style[:, 6:, None, None].expand(2, 6, 5, 5))


def test_levels_of_instructions_agree():
    code = (
        "import json, torch\n"
        "from ohlora_fast import _core\n"
        "from ohlora_fast.ops.stylegan_layer_op import layer_cpp\n"
        "draw = torch.Generator().manual_seed(0)\n"
        "shapes = (1, 83, 9, 7), (1, 1, 9, 7), (83,), (83,), (1, 166)\n"
        "given = [torch.randn(shape, generator=draw) for shape in shapes]\n"
        "values = [layer_cpp(*given, blur).tolist() for blur in (True, False)]\n"
        "print(json.dumps([_core.build_info()['simd'], values]))\n"
    )
    found = {}
    for level in _core.build_info()["simd_compiled"]:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"OHLORA_SIMD": level},
            capture_output=True,
            text=True,
            check=True,
        )
        name, values = json.loads(done.stdout)
        found[name] = torch.tensor(values)
    first, *others = found.values()
    assert first.shape == (2, 1, 83, 9, 7)
    assert all((first - other).abs().max() < 1e-5 for other in others)


def test_backends():
    assert BACKENDS == ("torch", "cpp", "triton")
    assert layer_backend_problem("torch") is None
    assert layer_backend_problem("cpp") is None


@pytest.mark.parametrize("blur", [True, False])
def test_registration(blur):
    """Gradients in float64 alone: in float32, that of x is rounding, as a sum over a normed plane does not vary."""
    given = arguments(2, 5, 7, 6, 1)
    torch.library.opcheck(stylegan_layer, (*given, blur))
    torch.library.opcheck(stylegan_layer, (*(one.double().requires_grad_() for one in given), blur))


def test_other_types_run_in_pytorch():
    given = [one.double() for one in arguments(2, 5, 7, 6, 1)]
    assert torch.equal(stylegan_layer(*given, True), layer_torch(*given, True))
    half = given[0].half()
    assert stylegan_layer(half, *given[1:], True).dtype == torch.float16


@pytest.mark.parametrize("blur", [True, False])
def test_gradients_are_the_references(blur):
    given = arguments(2, 5, 7, 6, 2)
    for wanted in ((True,) * 5, (True, False, True, False, True)):
        ours = [one.clone().requires_grad_(need) for one, need in zip(given, wanted, strict=True)]
        plain = [one.clone().requires_grad_(need) for one, need in zip(given, wanted, strict=True)]
        factor = torch.randn(2, 5, 7, 6)
        (stylegan_layer(*ours, blur) * factor).sum().backward()
        (layer_torch(*plain, blur) * factor).sum().backward()
        for one, other, need in zip(ours, plain, wanted, strict=True):
            assert (one.grad is not None) == need
            if need:
                assert torch.allclose(one.grad, other.grad, atol=1e-4)


def test_compile():
    given = arguments(2, 5, 7, 6, 1)
    compiled = torch.compile(lambda *tensors: stylegan_layer(*tensors, True) * 2, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(*given), stylegan_layer(*given, True) * 2)
