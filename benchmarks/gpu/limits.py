"""What this GPU can do: the rates that other cases are held against, measured like any case."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ohlora_fast.benchmarks.gpu.case import Case, needs

UNITS = {
    "memory": "bytes",
    "half": "operations",
    "tf32": "operations",
    "fp32": "operations",
    "upload": "bytes",
    "download": "bytes",
}
"""Limits, by what each counts: device memory, read and written; matrix products in half precision, in TF32 and in
float32, the last without tensor cores; copies from and to page-locked memory of the host."""


def cases(device: str = "cuda", copied: int = 2**30, side: int = 8192) -> Iterator[Case]:
    """A case a limit: what it does, divided by its time, is the limit.

    Args:
        device: to be measured.
        copied: bytes of each copy: of device memory a gibibyte, many times the cache.
        side: of the square matrices.
    """
    makers: dict[str, tuple[Callable[[], Any], float]] = {
        "memory": (lambda: copy(copied, device, device), 2 * copied),
        "half": (lambda: product("float16", "highest", side, device), 2 * side**3),
        "tf32": (lambda: product("float32", "high", side, device), 2 * side**3),
        "fp32": (lambda: product("float32", "highest", side, device), 2 * side**3),
        "upload": (lambda: copy(copied, "cpu", device), copied),
        "download": (lambda: copy(copied, device, "cpu"), copied),
    }
    for name, (make, amount) in makers.items():
        provider = "copy_" if UNITS[name] == "bytes" else f"matmul, {side}³"
        yield Case("limits", name, provider, make, work={name: amount}, problem=needs(device))


def copy(size: int, source: str, target: str) -> Callable[[], Any]:
    """A copy of so many bytes; the host's memory is page-locked where there is a GPU to copy from or to."""
    import torch

    pinned = "cuda" in source + target
    given, taken = (
        torch.zeros(size // 4, dtype=torch.int32, device=place, pin_memory=pinned and place == "cpu")
        for place in (source, target)
    )
    return lambda: taken.copy_(given, non_blocking=True)


def product(dtype: str, precision: str, side: int, device: str) -> Callable[[], Any]:
    """A product of square matrices, with PyTorch's float32 precision set for it alone."""
    import torch

    a, b = (torch.randn(side, side, device=device).to(getattr(torch, dtype)) for _ in range(2))

    def call() -> Any:
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision(precision)
        try:
            return a @ b
        finally:
            torch.set_float32_matmul_precision(before)

    return call


def bound(work: Mapping[str, float], limits: Mapping[str, float]) -> tuple[str, float] | None:
    """Which limit a case meets first, and the seconds it then takes at least; None if none of its limits is known.

    >>> bound({"memory": 4e9, "half": 1e12}, {"memory": 4e12, "half": 5e14})
    ('half', 0.002)
    """
    seconds = {name: amount / limits[name] for name, amount in work.items() if name in limits}
    return max(seconds.items(), key=lambda pair: pair[1]) if seconds else None
