"""The pipeline as OpenVINO's intermediate representation: .xml for the graph and .bin for its weights.

OpenVINO computes in float32 at most, the parameters of the dye included, and on some processors in bfloat16 unless it
is told not to. The latter is too coarse for positions in a photo: compile with `PRECISION`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ohlora_fast.errors import InputError
from ohlora_fast.export.artifact import Artifact
from ohlora_fast.export.check import Array
from ohlora_fast.export.pipeline import PipelineSettings, whole_bytes
from ohlora_fast.export.to_onnx import pipeline_onnx
from ohlora_fast.student.model import EffiSegNet
from ohlora_fast.telemetry import open_vino

PRECISION = {"INFERENCE_PRECISION_HINT": "f32"}
"""What to compile with."""


def export(model: EffiSegNet, settings: PipelineSettings, metadata: Mapping[str, str]) -> Artifact:
    """Convert the ONNX graph, and compile what was saved, to run it.

    Raises:
        InputError: the package ``openvino`` or ``onnx`` is not installed.
    """
    openvino = require_openvino()
    core = openvino.Core()
    # Not by `convert_model`, which reports to the vendor.
    converted = core.read_model(pipeline_onnx(model, settings, squash_by_matrices).SerializeToString())
    for key, value in metadata.items():
        converted.set_rt_info(value, key.split("."))
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "graph.xml"
        openvino.save_model(converted, saved, compress_to_fp16=False)
        files = {suffix: saved.with_suffix(suffix).read_bytes() for suffix in (".xml", ".bin")}
    compiled = core.compile_model(core.read_model(files[".xml"], files[".bin"]), "CPU", PRECISION)

    def run(*inputs: Array) -> Array:
        return compiled(list(inputs))[0]

    return Artifact(files, run)


def require_openvino() -> Any:
    """The package ``openvino``.

    Raises:
        InputError: it is not installed.
    """
    try:
        return open_vino()
    except ModuleNotFoundError:
        raise InputError(
            'exporting to OpenVINO needs the openvino package: pip install "ohlora_fast[openvino]"'
        ) from None


def squash_by_matrices(planes: Tensor, size: int) -> Tensor:
    """As `squash_twice`, by products: OpenVINO reads ONNX's ``Resize``, but leaves out its filter against aliasing."""
    across, down = (triangle_weights(planes.shape[axis], size, planes.device) for axis in (3, 2))
    return whole_bytes(down @ whole_bytes(whole_bytes(planes.float()) @ across.T)).to(torch.uint8)


def triangle_weights(source: int, size: int, device: torch.device) -> Tensor:
    """What resizes `source` values to `size`: float32 (size, source); bilinear, widened by the scale when shrinking."""
    scale = torch.as_tensor(source, dtype=torch.float64, device=device) / size  # as a number, tracing would fix max()
    centre = (torch.arange(size, dtype=torch.float64, device=device)[:, None] + 0.5) * scale
    d = (centre - torch.arange(source, dtype=torch.float64, device=device) - 0.5).abs()
    weight = (1.0 - d / scale.clamp(min=1.0)).clamp(min=0.0)
    return (weight / weight.sum(dim=1, keepdim=True)).float()
