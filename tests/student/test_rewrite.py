"""The exact inference form against the training form."""

import copy

import pytest
import torch

from ohlora_fast.student.model import ENCODERS, HEAD_STRIDES, EffiSegNet
from ohlora_fast.student.rewrite import InferenceEffiSegNet
from ohlora_fast.student.weights import load_student


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("stride", HEAD_STRIDES)
@pytest.mark.parametrize("channels", [64, 32])
def test_rewrite_equals_the_training_form(fill, wavy, encoder, stride, channels):
    model, x = fill(EffiSegNet(encoder, stride, channels)), wavy(2, 224, 3)
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


def test_rewriting_leaves_the_model_as_it_was(fill):
    model = fill(EffiSegNet("efficientnet-b0", 1))
    before = copy.deepcopy(model.state_dict())
    InferenceEffiSegNet(model, fold=True)
    after = model.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)
