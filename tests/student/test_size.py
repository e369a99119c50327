"""Students of another size than the bundled one's, in every form and on the whole way."""

import numpy as np
import pytest
import torch

from ohlora_fast import HairStylist
from ohlora_fast.errors import InputError
from ohlora_fast.export.pipeline import PipelineSettings
from ohlora_fast.export.write import write_export
from ohlora_fast.student.engines import OnnxEngine, TorchEngine, make_engine
from ohlora_fast.student.export import export_onnx
from ohlora_fast.student.fused import FusedStudent
from ohlora_fast.student.model import EffiSegNet
from ohlora_fast.student.preprocess import squash, squash_pillow, to_input
from ohlora_fast.student.weights import average_students, load_student, save_student
from ohlora_fast.teacher.engines import StudentTeacher
from ohlora_fast.video.smoothing import MaskSmoother

SIZE = 160


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The bundled student at 160×160, as a file."""
    path = tmp_path_factory.mktemp("small") / "small.safetensors"
    save_student(load_student(size=SIZE), path)
    return path


@pytest.fixture(scope="module")
def expected(small, portrait_pixels):
    """Its map of a portrait, by its training form."""
    with torch.inference_mode():
        x = torch.from_numpy(to_input(squash(portrait_pixels, size=SIZE)[None]))
        prob = load_student(small)(x)[0, 0].numpy()
    assert prob.shape == (SIZE, SIZE)
    assert 0.2 < (prob > 0.5).mean() < 0.8
    return prob


def test_squashing_to_another_size_is_pillow_s(portrait_pixels):
    assert np.array_equal(squash(portrait_pixels, size=SIZE), squash_pillow(portrait_pixels[None], SIZE)[0])


def test_every_form_gives_its_map(small, expected, portrait_pixels):
    seen = squash(portrait_pixels, size=SIZE)[None]
    for engine in (TorchEngine(small), make_engine(small, "onnx"), OnnxEngine(export_onnx(load_student(small)))):
        assert engine.size == SIZE
        assert np.abs(engine.predict(seen)[0] - expected).max() < 1e-4
    fused = FusedStudent(load_student(small))
    with torch.inference_mode():
        assert np.abs(fused(torch.from_numpy(seen).permute(0, 3, 1, 2))[0].numpy() - expected).max() < 1e-4
        assert fused(torch.zeros(1, 3, 90, 80, dtype=torch.uint8)).shape == (1, SIZE, SIZE)


def test_portraits_are_segmented_and_dyed(small, expected, portrait_pixels):
    stylist = HairStylist(small)
    assert np.abs(stylist.segment_map(portrait_pixels) - expected).max() < 1e-4
    for refine in (False, True):
        prob = stylist.segment(portrait_pixels, refine=refine)
        assert prob.shape == portrait_pixels.shape[:2]
        assert np.abs(prob - HairStylist().segment(portrait_pixels, refine=refine)).mean() < 0.05
        assert (stylist.dye(portrait_pixels, refine=refine) != portrait_pixels).any()
    tensor = torch.from_numpy(portrait_pixels).permute(2, 0, 1)
    assert np.abs(stylist.segment_map(tensor).numpy() - expected).max() < 1e-4


@pytest.mark.parametrize("suffix", [".onnx", ".pt2", ".xml"])
def test_exports_agree_with_the_library(small, tmp_path, suffix):
    write_export(load_student(small), tmp_path / f"prob{suffix}", PipelineSettings("prob"), [str(small)])


def test_it_can_label_for_others(small, expected, portrait_pixels):
    teacher = StudentTeacher(small, "cpu")
    assert teacher.size == (SIZE, SIZE)
    assert np.abs(teacher.predict(squash(portrait_pixels, size=SIZE)[None])[0] - expected).max() < 1e-4


def test_its_maps_are_smoothed_over_time(expected, portrait_pixels):
    smoother, view = MaskSmoother(0.5), squash(portrait_pixels, size=SIZE)
    smoother(np.zeros_like(expected), view)
    assert np.abs(smoother(expected, view) - expected).max() > 0.1
    plane = np.ones((80, 90), np.float32)
    assert np.allclose(smoother.blend(np.zeros_like(plane), plane), 0.5)


def test_sizes_that_do_not_fit_are_refused(small, tmp_path):
    with pytest.raises(InputError, match="size: got 100, allowed are multiples of 32 from 32 to 1024"):
        EffiSegNet(size=100)
    other = tmp_path / "other.safetensors"
    save_student(load_student(), other)
    with pytest.raises(InputError, match="other head stride, size or upsampling than"):
        average_students([small, other])
    save_student(load_student(), other, size="large")
    with pytest.raises(InputError, match="its size is 'large', allowed is a whole number"):
        load_student(other)
