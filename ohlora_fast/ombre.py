"""Ombre settings, and the dyeing of images from hair probabilities: checks, and the choice of a backend.

One map may serve a whole batch: ``prob`` holds either one map or as many as there are images.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from .arguments import (
    FINEST_SIDE,
    MAX_SIDE,
    as_batch,
    as_maps,
    as_number,
    as_settings,
    check_alike,
    check_threads,
    is_whole,
    shown,
)
from .errors import InputError
from .ops.ombre_op import (
    BACKENDS,
    available_backends,
    backend_problem,
    hair_rows,
    is_tensor,
    ombre_cpp,
    ombre_numpy,
    pack_settings,
)
from .ops.work import Work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .natural import NaturalDye

    Setting = float | Sequence[float] | NDArray[Any]
    Settings = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]

__all__ = ["Ombre", "apply_ombre", "available_backends", "has_hair"]

Image = TypeVar("Image")

NAMES = ("color", "ombre_height", "ombre_grad_height")
"""The settings of an ombre."""


@dataclass(frozen=True)
class Ombre:
    """Settings of an ombre.

    Args:
        color: position on the hue circle, 0 to 1: 0 red, 0.1 orange, 0.5 sky blue, 0.9 pink, 1 red again.
        ombre_height: how far the colour reaches up from the lowest hair, 0 to 1 (1: to the topmost hair).
        ombre_grad_height: the share of that height over which the colour fades in, 0 to 1.

    Raises:
        InputError: a setting is no number in [0, 1].

    Example:
        >>> Ombre(color=0.9)
        Ombre(color=0.9, ombre_height=0.6, ombre_grad_height=0.5)
    """

    color: float = 0.5
    ombre_height: float = 0.6
    ombre_grad_height: float = 0.5

    def __post_init__(self) -> None:
        for name in NAMES:
            as_number(name, getattr(self, name))

    def apply(
        self,
        image: Image,
        prob: Any,
        backend: str = "auto",
        threads: int | None = None,
        method: str | NaturalDye = "seed",
        refine: bool = False,
    ) -> Image:
        """Dye images with these settings; see :func:`apply_ombre`."""
        settings = (self.color, self.ombre_height, self.ombre_grad_height)
        return apply_ombre(image, prob, *settings, backend=backend, threads=threads, method=method, refine=refine)


def apply_ombre(
    image: Image,
    prob: Any,
    color: Setting = 0.5,
    ombre_height: Setting = 0.6,
    ombre_grad_height: Setting = 0.5,
    backend: str = "auto",
    threads: int | None = None,
    method: str | NaturalDye = "seed",
    refine: bool = False,
) -> Image:
    """Dye the hair of one image or a batch with an ombre.

    Args:
        image: NumPy uint8 RGB or RGBA, (H, W, C) or (N, H, W, C); or torch RGB or RGBA, (C, H, W) or (N, C, H, W),
            uint8 or float32 in 0 to 255. Float32 skips both truncations and carries gradients to image and map
            (the weights of the rows count as constants). The alpha channel passes through.
        prob: hair probability in [0, 1], float16, float32 or float64: (h, w), (N, h, w) or (N, 1, h, w), of any
            size; one map may serve a whole batch. A tensor on the image's device for a tensor, else an array.
        color: position on the hue circle, 0 to 1; like the next two a number or one for each image.
        ombre_height: how far the colour reaches up from the lowest hair, 0 to 1.
        ombre_grad_height: the share of that height over which the colour fades in, 0 to 1.
        backend: "auto", the fastest that runs here, or one of "numpy", "cpp", "torch", "triton", "cuda". Tensors
            on the CPU take "torch", and, if they are uint8, "cpp"; on a GPU "torch", "triton", and, if they are uint8,
            "cuda". Arrays take all, by way of the GPU for the last two.
        threads: CPU threads of "cpp"; all that this process may use if None. The result does not depend on it.
        method: "seed", the formula above; "natural", which recolours in OKLab and keeps strands and highlights; or a
            :class:`ohlora_fast.NaturalDye`, natural with settings of its own. Natural has no backend "cuda".
        refine: take what is finer than the map from the image, see :func:`ohlora_fast.refine.refine_map`. The ombre's
            gradient stays that of the map as it comes. No gradients to the map, and no backend "cuda".

    Returns:
        The dyed image, a new array or tensor of the image's shape, dtype and device. Where no row holds hair, the
        formula is applied as it stands, without a gradient; :func:`has_hair` tells.

    Raises:
        InputError: an argument has the wrong type, shape or range, or the backend cannot run.

    Example:
        >>> photo = np.full((4, 4, 3), 100, np.uint8)
        >>> dyed = apply_ombre(photo, np.ones((2, 2), np.float32), color=0.5, ombre_height=1, ombre_grad_height=0)
        >>> dyed[0, 0].tolist()
        [96, 160, 160]
    """
    if backend not in ("auto", *BACKENDS):
        raise InputError(f"backend: got {backend!r}, allowed are 'auto', {', '.join(map(repr, BACKENDS))}")
    check_threads(threads)
    tensor = is_tensor(image)
    images: Any = as_batch(image)
    count = len(images)
    check_alike(images, prob)
    maps = as_maps(prob, count)
    if refine and tensor and maps.requires_grad:
        raise InputError("refine: got True for a prob with gradients, allowed is False: refining carries none")
    settings = checked(color, ombre_height, ombre_grad_height, count)
    work = make_work(method, settings, refine)
    if refine and method != "seed":
        from .refine import refine_map

        maps = refine_map(images, maps, threads)
    if tensor:
        out = _dye_tensors(images, maps, work, backend, threads)
    else:
        out = _dye_arrays(images, maps, work, backend, threads)
    return out if images.ndim == image.ndim else out[0]  # type: ignore[attr-defined]


def pack(color: Setting, ombre_height: Setting, ombre_grad_height: Setting, count: int) -> NDArray[np.float64]:
    """Check the settings of `count` images, and put them into the one array that operations take.

    Args:
        color, ombre_height, ombre_grad_height: as of :func:`apply_ombre`.
        count: how many images there are.

    Returns:
        float64 (count, 5), as of :func:`ohlora_fast.ops.ombre_op.pack_settings`.

    Raises:
        InputError: a setting is no number in [0, 1], or there are neither one nor `count`.

    Example:
        >>> pack(0.5, [0.6, 1.0], 0.4, 2).tolist()
        [[0.0, 254.0, 255.0, 0.6, 0.4], [0.0, 254.0, 255.0, 1.0, 0.4]]
    """
    return pack_settings(*checked(color, ombre_height, ombre_grad_height, count))


def checked(color: Setting, ombre_height: Setting, ombre_grad_height: Setting, count: int) -> Settings:
    """Check the settings of `count` images, as of `pack`; each comes back as float64 (count,)."""
    return (
        as_settings("color", color, count),
        as_settings("ombre_height", ombre_height, count),
        as_settings("ombre_grad_height", ombre_grad_height, count),
    )


def has_hair(prob: Any, size: tuple[int, int], threads: int | None = None) -> NDArray[np.bool_]:
    """Say for each map whether a hair row is found at an image size.

    Without one, the ombre has no gradient. Cheap: a map is read only until its first hair row. Sizes of more than 2^28
    pixels count as 2^14 along each longer side, or as the map's own side if that is larger.

    Args:
        prob: probability in [0, 1], as for :func:`apply_ombre`: (h, w), (N, h, w) or (N, 1, h, w).
        size: height and width of the image that the map is for, up to 2^20 each.
        threads: CPU threads, all if None.

    Returns:
        bool (N,), with N = 1 for a single map.

    Raises:
        InputError: prob has the wrong type, shape or range, or size or threads are no such whole numbers.

    Example:
        >>> has_hair(np.stack([np.zeros((2, 2)), np.ones((2, 2))]), (64, 64)).tolist()
        [False, True]
    """
    if not isinstance(size, (tuple, list)) or len(size) != 2 or not all(is_whole(one, MAX_SIDE) for one in size):
        raise InputError(f"size: got {shown(size)}, allowed is (height, width), whole numbers from 1 to {MAX_SIDE}")
    check_threads(threads)
    maps = as_maps(prob, None)
    if is_tensor(maps):
        maps = maps.detach().cpu().numpy()
    height, width = (int(one) for one in size)
    if height * width > FINEST_SIDE**2:
        height, width = min(height, max(FINEST_SIDE, maps.shape[1])), min(width, max(FINEST_SIDE, maps.shape[2]))
    return hair_rows(maps, height, width, threads=threads)[:, 0] >= 0


def _seed_work(settings: Settings) -> Work:
    return Work(
        name="the ombre",
        numpy=lambda images, maps: ombre_numpy(images, maps, *settings),
        cpp=lambda images, maps, threads: ombre_cpp(images, maps, *settings, threads=threads),
        packed=lambda: pack_settings(*settings),
        forms={
            "auto": ("ohlora_fast.ops.ombre_custom_op", "ombre"),
            "torch": ("ohlora_fast.ops.ombre_torch", "ombre_torch"),
            "triton": ("ohlora_fast.kernels.ombre", "ombre_triton"),
            "cuda": ("ohlora_fast.ops.ombre_cuda", "ombre_cuda"),
        },
    )


def make_work(method: str | NaturalDye, settings: Settings, refine: bool = False) -> Work:
    """One way of dyeing, with its settings, each (N,). `refine` is for the seed's formula alone."""
    if method != "seed":
        from .natural import natural_dye, natural_work

        return natural_work(natural_dye(method), *settings)
    if refine:
        from .refine import refined_work

        return refined_work(*settings)
    return _seed_work(settings)


