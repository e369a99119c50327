"""The teacher: names, shapes and numbers of the reference, the heads asked for, and checkpoints."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ohlora_fast.errors import InputError
from ohlora_fast.student import bundled
from ohlora_fast.teacher.facexformer import HEADS, OFFICIAL_KEY, TOKEN_HEADS, FaceXFormer, load_facexformer

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="module")
def outputs(facexformer, wavy):
    with torch.inference_mode():
        return facexformer(wavy(2, 224, 0), heads=HEADS)


def test_names_shapes_and_types_are_the_published_ones(facexformer):
    expected = json.loads((GOLDEN / "facexformer.keys.json").read_text())
    state = facexformer.state_dict()
    found = {name: [list(value.shape), str(value.dtype).removeprefix("torch.")] for name, value in state.items()}
    assert list(found) == list(expected)
    assert found == expected


def test_hair_is_as_recorded(facexformer, wavy):
    expected = np.load(GOLDEN / "facexformer.npz")["hair_prob"]
    with torch.inference_mode():
        prob = facexformer.hair_probability(wavy(1, 224, 0))
    assert prob.shape == (1, 1, 224, 224)
    assert np.abs(prob[0].numpy() - expected).max() < 1e-5


@pytest.mark.parametrize("head", ["seg_logits", *TOKEN_HEADS])
def test_heads_are_as_recorded(facexformer, wavy, head):
    expected = np.load(GOLDEN / "facexformer.npz")[head]
    with torch.inference_mode():
        found = facexformer(wavy(1, 224, 0), heads=(head,))[head].numpy()
    if head == "seg_logits":
        found = found[..., ::4, ::4]
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 2e-4 * np.abs(expected).max()


def test_a_batch_gives_what_its_images_give(facexformer, wavy, outputs):
    images = wavy(2, 224, 0)
    assert (outputs["hair"][0] - outputs["hair"][1]).abs().max() > 1e-4
    for index in range(2):
        with torch.inference_mode():
            alone = facexformer(images[index : index + 1], heads=HEADS)
        for head in HEADS:
            assert (alone[head][0] - outputs[head][index]).abs().max() < 1e-5 * outputs[head].abs().max(), head


def test_outputs_come_in_the_order_asked_for(outputs):
    assert tuple(outputs) == HEADS
    assert all(len(value) == 2 for value in outputs.values())


@pytest.mark.parametrize(
    ("heads", "expected"),
    [
        (("hair",), {"output_upscaling", "output_hypernetwork_mlps"}),
        (("seg_logits", "hair"), {"output_upscaling", "output_hypernetwork_mlps"}),
        (("age",), {"age_prediction_head"}),
        (("landmark", "headpose"), {"landmarks_prediction_head", "pose_prediction_head"}),
    ],
)
def test_no_head_runs_that_was_not_asked_for(facexformer, wavy, heads, expected):
    ran = set()
    hooks = [
        module.register_forward_hook(lambda *_, name=name: ran.add(name))
        for name, module in facexformer.face_decoder.named_children()
    ]
    with torch.inference_mode():
        found = facexformer(wavy(1, 224, 0), heads=heads)
    for hook in hooks:
        hook.remove()
    assert ran == {"transformer"} | expected
    assert tuple(found) == heads


@pytest.mark.parametrize(
    ("shape", "heads", "line"),
    [
        ((1, 3, 256, 256), ("hair",), r"^x: got shape \(1, 3, 256, 256\), allowed is \(N, 3, 224, 224\)$"),
        ((3, 224, 224), ("hair",), r"^x: got shape \(3, 224, 224\), allowed is "),
        ((1, 3, 224, 224), ("hair", "teeth"), r"^heads: got \('hair', 'teeth'\), allowed is a sequence of hair, "),
        ((1, 3, 224, 224), "hair", r"^heads: got 'hair', allowed is a sequence of "),
        ((1, 3, 224, 224), (), r"^heads: got \(\), allowed is a sequence of "),
    ],
)
def test_wrong_arguments_are_named(facexformer, shape, heads, line):
    with pytest.raises(InputError, match=line):
        facexformer(torch.zeros(shape), heads=heads)


@pytest.mark.parametrize("form", ["official.pt", "bare.pth", "half.safetensors"])
def test_checkpoints_come_back(facexformer, tmp_path, form):
    state, path = facexformer.state_dict(), tmp_path / form
    if form == "official.pt":
        torch.save({OFFICIAL_KEY: state, "epoch": 3}, path)
    elif form == "bare.pth":
        torch.save(state, path)
    else:
        save_file({name: value.half() if value.is_floating_point() else value for name, value in state.items()}, path)
    loaded = FaceXFormer.from_pretrained(path)
    path.unlink()  # 369 MB, which pytest would keep
    assert not loaded.training
    found = loaded.state_dict()
    for name, value in state.items():
        wanted = value.half().float() if form == "half.safetensors" and value.is_floating_point() else value
        assert found[name].dtype == value.dtype, name
        assert torch.equal(found[name], wanted), name


def test_a_students_checkpoint_is_refused():
    with pytest.raises(InputError) as caught:
        load_facexformer(bundled("default.safetensors"))
    assert "missing (backbone.0.0.0.weight, " in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ({OFFICIAL_KEY: 7}, r"model.pt: expected a state dict \(name → tensor\), got int$"),
        ({"state_dict": {}}, r"model.pt: expected a state dict \(name → tensor\), but 'state_dict' holds dict$"),
    ],
)
def test_other_layouts_are_refused(tmp_path, content, line):
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(InputError, match=line):
        load_facexformer(tmp_path / "model.pt")
