"""Augmentation: photos bent, recoloured, put on other photos, and partly covered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from ohlora_fast.student import SIZE

Array = np.ndarray[Any, Any]
Pixels = tuple[Array, Array]
"""A photo (H, W, 3) and its mask (H, W), both uint8."""


@dataclass(frozen=True)
class Augmentation:
    """How far, or how often, photos are changed in training. Angles in degrees, the rest as fractions.

    Faces fill the photos of the common data sets. ``collage`` and ``cover`` are for the others: small heads before
    all kinds of things, hats, helmets, dark and shining objects that are not hair.
    """

    flip: float = 0.5
    mirror: float = 0.4
    rotation: float = 25.0
    scale: float = 0.3
    aspect: float = 0.15
    shift: float = 0.12
    collage: float = 0.0
    cover: float = 0.0
    brightness: float = 0.3
    contrast: float = 0.3
    saturation: float = 0.4
    tint: float = 0.12
    grey: float = 0.05
    blur: float = 0.15

    def __call__(self, pair: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
        """Return an augmented (224, 224, 3) photo and its (224, 224) mask; ``other`` lends background and objects."""
        if rng.random() < self.collage:
            ground = self.bend(other, rng)
            matrix = self.affine(pair[1].shape, rng, shrink=rng.uniform(0.3, 0.8), shift=0.3)
            parts = (*pair, np.full(pair[1].shape, 255, np.uint8))
            small_image, small_mask, inside = (cv2.warpAffine(part, matrix, (SIZE, SIZE)) for part in parts)
            image = np.where(inside[..., None] > 127, small_image, ground[0])
            mask = np.where(inside > 127, small_mask, ground[1])
        else:
            image, mask = self.bend(pair, rng)
        image = self.recolour(image, rng)
        if rng.random() < self.cover:
            image, mask = cover((image, mask), self.bend(other, rng), rng)
        return image, mask

    def bend(self, pair: Pixels, rng: np.random.Generator) -> Pixels:
        """Flip, turn, zoom, stretch and shift a pair onto 224×224."""
        matrix = self.affine(pair[1].shape, rng, 1.0, self.shift)
        # What lies outside the photo is mirrored or one colour: mirroring alone would teach upside-down heads.
        border = cv2.BORDER_REFLECT_101 if rng.random() < self.mirror else cv2.BORDER_CONSTANT
        outside = [int(value) for value in rng.integers(0, 256, 3)]
        image = cv2.warpAffine(pair[0], matrix, (SIZE, SIZE), None, cv2.INTER_LINEAR, border, outside)
        mask = cv2.warpAffine(pair[1], matrix, (SIZE, SIZE), None, cv2.INTER_LINEAR, border, 0)
        return image, mask

    def affine(self, shape: tuple[int, ...], rng: np.random.Generator, shrink: float, shift: float) -> Array:
        """Draw the 2×3 matrix that squashes an image of this (H, W) to 224×224 while flipping, turning, …"""
        height, width = shape
        angle = np.deg2rad(rng.uniform(-self.rotation, self.rotation))
        zoom = shrink * np.exp(rng.uniform(-self.scale, self.scale))
        stretch = np.exp(rng.uniform(-self.aspect, self.aspect))
        flip = -1.0 if rng.random() < self.flip else 1.0
        middle = SIZE * (0.5 + rng.uniform(-shift, shift, 2))
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


def cover(pair: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
    """Lay one to three things over a 224×224 pair: shaded blobs, or pieces of another photo that are not hair."""
    image, mask = pair[0].astype(np.float32), pair[1].astype(np.float32)
    for _ in range(rng.integers(1, 4)):
        shape = blob(rng)
        if rng.random() < 0.5:
            texture = shading(rng)
        else:
            texture, shape = other[0].astype(np.float32), np.where(other[1] < 8, shape, 0).astype(np.uint8)
        soft = cv2.GaussianBlur(shape, (0, 0), 0.8).astype(np.float32) / 255
        image += soft[..., None] * (texture - image)
        mask *= 1 - soft
    return np.clip(image, 0, 255).astype(np.uint8), mask.astype(np.uint8)


def blob(rng: np.random.Generator) -> Array:
    """A filled ellipse or polygon somewhere in 224×224, uint8 0 or 255."""
    shape = np.zeros((SIZE, SIZE), np.uint8)
    centre, radii = rng.uniform(0, SIZE, 2), rng.uniform(8, 70, 2)
    if rng.random() < 0.6:
        box = (tuple(map(float, centre)), tuple(map(float, 2 * radii)), float(rng.uniform(0, 180)))
        cv2.ellipse(shape, box, 255, -1)
    else:
        angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 8)))
        corners = centre + radii * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        cv2.fillPoly(shape, [corners.astype(np.int32)], 255)
    return shape


def shading(rng: np.random.Generator) -> Array:
    """A smooth surface, more often dark than light, at times with a highlight: float32 (224, 224, 3) in 0–255."""
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) / SIZE
    colours = 255 * rng.uniform(0, 1, 2)[:, None] ** 2 * rng.uniform(0.6, 1.0, (2, 3))
    along = np.clip(0.5 + rng.uniform(-2, 2) * (x - 0.5) + rng.uniform(-2, 2) * (y - 0.5), 0, 1)[..., None]
    surface = colours[0] * (1 - along) + colours[1] * along
    if rng.random() < 0.5:
        spot, width = rng.uniform(0, 1, 2), rng.uniform(0.02, 0.15)
        shine = np.exp(-((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / (2 * width**2))
        surface += rng.uniform(60, 220) * shine[..., None]
    return np.clip(surface + rng.normal(0, rng.uniform(0, 6), surface.shape), 0, 255).astype(np.float32)
