"""Ombre settings, and the dyeing of images from hair probabilities: checks, and the choice of a backend.

One map may serve a whole batch: ``prob`` holds either one map or as many as there are images.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

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

MAX_SIDE = 2**20
"""The largest height and width that :func:`has_hair` takes."""


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
        for name in ("color", "ombre_height", "ombre_grad_height"):
            _number(name, getattr(self, name))

    def apply(
        self,
        image: Image,
        prob: Any,
        backend: str = "auto",
        threads: int | None = None,
        method: str | NaturalDye = "seed",
    ) -> Image:
        """Dye images with these settings; see :func:`apply_ombre`."""
        settings = (self.color, self.ombre_height, self.ombre_grad_height)
        return apply_ombre(image, prob, *settings, backend=backend, threads=threads, method=method)


def apply_ombre(
    image: Image,
    prob: Any,
    color: Setting = 0.5,
    ombre_height: Setting = 0.6,
    ombre_grad_height: Setting = 0.5,
    backend: str = "auto",
    threads: int | None = None,
    method: str | NaturalDye = "seed",
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
    settings = (
        _settings("color", color, count),
        _settings("ombre_height", ombre_height, count),
        _settings("ombre_grad_height", ombre_grad_height, count),
    )
    work = _seed_work(settings) if method == "seed" else _natural_work(method, settings)
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
    values = (color, ombre_height, ombre_grad_height)
    names = ("color", "ombre_height", "ombre_grad_height")
    return pack_settings(*(_settings(name, value, count) for name, value in zip(names, values, strict=True)))


def has_hair(prob: Any, size: tuple[int, int], threads: int | None = None) -> NDArray[np.bool_]:
    """Say for each map whether a hair row is found at an image size.

    Without one, the ombre has no gradient. Cheap: a map is read only until its first hair row.

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
    if not isinstance(size, (tuple, list)) or len(size) != 2 or not all(_is_whole(one, MAX_SIDE) for one in size):
        raise InputError(f"size: got {_shown(size)}, allowed is (height, width), whole numbers from 1 to {MAX_SIDE}")
    check_threads(threads)
    maps = as_maps(prob, None)
    if is_tensor(maps):
        maps = maps.detach().cpu().numpy()
    return hair_rows(maps, int(size[0]), int(size[1]), threads=threads)[:, 0] >= 0


def check_threads(threads: Any) -> None:
    """Check a number of CPU threads; None stands for all.

    Raises:
        InputError: neither None nor a whole number from 1.

    Example:
        >>> check_threads(4)
    """
    if threads is not None and not _is_whole(threads):
        raise InputError(f"threads: got {_shown(threads)}, allowed is a whole number from 1, or None")


def as_batch(image: Any) -> Any:
    """Check one image or a batch, and return the batch: a view with a first axis added to a single image.

    Raises:
        InputError: no array or tensor that :func:`apply_ombre` takes.

    Example:
        >>> as_batch(np.zeros((5, 4, 3), np.uint8)).shape
        (1, 5, 4, 3)
    """
    return _tensor_images(image) if is_tensor(image) else _array_images(image)


def check_alike(images: Any, prob: Any) -> None:
    """Check that a map is an array or a tensor as its images are, and lies on their device.

    Raises:
        InputError: it does not.
    """
    tensor = is_tensor(images)
    if is_tensor(prob) != tensor:
        raise InputError(f"prob: got {_kind(prob)} for an image that is {_kind(images)}, allowed is the same kind")
    if tensor and prob.device != images.device:
        raise InputError(f"prob: got a tensor on {prob.device} for an image on {images.device}, allowed is one device")


