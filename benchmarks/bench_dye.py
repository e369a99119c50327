"""How long does a whole `HairStylist.dye` of a photo in memory take, and each stage of the way from file to file?

Limit: the encoder, whose arithmetic is most of the student's. `dye` squashes the photo, runs the student and dyes. A
JPEG has to be read before and written after, which `dye` of an array does not do: decoded from the page cache; encoded,
and the file synced to the disk.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ohlora_fast.benchmarks import bench_student, setting
from ohlora_fast.benchmarks.bench_student import ENCODER
from ohlora_fast.benchmarks.setting import no_portrait, portraits

from ohlora_fast.student.preprocess import squash
from ohlora_fast.stylist import HairStylist

PROVIDERS = ("dye", "dye, refined", ENCODER, "squash", "student", "ombre", "read JPEG", "write JPEG")
SIZE = 1024
GROUP = f"dye, {SIZE}×{SIZE}"


def problem(provider: str) -> str | None:
    """Why a provider does not run here, or None."""
    return no_portrait()


def make(provider: str, photo: np.ndarray[Any, Any], threads: int, folder: Path) -> Callable[[], object]:
    """The call to time, for a uint8 photo (H, W, 3)."""
    if provider == "squash":
        return lambda: squash(photo, threads)
    if "JPEG" in provider:
        from ohlora_fast.media.images import read_photo, write_photo

        file = folder / "photo.jpg"
        write_photo(file, photo)
        if provider == "read JPEG":
            return lambda: read_photo(file).pixels
        return lambda: write_photo(file, photo, overwrite=True)
    inputs = squash(photo)[None]
    if provider == ENCODER:
        return bench_student.make(ENCODER, inputs, threads)
    stylist = HairStylist(threads=threads)
    if provider == "student":
        return lambda: stylist.engine.predict(inputs)
    if provider == "ombre":
        from ohlora_fast.ombre import apply_ombre

        prob = stylist.segment_map(photo)
        return lambda: apply_ombre(photo, prob, threads=threads)
    return lambda: stylist.dye(photo, refine=provider == "dye, refined")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("provider", PROVIDERS)
def test_dye(measure: Callable[..., None], provider: str) -> None:
    photo = portraits(1, SIZE)[0]
    with tempfile.TemporaryDirectory() as folder:
        measure(GROUP, make(provider, photo, setting.threads(), Path(folder)), rounds=60)
