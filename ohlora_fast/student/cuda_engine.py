"""The student on an NVIDIA GPU: half precision, own kernels around the encoder, CUDA graphs.

A batch of N photos is cut into powers of two, largest first (100 = 64 + 32 + 4), and there is one CUDA graph for each:
no photo is computed in vain, and at most nine graphs are kept.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ohlora_fast.errors import InputError
from ohlora_fast.student.engines import engine_problem

if TYPE_CHECKING:
    from torch import Tensor

LARGEST = 256
"""Photos of the largest graph. Its activations at 112×112 take some 2 GB in half precision."""
WARM_UPS = 3
"""Runs before a graph is captured: cuDNN tries its algorithms, Triton compiles."""


def batch_sizes(count: int) -> list[int]:
    """Cut a batch into powers of two, largest first.

    >>> batch_sizes(100), batch_sizes(600)
    ([64, 32, 4], [256, 256, 64, 16, 8])
    """
    sizes = [LARGEST] * (count // LARGEST)
    return sizes + [1 << bit for bit in reversed(range(LARGEST.bit_length() - 1)) if count % LARGEST & 1 << bit]


class CudaEngine:
    """The student on one GPU.

    Args:
        checkpoint: path of a student's weights (see `load_student`); None for the bundled ones.
        device: ``"cuda"`` or ``"cuda:1"``.
        dtype: ``"float16"``, ``"bfloat16"`` or ``"float32"``: of weights and activations.
        graphs: replay CUDA graphs, which spares the launches' time on the CPU; without, each kernel is launched anew.
        compile: let ``torch.compile`` fuse the encoder; the first run of each batch size then takes a minute.

    Raises:
        InputError: an argument is not one of these, the GPU or Triton does not run here, or the checkpoint is
            unusable.
    """

    name = "cuda"

    def __init__(
        self,
        checkpoint: str | Path | None = None,
        device: str = "cuda",
        dtype: str = "float16",
        graphs: bool = True,
        compile: bool = False,
    ) -> None:
        if reason := engine_problem("cuda", device):
            raise InputError(f"engine: 'cuda' does not run here: {reason}")
        import torch

        from ohlora_fast.student.fused import DTYPES, FusedStudent
        from ohlora_fast.student.weights import load_student

        if dtype not in DTYPES:
            raise InputError(f"dtype: got {dtype!r}, allowed are {', '.join(DTYPES)}")
        index = torch.device(device).index
        self.device = f"cuda:{torch.cuda.current_device() if index is None else index}"
        self.student = FusedStudent(load_student(checkpoint), DTYPES[dtype]).to(self.device)
        self.size = self.student.size
        if compile:
            self.student.encoder.compile(mode="max-autotune-no-cudagraphs")
        self.graphs: dict[int, Graph] | None = {} if graphs else None
        self.lock = threading.Lock()

    def predict(self, images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """uint8 RGB photos (N, size, size, 3) → float32 hair probabilities (N, size, size) in [0, 1]."""
        import torch

        return self.predict_tensor(torch.from_numpy(images).to(self.device)).cpu().numpy()

    def predict_tensor(self, images: Tensor) -> Tensor:
        """As `predict`, for a tensor on this engine's device, where the result stays."""
        return self.maps(images.permute(0, 3, 1, 2))

    def maps(self, images: Tensor) -> Tensor:
        """Photos of any size, uint8 (N, 3 or 4, H, W) on this GPU in any layout → float32 maps (N, size, size)."""
        import torch

        with torch.inference_mode(), torch.cuda.device(self.device):
            parts = images.split(batch_sizes(len(images)))
            with self.lock:  # a graph's buffers serve one caller at a time
                maps = [self._segment(self.student.prepare(part)) for part in parts]
            return maps[0] if len(maps) == 1 else torch.cat(maps)

    def _segment(self, x: Tensor) -> Tensor:
        if self.graphs is None:
            return self.student.segment(x)
        if len(x) not in self.graphs:
            self.graphs[len(x)] = Graph(self.student, x)
        return self.graphs[len(x)](x)


class Graph:
    """The encoder and the head for one batch size, recorded once and replayed.

    Args:
        student: what is recorded.
        x: an input of the batch size, (N, 3, size, size), on a GPU.
    """

    def __init__(self, student: Any, x: Tensor) -> None:
        import torch

        self.input = x.clone()
        cudnn = torch.backends.cudnn
        # What is not named here, `flags` would set to its own defaults, among them no cuDNN at all.
        chosen = {"enabled": cudnn.enabled, "benchmark": True, "allow_tf32": cudnn.allow_tf32}
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side), cudnn.flags(**chosen):
            for _ in range(WARM_UPS):
                student.segment(self.input)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with cudnn.flags(**chosen), torch.cuda.graph(self.graph):
            self.output = student.segment(self.input)
        self.free = torch.cuda.Event()
        self.free.record()

    def __call__(self, x: Tensor) -> Tensor:
        import torch

        stream = torch.cuda.current_stream()
        stream.wait_event(self.free)  # callers may come on different streams
        self.input.copy_(x)
        self.graph.replay()
        output = self.output.clone()
        self.free.record(stream)
        return output


def warm(engine: CudaEngine, counts: list[int]) -> None:
    """Record the graphs that batches of these sizes need, so that the first one of them is as quick as the rest."""
    import torch

    for count in counts:
        engine.maps(torch.zeros(count, 3, engine.size, engine.size, dtype=torch.uint8, device=engine.device))
