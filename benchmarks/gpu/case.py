"""What is timed: a case is one provider's way of doing one thing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ohlora_fast.ops.ombre_op import backend_problem
from ohlora_fast.student.engines import device_problem

Call = Callable[[], Any]
Clock = Literal["events", "wall", "cpu"]


def needs(device: str, *backends: str) -> Callable[[], str | None]:
    """What says why a device, or the ombre's backends of these names, do not run here.

    >>> needs("cpu", "numpy")() is None
    True
    """

    def problem() -> str | None:
        return next(filter(None, [device_problem(device), *map(backend_problem, backends)]), None)

    return problem


@dataclass(frozen=True)
class Case:
    """One thing to time.

    Attributes:
        group: the question: the name of its file.
        name: what is computed; the providers of one group and name stand beside each other, and are timed in turns.
        provider: what computes it.
        make: builds inputs and returns the call to time, which returns what it computed.
        images: of one call.
        work: what every provider has to do, by the name of the limit that it meets (see `limits.UNITS`): bytes that
            must go through memory, operations (a multiplication and an addition are two). Empty on a CPU.
        clock: "events", the GPU's own time from its first kernel to its last; "wall", the host's time until the GPU is
            done; "cpu", the host's time where no GPU takes part.
        cold: whether other memory is read before each call, so that nothing of its inputs is left in the GPU's cache.
        problem: says why this cannot run here, or None if it can.
    """

    group: str
    name: str
    provider: str
    make: Callable[[], Call]
    images: int = 1
    work: Mapping[str, float] = field(default_factory=dict)
    clock: Clock = "events"
    cold: bool = False
    problem: Callable[[], str | None] = lambda: None

    @property
    def title(self) -> str:
        """All that tells it from other cases."""
        return f"{self.group}, {self.name}: {self.provider}"


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """``torch.compile`` for exactly the shapes that come; forgets what was compiled before.

    Else the ninth shape would quietly be computed uncompiled, PyTorch's limit being eight.
    """
    import torch

    torch.compiler.reset()
    return torch.compile(function, dynamic=False)
