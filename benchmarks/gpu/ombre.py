"""How long does the ombre take on images in device memory, masks given?

Limit: memory. A pass reads the image and writes the result, as `copy` does; the masks are small. In place it may do
better than that, since blocks without hair stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from ohlora_fast.benchmarks.gpu.case import Call, Case, compiled, needs

from ohlora_fast.student import SIZE

SIZES = ((64, 1024), (1, 1024), (256, 256))
"""(images, height and width)."""
LAYOUTS = ("NCHW", "NHWC")
MASKS = ("all hair", "head")
KERNELS = ("triton", "cuda")
OPERATIONS = 90
"""A pixel: 35 for the cubic resize, done twice in half of the rows, 4 for the opacity, 11 for each channel."""
ON_CPU = 2**22
"""Pixels of the largest batch that is also computed on the CPU: NumPy takes 0.6 s a call for 2^24."""


def case_name(count: int, size: int, layout: str, mask: str) -> str:
    return f"{count} × {size}², {layout}, {mask}"


def cases(device: str = "cuda", sizes: Sequence[tuple[int, int]] = SIZES) -> Iterator[Case]:
    """The ombre's providers, and the copy of the same bytes that they are held against."""
    for count, size in sizes:
        for layout in LAYOUTS:
            for mask in MASKS:
                yield from one_case(device, count, size, layout, mask)
    for count, size in sizes:
        yield from refined_case(device, count, size)


def one_case(device: str, count: int, size: int, layout: str, mask: str) -> Iterator[Case]:
    """The providers for one batch."""
    name = case_name(count, size, layout, mask)
    pixels = count * size * size
    copied = {"memory": 6 * pixels}
    work = {"memory": 6 * pixels + 4 * count * SIZE * SIZE, "fp32": OPERATIONS * pixels}

    def case(provider: str, backend: str, make: Callable[..., Call], work: dict[str, int] = work) -> Case:
        def build() -> Call:
            return make(*inputs(device, count, size, layout, mask))

        return Case("ombre", name, provider, build, count, work, cold=True, problem=needs(device, backend))

    yield case("copy", "torch", copy, copied)
    for backend in KERNELS:
        yield case(backend, backend, partial(fused, backend, False))
        yield case(f"{backend}, in place", backend, partial(fused, backend, True))
    yield case("torch, eager", "torch", eager)
    yield case("torch, compiled", "torch", compiled_torch)
    for backend in ("cpp", "numpy") if layout == "NHWC" and pixels <= ON_CPU else ():
        build = partial(on_cpu, backend, count, size, mask)
        yield Case("ombre", name, f"{backend}, on the CPU", build, count, clock="cpu", problem=needs("cpu", backend))


def refined_case(device: str, count: int, size: int) -> Iterator[Case]:
    """Dyeing by refined maps in one pass, and in two with a map of the photos' size between them."""
    name = f"{case_name(count, size, 'NCHW', 'head')}, refined"
    pixels = count * size * size
    copied = {"memory": 6 * pixels}
    work = {"memory": 9 * pixels + 4 * count * SIZE * SIZE}  # the image read twice, since the slopes come of all of it

    def case(provider: str, backend: str, make: Callable[..., Call], work: dict[str, int] = work) -> Case:
        def build() -> Call:
            return make(*inputs(device, count, size, "NCHW", "head"))

        return Case("ombre", name, provider, build, count, work, cold=True, problem=needs(device, backend))

    yield case("copy", "torch", copy, copied)
    yield case("triton, in one pass", "triton", refined_at_once)
    yield case("triton, refined and then dyed", "triton", refined_first)


def inputs(device: str, count: int, size: int, layout: str, mask: str) -> tuple[Any, Any, Any]:
    """Images (N, 3, H, W) uint8, masks (N, 224, 224) float32 and packed settings (N, 5) float64, on the device."""
    import numpy as np
    import torch
    from ohlora_fast.benchmarks import baselines

    from ohlora_fast.ombre import Ombre
    from ohlora_fast.ops.ombre_op import pack_settings

    one = {"all hair": baselines.all_hair, "head": baselines.head_of_hair}[mask](SIZE)
    prob = torch.from_numpy(one).to(device).expand(count, -1, -1).contiguous()
    ombre = Ombre()
    chosen = (np.full(count, value) for value in (ombre.color, ombre.ombre_height, ombre.ombre_grad_height))
    settings = torch.from_numpy(pack_settings(*chosen)).to(device)
    return photos(device, count, size, layout), prob, settings


def photos(device: str, count: int, size: int, layout: str) -> Any:
    """Noise, uint8 (N, 3, H, W), planar or interleaved."""
    import torch

    generator = torch.Generator(device).manual_seed(0)
    shape = (count, size, size, 3)
    image = torch.randint(0, 256, shape, dtype=torch.uint8, device=device, generator=generator).permute(0, 3, 1, 2)
    return image.contiguous() if layout == "NCHW" else image


def copy(image: Any, prob: Any, settings: Any) -> Call:
    out = image.clone()  # which keeps the layout
    return lambda: out.copy_(image)


def kernel(backend: str) -> Callable[..., Any]:
    """The ombre's launcher, "triton" or "cuda"."""
    if backend == "triton":
        from ohlora_fast.kernels.ombre import ombre_triton

        return ombre_triton
    from ohlora_fast.ops.ombre_cuda import ombre_cuda

    return ombre_cuda


def fused(backend: str, in_place: bool, image: Any, prob: Any, settings: Any) -> Call:
    dye, out = kernel(backend), image if in_place else None
    return lambda: dye(image, prob, settings, out=out)


def refined_at_once(image: Any, prob: Any, settings: Any) -> Call:
    from ohlora_fast.kernels.ombre import ombre_refined_triton

    return lambda: ombre_refined_triton(image, prob, settings)


def refined_first(image: Any, prob: Any, settings: Any) -> Call:
    """Its gradient is that of the refined map, which takes no longer than that of the map as it comes."""
    from ohlora_fast.kernels.ombre import ombre_triton
    from ohlora_fast.kernels.refine import refined

    return lambda: ombre_triton(image, refined(image, prob), settings)


def eager(image: Any, prob: Any, settings: Any, wrap: Callable[..., Any] = lambda function: function) -> Call:
    from ohlora_fast.ops.ombre_torch import ombre_torch

    function = wrap(ombre_torch)
    return lambda: function(image, prob, settings)


def compiled_torch(image: Any, prob: Any, settings: Any) -> Call:
    return eager(image, prob, settings, compiled)


def on_cpu(backend: str, count: int, size: int, mask: str) -> Call:
    from ohlora_fast.ombre import apply_ombre

    image, prob, _ = inputs("cpu", count, size, "NHWC", mask)
    pixels, maps = image.permute(0, 2, 3, 1).numpy(), prob.numpy()
    return lambda: apply_ombre(pixels, maps, backend=backend)
