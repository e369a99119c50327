"""How a Triton kernel is compiled ahead of time, for machines without a GPU: see `ahead`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Form:
    """One compiled form of a kernel, launched with these very options.

    Attributes:
        name: of the form: operation, layout, type.
        kernel: the ``triton.jit`` function.
        signature: each argument's type in Triton's notation: ``"*u8"``, ``"*fp16"``, ``"i32"``, ``"fp64"``, or
            ``"constexpr"``.
        constants: the value of each ``"constexpr"``.
        options: of the launch: ``num_warps``, ``num_stages``, ``enable_fp_fusion``.
        divisible: arguments whose values are multiples of 16, as Triton finds out at launch.
    """

    name: str
    kernel: Any
    signature: Mapping[str, str]
    constants: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    divisible: tuple[str, ...] = ()
