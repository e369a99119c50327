"""Pairs to train on."""

from pathlib import Path

import cv2
import numpy as np
import pytest


@pytest.fixture(scope="session")
def blobs(tmp_path_factory) -> Path:
    """Photos of a bright blob, the hair, before a dark ground: 18 of source a, 6 of source b."""
    folder = tmp_path_factory.mktemp("blobs")
    rng = np.random.default_rng(0)
    for part in ("images", "masks"):
        (folder / part).mkdir()
    for index in range(24):
        mask = np.zeros((64, 48), np.uint8)
        cv2.circle(mask, tuple(int(v) for v in rng.integers(16, 34, 2)), int(rng.integers(8, 16)), 255, -1)
        image = np.where(mask[..., None] > 0, 220, 30) + rng.integers(0, 30, (64, 48, 3))
        name = f"{'b' if index % 4 == 0 else 'a'}_{index:02d}.png"
        cv2.imwrite(str(folder / "images" / name), image.astype(np.uint8))
        cv2.imwrite(str(folder / "masks" / name), mask)
    return folder
