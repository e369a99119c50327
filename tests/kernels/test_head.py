"""The head's Triton kernels against PyTorch, kernel by kernel over odd shapes, and as a whole against the student.

Most numbers are small integers and powers of two: sums are then exact in float32, and so is the comparison, at every
border pixel too. PyTorch computes on the CPU: a GPU's convolutions may be Winograd's or TF32's, which are not exact.
"""

from __future__ import annotations

import pytest

pytest.importorskip("triton")

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from ohlora_fast.kernels import lateral as lateral_file
from ohlora_fast.kernels.head import finish, ghost
from ohlora_fast.kernels.lateral import block_size, lateral

from ohlora_fast.ops.head_op import doubled_stencils, enlarged, head_torch, head_triton, pack_head, padded
from ohlora_fast.student.model import ENCODERS, HEAD_STRIDES, EffiSegNet, double_bilinear
from ohlora_fast.student.rewrite import InferenceEffiSegNet, double_nearest
from ohlora_fast.student.weights import load_student

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
HEADS = [(1, "nearest"), (2, "nearest"), (2, "bilinear")]
"""(head stride, upsampling)."""
SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 11), st.integers(1, 35))


def integers(seed, *shape, low=-3, high=3):
    """Whole numbers as float32."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(low, high + 1, shape, generator=generator).float()


def there(*tensors):
    """The tensors where kernels run."""
    return [one if one is None else one.to(DEVICE) for one in tensors]


def planes(x):
    """(N, h, w, C) → (N, C, h, w)."""
    return x.permute(0, 3, 1, 2)


def depthwise(x, taps):
    """Depthwise 3×3 convolution of (N, C, h, w), then ReLU; taps (9, C)."""
    return F.relu(F.conv2d(x, taps.T.reshape(-1, 1, 3, 3), padding=1, groups=taps.shape[1]))


def affine(x, norm):
    return x * norm[0, :, None, None] + norm[1, :, None, None]


@pytest.mark.parametrize(
    ("shape", "channels", "width", "coarsest"),
    [
        ((1, 1, 1), 16, 64, True),
        ((2, 7, 5), 3, 16, True),
        ((1, 14, 10), 40, 32, False),
        ((3, 2, 6), 112, 64, False),
        ((1, 4, 2), 24, 128, False),
    ],
)
@pytest.mark.parametrize("programs", [128, 1])
@pytest.mark.parametrize("bilinear", [False, True])
def test_lateral(monkeypatch, shape, channels, width, coarsest, programs, bilinear):
    """Also with as few programs as can be, so that small maps are done in the large blocks of large batches."""
    monkeypatch.setattr(lateral_file, "PROGRAMS", programs)
    count, height, rest = shape
    feature = integers(0, count, channels, height, rest)
    half = max(16, width // 2)
    weight, pointwise, bias = integers(1, 9, channels, width), integers(2, width, half), integers(3, half)
    coarser = None if coarsest else integers(4, count, height // 2, rest // 2, half)
    kernel = weight.view(3, 3, channels, width).permute(3, 2, 0, 1)
    expected = F.conv2d(F.relu(F.conv2d(feature, kernel, padding=1)), pointwise.T[:, :, None, None])
    double = double_bilinear if bilinear else double_nearest
    expected += bias[:, None, None] if coarser is None else double(planes(coarser))
    packed = enlarged(weight, padded(channels), width).flatten(0, 1)
    for layout in (torch.channels_last, torch.contiguous_format):
        got = lateral(*there(feature.contiguous(memory_format=layout), packed, pointwise, bias, coarser), bilinear)
        assert torch.equal(planes(got).cpu(), expected)


def test_large_blocks_are_tried():
    """What the test above forces happens by itself at a student's sizes."""
    sizes = {block_size(count * side**2, 64, 16, 2) for count in (1, 64) for side in (7, 112)}
    assert sizes == {16, 64, 128}


@settings(max_examples=6, deadline=None, derandomize=True)
@given(shape=SHAPES, half=st.sampled_from([16, 32, 64]), stride=st.sampled_from(HEAD_STRIDES), seed=st.integers(0, 99))
def test_ghost(shape, half, stride, seed):
    total = integers(seed, *shape, half)
    norm1, norm2 = integers(seed + 1, 2, half), integers(seed + 2, 2, half)
    taps, mix2, bias2 = integers(seed + 3, 9, half), integers(seed + 4, 2, half, half), integers(seed + 5, half)
    primary = affine(F.relu(planes(total)), norm1)
    if stride == 1:
        primary = double_nearest(primary)
    both = torch.cat([primary, depthwise(primary, taps)], dim=1)
    factor = torch.cat([mix2[0], mix2[1]]).T[:, :, None, None]
    expected = affine(F.relu(F.conv2d(both, factor, bias2)), norm2)
    stencils = doubled_stencils(taps) if stride == 1 else taps
    got = ghost(*there(total, norm1, stencils, mix2, bias2, norm2), stride)
    assert torch.equal(planes(got).cpu(), expected)


@settings(max_examples=6, deadline=None, derandomize=True)
@given(shape=SHAPES, half=st.sampled_from([16, 32, 64]), stride=st.sampled_from(HEAD_STRIDES), seed=st.integers(0, 99))
def test_finish(shape, half, stride, seed):
    """Weights are scaled so that logits lie near zero, where the sigmoid tells them apart."""
    p2, taps = integers(seed, *shape, half), integers(seed + 1, 9, half)
    mix3, bias3 = integers(seed + 2, 2, half) / 2**11, integers(seed + 3, 1) / 4
    both = torch.cat([planes(p2), depthwise(planes(p2), taps)], dim=1)
    logits = F.conv2d(both, mix3.reshape(1, -1, 1, 1), bias3)
    expected = torch.sigmoid(logits if stride == 1 else double_bilinear(logits))
    got = finish(*there(p2, taps, mix3, bias3), stride)
    assert (got.cpu() - expected).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("encoder", "channels"),
    [*((encoder, 64) for encoder in ENCODERS), ("efficientnet-lite0", 32), ("efficientnet-lite0", 6)],
)
@pytest.mark.parametrize(("stride", "upsampling"), HEADS)
def test_head_equals_the_student(fill, wavy, encoder, stride, channels, upsampling):
    form = InferenceEffiSegNet(fill(EffiSegNet(encoder, stride, channels, upsampling=upsampling)))
    with torch.inference_mode():
        features = form.encoder(wavy(1, 32, 3))
        expected = torch.sigmoid(form.head(features))
        got = head_triton(there(*features), there(*pack_head(form, torch.float32)), stride, upsampling)
    assert expected.std() > 0.01
    assert (got.cpu() - expected).abs().max() < 2e-5


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.float16, 5e-3), (torch.bfloat16, 0.1)])
@pytest.mark.parametrize(("stride", "upsampling"), HEADS)
def test_bundled_head_in_each_type(dtype, tolerance, stride, upsampling):
    """Against float32 arithmetic on the same rounded features and weights. The interpreter truncates to bfloat16."""
    generator = torch.Generator().manual_seed(0)
    channels = InferenceEffiSegNet(load_student()).encoder.channels
    sizes = [(1, count, 16 >> level, 16 >> level) for level, count in enumerate(channels)]
    features = [6 * torch.randn(size, generator=generator).to(dtype) for size in sizes]
    weights = pack_head(InferenceEffiSegNet(load_student()), dtype)
    expected = head_torch(features, weights, stride, upsampling)
    got = head_triton(there(*features), there(*weights), stride, upsampling)
    assert expected.std() > 0.1
    assert (got.cpu() - expected).abs().max() < tolerance
