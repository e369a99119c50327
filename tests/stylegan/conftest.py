"""Images to fine-tune on."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty pictures of 16×16: a bright disk before a dark ground."""
    folder = tmp_path_factory.mktemp("disks")
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:16, 0:16]
    for index in range(20):
        (row, column), radius = rng.uniform(5, 11, 2), rng.uniform(3, 6)
        inside = ((rows - row) ** 2 + (columns - column) ** 2 < radius**2)[..., None]
        pixels = np.where(inside, rng.integers(150, 250, 3), rng.integers(0, 60, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{index:02d}.png")
    return folder
