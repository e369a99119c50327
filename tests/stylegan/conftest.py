"""A tiny generator's checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ohlora_fast.stylegan.generator import Generator
from ohlora_fast.stylegan.weights import save_weights


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
