"""Choosing engines, and running them on other students than the bundled one."""

import sys
from importlib.resources import files
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
import torch
from skimage.data import astronaut

from ohlora_fast import HairStylist, InputError
from ohlora_fast.student.cuda_engine import LARGEST, batch_sizes
from ohlora_fast.student.engines import (
    OnnxEngine,
    TorchEngine,
    available_devices,
    available_engines,
    engine_problem,
    has_nvidia_gpu,
    make_engine,
)
from ohlora_fast.student.export import export_onnx
from ohlora_fast.student.graph import up_to
from ohlora_fast.student.model import EffiSegNet
from ohlora_fast.student.preprocess import squash
from ohlora_fast.student.quantize import channel_means, quantized
from ohlora_fast.student.weights import save_student

PHOTOS = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    """A reference student with random weights: the model and its checkpoint."""
    torch.manual_seed(0)
    model = EffiSegNet("efficientnet-b0", head_stride=1).eval()
    path = tmp_path_factory.mktemp("student") / "student.safetensors"
    save_student(model, path)
    return model, path


def expected(model):
    with torch.inference_mode():
        return model(torch.from_numpy(PHOTOS).permute(0, 3, 1, 2) * (2 / 255) - 1)[:, 0].numpy()


def test_a_checkpoint_runs_in_pytorch(student):
    model, path = student
    engine = make_engine(path, device="cpu")
    assert isinstance(engine, TorchEngine)
    assert np.abs(engine.predict(PHOTOS) - expected(model)).max() < 1e-4


def test_a_checkpoint_is_exported_where_onnx_is_asked_for(student):
    model, path = student
    engine = make_engine(path, engine="onnx")
    assert isinstance(engine, OnnxEngine)
    assert np.abs(engine.predict(PHOTOS) - expected(model)).max() < 1e-4


def test_an_exported_graph_runs_for_any_batch_size(student, tmp_path):
    model, _ = student
    (tmp_path / "student.onnx").write_bytes(export_onnx(model))
    engine = make_engine(tmp_path / "student.onnx")
    assert engine.name == "onnx"
    for count in (1, 2, 3):
        assert np.abs(engine.predict(PHOTOS[:count]) - expected(model)[:count]).max() < 1e-4
    with pytest.raises(InputError, match="torch engine takes"):
        make_engine(tmp_path / "student.onnx", engine="torch")


def test_maps_never_exceed_1():
    """ONNX Runtime's sigmoid does, on AMD's processors, and the ombre would refuse the map."""
    engine = OnnxEngine()
    raw = np.full((1, engine.size, engine.size), 0.5, np.float32)
    raw[0, 0, :2] = -0.0, 1.0000001
    engine.readout, engine._gives = None, raw.shape[1:]  # as of a graph that stays whole
    engine.session = SimpleNamespace(run=lambda outputs, inputs: [raw.copy()])
    assert engine.predict(PHOTOS[:1])[0, 0, :3].tolist() == [0.0, 1.0, 0.5]


def test_a_graph_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"^checkpoint .*gone\.onnx: cannot be read \(No such file or directory\)$"):
        OnnxEngine(tmp_path / "gone.onnx")
    (tmp_path / "no.onnx").write_bytes(b"no such thing")
    with pytest.raises(InputError, match=r"^checkpoint .*no\.onnx: not a readable ONNX file"):
        OnnxEngine(tmp_path / "no.onnx")


