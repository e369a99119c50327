"""The ombre: reference in NumPy and OpenCV, PyTorch form, compiled form, and which of them run here.

Everything here trusts its arguments; :func:`ohlora_fast.ombre.apply_ombre` checks them. A batch of N images comes
with M probability maps, where M is N or 1, and float64 settings, one a sample.
"""

from __future__ import annotations

import importlib
import sys
from functools import lru_cache
from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from numpy.typing import NDArray

__all__ = [
    "BACKENDS",
    "available_backends",
    "cubic_taps",
    "hair_rows",
    "hue_colors",
    "ombre_cpp",
    "ombre_numpy",
    "ombre_torch",
]

BACKENDS = ("numpy", "cpp", "torch", "triton", "cuda")

HAIR_ALPHA = 191.25
"""A row whose largest opacity, of 255, reaches this is a hair row."""


@lru_cache(maxsize=1)
def available_backends() -> Mapping[str, str | None]:
    """Say which backends run here.

    Returns:
        For each known backend: None if it runs here, else the reason why not.

    Example:
        >>> available_backends()["numpy"] is None
        True
    """
    reasons: dict[str, str | None] = dict.fromkeys(BACKENDS)
    if find_spec("cv2") is None:
        reasons["numpy"] = "OpenCV is not installed"
    try:
        importlib.import_module("ohlora_fast._core")
    except ImportError as error:
        reasons["cpp"] = f"the extension ohlora_fast._core does not load ({error})"
    if find_spec("torch") is None:
        reasons["torch"] = "PyTorch is not installed"
    reasons["triton"] = "this version has no Triton kernel for the ombre"
    reasons["cuda"] = "this version has no CUDA kernel for the ombre"
    return MappingProxyType(reasons)


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


def _gradient_rows(top: int, bottom: int, height: float, grad_height: float) -> tuple[int, int]:
    grad_top = int(top + (bottom - top) * (1.0 - height))
    return grad_top, int(grad_top + (bottom - grad_top) * grad_height)


