"""How long does it take from uint8 photos in device memory to the student's input: resize, normalise, half precision?

Limit: memory. Each photo is read once, and 0.3 MB is written for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from ohlora_fast.benchmarks.gpu.case import Call, Case, compiled, needs
from ohlora_fast.benchmarks.gpu.ombre import LAYOUTS, SIZES, photos


def cases(device: str = "cuda", sizes: Sequence[tuple[int, int]] = SIZES) -> Iterator[Case]:
    """The fused kernel, PyTorch's own operations, and Pillow on the CPU."""
    for count, size in sizes:
        for layout in LAYOUTS:
            yield from one_case(device, count, size, layout)


def one_case(device: str, count: int, size: int, layout: str) -> Iterator[Case]:
    """The providers for one batch."""
    from ohlora_fast.ops.preprocess_op import preprocess_cost

    name = f"{count} × {size}², {layout}"
    memory, operations = preprocess_cost(count, size, size, itemsize=2)
    work = {"memory": memory, "fp32": operations}

    def case(provider: str, backend: str, make: Callable[[Any], Call]) -> Case:
        def build() -> Call:
            return make(photos(device, count, size, layout))

        return Case("preprocess", name, provider, build, count, work, cold=True, problem=needs(device, backend))

    yield case("triton", "triton", triton)
    yield case("torch, eager", "torch", eager)
    yield case("torch, compiled", "torch", compiled_torch)
    if count == 1 and layout == "NHWC":
        yield Case("preprocess", name, "Pillow and NumPy, on the CPU", partial(pillow, size), clock="cpu")


def triton(image: Any) -> Call:
    import torch

    from ohlora_fast.ops.preprocess_op import preprocess_triton

    return lambda: preprocess_triton(image, torch.float16)


def eager(image: Any, wrap: Callable[..., Any] = lambda function: function) -> Call:
    import torch

    from ohlora_fast.ops.preprocess_op import preprocess_torch

    function = wrap(preprocess_torch)
    return lambda: function(image, torch.float16)


def compiled_torch(image: Any) -> Call:
    return eager(image, compiled)


def pillow(size: int) -> Call:
    import numpy as np

    from ohlora_fast.student.preprocess import squash

    image = photos("cpu", 1, size, "NHWC")[0].permute(1, 2, 0).numpy()
    return lambda: squash(image)[None].transpose(0, 3, 1, 2).astype(np.float32) - np.float32(127.5)
