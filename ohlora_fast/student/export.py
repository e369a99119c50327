"""The student as an ONNX graph: uint8 photos (N, 224, 224, 3) in, hair probabilities (N, 224, 224) out."""

from __future__ import annotations

import io
import warnings

import torch
from torch import Tensor, nn

from ohlora_fast.errors import InputError
from ohlora_fast.student import SIZE
from ohlora_fast.student.model import EffiSegNet
from ohlora_fast.student.rewrite import InferenceEffiSegNet

OPSET = 17


class FromBytes(nn.Module):
    """The rewritten student from uint8 RGB, so that the graph needs no preprocessing but the resize."""

    def __init__(self, model: EffiSegNet) -> None:
        super().__init__()
        self.model = InferenceEffiSegNet(model, fold=True)

    def forward(self, image: Tensor) -> Tensor:
        x = image.permute(0, 3, 1, 2).to(torch.float32) * (2 / 255) - 1
        return self.model(x).squeeze(1)


def export_onnx(model: EffiSegNet) -> bytes:
    """Return the ONNX graph of a student's exact inference form.

    Input ``image``: uint8 (N, 224, 224, 3), RGB. Output ``prob``: float32 (N, 224, 224) in [0, 1]. N is free.

    Raises:
        InputError: the ``onnx`` package is not installed.
    """
    try:
        import onnx
    except ModuleNotFoundError:
        raise InputError('exporting to ONNX needs the onnx package: pip install "ohlora_fast[export]"') from None
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter is deprecated in favour of one with more dependencies
        torch.onnx.export(
            FromBytes(model).eval(),
            (torch.zeros(1, SIZE, SIZE, 3, dtype=torch.uint8),),
            stream,  # type: ignore[arg-type]  # the tracing exporter takes streams too
            input_names=["image"],
            output_names=["prob"],
            opset_version=OPSET,
            dynamic_axes={"image": {0: "N"}, "prob": {0: "N"}},
            dynamo=False,
        )
    graph = onnx.load_from_string(stream.getvalue())
    onnx.checker.check_model(graph)
    return graph.SerializeToString()
