"""The student as an ONNX graph: uint8 photos (N, size, size, 3) in, hair probabilities (N, size, size) out.

The graph is whole, for any runtime. Its metadata describe the readout (see `readout`), so that this package can cut it
off and do it faster.
"""

from __future__ import annotations

import io
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ohlora_fast.errors import InputError
from ohlora_fast.student.model import EffiSegNet
from ohlora_fast.student.readout import SUMS, describe
from ohlora_fast.student.rewrite import InferenceEffiSegNet
from ohlora_fast.telemetry import onnx_runtime

OPSET = 17
READOUT = (
    "norm1.scale", "norm1.shift", "depthwise1.weight", "primary2.weight", "cheap2.weight", "cheap2.bias",
    "norm2.scale", "norm2.shift", "depthwise2.weight", "primary3.weight", "cheap3.weight", "cheap3.bias",
)  # fmt: skip
"""The readout's weights in the order in which the compiled form takes them."""


class FromBytes(nn.Module):
    """The rewritten student from uint8 RGB, so that the graph needs no preprocessing but the resize."""

    def __init__(self, model: EffiSegNet) -> None:
        super().__init__()
        self.model = InferenceEffiSegNet(model, fold=True)
        self.size = model.size

    def sums(self, image: Tensor) -> Tensor:
        x = image.permute(0, 3, 1, 2).to(torch.float32) * (2 / 255) - 1
        return self.model.sums(self.model.encoder(x))

    def prob(self, sums: Tensor) -> Tensor:
        return torch.sigmoid(self.model.readout(sums)).squeeze(1)

    def forward(self, image: Tensor) -> Tensor:
        return self.prob(self.sums(image))


class WithSums(FromBytes):
    """Probabilities and sums."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        sums = self.sums(image)
        return self.prob(sums), sums


def export_onnx(model: EffiSegNet) -> bytes:
    """Return the ONNX graph of a student's exact inference form.

    Input ``image``: uint8 (N, size, size, 3), RGB. Output ``prob``: float32 (N, size, size) in [0, 1]. N is free.

    Raises:
        InputError: the ``onnx`` package is not installed.
    """
    onnx = require_onnx()
    stream = io.BytesIO()
    form = WithSums(model).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter is deprecated in favour of one with more dependencies
        torch.onnx.export(
            form,
            (torch.zeros(1, model.size, model.size, 3, dtype=torch.uint8),),
            stream,  # type: ignore[arg-type]  # the tracing exporter takes streams too
            input_names=["image"],
            output_names=["prob", SUMS],
            opset_version=OPSET,
            dynamic_axes={name: {0: "N"} for name in ("image", "prob", SUMS)},
            dynamo=False,
        )
    exported = simplified(stream.getvalue())
    fold_pads(exported.graph)
    exported.graph.output.pop()  # the sums were an output so that simplifying would keep them and their name
    onnx.helper.set_model_props(
        exported, describe(readout_weights(form.model), model.head_channels // 2, model.head_stride)
    )
    onnx.checker.check_model(exported)
    return exported.SerializeToString()


def readout_weights(form: InferenceEffiSegNet) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """What the compiled readout takes: float32, one after the other."""
    state = form.state_dict()
    return torch.cat([state[name].flatten() for name in READOUT]).float().numpy()


def require_onnx() -> Any:
    """The ``onnx`` package.

    Raises:
        InputError: it is not installed.
    """
    try:
        import onnx
    except ModuleNotFoundError:
        raise InputError('exporting to ONNX needs the onnx package: pip install "ohlora_fast[export]"') from None
    return onnx


def simplified(graph: bytes) -> Any:
    """A graph without what can be computed beforehand, as ONNX Runtime simplifies graphs for any machine."""
    import onnx

    onnxruntime = onnx_runtime()
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "simplified.onnx")
        onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        model = onnx.load(options.optimized_model_filepath)
    used = {node.domain for node in model.graph.node}
    for opset in [opset for opset in model.opset_import if opset.domain not in used]:
        model.opset_import.remove(opset)
    return model


def fold_pads(graph: Any) -> None:
    """Give the zero padding before a convolution to the convolution, which pads for nothing.

    PyTorch's convolutions cannot pad more on one side than on the other, as TensorFlow's "same" padding does at stride
    2, so the traced graph pads in a node of its own. Runtimes keep it: a copy of the largest maps.
    """
    import onnx

    made = {name: node for node in graph.node for name in node.output}
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    for conv in [node for node in graph.node if node.op_type == "Conv"]:
        pad = made.get(conv.input[0])
        if pad is None or pad.op_type != "Pad":
            continue
        amounts = constants[pad.input[1]]  # before and after each of the axes N, C, H and W
        (pads,) = (attribute for attribute in conv.attribute if attribute.name == "pads")
        pads.ints[:] = [old + int(new) for old, new in zip(pads.ints, (*amounts[2:4], *amounts[6:8]), strict=True)]
        conv.input[0] = pad.input[0]
        graph.node.remove(pad)
    read = {name for node in graph.node for name in node.input}
    for unused in [one for one in graph.initializer if one.name not in read]:
        graph.initializer.remove(unused)
