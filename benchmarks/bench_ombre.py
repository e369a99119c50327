"""How long does the ombre take on a photo in memory, mask given?

Limit: bytes. A pass reads the photo and writes the result, and computes on the hair between. Two providers do the one
without the other: ``copy, all threads`` is PyTorch's and shows what the memory allows the ombre, which has as many
threads; ``copy`` is NumPy's, on one thread. Both write into arrays that are there already. Each call gets the next of
`POOL` bytes of photos, as in a program that dyes many: one and the same photo would come from the processor's cache.
``hairtone`` recolours rather than dyes with a gradient; its mask is given at the photo's own size.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any

import cv2
import numpy as np
import pytest
from ohlora_fast.benchmarks import baselines, setting

from ohlora_fast.ombre import Ombre, apply_ombre
from ohlora_fast.ops.ombre_op import hue_colors
from ohlora_fast.student.engines import package_problem

COPY_ALL_THREADS = "copy, all threads"
PROVIDERS = ("cpp", "recorded", "vectorised", "numpy", "torch", "hairtone", "copy", COPY_ALL_THREADS)
MASKS = {"all hair": baselines.all_hair, "head": baselines.head_of_hair}
SIZES = (256, 1024)
ROUNDS = {"recorded": 30, "hairtone": 15}
POOL = 192 * 2**20
"""Bytes of photos, more than caches hold."""


def problem(provider: str) -> str | None:
    """Why a provider does not run here, or None."""
    return package_problem("hairtone") if provider == "hairtone" else None


def make(provider: str, image: np.ndarray[Any, Any], prob: np.ndarray[Any, Any], threads: int) -> Callable[[], object]:
    """The call to time, for a uint8 photo (H, W, 3) and a float32 map (h, w)."""
    ombre = Ombre()
    cv2.setNumThreads(threads)
    count = max(2, POOL // image.nbytes)
    photos = cycle([image.copy() for _ in range(count)])
    if provider == "copy":
        outs = cycle([image.copy() for _ in range(count)])
        return lambda: np.copyto(next(outs), next(photos))
    if provider == COPY_ALL_THREADS:
        import torch

        torch.set_num_threads(threads)
        pairs = cycle([(torch.from_numpy(image.copy()), torch.from_numpy(next(photos))) for _ in range(count)])

        def copy() -> object:
            out, photo = next(pairs)
            return out.copy_(photo)

        return copy
    if provider in ("recorded", "vectorised"):
        baseline, hue = getattr(baselines, provider), hue_colors(np.array([ombre.color]))[0].astype(np.float64)
        return lambda: baseline(prob, next(photos), hue, ombre.ombre_height, ombre.ombre_grad_height)
    if provider == "hairtone":
        from hairtone.presets import PRESETS
        from hairtone.recolor import recolor

        mask = np.clip(cv2.resize(prob, image.shape[1::-1], interpolation=cv2.INTER_CUBIC), 0, 1)
        preset = PRESETS["cyan"]
        return lambda: recolor(next(photos), mask, preset)  # it takes BGR: the same work
    if provider == "torch":
        import torch

        torch.set_num_threads(threads)
        tensors = cycle([torch.from_numpy(next(photos)).permute(2, 0, 1).contiguous() for _ in range(count)])
        tensor_mask = torch.from_numpy(prob)
        return lambda: apply_ombre(next(tensors), tensor_mask, backend="torch")
    return lambda: apply_ombre(next(photos), prob, backend=provider, threads=threads)


def group(size: int, mask: str) -> str:
    return f"ombre, {size}×{size}, {mask}"


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_ombre(measure: Callable[..., None], provider: str, size: int, mask: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    call = make(provider, image, MASKS[mask](), setting.threads())
    measure(group(size, mask), call, rounds=ROUNDS.get(provider, 60))
