"""Graphs of others: nothing that their files say reaches compiled code unchecked, and none runs for ever."""

import base64
import struct

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ohlora_fast import HairStylist, InputError, _core
from ohlora_fast.heads.finder import HeadFinder
from ohlora_fast.student import bundled
from ohlora_fast.student.engines import OnnxEngine
from ohlora_fast.student.graph import METADATA, fields, message, outside_of_graph
from ohlora_fast.student.readout import CHANNELS, STRIDE, WEIGHTS, describe

PHOTOS = np.zeros((1, 224, 224, 3), np.uint8)


def with_metadata(changes: dict[str, str]) -> bytes:
    """The bundled graph, with other metadata."""
    parts = []
    for one in fields(bundled("default.onnx").read_bytes()):
        if one.number == METADATA:
            key = str(next(fields(one.content)).content, "utf-8")
            if key in changes:
                parts.append(message(METADATA, message(1, key.encode()) + message(2, changes[key].encode())))
                continue
        parts.append(bytes(one.raw))
    return b"".join(parts)


def weights(channels: int, value: float = 1e-3) -> np.ndarray:
    return np.full(channels * (2 * channels + 25) + 1, value, np.float32)


@pytest.mark.parametrize("channels", [1, 31, 33, 64, 512])
@pytest.mark.parametrize("stride", [1, 2])
def test_channels_that_the_graph_does_not_have(channels, stride):
    graph = with_metadata(describe(weights(channels), channels, stride))
    with pytest.raises(InputError, match=rf"^the ONNX graph: gives .*expected float32 \(N, {channels}, 112, 112\)"):
        OnnxEngine(graph).predict(PHOTOS)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *((key, value) for key in (CHANNELS, STRIDE) for value in ("0", "-1", "", "1e1", "٣", "2.0", "9" * 5000)),
        (CHANNELS, "513"),
        (STRIDE, "3"),
        (WEIGHTS, "no base64!"),
        (WEIGHTS, ""),
        (WEIGHTS, base64.b64encode(weights(32)[:-1].tobytes()).decode()),
        (WEIGHTS, base64.b64encode(weights(32, np.nan).tobytes()).decode()),
        (WEIGHTS, base64.b64encode(weights(32, -np.inf).tobytes()).decode()),
    ],
)
def test_metadata_that_cannot_be(key, value):
    with pytest.raises(InputError, match=rf"^the ONNX graph: its metadata {key} (is|holds) [^\n]{{0,120}}$"):
        OnnxEngine(with_metadata({key: value}))


def test_the_compiled_readout_checks_for_itself():
    for channels, stride in ((0, 2), (-1, 2), (513, 2), (4, 0), (4, -2), (4, 3)):
        with pytest.raises(ValueError, match=r"^(channels|stride): got "):
            _core.Readout(weights(max(channels, 1)), channels, stride)
    readout = _core.Readout(weights(4), 4, 2)
    for shape in ((1, 3, 5, 5), (1, 5, 5, 5), (4, 5, 5), (1, 4, 0, 5), (4,)):
        with pytest.raises(ValueError, match=r"^sums: expected \(N, 4, h, w\)$"):
            readout(np.zeros(shape, np.float32), 1)
    with pytest.raises(ValueError, match=r"^threads: got 0"):
        readout(np.zeros((1, 4, 5, 5), np.float32), 0)


def small(nodes, initializers=(), outputs=(None, 8, 8), functions=(), domains=("",)) -> bytes:
    """A graph from uint8 "image" (N, 8, 8, 3) to float32 "prob"."""
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [None, 8, 8, 3])],
        [helper.make_tensor_value_info("prob", TensorProto.FLOAT, outputs)],
        initializers,
    )
    opsets = [helper.make_opsetid(domain, 17 if not domain else 1) for domain in domains]
    return helper.make_model(
        graph, opset_imports=opsets, ir_version=8, functions=functions
    ).SerializeToString()  # fmt: skip


