"""The ombre: reference in NumPy and OpenCV, compiled form for CPUs, and which backends run here.

Everything here trusts its arguments; :func:`ohlora_fast.ombre.apply_ombre` checks them. A batch of N images comes
with M probability maps, where M is N or 1, and float64 settings, one a sample.
"""

from __future__ import annotations

import importlib
import os
import sys
from functools import lru_cache
from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from ohlora_fast.ops.arrays import aligned
from ohlora_fast.runtime import usable_cores

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = [
    "BACKENDS",
    "available_backends",
    "backend_problem",
    "cpu_threads",
    "hair_rows",
    "hue_colors",
    "ombre_cpp",
    "ombre_numpy",
    "pack_settings",
]

BACKENDS = ("numpy", "cpp", "torch", "triton", "cuda")

HAIR_ALPHA = 191.25
"""A row whose largest opacity, of 255, reaches this is a hair row."""


@lru_cache(maxsize=len(BACKENDS))
def backend_problem(name: str) -> str | None:
    """Say why a backend cannot run here, or None if it can. PyTorch is loaded only where there is a GPU.

    Example:
        >>> backend_problem("numpy") is None
        True
    """
    if name == "numpy":
        try:
            importlib.import_module("cv2")  # waits for another thread that is at it, where looking it up would fail
        except ImportError:
            return "OpenCV is not installed"
        return None
    if name == "cpp":
        try:
            importlib.import_module("ohlora_fast._core")
        except ImportError as error:
            return f"the extension ohlora_fast._core does not load ({error})"
        return None
    if not find_spec("torch"):
        return "PyTorch is not installed"
    if name == "triton":
        if not find_spec("triton"):
            return "Triton is not installed"
        if os.environ.get("TRITON_INTERPRET") == "1":  # runs on the CPU, slowly, for tests
            return None
        from ohlora_fast.student.engines import device_problem

        return device_problem("cuda")
    if name == "cuda":
        if not find_spec("ohlora_fast.ops.ombre_cuda"):
            return "this version has no CUDA kernel for the ombre"
        return importlib.import_module("ohlora_fast.ops.ombre_cuda").cuda_problem()
    return None


def available_backends() -> Mapping[str, str | None]:
    """Say which backends run here.

    Returns:
        For each known backend: None if it runs here, else the reason why not.

    Example:
        >>> available_backends()["numpy"] is None
        True
    """
    return MappingProxyType({name: backend_problem(name) for name in BACKENDS})


@lru_cache(maxsize=1)
def _hue_table() -> NDArray[np.uint8]:
    """RGB of each degree of hue, (360, 3), as OpenCV's float32 HSV conversion gives it."""
    import cv2

    hsv = np.ones((1, 360, 3), np.float32)
    hsv[0, :, 0] = np.arange(360)
    return (255 * cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)).astype(np.uint8)[0]


