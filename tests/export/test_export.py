"""Exports give what the library gives, on a real photo, at sizes they were not traced with."""

import json
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from ohlora_fast import HairStylist, InputError
from ohlora_fast.export import to_onnx, to_torch
from ohlora_fast.export.check import LIMITS, check, check_map
from ohlora_fast.export.metadata import describe
from ohlora_fast.export.pipeline import PipelineSettings, make_pipeline, squash_twice, unsquash
from ohlora_fast.export.write import write_export
from ohlora_fast.student.preprocess import squash, unsquash_opencv
from ohlora_fast.student.weights import load_student

PARAMETERS = (np.array([0.7]), np.array([0.9]), np.array([0.4]))  # in float32, 0.7 would be another hue


@pytest.fixture(scope="module")
def student():
    return load_student()


@pytest.fixture(scope="module")
def stylist():
    return HairStylist(engine="onnx")


def assert_close(found, wanted, stage):
    """Within the limits that exports are checked with, and not by chance: there is something to see."""
    assert found.shape == wanted.shape
    assert found.dtype == wanted.dtype
    difference = np.abs(found.astype(float) - wanted)
    assert difference.max() <= LIMITS[stage][0]
    assert difference.mean() <= LIMITS[stage][1]
    assert wanted.std() > 0


@pytest.mark.parametrize("size", [(300, 200), (37, 901), (1, 1), (224, 224), (5, 7)])
def test_squashing_and_back_are_the_librarys(size):
    photo = np.random.default_rng(0).integers(0, 256, (1, *size, 3), dtype=np.uint8)
    bytes_ = squash_twice(torch.from_numpy(photo).permute(0, 3, 1, 2), 224).permute(0, 2, 3, 1).numpy()
    difference = np.abs(bytes_.astype(int) - squash(photo))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01
    maps = np.random.default_rng(1).random((1, 224, 224), dtype=np.float32)
    found = unsquash(torch.from_numpy(maps), 224, *size).clamp(0, 1).numpy()
    assert np.abs(found - unsquash_opencv(maps, *size)).max() < 1e-4


@pytest.mark.parametrize("stage", ["prob", "dye"])
def test_onnx(student, stylist, portrait_pixels, stage):
    artifact = to_onnx.export(student, PipelineSettings(stage), describe(student))
    graph = onnx.load_from_string(artifact.files[".onnx"])
    assert [(one.domain, one.version) for one in graph.opset_import] == [("", 18)]
    stated = {one.key: one.value for one in graph.metadata_props}
    assert "non-commercial research" in stated["ohlora_fast.licence"]
    assert stated["ohlora_fast.heads"].startswith("whole: ")
    photo = portrait_pixels[None, :170, 10:]
    if stage == "prob":
        assert_close(artifact.run(photo), stylist.segment(photo, heads="whole"), stage)
    else:
        assert_close(artifact.run(photo, *PARAMETERS), stylist.dye(photo, *PARAMETERS, heads="whole"), stage)
        black = np.full((1, 60, 50, 3), 200, np.uint8)
        assert np.array_equal(artifact.run(black, *PARAMETERS), black)  # no hair: as it was


def test_a_group_is_taken_as_one_head(student, stylist, portrait_pixels):
    group = np.full((1, 300, 360, 3), 128, np.uint8)
    group[0, :200, :180], group[0, 100:, 180:] = portrait_pixels, portrait_pixels[:, ::-1]  # one taller than the other
    pipeline = make_pipeline(student, PipelineSettings("dye"))
    with torch.inference_mode():
        dyed = pipeline(torch.from_numpy(group), *map(torch.from_numpy, PARAMETERS)).numpy()
    assert_close(dyed, stylist.dye(group, *PARAMETERS, heads="whole"), "dye")
    assert (dyed != stylist.dye(group, *PARAMETERS)).any(-1).mean() > 0.01


