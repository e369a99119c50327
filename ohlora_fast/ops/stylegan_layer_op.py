"""A synthesis layer of StyleGAN past its convolution: PyTorch form, compiled form, Triton form, custom op.

Blur → noise → bias → leaky ReLU → instance norm → style. Importing this registers
``torch.ops.ohlora_fast.stylegan_layer``, whose gradients are those of the PyTorch form. Everything here trusts its
arguments, which are the same for every form:

- x: (N, C, H, W), what the convolution gave.
- noise: (N or 1, 1, H, W).
- noise_weight, bias: (C,).
- style: (N, 2C); 1 plus the first half is the factor, the second half the shift.
- blur: whether x is convolved with outer([1, 2, 1])/16 first, zeros beyond the border.

Example:
    >>> x, style = torch.randn(2, 4, 8, 8), torch.randn(2, 8)
    >>> arguments = x, torch.randn(1, 1, 8, 8), torch.randn(4), torch.randn(4), style, True
    >>> out = torch.ops.ohlora_fast.stylegan_layer(*arguments)
    >>> torch.allclose(out, layer_torch(*arguments), atol=1e-5)
    True
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .arrays import aligned
from .ombre_op import backend_problem

__all__ = [
    "BACKENDS",
    "EPS",
    "LEAK",
    "layer_backend_problem",
    "layer_cpp",
    "layer_torch",
    "layer_triton",
    "stylegan_layer",
]

LEAK = 0.2
"""Slope of the leaky ReLU below zero."""
EPS = 1e-8
"""What is added to the variance."""
BACKENDS = ("torch", "cpp", "triton")


def layer_backend_problem(name: str) -> str | None:
    """Say why a backend of `BACKENDS` cannot run here, or None if it can.

    >>> layer_backend_problem("torch") is None
    True
    """
    return backend_problem(name)


def blurred(x: Tensor) -> Tensor:
    """Each channel convolved with outer([1, 2, 1])/16, zeros beyond the border."""
    line = torch.tensor([1.0, 2.0, 1.0], dtype=x.dtype, device=x.device)
    kernel = torch.outer(line, line) / 16
    return F.conv2d(x, kernel.expand(x.shape[1], 1, 3, 3), padding=1, groups=x.shape[1])


def layer_torch(x: Tensor, noise: Tensor, noise_weight: Tensor, bias: Tensor, style: Tensor, blur: bool) -> Tensor:
    """The reference, in x's layout and dtype; where the others are of a wider dtype, it computes in that."""
    dtype = x.dtype
    x = (blurred(x) if blur else x) + noise * noise_weight[:, None, None]
    x = F.leaky_relu(x + bias[:, None, None], LEAK)
    x = x - x.mean(dim=(2, 3), keepdim=True)
    x = x * torch.rsqrt(x.square().mean(dim=(2, 3), keepdim=True) + EPS)
    factor, shift = style[:, :, None, None].chunk(2, dim=1)
    return (x * (1 + factor) + shift).to(dtype)


def layer_cpp(
    x: Tensor, noise: Tensor, noise_weight: Tensor, bias: Tensor, style: Tensor, blur: bool, threads: int | None = None
) -> Tensor:
    """The compiled form, float32 on the CPU; channels-last, and another layout is copied."""
    from ohlora_fast import _core

    rows = x.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)
    out = torch.empty(rows.shape)
    given = [aligned(one.numpy()) for one in (rows, noise[:, 0], noise_weight, bias, style)]
    _core.style_layer(*given, blur, out.numpy(), threads or torch.get_num_threads())
    return out.permute(0, 3, 1, 2)


def layer_triton(x: Tensor, noise: Tensor, noise_weight: Tensor, bias: Tensor, style: Tensor, blur: bool) -> Tensor:
    """The GPU's form, sums in float32, channels-last in x's dtype."""
    from ohlora_fast.kernels.stylegan_layer import layer

    return layer(x, noise, noise_weight, bias, style, blur)


def on_cpu(x: Tensor, noise: Tensor, noise_weight: Tensor, bias: Tensor, style: Tensor, blur: bool) -> Tensor:
    if x.dtype == torch.float32 and layer_backend_problem("cpp") is None:
        return layer_cpp(x, noise, noise_weight, bias, style, blur)
    return layer_torch(x, noise, noise_weight, bias, style, blur).contiguous(memory_format=torch.channels_last)


stylegan_layer = torch.library.custom_op(
    "ohlora_fast::stylegan_layer",
    on_cpu,
    mutates_args=(),
    schema="(Tensor x, Tensor noise, Tensor noise_weight, Tensor bias, Tensor style, bool blur) -> Tensor",
)
stylegan_layer.register_kernel("cuda")(layer_triton)


@stylegan_layer.register_fake
def _(x: Tensor, noise: Tensor, noise_weight: Tensor, bias: Tensor, style: Tensor, blur: bool) -> Tensor:
    return torch.empty(x.shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)


def keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.blur = inputs
    ctx.save_for_backward(*tensors)


def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    """The gradients, from the values made anew."""
    x, noise, noise_weight, bias, style = ctx.saved_tensors
    factor, _ = style[:, :, None, None].chunk(2, dim=1)
    before = (blurred(x) if ctx.blur else x) + noise * noise_weight[:, None, None] + bias[:, None, None]
    value = F.leaky_relu(before, LEAK)
    apart = value - value.mean(dim=(2, 3), keepdim=True)
    scale = torch.rsqrt(apart.square().mean(dim=(2, 3), keepdim=True) + EPS)
    normed = apart * scale
    of_style = torch.cat([(grad * normed).sum(dim=(2, 3)), grad.sum(dim=(2, 3))], dim=1)
    of_normed = grad * (1 + factor)
    across = of_normed.mean(dim=(2, 3), keepdim=True), (of_normed * normed).mean(dim=(2, 3), keepdim=True)
    of_value = scale * (of_normed - across[0] - normed * across[1])
    of_before = torch.where(before > 0, of_value, LEAK * of_value)
    of_noise = (of_before * noise_weight[:, None, None]).sum(dim=1, keepdim=True).sum_to_size(noise.shape)
    of_weight = (of_before * noise).sum(dim=(0, 2, 3))
    of_x = blurred(of_before) if ctx.blur else of_before
    found = of_x, of_noise, of_weight, of_before.sum(dim=(0, 2, 3)), of_style
    return *(one.to(given) for one, given in zip(found, ctx.saved_tensors, strict=True)), None


stylegan_layer.register_autograd(backward, setup_context=keep)
