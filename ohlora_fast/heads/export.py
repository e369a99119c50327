"""The head finder as an ONNX graph, uint8 RGB (N, h, w, 3) → float32 (N, 5, h/8, w/8); also in 8-bit integers."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ohlora_fast.heads.network import STRIDE, HeadFinderNet
from ohlora_fast.student.export import OPSET, fold_pads, require_onnx, simplified

OUTPUT = "heads"


class FromBytes(nn.Module):
    """The network from uint8 RGB, so that the graph needs no preprocessing but the resize."""

    def __init__(self, net: HeadFinderNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor) -> Tensor:
        output: Tensor = self.net(image.permute(0, 3, 1, 2).to(torch.float32) * (2 / 255) - 1)
        return output


def export_heads(net: HeadFinderNet) -> bytes:
    """Return the ONNX graph of a head finder; N is free, h and w are any multiples of 32.

    Raises:
        InputError: the ``onnx`` package is not installed.
    """
    onnx = require_onnx()
    stream, side = io.BytesIO(), 8 * STRIDE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter is deprecated in favour of one with more dependencies
        torch.onnx.export(
            FromBytes(net).eval(), (torch.zeros(1, side, side, 3, dtype=torch.uint8),), stream,  # type: ignore[arg-type]
            input_names=["image"], output_names=[OUTPUT], opset_version=OPSET, dynamo=False,
            dynamic_axes={"image": {0: "N", 1: "h", 2: "w"}, OUTPUT: {0: "N", 2: "h/8", 3: "w/8"}},
        )  # fmt: skip
    graph = simplified(stream.getvalue())
    fold_pads(graph.graph)
    onnx.checker.check_model(graph)
    content: bytes = graph.SerializeToString()
    return content


def quantized_heads(graph: bytes, photos: Iterable[np.ndarray[Any, Any]]) -> bytes:
    """Turn a graph of `export_heads` into one whose convolutions, but for the last, multiply 8-bit integers.

    Args:
        graph: what `export_heads` returned.
        photos: uint8 (h, w, 3) of one size, of the kind that it will see; they scale the activations.

    Raises:
        InputError: the ``onnx`` package is not installed.
    """
    from ohlora_fast.student.quantize import quantized

    return quantized(graph, photos, floats=lambda one: [node.name for node in one.node if OUTPUT in node.output])