def _dye_arrays(images: Any, maps: Any, work: Work, backend: str, threads: int | None) -> Any:
    if backend == "auto":
        backend = next(name for name in ("cpp", "numpy", "torch") if backend_problem(name) is None)
    _require(backend, work)
    if backend == "cpp":
        return work.cpp(images, maps, threads)
    if backend == "numpy":
        return work.numpy(images, maps)
    import torch

    # Torch takes no negative strides, and warns of read-only arrays.
    pixels, maps = (
        torch.from_numpy(array if array.flags.writeable else array.copy())
        for array in (np.ascontiguousarray(images), maps)
    )
    # Triton's interpreter works on the CPU.
    device = "cuda" if backend in ("triton", "cuda") and torch.cuda.is_available() else "cpu"
    planes = pixels.to(device).permute(0, 3, 1, 2)
    dyed = _dye_tensors(planes, maps.to(device), work, backend, threads)
    return np.ascontiguousarray(dyed.permute(0, 2, 3, 1).cpu().numpy())


def _dye_tensors(images: Any, maps: Any, work: Work, backend: str, threads: int | None) -> Any:
    import torch

    device = images.device
    if backend == "auto":
        backend = "torch" if device.type not in ("cpu", "cuda") else "auto"
    if backend == "numpy":
        raise InputError("backend: got 'numpy' for a tensor, allowed are 'auto', 'torch', 'cpp', 'triton' and 'cuda'")
    if backend != "auto":
        _require(backend, work)
    if backend != "cpp":
        packed = torch.from_numpy(work.packed())
        packed = packed if device.type == "mps" else packed.to(device)  # which lacks float64
        return _dye_packed(images, maps, packed, work, backend)
    if images.device.type != "cpu" or images.dtype != torch.uint8 or maps.requires_grad:
        what = f"{images.dtype} on {images.device}" + (", prob with gradients" if maps.requires_grad else "")
        raise InputError(f"backend: got 'cpp' for {what}, allowed are uint8 on the CPU without gradients")
    pixels = images.permute(0, 2, 3, 1).contiguous().numpy()
    dyed = work.cpp(pixels, maps.numpy(), threads)
    return torch.from_numpy(dyed).permute(0, 3, 1, 2).contiguous()


def _dye_packed(images: Any, maps: Any, packed: Any, work: Work, backend: str) -> Any:
    if backend in ("auto", "torch"):
        return work.form(backend)(images, maps, packed)
    here = images.device.type == "cuda" or (backend == "triton" and os.environ.get("TRITON_INTERPRET") == "1")
    if not here or maps.requires_grad or images.requires_grad or (backend == "cuda" and images.is_floating_point()):
        gradients = ", with gradients" if maps.requires_grad or images.requires_grad else ""
        allowed = "uint8 on a GPU" if backend == "cuda" else "tensors on a GPU; gradients take 'auto'"
        raise InputError(
            f"backend: got {backend!r} for {images.dtype} on {images.device}{gradients}, allowed are {allowed}"
        )
    return work.form(backend)(images, maps, packed)


def _require(backend: str, work: Work) -> None:
    reason = backend_problem(backend)
    if backend == "cuda" and backend not in work.forms:
        reason = f"{work.name} has no CUDA kernel: 'triton' runs on the same GPUs"
    if reason is not None:
        here = ", ".join(repr(name) for name, missing in available_backends().items() if missing is None)
        raise InputError(f"backend: got {backend!r}, but {reason}; allowed here are 'auto', {here}")
