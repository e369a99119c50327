"""Cutting ONNX graphs without the onnx package, against the package."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from ohlora_fast.student import bundled
from ohlora_fast.student.graph import encoded, metadata_of, up_to


def small_model():
    """y = relu(x · a), z = y + b, and a node beside them that reads x."""
    shape = ["N", 1, 2, 2]
    weights = [
        numpy_helper.from_array(np.full((1, 1, 2, 2), value, np.float32), name) for name, value in (("a", -2), ("b", 5))
    ]
    nodes = [
        helper.make_node("Mul", ["x", "a"], ["product"]),
        helper.make_node("Neg", ["x"], ["beside"]),
        helper.make_node("Relu", ["product"], ["y"]),
        helper.make_node("Add", ["y", "b"], ["z"]),
    ]
    values = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", "product", "y", "z")
    }
    graph = helper.make_graph(
        nodes, "small", [values["x"]], [values["z"]], weights, value_info=[values["product"], values["y"]]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"who": "café", "why": ""})
    return model


def test_what_the_value_does_not_need_is_left_out():
    cut = onnx.load_from_string(up_to(small_model().SerializeToString(), "y"))
    onnx.checker.check_model(cut, full_check=True)
    assert [node.op_type for node in cut.graph.node] == ["Mul", "Relu"]
    assert [one.name for one in cut.graph.initializer] == ["a"]
    assert [one.name for one in cut.graph.output] == ["y"]
    assert [one.name for one in cut.graph.value_info] == ["product"]


def test_it_computes_what_the_whole_did():
    x = np.array([[[[1, -1], [2, -2]]]], np.float32)
    session = onnxruntime.InferenceSession(up_to(small_model().SerializeToString(), "y"))
    assert session.run(None, {"x": x})[0].tolist() == [[[[0, 2], [0, 4]]]]


def test_metadata():
    assert metadata_of(small_model().SerializeToString()) == {"who": "café", "why": ""}
    assert "ohlora_fast.readout.weights" in metadata_of(bundled("default.onnx").read_bytes())


def test_a_value_that_no_node_writes():
    with pytest.raises(ValueError, match=r"^no node writes 'x'$"):
        up_to(small_model().SerializeToString(), "x")


@pytest.mark.parametrize("data", [b"no such thing", b"\x0a\x7f", b"\xff" * 20, encoded(7 << 3 | 3)])
def test_what_is_no_graph(data):
    with pytest.raises(ValueError, match=r"^no (protobuf message|node)"):
        up_to(data, "y")
