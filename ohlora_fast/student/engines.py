"""What runs the student: ONNX Runtime on CPUs, own kernels on CUDA, PyTorch on Apple's MPS and for any checkpoint.

PyTorch and ONNX Runtime are imported where they are used: with the bundled weights on a CPU, PyTorch is never loaded.
"""

from __future__ import annotations

import ctypes
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ohlora_fast.errors import InputError
from ohlora_fast.runtime import usable_cores
from ohlora_fast.student import SIZE, bundled
from ohlora_fast.student.graph import metadata_of, up_to
from ohlora_fast.student.readout import SUMS, compiled_readout
from ohlora_fast.student.session import read_graph, session_of

if TYPE_CHECKING:
    from torch import Tensor

    from ohlora_fast._core import Readout

ENGINES = ("onnx-int8", "onnx", "torch", "cuda")
DEVICES = ("cpu", "cuda", "mps")
LARGEST = 4096
"""Of the sizes that a graph may take."""
ROUNDING = 1e-5
"""By which a probability may exceed 1."""


class Engine(Protocol):
    """Runs the student on batches; safe to call from several threads at once."""

    name: str
    device: str
    size: int
    """Side of the squares that come in and go out; 224 for the bundled student."""

    def predict(self, images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """uint8 RGB photos (N, size, size, 3) → float32 hair probabilities (N, size, size) in [0, 1]."""
        ...


class OnnxEngine:
    """The exported graph in ONNX Runtime, on the CPU; its readout in the compiled extension, if that loads.

    Args:
        model: path of an ``.onnx`` file written by ``ohlora-fast export``, or its bytes; None for the bundled one.
        threads: how many threads one call uses; None for all cores.

    Raises:
        InputError: the graph cannot be read, or is not a student's.
    """

    device = "cpu"

    def __init__(self, model: str | Path | bytes | None = None, threads: int | None = None, name: str = "onnx") -> None:
        self.name = name
        if isinstance(model, bytes):
            graph, what = model, "the ONNX graph"
        else:
            path = bundled("default.onnx") if model is None else Path(model)
            what = f"checkpoint {path}"
            graph = read_graph(path, what)
        self.what = what
        graph, self.readout = without_readout(graph, what)
        self.threads = threads or usable_cores()
        self.session = session_of(graph, threads, what)
        (*inputs,), (*outputs,) = self.session.session.get_inputs(), self.session.session.get_outputs()
        shape = inputs[0].shape[1:] if len(inputs) == 1 and inputs[0].type == "tensor(uint8)" else []
        if len(shape) != 3 or not isinstance(shape[0], int) or shape != [shape[0], shape[0], 3]:
            found = ", ".join(f"{item.name}: {item.type} {item.shape}" for item in inputs)
            raise InputError(
                f"{what}: takes ({found}), expected one uint8 input (N, size, size, 3), such as a size of {SIZE}"
            )
        if not 2 <= shape[0] <= LARGEST or shape[0] % 2:
            raise InputError(f"{what}: takes a size of {shape[0]}, allowed are even ones from 2 to {LARGEST}")
        self.input, self.output, self.size = inputs[0].name, outputs[0].name, shape[0]
        half = self.size // 2
        self._gives = (self.size, self.size) if self.readout is None else (self.readout.channels, half, half)
        for told, expected in zip(outputs[0].shape[1:], self._gives, strict=False):
            if isinstance(told, int) and told != expected:
                raise self._unfit(outputs[0].type, tuple(outputs[0].shape))

    def _unfit(self, kind: object, shape: tuple[object, ...]) -> InputError:
        sums = "" if self.readout is None else " as the sums that its metadata describe"
        expected = ", ".join(map(str, ("N", *self._gives)))
        return InputError(f"{self.what}: gives {kind} of shape {shape}, expected float32 ({expected}){sums}")

    def predict(self, images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        try:
            found = self.session.run([self.output], {self.input: images})[0]
        except Exception as error:  # ONNX Runtime's exceptions have no common public base
            raise InputError(f"{self.what}: does not run ({str(error).splitlines()[0]})") from None
        if np.shape(found) != (len(images), *self._gives) or found.dtype != np.float32:
            raise self._unfit(found.dtype, np.shape(found))
        prob = found if self.readout is None else self.readout(found, self.threads)
        least, most = prob.min(initial=0), prob.max(initial=0)
        if not (least >= 0 and most <= 1 + ROUNDING):
            raise InputError(f"{self.what}: gives {least:.4g} to {most:.4g}, expected hair probabilities from 0 to 1")
        return np.minimum(prob, 1, out=prob)  # ONNX Runtime's sigmoid gives 1.0000001 on some processors


def without_readout(graph: bytes, what: str) -> tuple[bytes, Readout | None]:
    """Cut the readout off a graph that `export_onnx` wrote, to be computed by itself; other graphs stay whole.

    Raises:
        InputError: the graph, which messages call ``what``, is no ONNX file, or describes no readout of its own.
    """
    try:
        readout = compiled_readout(metadata_of(graph))
        return (graph, None) if readout is None else (up_to(graph, SUMS), readout)
    except InputError as error:
        raise InputError(f"{what}: {error}") from None
    except ValueError as error:
        raise InputError(f"{what}: not a readable ONNX file ({error})") from None


class TorchEngine:
    """The rewritten student in PyTorch, on any device.

    Args:
        checkpoint: path of a student's weights (see `load_student`); None for the bundled ones.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
        threads: on a CPU, PyTorch's threads from now on, in the whole process: it knows no setting of its own for a
            model. None leaves them as they are.

    Raises:
        InputError: the checkpoint cannot be used, or the device does not run here.
    """

    name = "torch"

    def __init__(self, checkpoint: str | Path | None = None, device: str = "cpu", threads: int | None = None) -> None:
        reason = device_problem(device)
        if reason:
            raise InputError(f"device: {device!r} does not run here: {reason}")
        import torch

        from ohlora_fast.student.export import FromBytes
        from ohlora_fast.student.weights import load_student

        self.device = device
        if threads is not None and device == "cpu":
            torch.set_num_threads(threads)
        model = FromBytes(load_student(checkpoint)).eval().to(device)
        self.size = model.size
        self.model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def predict(self, images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        import torch

        return self.predict_tensor(torch.from_numpy(images).to(self.device)).cpu().numpy()

    def predict_tensor(self, images: Tensor) -> Tensor:
        """As `predict`, for a tensor on this engine's device, where the result stays."""
        import torch

        with torch.inference_mode():
            return self.model(images)


def make_engine(
    checkpoint: str | Path | None = None, engine: str = "auto", device: str = "auto", threads: int | None = None
) -> Engine:
    """Choose and build an engine.

    Args:
        checkpoint: a student's weights, or an exported ``.onnx`` graph; None for the bundled ones.
        engine: ``"onnx"``, ``"onnx-int8"``, ``"torch"``, ``"cuda"`` or ``"auto"``: ONNX Runtime on a CPU, in 8-bit
            integers for the bundled student where the processor has instructions for them, `CudaEngine` on an NVIDIA
            GPU, PyTorch elsewhere and for checkpoints other than ``.onnx`` (``engine="onnx"`` exports such a one
            first, which needs the ``onnx`` package).
        device: ``"cpu"``, ``"cuda"`` (``"cuda:1"``), ``"mps"`` or ``"auto"``: CUDA where it runs, else the CPU.
        threads: CPU threads a call uses; None for all cores.

    Raises:
        InputError: a choice is unknown, does not run here, or the checkpoint does not fit it.
    """
    if engine not in ("auto", *ENGINES):
        raise InputError(f"engine: got {engine!r}, allowed are auto, {', '.join(ENGINES)}")
    if not isinstance(device, str) or not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", device):
        raise InputError(f"device: got {device!r}, allowed are auto, {', '.join(DEVICES)} (a GPU also as cuda:1)")
    if checkpoint is not None and not Path(checkpoint).is_file():
        raise InputError(f"checkpoint {checkpoint}: no such file")
    is_graph = checkpoint is None or Path(checkpoint).suffix == ".onnx"
    if device == "auto":
        onnx_only = engine.startswith("onnx") or (checkpoint is not None and is_graph)
        device = "cuda" if not onnx_only and device_problem("cuda") is None else "cpu"
    if engine == "auto":
        engine = "torch"
        if is_graph and device == "cpu" and engine_problem("onnx") is None:
            engine = "onnx-int8" if checkpoint is None and engine_problem("onnx-int8") is None else "onnx"
        elif device.startswith("cuda") and engine_problem("cuda", device) is None:
            engine = "cuda"
    if reason := engine_problem(engine, device):
        raise InputError(f"engine: {engine!r} does not run here: {reason}")
    if engine == "onnx-int8" and checkpoint is not None:
        raise InputError(
            f"checkpoint {checkpoint}: the onnx-int8 engine has the bundled student alone; "
            "`ohlora-fast export --int8` makes a graph of another, for the onnx engine"
        )
    if engine != "onnx" and checkpoint is not None and is_graph:
        raise InputError(f"checkpoint {checkpoint}: the {engine} engine takes .safetensors or .pth, not .onnx")
    if engine == "torch":
        return TorchEngine(checkpoint, device, threads)
    if engine == "cuda":
        from ohlora_fast.student.cuda_engine import CudaEngine

        return CudaEngine(checkpoint, device)
    if device != "cpu":
        raise InputError(f"device: got {device!r}, but the {engine} engine runs on cpu alone")
    if engine == "onnx-int8":
        return OnnxEngine(bundled("default-int8.onnx"), threads, engine)
    if is_graph:
        return OnnxEngine(checkpoint, threads)
    from ohlora_fast.student.export import export_onnx
    from ohlora_fast.student.weights import load_student

    return OnnxEngine(export_onnx(load_student(checkpoint)), threads)


def available_engines() -> dict[str, str | None]:
    """Each engine's name → None if it runs here, else why not."""
    return {engine: engine_problem(engine) for engine in ENGINES}


def available_devices() -> dict[str, str | None]:
    """Each device's name → None if it runs here, else why not."""
    return {device: device_problem(device) for device in DEVICES}


def engine_problem(engine: str, device: str = "cuda") -> str | None:
    """Why an engine cannot run here, or None; ``device`` is the GPU that the engine ``"cuda"`` would use."""
    if engine == "cuda":
        if not device.startswith("cuda"):
            return f"it runs on cuda alone, not on {device}"
        return device_problem(device) or package_problem("triton")
    if engine == "torch":
        return package_problem("torch")
    return package_problem("onnxruntime") or (int8_problem() if engine == "onnx-int8" else None)


def int8_problem() -> str | None:
    """Why 8-bit integers would not be quicker and as exact here, or None."""
    try:
        from ohlora_fast._core import build_info
    except ImportError as error:
        return f"the extension ohlora_fast._core does not load ({error})"
    return None if build_info()["int8"] else "this processor has no VNNI instructions"


def package_problem(package: str) -> str | None:
    return None if find_spec(package) else f"the package {package} is not installed"


def device_problem(device: str) -> str | None:
    """Why a device cannot run here, or None. PyTorch is loaded only where the device may exist."""
    kind, _, index = device.partition(":")
    if kind not in DEVICES:
        return f"allowed are {', '.join(DEVICES)} (a GPU also as cuda:1)"
    if kind == "cpu":
        return None
    if kind == "mps" and sys.platform != "darwin":
        return "MPS exists on macOS alone"
    if kind == "cuda" and not has_nvidia_gpu():
        return "no NVIDIA driver with a GPU was found"
    if reason := package_problem("torch"):
        return reason
    import torch

    if kind == "mps":
        return None if torch.backends.mps.is_available() else f"PyTorch {torch.__version__} finds no MPS device"
    if not torch.cuda.is_available():
        return f"PyTorch {torch.__version__} cannot use the GPU (a CPU build, or a driver too old for it)"
    if index and (not index.isdigit() or int(index) >= torch.cuda.device_count()):
        return f"there are {torch.cuda.device_count()} GPUs, numbered from 0"
    return None


def has_nvidia_gpu() -> bool:
    """Whether NVIDIA's driver is here and sees a GPU.

    Asks the management library: it is quicker than PyTorch, and leaves CUDA untouched, which a process must not
    have begun to use when it forks workers that will.
    """
    try:
        library = ctypes.CDLL("nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1")
        count = ctypes.c_uint(0)
        if library.nvmlInit_v2() != 0:
            return False
        found = library.nvmlDeviceGetCount_v2(ctypes.byref(count)) == 0
        library.nvmlShutdown()
    except (OSError, AttributeError):
        return False
    return found and count.value > 0
