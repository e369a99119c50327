"""Images to fine-tune on and to score, and a tiny generator's checkpoint."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ohlora_fast.stylegan.generator import Generator
from ohlora_fast.stylegan.weights import save_weights


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


@pytest.fixture(scope="session")
def tiny_generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A v9 generator of 16×16 pictures that are neither flat nor cut off at black and white."""
    torch.manual_seed(0)
    model = Generator("v9", resolution=16, width=8)
    for name, value in model.synthesis.named_parameters():
        if name.endswith(("bias", "apply_noise.weight")):
            torch.nn.init.normal_(value, std=0.2)
        elif name.endswith("output2.weight"):
            torch.nn.init.normal_(value, std=0.3)
    path = tmp_path_factory.mktemp("generator") / "tiny.safetensors"
    save_weights(model, path)
    return path


@pytest.fixture(scope="session")
def paint() -> Callable[[Path, bool, int], Path]:
    """Paints a file: a noisy square, bright or dark, by a seed."""

    def paint(path: Path, bright: bool, seed: int) -> Path:
        noise = np.random.default_rng(seed).normal(200 if bright else 60, 30, (48, 40, 3))
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(path)
        return path

    return paint


@pytest.fixture
def pictures(paint: Callable[[Path, bool, int], Path], tmp_path: Path) -> Path:
    """Four squares, of which the bright ones share a name, and a file that is no picture."""
    for index, name in enumerate(("a/dark.png", "a/bright.png", "b/dull.png", "b/bright.png")):
        paint(tmp_path / "in" / name, index % 2 == 1, 50 + index)
    (tmp_path / "in" / "broken.png").write_text("no picture")
    return tmp_path / "in"
