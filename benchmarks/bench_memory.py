"""How much memory does dyeing one photo of 4096×4096 take at its peak, beside what the photo itself takes?

Method: a fresh process imports all that will be used, reads the photo, and reads from Linux the largest resident size
that it had so far (VmHWM; getrusage's ru_maxrss begins at the size of the process that started this one). Then it dyes
once, and reads again. The difference is what dyeing added: for `dye` the session and the weights as well as the result
and all that lies between. The photo itself is not in it. Pages that the allocator had free before are not counted, nor
is what stays below an earlier peak, during the imports; that neither matters here is shown by ``a copy``, whose
difference is known: the photo's own size.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ohlora_fast.benchmarks import baselines, setting
from ohlora_fast.benchmarks.setting import no_portrait, portraits

PHOTO, COPY, DYE = "the photo", "a copy", "dye"
PROVIDERS = (PHOTO, COPY, DYE, "ombre, cpp", "ombre, vectorised", "ombre, numpy")
SIZE = 4096
STATUS = Path("/proc/self/status")
GROUP = f"memory, {SIZE}×{SIZE}"


def problem(provider: str) -> str | None:
    """Why a provider does not run here, or None."""
    return no_portrait() if STATUS.is_file() else f"this system has no {STATUS}, which tells the peak"


def make(provider: str, photo: np.ndarray[Any, Any], threads: int) -> Callable[[], object]:
    """Import what a call needs, and return the call, for a uint8 photo (H, W, 3)."""
    if provider == COPY:
        return photo.copy
    if provider == DYE:
        from ohlora_fast import _core, telemetry  # noqa: F401 - imported here, so that the call does not
        from ohlora_fast.stylist import HairStylist

        telemetry.onnx_runtime()
        return lambda: HairStylist(threads=threads).dye(photo)
    from ohlora_fast.benchmarks import bench_ombre

    return bench_ombre.make(provider.removeprefix("ombre, "), photo, baselines.head_of_hair(), threads)


def peak() -> int:
    """The largest resident size of this process so far, in bytes."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def report(provider: str, file: str, threads: int) -> None:
    """In a fresh process: print how many bytes a call adds to the peak, for the photo in a file of NumPy's."""
    photo = np.load(file)
    call = make(provider, photo, threads)
    before = peak()
    call()
    print(peak() - before)


def added(provider: str, file: Path) -> int:
    """Measure in a fresh process how many bytes a provider adds to its peak."""
    arguments = (provider, str(file), setting.threads())
    code = f"from ohlora_fast.benchmarks.bench_memory import report; report{arguments!r}"
    # Elsewhere than in the source tree, which Python would import instead of what is installed.
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=file.parent, check=True, stdout=subprocess.PIPE, text=True)
    return int(done.stdout)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_memory(benchmark: Any, measure: Callable[..., None], provider: str) -> None:
    photo = portraits(1, SIZE)[0]
    amounts: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "photo.npy"
        np.save(file, photo)
        call = (lambda: photo.nbytes) if provider == PHOTO else (lambda: added(provider, file))
        measure(GROUP, lambda: amounts.append(call()), rounds=1, warm_up=0)
    benchmark.extra_info["bytes"] = amounts
