"""What an exported file says of itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ohlora_fast import __version__
from ohlora_fast.errors import InputError
from ohlora_fast.export.pipeline import PipelineSettings
from ohlora_fast.student import SIZE, bundled
from ohlora_fast.student.model import EffiSegNet


def describe(
    model: EffiSegNet, checkpoints: Sequence[str] = (), settings: PipelineSettings | None = None
) -> dict[str, str]:
    """The metadata, as keys and values.

    Args:
        model: the student.
        checkpoints: the files it comes from; none for the bundled weights.
        settings: what the export takes and gives; None for the student alone.

    >>> from ohlora_fast.student.weights import load_student
    >>> found = describe(load_student())
    >>> found["ohlora_fast.weights"], found["ohlora_fast.student"]
    ('bundled', 'efficientnet-lite2-short, head stride 2, bilinear')
    >>> found["ohlora_fast.heads"]
    'whole: the photo is taken as one head that fills it; other heads are not looked for'
    >>> "non-commercial research" in found["ohlora_fast.licence"]
    True
    """
    weights = ", ".join(Path(path).name for path in checkpoints) or "bundled"
    terms = "that of the data the weights were trained on" if checkpoints else card_licence()
    size = "" if model.size == SIZE else f", size {model.size}"
    facts = {
        "version": __version__,
        "student": f"{model.encoder_name}, head stride {model.head_stride}, {model.upsampling}{size}",
        "weights": weights,
        "licence": f"Code: MIT. Weights: {terms}",
        "output": settings.stage if settings else "map",
        "heads": "whole: the photo is taken as one head that fills it; other heads are not looked for",
    }
    if settings and settings.stage == "mask":
        facts["threshold"] = str(settings.threshold)
    return {f"ohlora_fast.{key}": value for key, value in facts.items()}


def card_licence() -> str:
    """What the bundled weights' model card says of their licence, on one line.

    Raises:
        InputError: the card is not the one that was shipped.
    """
    text = bundled("MODEL_CARD.md").read_text(encoding="utf-8")
    found = re.search(r"\*\*What that allows\.\*\* (.*?)\n\n", text, re.DOTALL)
    if found is None:
        raise InputError("MODEL_CARD.md: says nothing of what the weights' licence allows")
    return " ".join(found[1].split())
