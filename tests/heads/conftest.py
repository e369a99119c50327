"""Pictures with known heads, made of scikit-image's astronaut."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ohlora_fast import HairStylist

FACE = (52, 62, 130, 170)
"""The astronaut's face in her window, by eye."""


@pytest.fixture(scope="session")
def stylist() -> HairStylist:
    return HairStylist(device="cpu", engine="onnx")


@pytest.fixture(scope="session")
def head() -> np.ndarray:
    """The astronaut's head and shoulders, uint8 (320, 320, 3)."""
    data = pytest.importorskip("skimage.data")
    window: np.ndarray = data.astronaut()[0:320, 60:380].copy()
    return window


@pytest.fixture(scope="session")
def group(head: np.ndarray) -> np.ndarray:
    """Three of her on a plain wall, the last one smaller and mirrored, uint8 (600, 900, 3)."""
    canvas = np.full((600, 900, 3), (190, 185, 175), np.uint8)
    for left, top, side, mirrored in ((20, 60, 240, False), (330, 180, 240, False), (660, 120, 160, True)):
        small = cv2.resize(head, (side, side), interpolation=cv2.INTER_AREA)
        canvas[top : top + side, left : left + side] = small[:, ::-1] if mirrored else small
    return canvas
