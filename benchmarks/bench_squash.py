"""How long does the squash of a photo to the student's 224×224 take?

Limit: arithmetic, two products a byte of the photo; of photos larger than the cache, memory too. OpenCV's INTER_AREA is
a neighbour and not the same function: a box filter without overlap.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from ohlora_fast.benchmarks import setting

from ohlora_fast.student import SIZE
from ohlora_fast.student.preprocess import squash_cpp, squash_pillow

PROVIDERS = ("cpp", "Pillow", "OpenCV INTER_AREA")
SIZES = (256, 1024, 4096)


def make(provider: str, image: np.ndarray[Any, Any], threads: int) -> Callable[[], object]:
    """The call to time, for a uint8 photo (H, W, 3)."""
    if provider == "OpenCV INTER_AREA":
        cv2.setNumThreads(threads)
        return lambda: cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    if provider == "Pillow":
        return lambda: squash_pillow(image[None])
    return lambda: squash_cpp(image[None], threads)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_squash(measure: Callable[..., None], provider: str, size: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    measure(f"squash, {size}×{size}", make(provider, image, setting.threads()), rounds=60 if size <= 1024 else 15)
