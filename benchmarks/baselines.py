"""The two NumPy ways of the ombre that the kernels are measured against, and the masks to time them with."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

Array = np.ndarray[Any, Any]


def alpha_of(prob: Array, size: int) -> Array:
    """255 times the clipped hair alpha of a (h, w) float32 map, resized to size×size: float32."""
    resized = cv2.resize(prob * np.float32(255), (size, size), interpolation=cv2.INTER_CUBIC)
    return np.clip((resized - np.float32(191.25)) * np.float32(4), 0, 255)


def gradient(first: int, last: int, height: float, grad: float) -> tuple[int, int]:
    """Rows where the gradient starts and where it reaches its full strength."""
    top = int(first + (last - first) * (1.0 - height))
    return top, int(top + (last - top) * grad)


def recorded(prob: Array, image: Array, hue: Array, height: float, grad: float) -> Array:
    """As recorded: float64 throughout, and Python's own ``max`` over each row to find those with hair."""
    size = image.shape[0]
    alpha = alpha_of(prob, size)
    rows = [row for row in range(size) if max(alpha[row]) >= 191.25]
    if rows:
        top, bottom = gradient(rows[0], rows[-1], height, grad)
        weight = np.zeros(size)
        weight[top:bottom] = np.arange(bottom - top) / max(bottom - top, 1)
        weight[bottom:] = 1.0
        alpha = alpha * weight[:, None]
    dyed = np.clip(image + 0.35 * image + 0.25 * hue - 38.25, 0, 255).astype(np.uint8)
    blend = alpha[..., None] / 255.0
    return ((1.0 - blend) * image + blend * dyed).astype(np.uint8)


def vectorised(prob: Array, image: Array, hue: Array, height: float, grad: float) -> Array:
    """What a careful NumPy user writes: float32, and no Python loop."""
    size = image.shape[0]
    alpha = alpha_of(prob, size)
    rows = np.flatnonzero(alpha.max(axis=1) >= 191.25)
    weight = np.ones(size, np.float32)
    if rows.size:
        top, bottom = gradient(rows[0], rows[-1], height, grad)
        weight[:top] = 0
        weight[top:bottom] = np.arange(bottom - top, dtype=np.float32) / max(bottom - top, 1)
    blend = (alpha * weight[:, None] / np.float32(255))[..., None]
    pixels = image.astype(np.float32)
    dyed = np.clip(np.float32(1.35) * pixels + (0.25 * hue - 38.25).astype(np.float32), 0, 255).astype(np.uint8)
    return ((1 - blend) * pixels + blend * dyed).astype(np.uint8)


def all_hair(size: int = 224) -> Array:
    """A mask that is hair everywhere, (size, size) float32."""
    return np.ones((size, size), np.float32)


def head_of_hair(size: int = 224) -> Array:
    """A soft-edged ellipse over about 30 % of the frame, (size, size) float32."""
    y, x = np.mgrid[0:size, 0:size] / size
    outside = ((x - 0.5) / 0.28) ** 2 + ((y - 0.45) / 0.36) ** 2 - 1
    return (1 / (1 + np.exp(np.clip(30 * outside, -50, 50)))).astype(np.float32)
