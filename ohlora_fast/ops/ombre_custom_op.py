"""The ombre as operations of PyTorch's, with gradients, for ``torch.compile`` and ``torch.export``.

Importing this registers ``torch.ops.ohlora_fast.ombre``, which chooses among the backends of tensors, and its in-place
form ``ombre_``. Everything here trusts its arguments; :func:`ohlora_fast.apply_ombre` checks them.

Example:
    >>> from ohlora_fast.ombre import pack
    >>> settings = torch.from_numpy(pack(color=0.5, ombre_height=1, ombre_grad_height=0, count=2))
    >>> photos, maps = torch.full((2, 3, 8, 8), 100, dtype=torch.uint8), torch.ones(2, 4, 4)
    >>> torch.ops.ohlora_fast.ombre(photos, maps, settings)[0, :, 0, 0]
    tensor([ 96, 160, 160], dtype=torch.uint8)
    >>> torch.ops.ohlora_fast.ombre_(photos, maps, settings)
    >>> photos[1, :, 7, 7]
    tensor([ 96, 160, 160], dtype=torch.uint8)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .ombre_op import backend_problem
from .ombre_torch import ombre_gradients, ombre_torch, resize_adjoint

__all__ = ["ombre", "ombre_", "ombre_backward"]


def on_cpu(image: Tensor, prob: Tensor, settings: Tensor) -> Tensor:
    return ombre_torch(image, prob, settings).contiguous(memory_format=layout_of(image))


def on_cpu_in_place(image: Tensor, prob: Tensor, settings: Tensor) -> None:
    image.copy_(ombre_torch(image, prob, settings))


def layout_of(image: Tensor) -> torch.memory_format:
    """Planes or interleaved pixels, as `torch.empty_like` keeps them."""
    planes = image.is_contiguous() or not image.is_contiguous(memory_format=torch.channels_last)
    return torch.contiguous_format if planes else torch.channels_last


def by_arrays(image: Tensor, dye: Callable[[Any], Any]) -> Tensor:
    """Dye a CPU's bytes (N, C, H, W) with a kernel that takes arrays (N, H, W, C); the layout stays."""
    dyed = torch.from_numpy(dye(np.ascontiguousarray(image.permute(0, 2, 3, 1).numpy())))
    return dyed.permute(0, 3, 1, 2).contiguous(memory_format=layout_of(image))


def on_gpu(image: Tensor, prob: Tensor, settings: Tensor, out: Tensor | None = None) -> Tensor:
    """Dye with the best backend there is for a GPU's tensors: CUDA, which takes bytes, or Triton."""
    if image.dtype == torch.uint8 and backend_problem("cuda") is None:
        from .ombre_cuda import ombre_cuda

        return ombre_cuda(image, prob, settings, out)
    from ohlora_fast.kernels.ombre import ombre_triton

    return ombre_triton(image, prob, settings, out)


def on_gpu_in_place(image: Tensor, prob: Tensor, settings: Tensor) -> None:
    on_gpu(image, prob, settings, image)


ombre = torch.library.custom_op(
    "ohlora_fast::ombre", on_cpu, mutates_args=(), schema="(Tensor image, Tensor prob, Tensor settings) -> Tensor"
)
ombre.register_kernel("cuda")(lambda image, prob, settings: on_gpu(image, prob, settings))
ombre_ = torch.library.custom_op(
    "ohlora_fast::ombre_",
    on_cpu_in_place,
    mutates_args=("image",),
    schema="(Tensor(a!) image, Tensor prob, Tensor settings) -> ()",
)
ombre_.register_kernel("cuda")(on_gpu_in_place)
ombre_backward = torch.library.custom_op(
    "ohlora_fast::ombre_backward",
    ombre_gradients,
    mutates_args=(),
    schema="(Tensor grad, Tensor image, Tensor prob, Tensor settings) -> (Tensor, Tensor)",
)


@ombre_backward.register_kernel("cuda")
def backward_on_gpu(grad: Tensor, image: Tensor, prob: Tensor, settings: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients in Triton: of one pixel after the other, then back through the resize."""
    from ohlora_fast.kernels.ombre_backward import ombre_backward_triton

    image_grad, resized_grad = ombre_backward_triton(grad, image, prob, settings)
    return image_grad, resize_adjoint(resized_grad, prob)


@ombre.register_fake
def _(image: Tensor, prob: Tensor, settings: Tensor) -> Tensor:
    return torch.empty(image.shape, dtype=image.dtype, device=image.device, memory_format=layout_of(image))


@ombre_backward.register_fake
def _(grad: Tensor, image: Tensor, prob: Tensor, settings: Tensor) -> tuple[Tensor, Tensor]:
    return torch.empty_like(grad), prob.new_empty(prob.shape)


def keep(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
    return *ombre_backward(grad, *ctx.saved_tensors), None


ombre.register_autograd(backward, setup_context=keep)