def _alpha_numpy(prob: NDArray[np.float32], height: int, width: int) -> NDArray[np.float64]:
    """Opacity on the scale of 0 to 255, before the gradient."""
    import cv2

    resized = cv2.resize(prob * np.float32(255), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(4.0 * resized.astype(np.float64) - 765.0, 0.0, 255.0)


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
    rows, columns = image.shape[1:3]
    for n, hue in enumerate(hue_colors(color)):
        alpha = _alpha_numpy(prob[n if len(prob) > 1 else 0], rows, columns)
        top, bottom = _extent(alpha)
        if top >= 0:
            grad_top, grad_bottom = _gradient_rows(top, bottom, height[n], grad_height[n])
            weight = np.ones(rows)
            weight[:grad_top] = 0.0
            weight[grad_top:grad_bottom] = np.arange(grad_bottom - grad_top) / max(grad_bottom - grad_top, 1)
            alpha *= weight[:, None]
        alpha = (alpha / 255.0)[:, :, None]
        rgb = image[n, :, :, :3]
        dyed = np.clip(1.35 * rgb + 0.25 * hue - 38.25, 0.0, 255.0).astype(np.uint8)
        out[n, :, :, :3] = ((1.0 - alpha) * rgb + alpha * dyed).astype(np.uint8)
    return out


def _threads(wanted: int | None) -> int:
    from ohlora_fast import _core

    return min(wanted or _core.default_threads(), 256)


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
    return _core.ombre(image, prob, hue, height, grad_height, _threads(threads))


def hair_rows(prob: NDArray[np.float32], height: int, width: int, threads: int | None = None) -> NDArray[np.int32]:
    """Find the first and the last hair row of each map (M, h, w), were it resized to (height, width).

    Returns:
        int32 (M, 2); -1 where there is no hair row.
    """
    if available_backends()["cpp"] is None:
        from ohlora_fast import _core

        return _core.hair_rows(prob, height, width, _threads(threads))
    return np.array([_extent(_alpha_numpy(one, height, width)) for one in prob], np.int32).reshape(-1, 2)


@lru_cache(maxsize=32)
def cubic_taps(source: int, size: int, tiny: bool = False) -> tuple[NDArray[np.int64], NDArray[np.float32], int, int]:
    """Compute where each output of a cubic resize (a = -0.75) reads along one axis.

    OpenCV 5.0's weights to the last bit: positions in float64, their fraction rounded to steps of 2^-23, the
    polynomials in float64; for tiny maps positions and polynomials in float32. The same as in the compiled kernel.

    Returns:
        Source indices (size, 4), replicated at the border; weights (size, 4); and the range [begin, end) of the
        outputs whose four taps all lie inside the source, which is empty for tiny maps.

    Example:
        >>> index, weight, begin, end = cubic_taps(4, 8)
        >>> index[0].tolist(), weight[0].tolist(), (begin, end)
        ([0, 0, 0, 1], [-0.03515625, 0.26171875, 0.87890625, -0.10546875], (3, 5))
    """
    position = (np.arange(size) + 0.5) * (source / size) - 0.5
    position = position.astype(np.float32) if tiny else position
    cell = np.floor(position).astype(np.int64)
    a = np.float32(-0.75)
    if tiny:
        t = (position - cell).astype(np.float32)
        u, v = 1 - t, t + 1
        near, far = (((a + 2) * x - (a + 3)) * x * x + 1 for x in (t, u))
        first = ((a * v - 5 * a) * v + 8 * a) * v - 4 * a
        weight = np.stack([first, near, far, 1 - first - near - far], axis=1)
        begin = end = 0
    else:
        t = ((position - cell).astype(np.float32) + np.float32(1)).astype(np.float64) - 1.0
        u = 1.0 - t
        near, far = (((a + 2.0) * x - (a + 3.0)) * x * x + 1 for x in (t, u))
        weight = np.stack([a * t * u * u, near, far, a * t * t * u], axis=1).astype(np.float32)
        inside = np.flatnonzero((cell >= 1) & (cell + 2 < source))
        begin, end = (int(inside[0]), int(inside[-1]) + 1) if inside.size else (0, 0)
    return np.clip(cell[:, None] + np.arange(-1, 3), 0, source - 1), weight, begin, end


def _fused(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    """a·b + c of float32, rounded once but for some 1 in 2^29 cases; on mps, which lacks float64, twice."""
    if a.device.type == "mps":
        return a * b + c
    return (a.double() * b.double() + c.double()).to(a.dtype)


def _resized_part(prob: torch.Tensor, height: int, width: int, rows: slice, columns: slice, order: str) -> torch.Tensor:
    """One rectangle of the resized map."""
    import torch

    def taps(axis: int, size: int, part: slice) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        index, weight, _, _ = cubic_taps(prob.shape[axis], size, order == "tiny")
        indices = torch.from_numpy(index[part].T.copy()).to(prob.device)
        weights = torch.from_numpy(weight[part].T.copy()).to(prob.device, prob.dtype)
        return list(indices), list(weights)

    index, w = taps(2, width, columns)
    p = [prob.index_select(2, i) for i in index]
    if order == "inner":
        across = (p[0] * w[0] + p[1] * w[1]) + (p[2] * w[2] + p[3] * w[3])
    elif order == "border":
        across = _fused(p[3], w[3], _fused(p[2], w[2], _fused(p[0], w[0], p[1] * w[1])))
    else:
        across = p[0] * w[0] + p[1] * w[1] + p[2] * w[2] + p[3] * w[3]
    index, w = taps(1, height, rows)
    p = [across.index_select(1, i) for i in index]
    w = [one[:, None] for one in w]
    if order == "inner":
        return _fused(p[0], w[0], p[1] * w[1]) + _fused(p[2], w[2], p[3] * w[3])
    if order == "border":
        return (p[0] * w[0] + p[2] * w[2]) + (p[1] * w[1] + p[3] * w[3])
    return p[0] * w[0] + (p[1] * w[1] + (p[2] * w[2] + p[3] * w[3]))


def _resized_torch(prob: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Resize maps (M, h, w) cubically, in OpenCV's orders of operations: see csrc/ombre_rows.cpp."""
    import torch

    def part(rows: slice, columns: slice, order: str = "border") -> torch.Tensor:
        return _resized_part(prob, height, width, rows, columns, order)

    everywhere = slice(0, width)
    if min(prob.shape[1:]) < 4:
        return part(slice(0, height), everywhere, "tiny")
    _, _, y0, y1 = cubic_taps(prob.shape[1], height)
    _, _, x0, x1 = cubic_taps(prob.shape[2], width)
    middle = slice(y0, y1)
    band = [part(middle, slice(0, x0)), part(middle, slice(x0, x1), "inner"), part(middle, slice(x1, width))]
    above, below = part(slice(0, y0), everywhere), part(slice(y1, height), everywhere)
    return torch.cat([above, torch.cat(band, dim=2), below], dim=1)


def _row_weights(alpha: torch.Tensor, height: NDArray[np.float64], grad_height: NDArray[np.float64]) -> torch.Tensor:
    """Weights (N, H) of the rows of opacity maps (M, H, W): constants, in float64."""
    import torch

    device = torch.device("cpu") if alpha.device.type == "mps" else alpha.device
    hair = (alpha.detach().amax(dim=2) >= HAIR_ALPHA).to(device).expand(len(height), -1)
    rows = hair.shape[1]
    top = hair.byte().argmax(dim=1).double()
    bottom = rows - 1 - hair.flip(1).byte().argmax(dim=1).double()
    fade = torch.from_numpy(np.stack([height, grad_height])).to(device)
    grad_top = torch.floor(top + (bottom - top) * (1.0 - fade[0]))[:, None]
    grad_bottom = torch.floor(grad_top + (bottom[:, None] - grad_top) * fade[1][:, None])
    y = torch.arange(rows, dtype=torch.float64, device=device)
    ramp = (y - grad_top) / (grad_bottom - grad_top).clamp(min=1)
    weight = torch.where(y < grad_top, 0.0, torch.where(y < grad_bottom, ramp, 1.0))
    return torch.where(hair.any(dim=1, keepdim=True), weight, 1.0)


def ombre_torch(
    image: torch.Tensor,
    prob: torch.Tensor,
    color: NDArray[np.float64],
    height: NDArray[np.float64],
    grad_height: NDArray[np.float64],
) -> torch.Tensor:
    """Dye a batch of tensors on their device.

    Args:
        image: (N, 3 or 4, H, W); uint8, or floating point in 0 to 255, which skips both truncations and carries
            gradients to image and map.
        prob: floating point (M, h, w) in [0, 1].
        color, height, grad_height: as of :func:`ombre_numpy`.

    Returns:
        Shape and dtype of the image.
    """
    import torch

    exact = image.dtype == torch.uint8
    work = image.dtype
    if exact:
        # Float64 decides truncations as the reference does; mps has none.
        work = torch.float32 if image.device.type == "mps" else torch.float64
    resized = _resized_torch(prob * 255, image.shape[2], image.shape[3])
    alpha = (4.0 * resized.to(work) - 765.0).clamp(0.0, 255.0)
    weight = _row_weights(alpha, height, grad_height).to(image.device, work)
    alpha = (alpha * weight[:, :, None] / 255.0)[:, None]
    rgb = image[:, :3]
    hue = torch.from_numpy(hue_colors(color)).to(image.device)[:, :, None, None]
    if exact:
        # In integers: floor((27·v + 5·hue − 765) / 20) equals the float64 formula for every v and hue.
        dyed = (27 * rgb.int() + 5 * hue.int() - 765).clamp(min=0).div(20, rounding_mode="floor").clamp(max=255)
    else:
        dyed = (1.35 * rgb + 0.25 * hue.to(work) - 38.25).clamp(0.0, 255.0)
    out = ((1.0 - alpha) * rgb.to(work) + alpha * dyed.to(work)).to(image.dtype)
    return torch.cat([out, image[:, 3:]], dim=1) if image.shape[1] == 4 else out


def is_tensor(value: Any) -> bool:
    """Whether a value is a torch tensor, without importing torch to find out."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)