def hue_colors(color: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Turn colors in [0, 1] (N,) into RGB (N, 3). 0 and 1 are both red.

    Example:
        >>> hue_colors(np.array([0.0, 0.5, 1.0])).tolist()
        [[255, 0, 0], [0, 254, 255], [255, 0, 0]]
    """
    # Float64 throughout: in float32, 360 · 0.7 is another degree.
    return _hue_table()[(360.0 * color).astype(np.int64) % 360]


def pack_settings(
    color: NDArray[np.float64], height: NDArray[np.float64], grad_height: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Put the settings of N samples, each (N,), into the one array that kernels take.

    Returns:
        float64 (N, 5): red, green and blue of the hue, 0 to 255, height of the ombre, share of that for the fade.

    Example:
        >>> pack_settings(np.array([0.5]), np.array([0.6]), np.array([0.4])).tolist()
        [[0.0, 254.0, 255.0, 0.6, 0.4]]
    """
    return np.column_stack([hue_colors(color), height, grad_height])


def _extent(alpha: NDArray[np.float64]) -> tuple[int, int]:
    rows = np.flatnonzero(alpha.max(axis=1) >= HAIR_ALPHA)
    return (int(rows[0]), int(rows[-1])) if rows.size else (-1, -1)


def ombre_numpy(
    image: NDArray[np.uint8],
    prob: NDArray[np.float32],
    color: NDArray[np.float64],
    height: NDArray[np.float64],
    grad_height: NDArray[np.float64],
) -> NDArray[np.uint8]:
    """Dye a batch the plain way: the definition that every other backend is held to.

    Args:
        image: uint8 (N, H, W, 3 or 4); a fourth channel passes through.
        prob: float32 (M, h, w) in [0, 1].
        color: position on the hue circle, (N,).
        height: height of the ombre, (N,).
        grad_height: share of that height over which the colour fades in, (N,).

    Returns:
        uint8, shape of the image.
    """
    out = image.copy()
    for n, settings in enumerate(pack_settings(color, height, grad_height)):
        alpha = opacity_of(resized_numpy(prob[n if len(prob) > 1 else 0], *image.shape[1:3]))
        blend_numpy(out[n, :, :, :3], alpha * row_weights(alpha, *settings[3:])[:, None], settings[:3])
    return out


def resized_numpy(prob: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """A map (h, w) at another size, on the scale of 0 to 255, which cubic interpolation may leave."""
    import cv2

    return cv2.resize(prob * np.float32(255), (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width)


def opacity_of(resized: NDArray[np.float32]) -> NDArray[np.float64]:
    """The opacity before the gradient, like the map on the scale of 0 to 255."""
    return np.clip(4.0 * resized.astype(np.float64) - 765.0, 0.0, 255.0)


def row_weights(alpha: NDArray[np.float64], height: float, grad_height: float) -> NDArray[np.float64]:
    """The gradient's weights (H,) of the rows of an opacity, all 1 where none is a hair row."""
    top, bottom = _extent(alpha)
    weight = np.ones(len(alpha))
    if top >= 0:
        grad_top = int(top + (bottom - top) * (1.0 - height))
        grad_bottom = int(grad_top + (bottom - grad_top) * grad_height)
        weight[:grad_top] = 0.0
        weight[grad_top:grad_bottom] = np.arange(grad_bottom - grad_top) / max(grad_bottom - grad_top, 1)
    return weight


def blend_numpy(rgb: NDArray[np.uint8], alpha: NDArray[np.float64], hue: NDArray[np.float64]) -> None:
    """Dye pixels (H, W, 3) in place, at an opacity (H, W) from 0 to 255."""
    alpha = (alpha / 255.0)[:, :, None]
    dyed = np.clip(1.35 * rgb + 0.25 * hue - 38.25, 0.0, 255.0).astype(np.uint8)
    rgb[:] = ((1.0 - alpha) * rgb + alpha * dyed).astype(np.uint8)


def cpu_threads(wanted: int | None) -> int:
    """Say how many threads a compiled kernel uses: all that this process may use if None; 256 at most.

    Example:
        >>> cpu_threads(10**6)
        256
    """
    return min(wanted or usable_cores(), 256)


def ombre_cpp(
    image: NDArray[np.uint8],
    prob: NDArray[np.float32],
    color: NDArray[np.float64],
    height: NDArray[np.float64],
    grad_height: NDArray[np.float64],
    threads: int | None = None,
) -> NDArray[np.uint8]:
    """Dye a batch with the compiled kernel; arguments and result as of :func:`ombre_numpy`."""
    from ohlora_fast import _core

    if image.strides[3] != 1 or image.strides[2] != image.shape[3]:
        image = np.ascontiguousarray(image)
    hue = hue_colors(color)
    return _core.ombre(image, aligned(prob), hue, height, grad_height, cpu_threads(threads))


def hair_rows(prob: NDArray[np.float32], height: int, width: int, threads: int | None = None) -> NDArray[np.int32]:
    """Find the first and the last hair row of each map (M, h, w), were it resized to (height, width).

    Returns:
        int32 (M, 2); -1 where there is no hair row.
    """
    if backend_problem("cpp") is None:
        from ohlora_fast import _core

        return _core.hair_rows(aligned(prob), height, width, cpu_threads(threads))
    return np.array([_extent(opacity_of(resized_numpy(one, height, width))) for one in prob], np.int32).reshape(-1, 2)


def is_tensor(value: Any) -> bool:
    """Whether a value is a torch tensor, without importing torch to find out."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)
