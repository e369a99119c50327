"""How do the ombre and the student grow with the photo, the batch and the threads?

Expected: the ombre with the pixels, from where they outweigh the cost of a call; the student with the batch, since one
photo keeps all cores busy already; both nearly twice as quick on two threads, but for the copy, which has one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ohlora_fast.benchmarks import baselines, bench_ombre, bench_student, setting

from ohlora_fast.student import SIZE

OMBRE = ("cpp", "vectorised", "copy")
STUDENT = (bench_student.DEFAULT, "default, torch engine", bench_student.UNMODIFIED)
PROVIDERS = (*OMBRE, *STUDENT)
SIZES = (256, 512, 1024, 2048, 4096)
BATCHES = (1, 2, 4, 8, 16, 32)
BY_SIZE, BY_BATCH = "ombre by height and width", "student by photos a call"
FIXED_SIZE = 1024
"""Of the photo that is dyed with more and more threads."""


def counts(most: int) -> list[int]:
    """The numbers of threads to try: 1, 2, 4 … and `most`.

    >>> counts(1), counts(6)
    ([1], [1, 2, 4, 6])
    """
    return [*(2**n for n in range(most.bit_length()) if 2**n < most), most]


def photo(size: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)


def batch(count: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("provider", OMBRE)
def test_ombre_by_size(measure: Callable[..., None], provider: str, size: int) -> None:
    call = bench_ombre.make(provider, photo(size), baselines.head_of_hair(), setting.threads())
    measure(f"{BY_SIZE}, {size}", call, rounds=max(6, 30 * 512 // size))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("count", BATCHES)
@pytest.mark.parametrize("provider", STUDENT)
def test_student_by_batch(measure: Callable[..., None], provider: str, count: int) -> None:
    call = bench_student.make(provider, batch(count), setting.threads())
    measure(f"{BY_BATCH}, {count}", call, rounds=max(6, 30 // count))


@pytest.mark.parametrize("used", counts(setting.threads()))
@pytest.mark.parametrize("provider", OMBRE)
def test_ombre_by_threads(measure: Callable[..., None], provider: str, used: int) -> None:
    call = bench_ombre.make(provider, photo(FIXED_SIZE), baselines.head_of_hair(), used)
    measure(f"ombre of {FIXED_SIZE}×{FIXED_SIZE} by threads, {used}", call, rounds=30)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("used", counts(setting.threads()))
@pytest.mark.parametrize("provider", STUDENT)
def test_student_by_threads(measure: Callable[..., None], provider: str, used: int) -> None:
    measure(f"student by threads, {used}", bench_student.make(provider, batch(1), used), rounds=30)
