"""How long does the student's head take, from the encoder's features in device memory to probabilities?

Limit: memory at large batches, by what `head_cost` counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ohlora_fast.benchmarks.gpu.case import Call, Case, compiled, needs
from ohlora_fast.benchmarks.gpu.student import STUDENTS, untrained

from ohlora_fast.student import SIZE

BATCHES = (1, 64)


def cases(device: str = "cuda", batches: Sequence[int] = BATCHES) -> Iterator[Case]:
    """The fused head, and PyTorch's operations in the rewritten and in the training form."""
    for student in STUDENTS:
        for count in batches:
            yield from one_case(device, student, count)


def one_case(device: str, student: str, count: int) -> Iterator[Case]:
    """The providers for one batch."""
    from ohlora_fast.ops.head_op import head_cost
    from ohlora_fast.student.encoder import feature_channels

    encoder, stride = (STUDENTS[student][name] for name in ("encoder", "head_stride"))
    name = f"{count}, head of the {student} student"
    memory, operations = head_cost(count, 2, stride, feature_channels(encoder))
    work = {"memory": memory, "half": operations}

    def case(provider: str, make: Callable[..., Call], dtype: str = "float16", backend: str = "torch") -> Case:
        def build() -> Call:
            return make(*inputs(device, student, count, dtype))

        return Case("head", name, provider, build, count, work, cold=True, problem=needs(device, backend))

    yield case("triton, float16", triton, backend="triton")
    yield case("triton, bfloat16", triton, "bfloat16", "triton")
    yield case("torch, rewritten form, float16, eager", eager)
    yield case("torch, rewritten form, float16, compiled", compiled_torch)
    yield case("torch, training form, float16, eager", training_form)


def inputs(device: str, student: str, count: int, dtype: str) -> tuple[Any, list[Any]]:
    """A student without training, and features such as its encoder gives: channels-last, finest first."""
    import torch

    model = untrained(student).to(device)
    generator = torch.Generator(device).manual_seed(0)
    features = [
        torch.randn(
            (count, channels, SIZE >> level, SIZE >> level), device=device, generator=generator
        ).to(getattr(torch, dtype), memory_format=torch.channels_last)
        for level, channels in enumerate(model.encoder.channels, start=1)
    ]  # fmt: skip
    return model, features


def triton(model: Any, features: list[Any]) -> Call:
    from ohlora_fast.ops.head_op import head_triton, pack_head
    from ohlora_fast.student.rewrite import InferenceEffiSegNet

    weights = list(pack_head(InferenceEffiSegNet(model), features[0].dtype))
    return lambda: head_triton(features, weights, model.head_stride, model.upsampling)


def eager(model: Any, features: list[Any], wrap: Callable[[Any], Any] = lambda function: function) -> Call:
    import torch

    from ohlora_fast.student.rewrite import InferenceEffiSegNet

    form: Any = InferenceEffiSegNet(model).to(features[0])
    form = form.to(memory_format=torch.channels_last)
    function = wrap(lambda *features: torch.sigmoid(form.head(features)))

    def call() -> Any:
        with torch.no_grad():
            return function(*features)

    return call


def compiled_torch(model: Any, features: list[Any]) -> Call:
    return eager(model, features, compiled)


def training_form(model: Any, features: list[Any]) -> Call:
    import torch

    # Its own forward, with an encoder that hands the features through.
    model.encoder = torch.nn.Identity()
    model = model.to(features[0]).to(memory_format=torch.channels_last)

    def call() -> Any:
        with torch.no_grad():
            return model(features)

    return call