def _seed_work(settings: Settings) -> Work:
    return Work(
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


def _natural_work(method: str | NaturalDye, settings: Settings) -> Work:
    from .natural import natural_dye, natural_work

    return natural_work(natural_dye(method), *settings)


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
    reason = available_backends()[backend]
    if backend == "cuda" and backend not in work.forms:
        reason = "natural dyeing has no CUDA kernel: 'triton' runs on the same GPUs"
    if reason is not None:
        here = ", ".join(repr(name) for name, missing in available_backends().items() if missing is None)
        raise InputError(f"backend: got {backend!r}, but {reason}; allowed here are 'auto', {here}")


def _kind(value: Any) -> str:
    if is_tensor(value):
        return "a torch tensor"
    return "a NumPy array" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"


def _array_images(image: Any) -> Any:
    allowed = "allowed is uint8 RGB or RGBA, (H, W, C) or (N, H, W, C)"
    if not isinstance(image, np.ndarray):
        raise InputError(f"image: got {_kind(image)}, allowed is a NumPy array or a torch tensor")
    if image.dtype != np.uint8:
        raise InputError(f"image: got dtype {image.dtype}, {allowed}")
    if image.ndim not in (3, 4) or image.shape[-1] not in (3, 4) or image.size == 0:
        raise InputError(f"image: got shape {image.shape}, {allowed}")
    return image if image.ndim == 4 else image[None]


def _tensor_images(image: Any) -> Any:
    import torch

    allowed = "allowed is RGB or RGBA, (C, H, W) or (N, C, H, W), uint8 or float32 in 0 to 255"
    if image.dtype not in (torch.uint8, torch.float32):
        raise InputError(f"image: got dtype {image.dtype}, {allowed}")
    if image.ndim not in (3, 4) or image.shape[-3] not in (3, 4) or image.numel() == 0:
        raise InputError(f"image: got shape {tuple(image.shape)}, {allowed}")
    if image.dtype == torch.float32:
        _check_range("image", image, 255)
    return image if image.ndim == 4 else image[None]


def as_maps(prob: Any, count: int | None) -> Any:
    """Check maps, and give them as float32 (M, h, w). ``count`` images take M of 1 or count; None takes any M."""
    tensor = is_tensor(prob)
    if not tensor and not isinstance(prob, np.ndarray):
        raise InputError(f"prob: got {_kind(prob)}, allowed is a NumPy array or a torch tensor")
    if tensor:
        known = str(prob.dtype) in ("torch.float16", "torch.float32", "torch.float64")
    else:
        known = prob.dtype.kind == "f" and prob.dtype.itemsize in (2, 4, 8)  # in any byte order
    if not known:
        raise InputError(f"prob: got dtype {prob.dtype}, allowed are float16, float32 and float64")
    shape = tuple(prob.shape)
    maps = prob[:, 0] if prob.ndim == 4 and shape[1] == 1 else prob[None] if prob.ndim == 2 else prob
    if maps.ndim != 3 or 0 in shape or (count is not None and len(maps) not in (1, count)):
        images = "" if count is None else f", N being 1 or the number of images, {count}"
        raise InputError(f"prob: got shape {shape}, allowed are (h, w), (N, h, w) and (N, 1, h, w){images}")
    if not tensor:
        # Float16 is slow to compare; widening it is exact. Float64 is checked before it is rounded.
        maps = maps.astype(np.float32) if maps.dtype.itemsize == 2 else maps
        _check_range("prob", maps, 1)
        return np.ascontiguousarray(maps, np.float32)
    _check_range("prob", maps, 1)
    return maps.float()


def _check_range(name: str, values: Any, high: int) -> None:
    if is_tensor(values):
        import torch

        if torch.compiler.is_compiling():  # a graph cannot depend on values
            return
        lowest, highest = (float(one) for one in values.detach().aminmax())
    else:
        lowest, highest = float(values.min()), float(values.max())
    if lowest >= 0 and highest <= high:  # false for NaN, which minimum and maximum pass on
        return
    if lowest != lowest or highest != highest:
        raise InputError(f"{name}: got NaN, allowed are values from 0 to {high}")
    raise InputError(f"{name}: got values from {lowest:g} to {highest:g}, allowed are 0 to {high}")


def _is_whole(value: Any, high: float = math.inf) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and 1 <= int(value) <= high


def _shown(value: Any) -> str:
    """A value on one line: in Python's notation where that is short, else its kind."""
    try:
        text = repr(value)
    except ValueError:  # whole numbers of thousands of digits
        return f"{_kind(value)} too long to show"
    return text if len(text) <= 80 and "\n" not in text else _kind(value)


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InputError(f"{name}: got {_shown(value)}, allowed is a number from 0 to 1")
    try:
        number = float(value)
    except OverflowError:
        raise InputError(f"{name}: got a number too large for a float, allowed is a number from 0 to 1") from None
    if not 0 <= number <= 1:
        raise InputError(f"{name}: got {number:g}, allowed is a number from 0 to 1")
    return number


def _settings(name: str, value: Any, count: int) -> NDArray[np.float64]:
    """One float64 a sample, from a number or a sequence of them."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return np.full(count, _number(name, value))
    if is_tensor(value) or isinstance(value, np.ndarray):
        if value.ndim > 1:
            shape = tuple(value.shape)
            raise InputError(f"{name}: got shape {shape}, allowed is one number or one an image, {(count,)}")
        value = value.tolist() if is_tensor(value) else value[()] if value.ndim == 0 else list(value)
    if not isinstance(value, (list, tuple)):
        return np.full(count, _number(name, value))
    if len(value) != count:
        raise InputError(f"{name}: got {len(value)} values for {count} images, allowed is one number or one an image")
    return np.array([_number(f"{name}[{n}]", one) for n, one in enumerate(value)])
