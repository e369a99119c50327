"""Deterministic weights and inputs, with which the reference student's outputs in tests/golden were made."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch


def recipe_values(name: str, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """One parameter's values, drawn from a generator seeded by its name."""
    rng = np.random.default_rng([0, zlib.crc32(name.encode())])
    if name.endswith("running_var"):
        values = rng.uniform(0.5, 1.5, shape)
    elif len(shape) > 1:
        values = rng.standard_normal(shape) * np.sqrt(2.0 / np.prod(shape[1:]))
    elif name.endswith("weight"):
        values = rng.uniform(0.5, 1.5, shape)
    else:
        values = 0.1 * rng.standard_normal(shape)
    return values.astype(np.float32)


@pytest.fixture
def fill() -> Callable[[torch.nn.Module], torch.nn.Module]:
    """Gives a model the recipe's weights."""

    def filled(model: torch.nn.Module) -> torch.nn.Module:
        state = {
            name: torch.from_numpy(recipe_values(name, tuple(value.shape))) if value.is_floating_point() else value
            for name, value in model.state_dict().items()
        }
        model.load_state_dict(state)
        return model.eval()

    return filled


@pytest.fixture
def wavy() -> Callable[..., torch.Tensor]:
    """Makes smooth images of sines in [−1, 1], (N, 3, H, W)."""

    def image(count: int, size: int, seed: int) -> torch.Tensor:
        rng = np.random.default_rng([seed, 7])
        y, x = np.mgrid[0:size, 0:size] / size
        planes = np.zeros((count, 3, size, size))
        for plane in planes.reshape(-1, size, size):
            for _ in range(6):
                down, right = rng.uniform(0.5, 9), rng.uniform(0.5, 9)
                phase, height = rng.uniform(0, 6.28), rng.uniform(0.1, 0.4)
                plane += height * np.sin(6.28 * (down * y + right * x) + phase)
        noisy = planes + 0.05 * rng.standard_normal(planes.shape)
        return torch.from_numpy(np.clip(noisy, -1, 1).astype(np.float32))

    return image
