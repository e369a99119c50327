"""The pipeline as a program of ``torch.export``: a .pt2 file, which loads without this package."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping

import torch
from torch.export import Dim

from ohlora_fast.export.artifact import Artifact
from ohlora_fast.export.check import Array
from ohlora_fast.export.pipeline import PipelineSettings, make_pipeline
from ohlora_fast.student.model import EffiSegNet

METADATA = "metadata.json"
"""The extra file in which the metadata stand."""


def export(model: EffiSegNet, settings: PipelineSettings, metadata: Mapping[str, str]) -> Artifact:
    """Trace the pipeline, with free batch, height and width, and save the program."""
    axes = settings.axes
    free = tuple({axis: Dim.DYNAMIC for axis in axes[name]} for name in settings.inputs)
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PyTorch about itself
        program = torch.export.export(
            make_pipeline(model, settings), settings.example(), dynamic_shapes=free, strict=False
        )
        torch.export.save(program, stream, extra_files={METADATA: json.dumps(dict(metadata))})
        loaded = torch.export.load(io.BytesIO(stream.getvalue())).module()

    def run(*inputs: Array) -> Array:
        with torch.inference_mode():
            return loaded(*map(torch.from_numpy, inputs)).numpy()

    return Artifact({".pt2": stream.getvalue()}, run)
