"""Copies between host and GPU that overlap with the work between them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray[Any, Any]


def overlapped(
    chunks: Iterable[Array], work: Callable[[Tensor], Sequence[Tensor]], device: str
) -> Iterator[list[Array]]:
    """Send chunks through a GPU; one is copied up and one down while a third is worked on.

    Args:
        chunks: arrays, taken one at a time, so that a generator keeps the memory flat.
        work: takes a chunk as a tensor on the device, and launches what gives its results there; it must not wait.
        device: ``"cuda"`` or ``"cuda:1"``.

    Yields:
        Each chunk's results as arrays in page-locked memory, in order: copy them where they are to stay.
    """
    upload, download = torch.cuda.Stream(device), torch.cuda.Stream(device)
    under_way: deque[tuple[list[Tensor], torch.cuda.Event]] = deque()
    for chunk in chunks:
        compute = torch.cuda.current_stream(device)
        with torch.cuda.stream(upload):
            given = torch.from_numpy(chunk).pin_memory().to(device, non_blocking=True)
        compute.wait_stream(upload)
        given.record_stream(compute)
        results = work(given)
        download.wait_stream(compute)
        with torch.cuda.stream(download):
            copies = []
            for result in results:
                result.record_stream(download)
                copy = torch.empty(result.shape, dtype=result.dtype, pin_memory=True)
                copies.append(copy.copy_(result, non_blocking=True))
            done = torch.cuda.Event()
            done.record()
        under_way.append((copies, done))
        if len(under_way) > 1:
            yield arrays(*under_way.popleft())
    while under_way:
        yield arrays(*under_way.popleft())


def arrays(copies: Sequence[Tensor], done: torch.cuda.Event) -> list[Array]:
    """Wait for copies to arrive."""
    done.synchronize()
    return [copy.numpy() for copy in copies]
