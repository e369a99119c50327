"""How long does a fresh process take, from its start to its end: to import the package, and to dye its first photo?

Limit: Python's own start; then the imports of NumPy, OpenCV, Pillow and ONNX Runtime, and building the session. The
files are in the page cache. The first photo is dyed as a user's first line would: with the bundled student.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ohlora_fast.benchmarks import setting
from ohlora_fast.benchmarks.setting import no_portrait, portraits

IMPORT, FIRST_DYE = "import ohlora_fast", "import and first dye"
PROVIDERS = ("Python alone", IMPORT, FIRST_DYE)
GROUP = "start, fresh process"


def problem(provider: str) -> str | None:
    """Why a provider does not run here, or None."""
    return no_portrait() if provider == FIRST_DYE else None


def code(provider: str, photo: Path, threads: int) -> str:
    """What the process runs; ``photo`` is a file of a uint8 array."""
    return {
        "Python alone": "",
        IMPORT: "import ohlora_fast",
        FIRST_DYE: (
            "import numpy, ohlora_fast\n"
            f"ohlora_fast.HairStylist(threads={threads}).dye(numpy.load({str(photo)!r}))"
        ),
    }[provider]  # fmt: skip


@pytest.mark.parametrize("provider", PROVIDERS)
def test_start(measure: Callable[..., None], provider: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "photo.npy"
        if provider == FIRST_DYE:
            np.save(photo, portraits(1, 1024)[0])
        command = [sys.executable, "-c", code(provider, photo, setting.threads())]
        # Elsewhere than in the source tree, which Python would import instead of what is installed.
        measure(GROUP, lambda: subprocess.run(command, cwd=folder, check=True), rounds=10, warm_up=1)
