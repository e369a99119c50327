"""Segmenting and dyeing on an NVIDIA GPU: of tensors that are there, and of arrays that go there and come back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ohlora_fast.ops.overlap import overlapped
from ohlora_fast.ops.work import Work
from ohlora_fast.student.cuda_engine import LARGEST, CudaEngine

Array = np.ndarray[Any, Any]
Form = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From photos, their maps and packed settings to dyed photos."""

CHUNK_BYTES = 64 * 2**20
"""Of the photos that are copied at once: some 3 ms of a PCIe 4 link, beside which a launch takes no time."""


def form_of(work: Work, refine: bool) -> Form:
    """A way of dyeing, in its quickest form for a GPU; with `refine` by maps that are refined before it."""
    form = work.form("auto")
    if not refine:
        return form
    from ohlora_fast.kernels.refine import refined

    return lambda photos, maps, settings: form(photos, refined(photos, maps), settings)


def dye_photos(engine: Any, photos: Any, work: Work, refine: bool) -> tuple[Any, list[int]]:
    """Find the hair of a checked batch, arrays or tensors on the engine's GPU, and dye it.

    Args:
        engine: the engine.
        photos: as of `dye_tensors` or `dye_arrays`.
        work: the way of dyeing.
        refine: whether maps are refined before it.

    Returns:
        The dyed photos, and which of them have no row of hair.
    """
    form, packed = form_of(work, refine), torch.from_numpy(work.packed()).to(engine.device)
    if isinstance(photos, np.ndarray):
        dyed, found = dye_arrays(engine, photos, form, packed)
        return dyed, np.flatnonzero(~found).tolist()
    of_tensors, hair = dye_tensors(engine, photos, form, packed)
    return of_tensors, np.flatnonzero(~hair.cpu().numpy()).tolist()


def dye_tensors(engine: CudaEngine, photos: Tensor, form: Form, settings: Tensor) -> tuple[Tensor, Tensor]:
    """Find the hair and dye it, without waiting for the GPU, unless the form does (the natural one, for its plan).

    Args:
        engine: on whose GPU all lies.
        photos: uint8 (N, 3 or 4, H, W), of any strides.
        form: as of `form_of`.
        settings: float64 (N, …), as `Work.packed` gives them.

    Returns:
        The dyed photos, and for each whether it has a row of hair, (N,): one that has none is a copy.
    """
    from ohlora_fast.kernels.ombre import hair_extents

    maps = engine.maps(photos)
    found = hair_extents(maps, *photos.shape[2:])[:, 0] > 0
    return form(photos, maps * found[:, None, None], settings), found


def dye_arrays(engine: CudaEngine, photos: Array, form: Form, settings: Tensor) -> tuple[Array, Array]:
    """As `dye_tensors`, for arrays (N, H, W, 3 or 4): copies overlap with the work."""
    dyed, found = np.empty_like(photos), np.empty(len(photos), bool)
    parts = iter(list(chunks(photos)))

    def work(part: Tensor) -> tuple[Tensor, Tensor]:
        result, hair = dye_tensors(engine, part.permute(0, 3, 1, 2), form, settings[next(parts)])
        return result.permute(0, 2, 3, 1), hair

    results = overlapped((np.ascontiguousarray(photos[part]) for part in chunks(photos)), work, engine.device)
    for part, (some, hair) in zip(chunks(photos), results, strict=True):
        dyed[part], found[part] = some, hair
    return dyed, found


def map_arrays(engine: CudaEngine, photos: Array) -> Array:
    """The student's maps (N, size, size) of arrays (N, H, W, 3 or 4)."""
    results = overlapped(
        (np.ascontiguousarray(photos[part]) for part in chunks(photos)),
        lambda part: [engine.maps(part.permute(0, 3, 1, 2))],
        engine.device,
    )
    return np.concatenate([maps.copy() for (maps,) in results])


def chunks(photos: Array) -> Iterator[slice]:
    """Cut a batch into runs of at most `CHUNK_BYTES`, but at least one photo and at most the largest graph's."""
    size = min(LARGEST, max(1, CHUNK_BYTES // (photos.nbytes // len(photos))))
    for first in range(0, len(photos), size):
        yield slice(first, first + size)
