"""Natural dyeing as an operation of PyTorch's, with gradients, for ``torch.compile`` and ``torch.export``.

Importing this registers ``torch.ops.ohlora_fast.natural``. Everything here trusts its arguments.

Example:
    >>> import numpy as np
    >>> from ohlora_fast.natural import NaturalDye, pack_natural
    >>> packed = torch.from_numpy(pack_natural(NaturalDye("red", strength=1, lift=1), *np.array([[0.0], [1], [0]])))
    >>> photos, maps = torch.full((1, 3, 8, 8), 99, dtype=torch.uint8), torch.ones(1, 4, 4)
    >>> torch.ops.ohlora_fast.natural(photos, maps, packed)[0, :, 0, 0]
    tensor([255,   0,   0], dtype=torch.uint8)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .natural_op import natural_cpp
from .natural_torch import natural_gradients, natural_torch
from .ombre_custom_op import by_arrays, keep, layout_of
from .ombre_op import backend_problem

__all__ = ["natural", "natural_backward"]


def on_cpu(image: Tensor, prob: Tensor, packed: Tensor) -> Tensor:
    """Bytes by the compiled kernel, where there is one."""
    if image.dtype == torch.uint8 and backend_problem("cpp") is None:
        threads = torch.get_num_threads()
        return by_arrays(image, lambda pixels: natural_cpp(pixels, prob.numpy(), packed.numpy(), threads))
    return natural_torch(image, prob, packed).contiguous(memory_format=layout_of(image))


def on_gpu(image: Tensor, prob: Tensor, packed: Tensor) -> Tensor:
    from ohlora_fast.kernels.natural import natural_triton

    return natural_triton(image, prob, packed)


natural = torch.library.custom_op(
    "ohlora_fast::natural", on_cpu, mutates_args=(), schema="(Tensor image, Tensor prob, Tensor packed) -> Tensor"
)
natural.register_kernel("cuda")(on_gpu)
natural_backward = torch.library.custom_op(
    "ohlora_fast::natural_backward",
    natural_gradients,
    mutates_args=(),
    schema="(Tensor grad, Tensor image, Tensor prob, Tensor packed) -> (Tensor, Tensor)",
)


@natural.register_fake
def _(image: Tensor, prob: Tensor, packed: Tensor) -> Tensor:
    return torch.empty(image.shape, dtype=image.dtype, device=image.device, memory_format=layout_of(image))


@natural_backward.register_fake
def _(grad: Tensor, image: Tensor, prob: Tensor, packed: Tensor) -> tuple[Tensor, Tensor]:
    return image.new_empty(image.shape), prob.new_empty(prob.shape)


def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
    return *natural_backward(grad, *ctx.saved_tensors), None


natural.register_autograd(backward, setup_context=keep)
