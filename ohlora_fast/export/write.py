"""Export a student with what comes before and after it, check it, and write it: one function for every format."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from ohlora_fast.errors import InputError
from ohlora_fast.export.artifact import Artifact
from ohlora_fast.export.check import Difference, check
from ohlora_fast.export.metadata import describe
from ohlora_fast.export.pipeline import PipelineSettings
from ohlora_fast.student.model import EffiSegNet

EXPORTERS = {".onnx": "to_onnx", ".pt2": "to_torch", ".xml": "to_openvino"}
"""Suffix → the module whose `export` makes such a file."""


def write_export(
    model: EffiSegNet, path: str | Path, settings: PipelineSettings, checkpoints: Sequence[str] = ()
) -> Difference:
    """Write a student for another runtime, from the whole photo to its hair or to the dyed photo.

    Heads are not looked for: such a file does what `HairStylist` does with ``heads="whole"``.

    Args:
        model: the student.
        path: the file to write: ``.onnx``, ``.pt2`` (``torch.export``) or ``.xml`` (OpenVINO, a ``.bin`` beside it).
        settings: what the file takes and gives.
        checkpoints: the files that the student comes from, for the metadata; none for the bundled weights.

    Returns:
        How far what it gives is from what `HairStylist` gives for the whole photo.

    Raises:
        InputError: another suffix, a package that the format needs is missing, the file cannot be written, or it would
            differ from `HairStylist` by more than `check.LIMITS`.

    >>> import tempfile
    >>> from ohlora_fast.student.weights import load_student
    >>> file = Path(tempfile.mkdtemp()) / "mask.onnx"
    >>> write_export(load_student(), file, PipelineSettings("mask")).mean < 0.5
    True
    """
    path = Path(path)
    if path.suffix not in EXPORTERS:
        raise InputError(f"{path}: got the suffix {path.suffix!r}, allowed are {', '.join(EXPORTERS)}")
    exporter = import_module(f"ohlora_fast.export.{EXPORTERS[path.suffix]}")
    artifact: Artifact = exporter.export(model, settings, describe(model, checkpoints, settings))
    difference = check(artifact.run, model, settings)
    artifact.write(path)
    return difference