def test_another_graph_is_refused_with_what_it_takes(tmp_path):
    onnx = pytest.importorskip("onnx")
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    ends = [helper.make_tensor_value_info(name, floats, [1, 3]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "relu.onnx")
    with pytest.raises(InputError, match=r"relu.onnx: takes \(x: tensor\(float\) \[1, 3\]\), expected one uint8"):
        HairStylist(tmp_path / "relu.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match=r"broken.onnx: not a readable ONNX file"):
        HairStylist(tmp_path / "broken.onnx")


def test_the_readout_is_cut_off_and_computed_by_itself(student):
    graph = export_onnx(student[0])
    engine = OnnxEngine(graph)
    assert engine.output == "sums"
    whole = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"]).run(None, {"image": PHOTOS})[0]
    assert np.abs(engine.predict(PHOTOS) - whole).max() < 1e-6
    for batch in (PHOTOS[:0], PHOTOS[:1], PHOTOS[:2]):
        for threads in (1, 3):
            assert np.abs(OnnxEngine(graph, threads).predict(batch) - whole[: len(batch)]).max(initial=0) < 1e-6


def test_without_the_extension_the_graph_stays_whole(student, monkeypatch):
    graph = export_onnx(student[0])
    expected = OnnxEngine(graph).predict(PHOTOS)
    monkeypatch.setitem(sys.modules, "ohlora_fast._core", None)
    engine = OnnxEngine(graph)
    assert engine.output == "prob"
    assert np.abs(engine.predict(PHOTOS) - expected).max() < 1e-6
    assert "_core does not load" in str(engine_problem("onnx-int8"))


@pytest.mark.skipif(engine_problem("onnx-int8") is not None, reason=str(engine_problem("onnx-int8")))
def test_the_bundled_student_in_int8():
    whole = astronaut()
    photos = np.stack([squash(crop) for crop in (whole[:300, 80:380], whole[20:200, 120:320])])
    engine, exact = make_engine(device="cpu"), make_engine(engine="onnx")
    assert (engine.name, exact.name) == ("onnx-int8", "onnx")
    hair, found = exact.predict(photos) > 0.5, engine.predict(photos) > 0.5
    assert not np.array_equal(engine.predict(photos), exact.predict(photos))
    assert (hair & found).sum() / (hair | found).sum() > 0.98


def test_threads_rule_pytorch_too(student):
    before = torch.get_num_threads()
    try:
        make_engine(student[1], engine="torch", device="cpu", threads=1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_int8_is_for_the_bundled_student_and_for_cpus(student):
    with pytest.raises(
        InputError, match=r"^(checkpoint .*: the onnx-int8 engine has the bundled student alone|engine)"
    ):
        make_engine(student[1], engine="onnx-int8")
    with pytest.raises(InputError, match=r"^(device: got 'mps', but the onnx-int8 engine runs on cpu alone|engine)"):
        make_engine(engine="onnx-int8", device="mps")


def test_any_student_can_be_quantised(student):
    rng = np.random.default_rng(1)
    photos = [rng.integers(0, 256, (224, 224, 3), dtype=np.uint8) for _ in range(2)]
    graph = export_onnx(student[0])
    small = quantized(graph, photos)
    assert len(small) < 0.4 * len(graph)
    engine = OnnxEngine(small)
    assert engine.output == "sums"
    assert np.abs(engine.predict(PHOTOS) - expected(student[0])).mean() < 0.1


def test_quantised_layers_have_the_means_of_the_float_graph():
    """Each to half a step of its bias, on the photos that it was corrected by; by rounding alone they are not."""
    onnx = pytest.importorskip("onnx")
    photos = [squash(astronaut()[:320, 60:380]), squash(astronaut())]
    graph = (files("ohlora_fast.student") / "bundled/default.onnx").read_bytes()
    small, plain = (quantized(graph, photos, corrected) for corrected in (True, False))
    model = onnx.load_from_string(small)
    outputs = {node.name: node.output[0] for node in onnx.load_from_string(graph).graph.node}
    writers = {output: node for node in model.graph.node for output in node.output}
    scales = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    biased = [node for node in model.graph.node if node.op_type == "Conv" and len(node.input) == 3]
    layers = [node for node in biased if node.input[2] in writers]
    assert len(layers) > 40
    for node in layers[::6]:
        step = scales[writers[node.input[2]].input[1]]
        wanted = channel_means(up_to(graph, outputs[node.name]), photos)
        found, before = (np.abs(channel_means(up_to(one, node.output[0]), photos) - wanted) for one in (small, plain))
        assert (found <= 0.51 * step + 1e-5 * np.abs(wanted)).all()
        assert before.mean() > 2 * found.mean()
    prob, corrected, rounded = (OnnxEngine(one).predict(np.stack(photos)) for one in (graph, small, plain))
    assert np.abs(corrected - prob).mean() < np.abs(rounded - prob).mean()


def test_what_runs_here_is_told():
    engines = available_engines()
    assert engines["onnx"] is engines["torch"] is None
    assert (engines["cuda"] is None) == torch.cuda.is_available()
    devices = available_devices()
    assert devices["cpu"] is None
    assert (devices["cuda"] is None) == torch.cuda.is_available()
    if torch.cuda.is_available():
        assert has_nvidia_gpu()
    assert (devices["mps"] is None) == torch.backends.mps.is_available()


def test_the_cuda_engine_says_why_it_does_not_run():
    with pytest.raises(InputError, match="engine: 'cuda' does not run here: it runs on cuda alone, not on cpu"):
        make_engine(engine="cuda", device="cpu")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match=r"engine: 'cuda' does not run here: (no NVIDIA driver|PyTorch)"):
            make_engine(engine="cuda", device="cuda")


def test_batches_are_cut_into_powers_of_two():
    for count in (1, 2, 3, 100, 255, 256, 257, 1000):
        sizes = batch_sizes(count)
        assert sum(sizes) == count
        assert all(size & (size - 1) == 0 and size <= LARGEST for size in sizes)
        assert sizes == sorted(sizes, reverse=True)
