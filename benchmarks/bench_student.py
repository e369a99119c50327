"""How long does the student take from a uint8 224×224 photo to its map, batch 1?

Limit: arithmetic, 0.63 GMAC in the default student after the rewrite and 0.69 in the reference student; the reference
moves four times the bytes through its head.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ohlora_fast.student import SIZE

PROVIDERS = (
    "default, onnx engine",
    "default, torch engine",
    "reference, torch eager",
    "reference, torch eager channels-last",
    "reference, ONNX Runtime unmodified",
    "reference, onnx engine",
)


def make(provider: str, image: np.ndarray[Any, Any]) -> Callable[[], object]:
    """The call to time; the reference student has random weights, which cost the same time."""
    from ohlora_fast.student.engines import OnnxEngine, TorchEngine

    if provider == "default, onnx engine":
        engine = OnnxEngine()
        return lambda: engine.predict(image)
    if provider == "default, torch engine":
        torch_engine = TorchEngine()
        return lambda: torch_engine.predict(image)

    import torch

    from ohlora_fast.student.export import export_onnx
    from ohlora_fast.student.model import EffiSegNet
    from ohlora_fast.student.preprocess import to_input

    torch.manual_seed(0)
    reference = EffiSegNet("efficientnet-b0", head_stride=1).eval()
    if provider == "reference, onnx engine":
        rewritten = OnnxEngine(export_onnx(reference))
        return lambda: rewritten.predict(image)
    if provider == "reference, ONNX Runtime unmodified":
        return unmodified(reference, image)
    layout = torch.channels_last if provider.endswith("channels-last") else torch.contiguous_format
    reference = reference.to(memory_format=layout)

    def eager() -> object:
        with torch.inference_mode():
            return reference(torch.from_numpy(to_input(image)).contiguous(memory_format=layout)).numpy()

    return eager


def unmodified(model: Any, image: np.ndarray[Any, Any]) -> Callable[[], object]:
    """The training form's own graph in ONNX Runtime with its default options, as people would export it."""
    import onnxruntime
    import torch

    from ohlora_fast.student.preprocess import to_input

    stream = io.BytesIO()
    torch.onnx.export(model, (torch.zeros(1, 3, SIZE, SIZE),), stream, input_names=["x"], dynamo=False)
    session = onnxruntime.InferenceSession(stream.getvalue(), providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": to_input(image)})


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("provider", PROVIDERS)
def test_student(benchmark: Any, provider: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (1, SIZE, SIZE, 3), dtype=np.uint8)
    call = make(provider, image)
    benchmark.group = "student, 224×224, batch 1"
    benchmark.extra_info["provider"] = provider
    benchmark.pedantic(call, rounds=60, warmup_rounds=20)
