"""How many images a second go through the whole: uint8 images in, dyed uint8 images out?

Limits: in device memory the student's operations at 256², the images' bytes at 1024², read twice and written once;
from the host's memory the copies there and back. The photo is a portrait, since what is dyed depends on its hair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from ohlora_fast.benchmarks.gpu import ombre
from ohlora_fast.benchmarks.gpu.case import Call, Case, Clock, needs
from ohlora_fast.benchmarks.gpu.student import counted, cuda_engine, engine_needs
from ohlora_fast.benchmarks.setting import no_portrait, portraits

SIZES = ((256, 256), (64, 1024), (1, 1024))
"""(images, height and width)."""


def cases(device: str = "cuda", sizes: Sequence[tuple[int, int]] = SIZES) -> Iterator[Case]:
    """Device memory to device memory, and host memory to host memory."""
    for count, size in sizes:
        yield from one_case(device, count, size)


def one_case(device: str, count: int, size: int) -> Iterator[Case]:
    """The providers for one batch."""
    operations, weights = counted("default")
    image_bytes = 3 * count * size * size
    network = {"memory": 3 * image_bytes + 2 * weights, "half": count * operations}
    links = {"upload": image_bytes, "download": image_bytes}

    def case(
        where: str, provider: str, make: Callable[..., Call], of: str, work: dict[str, int],
        problem: Callable[[], str | None], clock: Clock = "wall",
    ) -> Case:  # fmt: skip
        name, build = f"{count} × {size}², {where}", partial(make, of, count, size)
        return Case("pipeline", name, provider, build, count, work, clock, problem=lambda: problem() or no_portrait())

    for backend in ombre.KERNELS:
        provider, make = f"CudaEngine float16, {backend} ombre", partial(kernels, backend)
        yield case("device memory", provider, make, device, network, engine_needs(device, backend), "events")
    yield case("device memory", "HairStylist.dye", stylist_on_tensors, device, network, needs(device))
    yield case("host memory", "HairStylist.dye", stylist_on_arrays, device, network | links, needs(device))
    if count == 1:
        yield case("host memory", "HairStylist.dye, on the CPU", stylist_on_arrays, "cpu", {}, needs("cpu"), "cpu")


def on_device(device: str, count: int, size: int) -> Any:
    """uint8 (N, 3, H, W)."""
    import torch

    return torch.from_numpy(portraits(count, size)).to(device).permute(0, 3, 1, 2).contiguous()


def kernels(backend: str, device: str, count: int, size: int) -> Call:
    """The engine's maps handed to an ombre kernel: nothing is checked, nothing waits."""
    images = on_device(device, count, size)
    _, _, settings = ombre.inputs(device, count, 1, "NCHW", "head")
    dye, engine = ombre.kernel(backend), cuda_engine("CudaEngine float16", device)
    return lambda: dye(images, engine.maps(images), settings)


def stylist_on_tensors(device: str, count: int, size: int) -> Call:
    from ohlora_fast.stylist import HairStylist

    stylist, images = HairStylist(device=device), on_device(device, count, size)
    return lambda: stylist.dye(images)


def stylist_on_arrays(device: str, count: int, size: int) -> Call:
    from ohlora_fast.stylist import HairStylist

    stylist, images = HairStylist(device=device), portraits(count, size)
    return lambda: stylist.dye(images)
