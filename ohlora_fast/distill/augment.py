"""Augmentation: photos bent and recoloured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from ohlora_fast.student import SIZE

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Augmentation:
    """How far, or how often, photos are changed in training. Angles in degrees, the rest as fractions."""

    flip: float = 0.5
    mirror: float = 0.4
    rotation: float = 25.0
    scale: float = 0.3
    aspect: float = 0.15
    shift: float = 0.12
    brightness: float = 0.3
    contrast: float = 0.3
    saturation: float = 0.4
    tint: float = 0.12
    grey: float = 0.05
    blur: float = 0.15

    def __call__(self, image: Array, mask: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """Return an augmented uint8 photo (224, 224, 3) and mask (224, 224) of a photo (H, W, 3) and mask (H, W)."""
        matrix = self.affine(mask.shape, rng)
        # What lies outside the photo is mirrored or one colour: mirroring alone would teach upside-down heads.
        border = cv2.BORDER_REFLECT_101 if rng.random() < self.mirror else cv2.BORDER_CONSTANT
        outside = [int(value) for value in rng.integers(0, 256, 3)]
        image = cv2.warpAffine(image, matrix, (SIZE, SIZE), None, cv2.INTER_LINEAR, border, outside)
        mask = cv2.warpAffine(mask, matrix, (SIZE, SIZE), None, cv2.INTER_LINEAR, border, 0)
        return self.recolour(image, rng), mask

    def affine(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Draw the 2×3 matrix that squashes an image of this (H, W) to 224×224 while flipping, turning, …"""
        height, width = shape
        angle = np.deg2rad(rng.uniform(-self.rotation, self.rotation))
        zoom = np.exp(rng.uniform(-self.scale, self.scale))
        stretch = np.exp(rng.uniform(-self.aspect, self.aspect))
        flip = -1.0 if rng.random() < self.flip else 1.0
        middle = SIZE * (0.5 + rng.uniform(-self.shift, self.shift, 2))
        # Turn in the photo's own proportions, then squash: a squashed turn would shear.
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        linear = np.diag([flip * zoom * stretch * SIZE / width, zoom / stretch * SIZE / height]) @ turn
        centre = np.array([(width - 1) / 2, (height - 1) / 2])
        return np.hstack([linear, (middle - 0.5 - linear @ centre)[:, None]])

    def recolour(self, image: Array, rng: np.random.Generator) -> Array:
        """Change light, contrast, saturation and tint; at times take all colour, or blur."""
        if rng.random() < self.blur:
            image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.5))
        pixels = image.astype(np.float32)
        grey = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
        saturation = 0.0 if rng.random() < self.grey else rng.uniform(1 - self.saturation, 1 + self.saturation)
        pixels = grey[..., None] + np.float32(saturation) * (pixels - grey[..., None])
        contrast = rng.uniform(1 - self.contrast, 1 + self.contrast)
        gain = contrast * rng.uniform(1 - self.tint, 1 + self.tint, 3)
        offset = float(grey.mean()) * (1 - contrast) + 255 * rng.uniform(-self.brightness, self.brightness) / 2
        pixels = pixels * gain.astype(np.float32) + np.float32(offset)
        return np.clip(pixels, 0, 255).astype(np.uint8)
