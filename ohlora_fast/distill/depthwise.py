"""Training on a CPU in bfloat16: depthwise convolutions whose gradients are quicker than PyTorch's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ohlora_fast.ops.depthwise_op import compiled_takes, depthwise


class QuickDepthwise(TorchFunctionMode):
    """Within it, depthwise convolutions become `depthwise`, where that has compiled gradients; nothing else changes.

    >>> conv = torch.nn.Conv2d(32, 32, 3, groups=32)
    >>> with QuickDepthwise(), torch.autocast("cpu", torch.bfloat16):
    ...     "depthwise" in conv(torch.zeros(1, 32, 8, 8)).grad_fn.name()
    True
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.conv2d and torch.is_grad_enabled() and (given := as_depthwise(*args, **(kwargs or {}))):
            return depthwise(*given)
        return func(*args, **(kwargs or {}))


def as_depthwise(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int | Sequence[int] = 1,
    padding: str | int | Sequence[int] = 0, dilation: int | Sequence[int] = 1, groups: int = 1,
) -> tuple[Tensor, Tensor, Tensor | None, int, int] | None:  # fmt: skip
    """`torch.conv2d`'s arguments → `depthwise`'s; None if it is no such convolution."""
    if isinstance(padding, str) or not groups == input.shape[1] == weight.shape[0]:
        return None
    steps, margins, gaps = ({*([one] if isinstance(one, int) else one)} for one in (stride, padding, dilation))
    if gaps != {1} or len(steps) > 1 or len(margins) > 1 or weight.shape[2] != weight.shape[3]:
        return None
    if torch.is_autocast_enabled(input.device.type):
        input = input.to(torch.get_autocast_dtype(input.device.type))
    return (input, weight, bias, steps.pop(), margins.pop()) if compiled_takes(input, weight) else None
