"""A depthwise convolution whose gradients in bfloat16 are quick on a CPU: PyTorch form, compiled form, custom op.

In bfloat16 PyTorch 2.13 spends close to half of a student's training step on these gradients; in float32 it does about
as well as the compiled form did. Importing this registers ``torch.ops.ohlora_fast.depthwise``. Everything here trusts
its arguments:

- x: (N, C, H, W).
- weight: (C, 1, K, K), float32 also if x is not; so is its gradient.
- bias: (C,) or None.
- stride, padding: the same in both directions; zeros around.

Example:
    >>> x, weight = torch.randn(2, 16, 9, 9), torch.randn(16, 1, 3, 3)
    >>> out = torch.ops.ohlora_fast.depthwise(x, weight, None, 2, 1)
    >>> torch.allclose(out, F.conv2d(x, weight, stride=2, padding=1, groups=16), atol=1e-5)
    True
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .ombre_op import backend_problem

__all__ = ["compiled_takes", "depthwise", "depthwise_backward", "gradients_cpp", "gradients_torch"]

SIZES = (3, 5)
"""Sides of the kernels that the compiled form takes."""
CHANNELS = 16
"""It takes multiples of so many channels."""


def compiled_takes(x: Tensor, weight: Tensor) -> bool:
    """Whether the compiled form makes these gradients.

    >>> compiled_takes(torch.zeros(1, 32, 7, 7, dtype=torch.bfloat16), torch.zeros(32, 1, 5, 5))
    True
    >>> compiled_takes(torch.zeros(1, 32, 7, 7), torch.zeros(32, 1, 5, 5))
    False
    """
    return (
        x.device.type == "cpu"
        and x.dtype == torch.bfloat16
        and weight.dtype == torch.float32
        and weight.shape[-1] in SIZES
        and weight.shape[0] % CHANNELS == 0
        and backend_problem("cpp") is None
    )


def gradients_torch(grad: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int) -> tuple[Tensor, Tensor]:
    """The reference: the gradients of x, in its dtype, and of the weight, in its own."""
    given = (grad, x, weight.to(x.dtype), None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], len(weight))
    x_grad, weight_grad, _ = torch.ops.aten.convolution_backward(*given, [True, True, False])
    return x_grad.contiguous(memory_format=torch.channels_last), weight_grad.to(weight.dtype).contiguous()


def gradients_cpp(
    grad: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int, threads: int | None = None
) -> tuple[Tensor, Tensor]:
    """The compiled form, for what `compiled_takes`; sums are float32. Other layouts than channels-last are copied."""
    from ohlora_fast import _core

    grad, x = (one.contiguous(memory_format=torch.channels_last) for one in (grad.to(x.dtype), x))
    x_grad, weight_grad = torch.empty_like(x), torch.empty(weight.shape)
    _core.depthwise_gradients(
        pixels(x), pixels(grad), weight.contiguous().numpy()[:, 0], stride, padding,
        pixels(x_grad), weight_grad.numpy()[:, 0], threads or torch.get_num_threads(),
    )  # fmt: skip
    return x_grad, weight_grad


def pixels(x: Tensor) -> np.ndarray[Any, Any]:
    """A channels-last tensor's memory, (N, H, W, C), as 16-bit integers, as NumPy has no bfloat16."""
    return x.view(torch.uint16).permute(0, 2, 3, 1).numpy()


def convolved(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    x = x.contiguous(memory_format=torch.channels_last)
    return F.conv2d(
        x, weight.to(x.dtype), None if bias is None else bias.to(x.dtype), stride, padding, groups=len(weight)
    )


def gradients(grad: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int) -> tuple[Tensor, Tensor]:
    form = gradients_cpp if compiled_takes(x, weight) else gradients_torch
    return form(grad, x, weight, stride, padding)


depthwise = torch.library.custom_op(
    "ohlora_fast::depthwise",
    convolved,
    mutates_args=(),
    schema="(Tensor x, Tensor weight, Tensor? bias, int stride, int padding) -> Tensor",
)
depthwise_backward = torch.library.custom_op(
    "ohlora_fast::depthwise_backward",
    gradients,
    mutates_args=(),
    schema="(Tensor grad, Tensor x, Tensor weight, int stride, int padding) -> (Tensor, Tensor)",
)


@depthwise.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    height, width = ((side + 2 * padding - weight.shape[-1]) // stride + 1 for side in x.shape[2:])
    return torch.empty(
        (len(x), len(weight), height, width), dtype=x.dtype, device=x.device, memory_format=torch.channels_last
    )


@depthwise_backward.register_fake
def _(grad: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x, memory_format=torch.channels_last), weight.new_empty(weight.shape)


def keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, bias, ctx.stride, ctx.padding = inputs
    ctx.bias_dtype = None if bias is None else bias.dtype
    ctx.save_for_backward(x, weight)


def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x_grad, weight_grad = depthwise_backward(grad, *ctx.saved_tensors, ctx.stride, ctx.padding)
    bias_grad = None
    if ctx.bias_dtype is not None:
        bias_grad = grad.sum((0, 2, 3), dtype=torch.promote_types(grad.dtype, torch.float32)).to(ctx.bias_dtype)
    return x_grad, weight_grad, bias_grad, None, None


depthwise.register_autograd(backward, setup_context=keep)
