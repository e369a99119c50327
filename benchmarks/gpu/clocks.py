"""Clocks: how a call is timed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol


class Timer(Protocol):
    """Times a call."""

    def seconds(self, call: Callable[[], object], rounds: int, cold: bool = False) -> list[float]:
        """Seconds of each of so many calls, one after the other; `cold`, with the GPU's cache flushed before each."""
        ...


class HostTimer:
    """The host's clock, which needs no GPU.

    Args:
        wait: called after each call and before the clock is read: waits for the GPU where one works.

    >>> [second > 0 for second in HostTimer().seconds(lambda: sum(range(1000)), rounds=2)]
    [True, True]
    """

    def __init__(self, wait: Callable[[], object] = lambda: None) -> None:
        self.wait = wait

    def seconds(self, call: Callable[[], object], rounds: int, cold: bool = False) -> list[float]:
        found = []
        self.wait()
        for _ in range(rounds):
            start = time.perf_counter()
            call()
            self.wait()
            found.append(time.perf_counter() - start)
        return found


class EventTimer:
    """The GPU's own clock: CUDA events around each call in the current stream.

    The calls are queued without waiting between them, so that launches of a later call hide behind an earlier one's
    kernels: what is timed is the GPU at work, unless the call keeps it waiting for launches. Before a cold call a
    buffer many times as large as the second-level cache is read. This evicts the call's inputs, leaves no written
    lines to be stored while the call is timed, and takes a quarter of a millisecond, in which small kernels' launches
    hide.
    """

    def __init__(self) -> None:
        import torch

        size = max(2**30, 4 * torch.cuda.get_device_properties(torch.cuda.current_device()).L2_cache_size)
        self.other: Any = torch.zeros(size // 4, dtype=torch.int32, device="cuda")

    def seconds(self, call: Callable[[], object], rounds: int, cold: bool = False) -> list[float]:
        import torch

        pairs = []
        for _ in range(rounds):
            if cold:
                self.other.amax()
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            call()
            end.record()
            pairs.append((start, end))
        torch.cuda.synchronize()
        return [start.elapsed_time(end) / 1e3 for start, end in pairs]


def gpu_timers() -> dict[str, Timer]:
    """The timer of each `Case.clock` on a machine with a GPU."""
    import torch

    return {"events": EventTimer(), "wall": HostTimer(torch.cuda.synchronize), "cpu": HostTimer()}


def release() -> None:
    """Give back what earlier cases allocated, so that the next one finds memory."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
