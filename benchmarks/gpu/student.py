"""How long does the student take from uint8 224×224 photos to their maps: one photo, and how many photos a second?

Limit: operations, in half precision or in TF32, which PyTorch's convolutions use for float32; at small batches the
launches. `latency` is the host's time at batch 1, until the map is there; `student` the GPU's own at every batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any

from ohlora_fast.benchmarks.gpu.case import Call, Case, Clock, needs

from ohlora_fast.student import SIZE
from ohlora_fast.student.engines import engine_problem

STUDENTS: dict[str, dict[str, Any]] = {
    "reference": {"encoder": "efficientnet-b0", "head_stride": 1},
    "default": {"encoder": "efficientnet-lite2-short", "head_stride": 2, "upsampling": "bilinear"},
}
"""The arguments of `EffiSegNet`."""
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
FEW = (1, 64)
"""Batches of the providers that take minutes to compile or to run."""
ENGINES: dict[str, dict[str, Any]] = {
    "CudaEngine float16": {"dtype": "float16"},
    "CudaEngine bfloat16": {"dtype": "bfloat16"},
    "CudaEngine float16, without graphs": {"dtype": "float16", "graphs": False},
    "CudaEngine float16, encoder compiled": {"dtype": "float16", "compile": True},
}
TORCH = "TorchEngine float32"
REFERENCE = "reference student, eager float32"
TEACHER = "teacher, eager float32"
PROVIDERS = (*ENGINES, TORCH, REFERENCE, TEACHER)


def latency_cases(device: str = "cuda") -> Iterator[Case]:
    """One photo, by the host's clock."""
    for provider in PROVIDERS:
        yield one_case("latency", "1 photo in device memory", provider, device, 1)
    for provider in ("CudaEngine float16", TORCH):
        yield one_case("latency", "1 photo in the host's memory, and its map back", provider, device, 1, host=True)


def cases(device: str = "cuda", batches: Sequence[int] = BATCHES) -> Iterator[Case]:
    """Batches, by the GPU's clock."""
    for count in batches:
        for provider in PROVIDERS:
            if count in FEW or provider not in (TEACHER, "CudaEngine float16, encoder compiled"):
                yield one_case("student", str(count), provider, device, count)


def one_case(group: str, name: str, provider: str, device: str, count: int, host: bool = False) -> Case:
    half = provider in ENGINES
    network = {REFERENCE: "reference", TEACHER: "teacher"}.get(provider, "default")
    operations, weights = counted(network)
    memory = count * SIZE * SIZE * (3 + 4) + weights * (2 if half else 4)
    work = {"memory": memory, "half" if half else "tf32": count * operations}
    build = partial(make, provider, device, count, host)
    clock: Clock = "wall" if group == "latency" else "events"
    problem = engine_needs(device) if half else needs(device)
    return Case(group, name, provider, build, count, work, clock, problem=problem)


def engine_needs(device: str, *backends: str) -> Callable[[], str | None]:
    """What says why `CudaEngine`, or the ombre's backends of these names, do not run here."""
    return lambda: engine_problem("cuda", device) or needs(device, *backends)()


def make(provider: str, device: str, count: int, host: bool = False) -> Call:
    """The call to time."""
    import torch

    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, SIZE, SIZE, 3), dtype=torch.uint8, generator=generator)
    if provider in (REFERENCE, TEACHER):
        return network_call(provider, images.to(device))
    engine = cuda_engine(provider, device) if provider in ENGINES else torch_engine(device)
    if host:
        array = images.numpy()
        return lambda: engine.predict(array)
    images = images.to(device)
    return lambda: engine.predict_tensor(images)


def network_call(provider: str, images: Any) -> Call:
    """A plain network in PyTorch, with what it needs before it."""
    import torch

    if provider == REFERENCE:
        function = untrained("reference").to(images.device)
    else:
        from ohlora_fast.teacher.facexformer import FaceXFormer

        torch.manual_seed(0)
        function = FaceXFormer().eval().to(images.device).hair_probability

    def call() -> Any:
        with torch.inference_mode():
            return function(images.permute(0, 3, 1, 2).float() / 127.5 - 1)[:, 0]

    return call


@lru_cache(maxsize=len(ENGINES))
def cuda_engine(provider: str, device: str) -> Any:
    """One engine for all batches, as users keep one."""
    from ohlora_fast.student.cuda_engine import CudaEngine

    return CudaEngine(None, device, **ENGINES[provider])


@lru_cache(maxsize=1)
def torch_engine(device: str) -> Any:
    from ohlora_fast.student.engines import TorchEngine

    return TorchEngine(None, device)


def untrained(student: str) -> Any:
    """A student of `STUDENTS` with random weights, on which its time does not depend."""
    import torch

    from ohlora_fast.student.model import EffiSegNet

    torch.manual_seed(0)
    return EffiSegNet(**STUDENTS[student]).eval()


@lru_cache(maxsize=3)
def counted(network: str) -> tuple[int, int]:
    """Operations for one photo, and the number of weights: of a student after the exact rewrite, or of the teacher.

    >>> operations, weights = counted("default")
    >>> round(operations / 1e9, 2), round(weights / 1e6, 1)
    (1.49, 3.0)
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from ohlora_fast.student.rewrite import InferenceEffiSegNet
    from ohlora_fast.teacher.facexformer import FaceXFormer

    function: Callable[[Any], Any]
    if network == "teacher":
        with torch.device("meta"):
            model: Any = FaceXFormer().eval()
        function = model.hair_probability
    else:
        model = function = InferenceEffiSegNet(untrained(network), fold=True).to("meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        function(torch.empty(1, 3, SIZE, SIZE, device="meta"))
    return counter.get_total_flops(), sum(weight.numel() for weight in model.parameters())
