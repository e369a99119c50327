"""The exact inference form against the training form."""

import copy

import pytest
import torch

from ohlora_fast.student.model import ENCODERS, HEAD_STRIDES, EffiSegNet
from ohlora_fast.student.rewrite import FrozenNorms, InferenceEffiSegNet, norm_affine, with_binary_norms
from ohlora_fast.student.weights import load_student


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("stride", HEAD_STRIDES)
@pytest.mark.parametrize(("channels", "upsampling"), [(64, "nearest"), (32, "nearest"), (32, "bilinear")])
def test_rewrite_equals_the_training_form(fill, wavy, encoder, stride, channels, upsampling):
    model, x = fill(EffiSegNet(encoder, stride, channels, upsampling=upsampling)), wavy(2, 224, 3)
    with torch.inference_mode():
        expected = model(x)
        assert expected.std() > 0.01
        assert (InferenceEffiSegNet(model)(x) - expected).abs().max() < 1e-5


@pytest.mark.parametrize("encoder", ENCODERS)
def test_folded_encoder_is_exact_in_double_precision(fill, wavy, encoder):
    model, x = fill(EffiSegNet(encoder, 2)).double(), wavy(1, 224, 4).double()
    with torch.inference_mode():
        assert (InferenceEffiSegNet(model, fold=True)(x) - model(x)).abs().max() < 1e-11


@pytest.mark.parametrize("fold", [False, True])
def test_rewrite_of_the_bundled_student(wavy, fold):
    model, x = load_student(), wavy(2, 224, 5)
    with torch.inference_mode():
        assert (InferenceEffiSegNet(model, fold)(x) - model(x)).abs().max() < 1e-5


@pytest.mark.parametrize("encoder", ENCODERS)
def test_binary_norms_are_the_same_function(fill, wavy, encoder):
    model, x = fill(EffiSegNet(encoder)).double(), wavy(1, 224, 7).double()
    with torch.inference_mode():
        assert (with_binary_norms(model)(x) - model(x)).abs().max() < 1e-11


def test_binary_norms_leave_kernels_about_as_large_as_they_were(fill):
    """Also where a norm's factor is far from 1, negative or zero; its norm then multiplies by a power of two."""
    model = fill(EffiSegNet())
    block = model.encoder._blocks[1]
    block._bn0.weight.data *= 20
    block._bn0.weight.data[:2] = torch.tensor([-0.5, 0.0])
    copied = with_binary_norms(model).encoder._blocks[1]
    ratios = (copied._expand_conv.weight / block._expand_conv.weight).flatten(1)
    assert (ratios[1] == 0).all()
    assert (ratios[0] < 0).all()
    assert ratios[[0, *range(2, len(ratios))]].abs().min() > 0.707
    assert ratios.abs().max() < 1.415
    scale, _ = norm_affine(copied._bn0)
    assert (torch.log2(scale[2:]) - torch.log2(scale[2:]).round()).abs().max() < 1e-5


def test_rewriting_leaves_the_model_as_it_was(fill):
    model = fill(EffiSegNet("efficientnet-b0", 1))
    before = copy.deepcopy(model.state_dict())
    InferenceEffiSegNet(model, fold=True)
    after = model.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize(("stride", "upsampling"), [(1, "nearest"), (2, "nearest"), (2, "bilinear")])
def test_frozen_norms_have_the_gradients_of_the_training_form(fill, wavy, encoder, stride, upsampling):
    """With batch norms in evaluation mode, and stochastic depth off, both are the same function of the parameters."""
    model, x = fill(EffiSegNet(encoder, stride, 8, upsampling=upsampling)).double(), wavy(1, 224, 6).double()
    frozen = FrozenNorms(model).double().eval()
    target = torch.rand(1, 1, 224, 224, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    read = {
        name: value
        for name, value in model.named_parameters()
        if "_conv_head" not in name and name[:12] != "encoder._bn1"
    }
    ours, theirs = (
        torch.autograd.grad(((logits - target) ** 2).mean(), list(read.values()))
        for logits in (frozen(model, x), model.logits(x))
    )
    for name, one, other in zip(read, ours, theirs, strict=True):
        assert torch.allclose(one, other, rtol=1e-6, atol=1e-9 * float(other.abs().max())), name


def test_frozen_norms_keep_stochastic_depth(wavy):
    model, x = load_student(), wavy(1, 224, 7)
    frozen = FrozenNorms(model)
    with torch.no_grad():
        torch.manual_seed(1)  # with 0, neither of the first two draws drops a block
        first = frozen(model, x)
        assert not torch.equal(first, frozen(model, x))
        torch.manual_seed(1)
        assert torch.equal(first, frozen(model, x))