def test_torch_export_loads_without_this_package(student, stylist, portrait_pixels, tmp_path):
    settings = PipelineSettings("dye")
    artifact = to_torch.export(student, settings, describe(student, settings=settings))
    (tmp_path / "dye.pt2").write_bytes(artifact.files[".pt2"])
    photo = portrait_pixels[None, :170, 10:]
    image = torch.from_numpy(photo)
    torch.save((image, *map(torch.from_numpy, PARAMETERS)), tmp_path / "inputs.pt")
    program = (
        "import sys, torch; extra = {'metadata.json': ''}\n"
        "dye = torch.export.load('dye.pt2', extra_files=extra).module()\n"
        "torch.save(dye(*torch.load('inputs.pt')), 'out.pt'); print(extra['metadata.json'])\n"
        "assert not any(name.startswith('ohlora') for name in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ohlora_fast.output"] == "dye"
    assert_close(torch.load(tmp_path / "out.pt").numpy(), stylist.dye(photo, *PARAMETERS, heads="whole"), "dye")


def test_floats_in_planes_are_dyed_unrounded(student, stylist, portrait_pixels):
    photo = torch.from_numpy(portrait_pixels[None, :170, 10:]).permute(0, 3, 1, 2).float()
    with torch.inference_mode():
        pipeline = make_pipeline(student, PipelineSettings("dye", layout="nchw", kind="float32"))
        dyed = pipeline(photo, *map(torch.from_numpy, PARAMETERS)).numpy()
    assert (dyed % 1 != 0).any()
    assert_close(dyed, stylist.dye(photo, *PARAMETERS, heads="whole").numpy(), "dye")


def test_openvino(student, stylist, portrait_pixels, tmp_path):
    openvino = pytest.importorskip("openvino")
    path = tmp_path / "hair.xml"
    write_export(student, path, PipelineSettings("dye"))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["hair.bin", "hair.xml"]
    model = openvino.Core().read_model(path)
    assert model.get_rt_info(["ohlora_fast", "output"]).astype(str) == "dye"
    compiled = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    photo = portrait_pixels[None, :170, 10:]
    parameters = (np.array([0.9]), *PARAMETERS[1:])
    assert_close(compiled([photo, *parameters])[0], stylist.dye(photo, *parameters, heads="whole"), "dye")


def test_stages_are_steps_on_one_way(student, portrait_pixels):
    photo = torch.from_numpy(portrait_pixels[None])
    stages = ("prob", "alpha", "mask")
    with torch.inference_mode():
        prob, alpha, mask = (make_pipeline(student, PipelineSettings(stage, 0.3))(photo).numpy() for stage in stages)
    assert np.allclose(alpha, np.clip(4 * prob - 3, 0, 1), atol=1e-6)
    assert np.array_equal(mask, np.where(prob >= np.float32(0.3), 255, 0))


def test_a_wrong_export_is_refused_and_nothing_is_written(student, tmp_path, monkeypatch):
    wrong = load_student()
    with torch.no_grad():
        wrong.conv6.weight *= 0.8
    settings = PipelineSettings("prob")
    run = to_onnx.export(wrong, settings, {}).run
    with pytest.raises(InputError, match=r"the export differs from the library's by at most 0\.\d+, .* not written"):
        check(run, student, settings)
    with pytest.raises(InputError, match="it was not written"):
        check_map(lambda photos: np.zeros(photos.shape[:3], np.float32), student)
    monkeypatch.setitem(LIMITS, "prob", (0.0, 0.0))
    with pytest.raises(InputError, match="it was not written"):
        write_export(student, tmp_path / "a.onnx", settings)
    assert not list(tmp_path.iterdir())


def test_settings_are_checked(student, tmp_path):
    with pytest.raises(InputError, match="stage: got 'hair', allowed are prob, alpha, mask, dye"):
        PipelineSettings("hair")
    with pytest.raises(InputError, match=r"threshold: got 1\.5"):
        PipelineSettings("mask", threshold=1.5)
    with pytest.raises(InputError, match=r"a\.tflite: got the suffix '\.tflite', allowed are \.onnx, \.pt2, \.xml"):
        write_export(student, tmp_path / "a.tflite", PipelineSettings("prob"))


def test_graphs_ask_for_what_the_settings_say(student):
    content = to_onnx.export(student, PipelineSettings("dye", layout="nchw", kind="float32"), {}).files[".onnx"]
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    inputs = {one.name: (one.type, one.shape) for one in session.get_inputs()}
    assert inputs == {
        "image": ("tensor(float)", ["N", 3, "H", "W"]),
        **{name: ("tensor(double)", ["N"]) for name in ("color", "ombre_height", "ombre_grad_height")},
    }
    assert [one.name for one in session.get_outputs()] == ["dyed"]