def endless_loop(source: str, out: str) -> list:
    """Nodes whose Loop runs 2⁶² times."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["still_on"]), helper.make_node("Identity", ["x"], ["y"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("still_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
        ],
    )
    times = numpy_helper.from_array(np.array(2**62, np.int64))
    true = numpy_helper.from_array(np.array(True))
    return [
        helper.make_node("Constant", [], ["times"], value=times),
        helper.make_node("Constant", [], ["true"], value=true),
        helper.make_node("Loop", ["times", "true", source], [out], body=body),
    ]


def as_floats() -> list:
    return [
        helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["grey"], axes=[3], keepdims=0),
    ]


def test_an_endless_loop_is_refused(tmp_path):
    graph = small([*as_floats(), *endless_loop("grey", "prob")])
    onnx.checker.check_model(onnx.load_from_string(graph))
    path = tmp_path / "loop.onnx"
    path.write_bytes(graph)
    expected = (
        rf"^checkpoint {path}: has a node Loop, expected a graph without loops, branches and other files' weights$"
    )
    for make in (HairStylist, HeadFinder):
        with pytest.raises(InputError, match=expected):
            make(path)


def test_an_endless_loop_in_a_function_is_refused():
    function = helper.make_function("mine", "Turn", ["x"], ["z"], endless_loop("x", "z"), [helper.make_opsetid("", 17)])
    nodes = [*as_floats(), helper.make_node("Turn", ["grey"], ["prob"], domain="mine")]
    graph = small(nodes, functions=[function], domains=("", "mine"))
    onnx.checker.check_model(onnx.load_from_string(graph))
    assert outside_of_graph(graph) == "a node Loop"


def test_a_key_whose_upper_bits_hide_its_number():
    graph = small([*as_floats(), *endless_loop("grey", "prob")])
    hidden = b"".join(
        bytes(one.raw) if one.number != 7 else struct.pack("B", 0xBA) + b"\x80\x80\x80\x10" + bytes(one.raw[1:])
        for one in fields(graph)
    )
    assert outside_of_graph(hidden) == "a node Loop"


@pytest.mark.parametrize("within_a_node", [False, True])
def test_weights_in_other_files_are_refused(tmp_path, within_a_node):
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../../etc/passwd")
    constant = [helper.make_node("Constant", [], ["w"], value=tensor)] if within_a_node else []
    nodes = [*as_floats(), *constant, helper.make_node("Mul", ["grey", "w"], ["prob"])]
    with pytest.raises(InputError, match="weights in another file"):
        OnnxEngine(small(nodes, [] if within_a_node else [tensor]))


@pytest.mark.parametrize(
    ("factor", "told"),
    [(1.0, "0 to 255"), (-1.0, "-255 to 0"), (float("nan"), "nan to nan"), (float("inf"), "inf|nan")],
)
def test_outputs_that_are_no_probabilities(factor, told):
    factors = numpy_helper.from_array(np.array([factor]).astype(np.float32), "factor")
    engine = OnnxEngine(small([*as_floats(), helper.make_node("Mul", ["grey", "factor"], ["prob"])], [factors]))
    with pytest.raises(InputError, match=rf"^the ONNX graph: gives [^\n]*({told}).*, expected hair probabilities"):
        engine.predict(np.full((2, 8, 8, 3), 255, np.uint8))


def test_outputs_of_another_shape():
    nodes = [*as_floats(), helper.make_node("Concat", ["grey", "grey"], ["prob"], axis=1)]
    with pytest.raises(InputError, match=r"expected float32 \(N, 8, 8\)"):
        OnnxEngine(small(nodes, outputs=(None, "h", "w"))).predict(np.zeros((2, 8, 8, 3), np.uint8))


def test_the_bundled_graphs_are_plain():
    folder = bundled("default.onnx").parent
    for path in (*folder.glob("*.onnx"), *(folder.parent.parent / "heads" / "bundled").glob("*.onnx")):
        assert outside_of_graph(path.read_bytes()) is None, path
