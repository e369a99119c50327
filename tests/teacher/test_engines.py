"""Teachers of every kind give hair probabilities of faces; ONNX models that do not fit are refused in one line."""

import numpy as np
import pytest
import torch
from onnx import TensorProto

from ohlora_fast.errors import InputError
from ohlora_fast.student import bundled
from ohlora_fast.student.engines import OnnxEngine
from ohlora_fast.teacher.engines import FaceXFormerTeacher, OnnxTeacher, open_teacher, scaled
from ohlora_fast.teacher.facexformer import OFFICIAL_KEY

FACES = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), np.uint8)
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
SCALES = {
    "byte": lambda x: x,
    "unit": lambda x: x / 255,
    "minus-one-one": lambda x: x / 127.5 - 1,
    "imagenet": lambda x: (x / 255 - MEAN) / STD,
}
WEIGHTS = np.array([[1, 0, 0], [0.2, -0.7, 1.1], [0, 0.3, 0], [0, -1, 0.5]])


def softmax(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shares / shares.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("shape", [("N", 3, "H", "W"), ("N", 224, 224, 3), (1, 3, 224, 224)])
@pytest.mark.parametrize("input_range", [None, *SCALES])
def test_every_layout_and_range(pixelwise, shape, input_range):
    teacher = OnnxTeacher(pixelwise(0.01 * WEIGHTS, shape), 1, input_range)
    expected = softmax(SCALES[input_range or "imagenet"](FACES.astype(np.float64)) @ (0.01 * WEIGHTS.T))[..., 1]
    prob = teacher.predict(FACES)
    assert prob.dtype == np.float32
    assert np.abs(prob - expected).max() < 1e-6
    assert teacher.settings == f"hair-channel=1 input-range={input_range or 'imagenet'} activation=softmax"


def test_bytes_come_as_they_are(pixelwise):
    teacher = OnnxTeacher(pixelwise(0.01 * WEIGHTS, ("N", "H", "W", 3), TensorProto.UINT8), "2")
    expected = softmax(FACES.astype(np.float64) @ (0.01 * WEIGHTS.T))[..., 2]
    assert np.abs(teacher.predict(FACES) - expected).max() < 1e-6
    with pytest.raises(InputError, match=r"^input range: got 'unit', allowed for teacher .*model.onnx are byte$"):
        OnnxTeacher(pixelwise(WEIGHTS, ("N", "H", "W", 3), TensorProto.UINT8), 2, "unit")


@pytest.mark.parametrize(
    "names",
    [
        {"names": "{0: 'skin', 1: 'Cloth', 2: 'Hair', 3: 'hat'}"},
        {"id2label": '{"0": "skin", "1": "cloth", "2": "hair", "3": "hat"}'},
        {"classes": "skin,cloth,hair,hat"},
    ],
)
def test_channels_go_by_the_names_in_the_file(pixelwise, names):
    path = pixelwise(WEIGHTS, names=names)
    assert OnnxTeacher(path).hair == 2
    assert OnnxTeacher(path, "hat").hair == 3
    assert OnnxTeacher(path, "0").hair == 0
    with pytest.raises(
        InputError, match=r"^hair channel: got 'beard', allowed .* 0 to 3, or of skin, cloth, hair, hat"
    ):
        OnnxTeacher(path, "beard")


@pytest.mark.parametrize("squeeze", [False, True])
def test_one_channel(pixelwise, squeeze):
    red = FACES[..., 0] / 255
    path = pixelwise([[1, 0, 0]], squeeze=squeeze)
    assert np.abs(OnnxTeacher(path, None, "unit").predict(FACES) - red).max() < 1e-6
    assert np.abs(OnnxTeacher(path, None, "unit", "sigmoid").predict(FACES) - 1 / (1 + np.exp(-red))).max() < 1e-6
    with pytest.raises(InputError, match=r"^activation: got softmax, but teacher .* has one channel; allowed are"):
        OnnxTeacher(path, None, "unit", "softmax")


def test_logits_are_not_taken_for_probabilities(pixelwise):
    with pytest.raises(InputError, match=r"gives -2\.118 to -2\.118, which are no probabilities; --activation sigmoid"):
        OnnxTeacher(pixelwise([[1, 0, 0]]))
    late = OnnxTeacher(pixelwise([[1, 0, 0]]), None, "byte")  # black alone is in range
    with pytest.raises(InputError, match=r"gives 0 to 255, which are no probabilities"):
        late.predict(FACES)


def test_probabilities_are_not_taken_for_logits(pixelwise):
    path = pixelwise(0.01 * WEIGHTS, last="Softmax")
    with pytest.raises(InputError, match=r"model\.onnx: gives probabilities, not logits: --activation none takes them"):
        OnnxTeacher(path, 1, "byte")
    expected = softmax(FACES.astype(np.float64) @ (0.01 * WEIGHTS.T))[..., 1]
    assert np.abs(OnnxTeacher(path, 1, "byte", "none").predict(FACES) - expected).max() < 1e-6


@pytest.mark.parametrize(
    ("shape", "kind", "found"),
    [
        (("N", 3, 8, 3), TensorProto.FLOAT, r"\['N', 3, 8, 3\]"),
        (("N", "H", "W", 3), TensorProto.INT32, r"tensor\(int32\)"),
        ((4, 3, 224, 224), TensorProto.FLOAT, r"\[4, 3, 224, 224\]"),
    ],
)
def test_other_inputs_are_refused(pixelwise, shape, kind, found):
    with pytest.raises(
        InputError, match=rf"model\.onnx: takes \(image: .*{found}.*allowed is one float or uint8 input"
    ):
        OnnxTeacher(pixelwise(WEIGHTS, shape, kind), 0)


def test_several_channels_need_a_name(pixelwise):
    with pytest.raises(
        InputError, match=r"has 4 channels; --hair-channel must tell which is hair: 0 to 3; its metadata"
    ):
        OnnxTeacher(pixelwise(WEIGHTS))
    for wrong in ("4", "-1", "hair"):
        with pytest.raises(InputError, match=rf"^hair channel: got '{wrong}', allowed for teacher .* are 0 to 3"):
            OnnxTeacher(pixelwise(WEIGHTS), wrong)


def test_its_own_size_is_kept(pixelwise):
    teacher = OnnxTeacher(pixelwise(WEIGHTS, ("N", 3, 32, 48)), 0)
    assert teacher.size == (32, 48)
    assert teacher.predict(FACES[:, :32, :48]).shape == (3, 32, 48)


def test_the_bundled_graph_is_a_teacher():
    teacher = open_teacher(str(bundled("default.onnx")), device="cpu")
    assert np.abs(teacher.predict(FACES) - OnnxEngine().predict(FACES)).max() < 1e-6
    assert len(teacher.sha256) == 64


def test_a_students_checkpoint_is_a_teacher():
    teacher = open_teacher(str(bundled("default.safetensors")), device="cpu")
    assert np.abs(teacher.predict(FACES) - OnnxEngine().predict(FACES)).max() < 1e-3


def test_facexformer_sees_normalised_faces(facexformer, tmp_path):
    x = torch.from_numpy(SCALES["imagenet"](FACES[:1].astype(np.float64)).transpose(0, 3, 1, 2)).float()
    with torch.inference_mode():
        expected = facexformer.hair_probability(x)[:, 0].numpy()
    path = tmp_path / "mine.pt"
    torch.save({OFFICIAL_KEY: facexformer.state_dict()}, path)
    teacher = open_teacher(str(path), device="cpu")
    path.unlink()  # 369 MB, which pytest would keep
    assert isinstance(teacher, FaceXFormerTeacher)
    assert (teacher.name, len(teacher.sha256)) == ("mine.pt", 64)
    assert np.abs(teacher.predict(FACES[:1]) - expected).max() < 1e-6


@pytest.mark.parametrize("name", SCALES)
def test_scales(name):
    assert np.abs(scaled(FACES, name) - SCALES[name](FACES.astype(np.float64))).max() < 1e-5


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            {"teacher": "resnet"},
            r"^teacher resnet: no such file; allowed are facexformer, \.onnx files and checkpoints$",
        ),
        ({"teacher": "gone.onnx"}, r"^teacher gone\.onnx: no such file"),
        (
            {"hair_channel": 3},
            r"^hair channel, input range, activation: got for teacher facexformer, allowed for \.onnx",
        ),
        ({"device": "tpu"}, r"^device: 'tpu' does not run here: allowed are cpu, cuda, mps"),
        ({"teacher": str(bundled("default.onnx")), "device": "mps"}, r"^device: 'mps' does not run ONNX files here"),
        (
            {"teacher": str(bundled("default.onnx")), "activation": "relu"},
            r"^activation: got 'relu', allowed are softmax",
        ),
        ({"teacher": __file__}, r"^checkpoint .*test_engines\.py: its suffix must be one of "),
    ],
)
def test_wrong_choices_are_named(arguments, line):
    with pytest.raises(InputError, match=line):
        open_teacher(**arguments)


def test_what_is_no_onnx_file_is_refused(tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"no graph")
    with pytest.raises(InputError, match=r"^teacher .*x\.onnx: not a readable ONNX file"):
        open_teacher(str(tmp_path / "x.onnx"), device="cpu")
