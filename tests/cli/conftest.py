"""Pictures for the command line's tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def portrait_pixels() -> np.ndarray:
    """The head of scikit-image's astronaut, uint8 (200, 180, 3)."""
    data = pytest.importorskip("skimage.data")
    head: np.ndarray = data.astronaut()[0:200, 130:310]
    return head


@pytest.fixture
def portrait(tmp_path: Path, portrait_pixels: np.ndarray) -> Path:
    """That picture as a PNG file."""
    path = tmp_path / "portrait.png"
    Image.fromarray(portrait_pixels).save(path)
    return path
