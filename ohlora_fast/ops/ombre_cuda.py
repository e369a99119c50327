"""The ombre in CUDA C++ (csrc/ombre.cu), for uint8 images in a GPU's memory; and whether that runs here.

Importing this loads neither PyTorch nor the compiled module. Everything here trusts its arguments.
"""

from __future__ import annotations

import importlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ohlora_fast.kernels.cubic import tap_table

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["cuda_build", "cuda_problem", "ombre_cuda"]

OLDEST = (8, 0)
"""The least compute capability: the kernels take votes that came with it."""


def cuda_build() -> dict[str, str]:
    """Say what the CUDA kernels were built with and for, or why they are missing.

    Returns:
        "nvcc", the compiler's version, and "architectures"; or "missing", the reason.

    Example:
        >>> sorted(cuda_build()) in (["architectures", "nvcc"], ["missing"])
        True
    """
    try:
        return dict(importlib.import_module("ohlora_fast._cuda").build_info())
    except ModuleNotFoundError:
        note = Path(__file__).parents[1] / "_cuda_missing.txt"  # setup.py leaves it there
        return {"missing": note.read_text(encoding="utf-8").strip() if note.is_file() else "they were not built"}
    except ImportError as error:
        return {"missing": f"the extension ohlora_fast._cuda does not load ({error})"}


@lru_cache(maxsize=1)
def cuda_problem() -> str | None:
    """Say why the CUDA kernels cannot run here, or None if they can. Where there is a GPU, this begins to use CUDA.

    Example:
        >>> cuda_problem() is None or "\\n" not in cuda_problem()
        True
    """
    if reason := cuda_build().get("missing"):
        return f"this installation has no CUDA kernels: {reason}"
    from ohlora_fast.student.engines import device_problem

    if reason := device_problem("cuda"):
        return reason
    import torch

    capability = torch.cuda.get_device_capability()
    if capability < OLDEST:
        name = torch.cuda.get_device_name()
        return f"{name} has compute capability {capability[0]}.{capability[1]}, the CUDA kernels need 8.0 or more"
    return None


def ombre_cuda(image: Tensor, prob: Tensor, settings: Tensor, out: Tensor | None = None) -> Tensor:
    """Dye a batch of images on their GPU, on its current stream, without waiting for it.

    A CUDA graph can capture it once it has run for the same sizes of map and image.

    Args:
        image: uint8 (N, 3 or 4, H, W) of any strides. Fast are planes, and interleaved pixels, whose rows begin at
            multiples of 4 bytes (interleaved RGBA: 16) and whose width is a multiple of 4.
        prob: float32 (M, h, w) in [0, 1], where M is N or 1.
        settings: float64 (N, 5), as of :func:`ohlora_fast.ops.ombre_op.pack_settings`.
        out: where to write, of the image's shape and dtype; None for a new tensor of the image's layout. It may be the
            image itself: what stays as it is, is then neither read nor written, but for a few neighbours of what
            changes. Otherwise the two share no memory.

    Returns:
        ``out``.

    Raises:
        RuntimeError: CUDA refused a launch. The message names the kernel.
    """
    import torch

    from ohlora_fast import _cuda

    out = torch.empty_like(image) if out is None else out
    device, (height, width) = image.device, image.shape[2:]
    prob, settings = prob.contiguous(), settings.contiguous()
    tiny = min(prob.shape[1:]) < 4
    rows = tap_table(prob.shape[1], height, tiny, 1, device)
    columns = tap_table(prob.shape[2], width, tiny, 1, device)
    with torch.cuda.device_of(image):
        extents = torch.empty((len(prob), _cuda.search_strips(height), 2), dtype=torch.int32, device=device)
        _cuda.ombre(
            image.data_ptr(), image.stride(), out.data_ptr(), out.stride(), image.shape,
            prob.data_ptr(), prob.shape, rows.data_ptr(), columns.data_ptr(), settings.data_ptr(), extents.data_ptr(),
            device.index, torch.cuda.current_stream(device).cuda_stream,
        )  # fmt: skip
    return out
