"""The head as an operation: packed weights against the student, registration, gradients, costs."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from ohlora_fast.ops import head_op
from ohlora_fast.ops.head_op import doubled_stencils, head_cost, head_torch, pack_head
from ohlora_fast.student.model import ENCODERS, HEAD_STRIDES, EffiSegNet
from ohlora_fast.student.rewrite import InferenceEffiSegNet, double_nearest
from ohlora_fast.student.weights import load_student

HALF_PRECISION = [(torch.float16, 2e-3), (torch.bfloat16, 2e-2)]


@pytest.fixture(scope="module")
def bundled():
    return InferenceEffiSegNet(load_student(), fold=True)


@pytest.fixture
def inputs(bundled, wavy):
    """Arguments of the operation: real features of the bundled student, its weights, head stride and upsampling."""
    with torch.no_grad():
        features = bundled.encoder(wavy(2, 64, 19))
    return features, list(pack_head(bundled, torch.float32)), bundled.head_stride, bundled.upsampling


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("stride", HEAD_STRIDES)
@pytest.mark.parametrize(
    ("channels", "upsampling"), [(64, "nearest"), (32, "nearest"), (6, "nearest"), (64, "bilinear")]
)
def test_packed_head_equals_the_student(fill, wavy, encoder, stride, channels, upsampling):
    """Also of a width that has to be enlarged."""
    form = InferenceEffiSegNet(fill(EffiSegNet(encoder, stride, channels, upsampling=upsampling)))
    x = wavy(2, 224, 3)
    with torch.inference_mode():
        expected = form(x)
        got = head_torch(form.encoder(x), pack_head(form, torch.float32), stride, upsampling)
    assert got.shape == expected.shape
    assert expected.std() > 0.01
    assert (got - expected).abs().max() < 1e-5


@pytest.mark.parametrize(("dtype", "tolerance"), HALF_PRECISION)
def test_rounded_weights(bundled, wavy, dtype, tolerance):
    """Matrices are in the features' type; norms, biases and depthwise weights stay float32."""
    packed = pack_head(bundled, dtype)
    assert {name for name, weight in packed._asdict().items() if weight.dtype == dtype} == {
        "laterals", "pointwise", "mix2",
    }  # fmt: skip
    assert all(weight.dtype in (dtype, torch.float32) and weight.is_contiguous() for weight in packed)
    x = wavy(1, 224, 19)
    with torch.inference_mode():
        features = [feature.to(dtype) for feature in bundled.encoder(x)]
        assert (
            head_torch(features, packed, bundled.head_stride, bundled.upsampling) - bundled(x)
        ).abs().max() < tolerance


def test_packing_copies(bundled):
    """So that a student may be trained on, and its packed head keeps what it was."""
    before = {name: value.clone() for name, value in bundled.state_dict().items()}
    for weight in pack_head(bundled, torch.float32):
        assert not weight.requires_grad
        weight.zero_()
    assert all(torch.equal(before[name], value) for name, value in bundled.state_dict().items())


@pytest.mark.parametrize("size", [(1, 1), (7, 5)])
def test_doubled_stencils(size):
    """Four 2×2 convolutions, spelled out, are the 3×3 convolution of the doubled map, at its borders too."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(-9, 10, (1, 4, *size), generator=generator).double()
    taps = torch.randint(-9, 10, (9, 4), generator=generator).double()
    expected = F.conv2d(double_nearest(x), taps.T.reshape(4, 1, 3, 3), padding=1, groups=4)
    stencils = doubled_stencils(taps).view(2, 2, 2, 2, 4)
    padded = F.pad(x, (1, 1, 1, 1))
    for i in range(2):
        for j in range(2):
            kernel = stencils[i, j].permute(2, 0, 1)[:, None]
            got = F.conv2d(padded[:, :, i : i + size[0] + 1, j : j + size[1] + 1], kernel, groups=4)
            assert torch.equal(got, expected[:, :, i::2, j::2])


def test_registration(inputs):
    torch.library.opcheck(head_op.student_head, inputs)
    assert torch.equal(torch.ops.ohlora_fast.student_head(*inputs), head_torch(*inputs))


class Twice(torch.nn.Module):
    """The operation between others."""

    def forward(self, features, weights):
        return torch.ops.ohlora_fast.student_head([feature * 2 for feature in features], weights, 2) * 2


def test_compile_and_export(inputs):
    features, weights, *_ = inputs
    model = Twice()
    expected = model(features, weights)
    assert torch.equal(torch.compile(model, fullgraph=True, backend="aot_eager")(features, weights), expected)
    assert torch.equal(torch.export.export(model, (features, weights)).module()(features, weights), expected)


def test_gradients_are_refused(inputs):
    features, *rest = inputs
    asked = [feature.clone().requires_grad_() for feature in features]
    with pytest.raises(NotImplementedError, match="student_head: has no gradient"):
        torch.ops.ohlora_fast.student_head(asked, *rest)
    with torch.no_grad():
        torch.ops.ohlora_fast.student_head(asked, *rest)


def test_heads_too_wide_for_triton_run_in_pytorch(wavy, monkeypatch):
    monkeypatch.setattr(head_op, "head_triton", lambda *_: "Triton")
    for channels, plain in ((128, False), (130, True)):
        form = InferenceEffiSegNet(EffiSegNet(head_channels=channels))
        with torch.no_grad():
            arguments = form.encoder(wavy(1, 32, 3)), pack_head(form, torch.float32), form.head_stride
            got = head_op.head_on_gpu(*arguments)
            assert torch.equal(got, head_torch(*arguments)) if plain else got == "Triton"


@pytest.mark.parametrize("stride", HEAD_STRIDES)
def test_cost(stride):
    """Operations against PyTorch's own count, in which the doubled stencils' nine products were not made four."""
    from torch.utils.flop_counter import FlopCounterMode

    form = InferenceEffiSegNet(EffiSegNet("efficientnet-b0", stride))
    features = [torch.zeros(2, count, 112 >> level, 112 >> level) for level, count in enumerate(form.encoder.channels)]
    with FlopCounterMode(display=False) as counter:
        form.head(features)
    saved = 2 * 2 * 224**2 * 32 * (9 - 4) if stride == 1 else 0
    moved, operations = head_cost(2, 2, stride)
    assert operations == counter.get_total_flops() - saved
    assert moved == 2 * head_cost(1, 2, stride)[0]
    written = 224**2 * 4 * (1 if stride == 1 else 1.5)
    assert head_cost(1, 4, stride)[0] - head_cost(1, 2, stride)[0] == head_cost(1, 2, stride)[0] - written
