"""How long does the ombre take on a photo in memory, mask given?

Limit: bytes. A pass reads the photo and writes the result, as ``copy`` does, and computes on the hair between.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ohlora_fast.benchmarks import baselines

from ohlora_fast.ombre import Ombre, apply_ombre
from ohlora_fast.ops.ombre_op import hue_colors

PROVIDERS = ("cpp", "recorded", "vectorised", "numpy", "torch", "copy")
MASKS = {"all hair": baselines.all_hair, "head": baselines.head_of_hair}
SIZES = (256, 1024)


def make(provider: str, image: np.ndarray[Any, Any], prob: np.ndarray[Any, Any]) -> Callable[[], object]:
    """The call to time."""
    ombre = Ombre()
    if provider == "copy":
        out = np.empty_like(image)
        return lambda: np.copyto(out, image)
    if provider in ("recorded", "vectorised"):
        baseline, hue = getattr(baselines, provider), hue_colors(np.array([ombre.color]))[0].astype(np.float64)
        return lambda: baseline(prob, image, hue, ombre.ombre_height, ombre.ombre_grad_height)
    if provider == "torch":
        import torch

        tensor, mask = torch.from_numpy(image).permute(2, 0, 1).contiguous(), torch.from_numpy(prob)
        return lambda: apply_ombre(tensor, mask, backend="torch")
    return lambda: apply_ombre(image, prob, backend=provider)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_ombre(benchmark: Any, provider: str, size: int, mask: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    call = make(provider, image, MASKS[mask]())
    benchmark.group = f"ombre, {size}×{size}, {mask}"
    benchmark.extra_info["provider"] = provider
    benchmark.pedantic(call, rounds=60, warmup_rounds=20)
