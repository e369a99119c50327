"""The pipeline as an ONNX graph, of operators of opset 18 alone: for ONNX Runtime, also in browsers."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ohlora_fast.export.artifact import Artifact
from ohlora_fast.export.check import Array
from ohlora_fast.export.pipeline import PipelineSettings, Squash, make_pipeline, whole_bytes
from ohlora_fast.student.export import fold_pads, require_onnx, simplified
from ohlora_fast.student.model import EffiSegNet
from ohlora_fast.telemetry import onnx_runtime

OPSET = 18
"""The first whose ``Resize`` has a filter against aliasing."""


class SquashBytes(torch.autograd.Function):
    """Bytes (N, 3, H, W) → (N, 3, side, side), one ``Resize`` in the graph: ONNX Runtime rounds as Pillow does."""

    @staticmethod
    def forward(ctx: Any, planes: Tensor, side: int) -> Tensor:
        return F.interpolate(planes, (side, side), mode="bilinear", antialias=True, align_corners=False)

    @staticmethod
    def symbolic(g: Any, planes: Any, side: int) -> Any:
        def numbers(*values: int) -> Any:
            return g.op("Constant", value_t=torch.tensor(values))

        batch = g.op("Slice", g.op("Shape", planes), numbers(0), numbers(2))
        size = g.op("Concat", batch, numbers(side, side), axis_i=0)
        unused = g.op("Constant", value_t=torch.empty(0))
        resized = g.op(
            "Resize", planes, unused, unused, size,
            mode_s="linear", antialias_i=1, coordinate_transformation_mode_s="half_pixel",
            exclude_outside_i=1,  # else what lies beyond the border counts as the border's colour, unlike in Pillow
        )  # fmt: skip
        return resized.setType(planes.type().with_sizes([None, 3, side, side]))


def squash_bytes(planes: Tensor, size: int) -> Tensor:
    """As `squash_twice`, for the tracer."""
    pixels = planes if planes.dtype == torch.uint8 else whole_bytes(planes).to(torch.uint8)
    squashed: Tensor = SquashBytes.apply(pixels, size)
    return squashed


def pipeline_onnx(model: EffiSegNet, settings: PipelineSettings, squash: Squash = squash_bytes) -> Any:
    """The pipeline's ``onnx.ModelProto``, with free batch, height and width.

    Args:
        model: the student.
        settings: what the graph takes and gives.
        squash: as of `HairPipeline`.

    Raises:
        InputError: the ``onnx`` package is not installed.
    """
    onnx = require_onnx()
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter is deprecated in favour of one with more dependencies
        torch.onnx.export(
            make_pipeline(model, settings, squash),
            settings.example(),
            stream,  # type: ignore[arg-type]  # the tracing exporter takes streams too
            input_names=list(settings.inputs),
            output_names=[settings.output],
            opset_version=OPSET,
            dynamic_axes=settings.axes,
            dynamo=False,
        )
    exported = simplified(stream.getvalue())
    fold_pads(exported.graph)
    onnx.checker.check_model(exported)
    return exported


def export(model: EffiSegNet, settings: PipelineSettings, metadata: Mapping[str, str]) -> Artifact:
    """Make the graph, and a session of ONNX Runtime that runs it.

    Raises:
        InputError: the ``onnx`` package is not installed.
    """
    content = with_metadata(pipeline_onnx(model, settings).SerializeToString(), metadata)
    session = onnx_runtime().InferenceSession(content, providers=["CPUExecutionProvider"])

    def run(*inputs: Array) -> Array:
        return session.run(None, dict(zip(settings.inputs, inputs, strict=True)))[0]

    return Artifact({".onnx": content}, run)


def with_metadata(graph: bytes, metadata: Mapping[str, str]) -> bytes:
    """A graph that says more of itself.

    Raises:
        InputError: the ``onnx`` package is not installed.
    """
    onnx = require_onnx()
    model = onnx.load_from_string(graph)
    known = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, known | dict(metadata))
    content: bytes = model.SerializeToString()
    return content
