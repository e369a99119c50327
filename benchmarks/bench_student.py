"""How long does the student take from a uint8 224×224 photo to its map, batch 1?

Limit: arithmetic, 0.74 GMAC in the default student after the rewrite and 0.69 in the reference student; the reference
moves four times the bytes through its head. As installed, the default student is in 8-bit integers where the processor
has instructions for them, and in float32 in the onnx engine. The encoder alone, in float32, and MediaPipe's model of
512×512 get their input ready made; MediaPipe's lies where the environment variable `MEDIAPIPE` says.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ohlora_fast.benchmarks import setting

from ohlora_fast.student import SIZE
from ohlora_fast.student.engines import package_problem

DEFAULT = "default, as installed"
FLOAT = "default, onnx engine"
REWRITTEN = "reference, onnx engine"
UNMODIFIED = "reference, ONNX Runtime unmodified"
OPENVINO = "reference, OpenVINO unmodified"
COMPILED = "reference, torch.compile"
MEDIAPIPE_MODEL = "MediaPipe (512×512)"
ENCODER = "encoder alone, ONNX Runtime"
PROVIDERS = (
    DEFAULT,
    FLOAT,
    "default, torch engine",
    "reference, torch eager",
    "reference, torch eager channels-last",
    COMPILED,
    UNMODIFIED,
    OPENVINO,
    REWRITTEN,
    MEDIAPIPE_MODEL,
    ENCODER,
)
SLOW_TO_START: Mapping[str, str] = {COMPILED: "it compiles for a minute before the first call"}
"""Providers that ``--quick`` leaves out, and why."""
MEDIAPIPE = "OHLORA_MEDIAPIPE"
"""The environment variable that names MediaPipe's hair_segmenter.tflite."""
GROUP = "student, 224×224, batch 1"


def problem(provider: str) -> str | None:
    """Why a provider does not run here, or None."""
    if provider == OPENVINO:
        return package_problem("openvino")
    if provider != MEDIAPIPE_MODEL:
        return None
    path = os.environ.get(MEDIAPIPE)
    if not path:
        return f"the environment variable {MEDIAPIPE} names no hair_segmenter.tflite"
    if not Path(path).is_file():
        return f"{MEDIAPIPE}: {path}: no such file"
    return package_problem("ai_edge_litert")


def make(provider: str, images: np.ndarray[Any, Any], threads: int) -> Callable[[], object]:
    """The call to time, for uint8 photos (N, 224, 224, 3). The reference student has random weights: the same time."""
    from ohlora_fast.student.engines import OnnxEngine, make_engine

    if provider in (DEFAULT, FLOAT):
        engine = make_engine(None, "auto" if provider == DEFAULT else "onnx", "cpu", threads)
        return lambda: engine.predict(images)
    if provider == MEDIAPIPE_MODEL:
        return mediapipe(os.environ[MEDIAPIPE], threads)

    import torch

    torch.set_num_threads(threads)
    if provider == "default, torch engine":
        from ohlora_fast.student.engines import TorchEngine

        torch_engine = TorchEngine()
        return lambda: torch_engine.predict(images)
    if provider == ENCODER:
        return encoder_alone(images, threads)

    from ohlora_fast.student.export import export_onnx
    from ohlora_fast.student.model import EffiSegNet
    from ohlora_fast.student.preprocess import to_input

    torch.manual_seed(0)
    reference: Any = EffiSegNet("efficientnet-b0", head_stride=1).eval()
    if provider == REWRITTEN:
        rewritten = OnnxEngine(export_onnx(reference), threads)
        return lambda: rewritten.predict(images)
    if provider in (UNMODIFIED, OPENVINO):
        graph = traced(reference, to_input(images))
        run = (onnx_runtime if provider == UNMODIFIED else openvino_runtime)(graph, threads)
        return lambda: run(to_input(images))
    if provider == COMPILED:
        reference = torch.compile(reference)
    layout = torch.channels_last if provider.endswith("channels-last") else torch.contiguous_format
    reference = reference.to(memory_format=layout)

    def in_torch() -> object:
        with torch.inference_mode():
            return reference(torch.from_numpy(to_input(images)).contiguous(memory_format=layout)).numpy()

    return in_torch


def traced(model: Any, x: np.ndarray[Any, Any]) -> bytes:
    """A model's own ONNX graph for an input ``x`` of this shape, as people would export it."""
    import torch

    stream = io.BytesIO()
    torch.onnx.export(model, (torch.from_numpy(x),), stream, input_names=["x"], dynamo=False)
    return stream.getvalue()


def onnx_runtime(graph: bytes, threads: int) -> Callable[[np.ndarray[Any, Any]], object]:
    """Run a graph in ONNX Runtime, with its default options but for the number of threads."""
    from ohlora_fast import telemetry

    onnxruntime = telemetry.onnx_runtime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"x": x})


def openvino_runtime(graph: bytes, threads: int) -> Callable[[np.ndarray[Any, Any]], object]:
    """Run a graph in OpenVINO, one request at a time, which its LATENCY hint is for."""
    from ohlora_fast.telemetry import open_vino

    openvino = open_vino()
    core = openvino.Core()
    options = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    compiled = core.compile_model(core.read_model(io.BytesIO(graph)), "CPU", options)
    return lambda x: compiled(x)[0]


def encoder_alone(images: np.ndarray[Any, Any], threads: int) -> Callable[[], object]:
    """The default student's encoder in ONNX Runtime, float32, batch norms folded: prepared input to five features."""
    from ohlora_fast.student.preprocess import to_input
    from ohlora_fast.student.rewrite import InferenceEffiSegNet
    from ohlora_fast.student.weights import load_student

    x = to_input(images)
    run = onnx_runtime(traced(InferenceEffiSegNet(load_student(None), fold=True).encoder, x), threads)
    return lambda: run(x)


def mediapipe(path: str, threads: int) -> Callable[[], object]:
    """MediaPipe's hair segmenter in LiteRT, whose CPU kernels are XNNPACK's: prepared RGBA in [0, 1] to its map.

    Raises:
        ValueError: the model does not take float32 (1, 512, 512, 4).
    """
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=path, num_threads=threads)
    interpreter.allocate_tensors()
    (taken,), given = interpreter.get_input_details(), interpreter.get_output_details()[0]["index"]
    if tuple(taken["shape"]) != (1, 512, 512, 4) or taken["dtype"] != np.float32:
        raise ValueError(f"{path} takes {taken['dtype'].__name__} {tuple(taken['shape'])}")
    x = np.random.default_rng(0).random((1, 512, 512, 4), np.float32)

    def call() -> object:
        interpreter.set_tensor(taken["index"], x)
        interpreter.invoke()
        return interpreter.get_tensor(given)

    return call


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("provider", PROVIDERS)
def test_student(measure: Callable[..., None], provider: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (1, SIZE, SIZE, 3), dtype=np.uint8)
    measure(GROUP, make(provider, images, setting.threads()), rounds=60)
