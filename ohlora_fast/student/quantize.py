"""A student's ONNX graph in 8-bit integers: ONNX Runtime's static quantisation, then the biases corrected.

Rounding weights and activations shifts the mean of a channel, and the shifts add up from layer to layer. So each
convolution's bias is moved by what the channel's mean, over photos, is off the float graph's, the first convolution
first (Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019, arXiv:1906.04721,
the empirical form). It costs nothing at run time, and halves what the maps are off.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ohlora_fast.student.export import require_onnx
from ohlora_fast.student.graph import up_to
from ohlora_fast.student.readout import SUMS
from ohlora_fast.telemetry import onnx_runtime

PHOTOS = 100
"""How many photos scale the bundled student's activations."""
PERCENTILE = 99.99
"""Of the values that these photos give, so many lie inside an activation's scale. Of 99.9, 99.99, 99.999 and 100, the
masks of 145 photos agree best with float32's."""
BATCH = 10

Array = np.ndarray[Any, Any]


def quantized(
    graph: bytes, photos: Iterable[Array], corrected: bool = True, floats: Callable[[Any], list[str]] | None = None
) -> bytes:
    """Turn a graph of `export_onnx` into one whose convolutions multiply 8-bit integers.

    Weights are scaled a channel each, activations by the values that the photos give. The readout stays in float32: it
    is small, and decides the mask's edge. Some two minutes for 100 photos; a terminal gets a progress bar.

    Args:
        graph: what `export_onnx` returned.
        photos: uint8 (size, size, 3), squashed as for the student, of the kind that it will see.
        corrected: whether the biases are.
        floats: names the nodes of a ``onnx.GraphProto`` that stay in float32; None: the readout's.

    Raises:
        InputError: the ``onnx`` package is not installed.
    """
    shown = list(photos)
    small = scaled(graph, shown, floats or readout_nodes)
    if corrected:
        correct_biases(small, graph, shown, floats or readout_nodes)
    result: bytes = small.SerializeToString()
    return result


def scaled(graph: bytes, photos: Sequence[Array], floats: Callable[[Any], list[str]]) -> Any:
    """Quantise a graph by the values that photos give; an ``onnx.ModelProto``."""
    onnx = require_onnx()
    onnx_runtime()
    from onnxruntime import quantization

    class Photos(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(photos)

        def get_next(self) -> dict[str, Array] | None:
            photo = next(self.left, None)
            return None if photo is None else {"image": photo[None]}

    def by(method: Any, **options: Any) -> Any:
        model = onnx.load_from_string(graph)  # anew, since ONNX Runtime changes it
        with tempfile.TemporaryDirectory() as folder, _quiet():
            path = Path(folder) / "int8.onnx"
            quantization.quantize_static(
                model, path, Photos(), quant_format=quantization.QuantFormat.QDQ, per_channel=True,
                activation_type=quantization.QuantType.QUInt8, weight_type=quantization.QuantType.QInt8,
                nodes_to_exclude=floats(model.graph), calibrate_method=method, extra_options=options,
            )  # fmt: skip
            return onnx.load(path)

    methods = quantization.CalibrationMethod
    try:
        return by(methods.Percentile, CalibPercentile=PERCENTILE, CalibMaxIntermediateOutputs=BATCH)
    except ValueError:  # a value that hardly changes over the photos has no histogram: from the least to the largest
        return by(methods.MinMax)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what ONNX Runtime says of a preprocessing that `export_onnx` has done, and of its histograms."""
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)


def correct_biases(small: Any, graph: bytes, photos: Sequence[Array], floats: Callable[[Any], list[str]]) -> None:
    """Move the biases of quantised convolutions so that their channels have the float graph's means.

    Args:
        small: the quantised ``onnx.ModelProto``. It is changed.
        graph: the float graph, whose nodes have the same names.
        photos: uint8 (size, size, 3).
        floats: names the nodes that stayed in float32.
    """
    onnx = require_onnx()
    from tqdm import tqdm

    large = onnx.load_from_string(graph)
    excluded = floats(large.graph)
    outputs = {node.name: node.output[0] for node in large.graph.node}
    weights = {tensor.name: tensor for tensor in small.graph.initializer}
    writers = {output: node for node in small.graph.node for output in node.output}
    layers = [node for node in small.graph.node if node.op_type == "Conv" and node.name not in excluded]
    for node in tqdm(layers, desc="biases", unit="layer", file=sys.stderr, disable=None, leave=False):
        if len(node.input) < 3:
            continue
        bias, scale = (weights[name] for name in writers[node.input[2]].input[:2])
        wanted = channel_means(up_to(graph, outputs[node.name]), photos)
        shift = wanted - channel_means(up_to(small.SerializeToString(), node.output[0]), photos)
        steps = np.rint(shift / onnx.numpy_helper.to_array(scale)).astype(np.int32)
        moved = onnx.numpy_helper.to_array(bias) + steps
        bias.CopyFrom(onnx.numpy_helper.from_array(moved, bias.name))


def channel_means(graph: bytes, photos: Sequence[Array]) -> Array:
    """The means of the channels of a graph's only output over photos, (C,), computed as the graph is written."""
    onnxruntime = onnx_runtime()
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    sums: Any = 0.0
    for first in range(0, len(photos), BATCH):
        (values,) = session.run(None, {"image": np.stack(photos[first : first + BATCH])})
        sums = sums + values.mean(axis=(2, 3), dtype=np.float64).sum(0)
    means: Array = sums / len(photos)
    return means


def readout_nodes(graph: Any) -> list[str]:
    """The names of the nodes that need the sums."""
    values, names = {SUMS}, []
    for node in graph.node:
        if values.intersection(node.input):
            values.update(node.output)
            names.append(node.name)
    return names
