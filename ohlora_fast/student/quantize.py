"""A student's ONNX graph in 8-bit integers, by ONNX Runtime's static quantisation."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ohlora_fast.student.export import require_onnx
from ohlora_fast.student.readout import SUMS

PHOTOS = 100
"""How many photos scale the bundled student's activations."""


def quantized(graph: bytes, photos: Iterable[np.ndarray[Any, Any]]) -> bytes:
    """Turn a graph of `export_onnx` into one whose convolutions multiply 8-bit integers.

    Weights are scaled a channel each, activations from the smallest to the largest value that the photos give. The
    readout stays in float32: it is small, and decides the mask's edge.

    Args:
        graph: what `export_onnx` returned.
        photos: uint8 (224, 224, 3), squashed as for the student, of the kind that it will see.

    Raises:
        InputError: the ``onnx`` package is not installed.
    """
    onnx = require_onnx()
    from onnxruntime import quantization

    class Photos(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(photos)

        def get_next(self) -> dict[str, np.ndarray[Any, Any]] | None:
            photo = next(self.left, None)
            return None if photo is None else {"image": photo[None]}

    model = onnx.load_from_string(graph)
    logging.disable(logging.WARNING)  # of a preprocessing that `export_onnx` has done
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "int8.onnx"
            quantization.quantize_static(
                model, path, Photos(), quant_format=quantization.QuantFormat.QDQ, per_channel=True,
                activation_type=quantization.QuantType.QUInt8, weight_type=quantization.QuantType.QInt8,
                nodes_to_exclude=readout_nodes(model.graph),
            )  # fmt: skip
            return path.read_bytes()
    finally:
        logging.disable(logging.NOTSET)


def readout_nodes(graph: Any) -> list[str]:
    """The names of the nodes that need the sums."""
    values, names = {SUMS}, []
    for node in graph.node:
        if values.intersection(node.input):
            values.update(node.output)
            names.append(node.name)
    return names
