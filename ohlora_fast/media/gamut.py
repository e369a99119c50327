"""Photos in other colour spaces than sRGB, those of wide gamut for example: into sRGB, and changes back from there."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

from ohlora_fast.media.convert import Pixels

STEPS = (0, 32, 64, 96, 128, 160, 192, 224, 255)
"""Values of a channel by whose combinations a profile is compared with sRGB."""


def srgb_pixels(pixels: Pixels, icc: bytes | None) -> Pixels:
    """Pixels with a profile in sRGB.

    Args:
        pixels: uint8 (H, W, 3 or 4).
        icc: the profile that they are in; None for sRGB.

    Returns:
        A new array; `pixels` itself where they are in sRGB already, or the profile cannot be used.

    >>> pixels = np.zeros((2, 3, 3), np.uint8)
    >>> srgb_pixels(pixels, None) is pixels
    True
    """
    if icc is None or (transform := _transforms(icc)[0]) is None:
        return pixels
    return _converted(pixels, transform)


def changed_like(pixels: Pixels, icc: bytes | None, before: Pixels, after: Pixels) -> Pixels:
    """Change pixels with a profile as their copy in sRGB was changed.

    What did not change keeps its numbers; the rest moves by as much as its copy did, so that colours outside sRGB fade
    without a step.

    Args:
        pixels: uint8 (H, W, 3 or 4), in the profile.
        icc: the profile.
        before: what `srgb_pixels` gave of them.
        after: the same, changed.

    >>> pixels = np.zeros((2, 3, 3), np.uint8)
    >>> changed_like(pixels, None, pixels, pixels + 1).max()
    np.uint8(1)
    """
    if before is pixels or icc is None or (transform := _transforms(icc)[1]) is None:
        return after
    changed = (before != after).any(axis=-1)
    if not changed.any():
        return pixels
    old, new = (_converted(one[changed][None], transform)[0].astype(np.int16) for one in (before, after))
    result = pixels.copy()
    result[changed] = np.clip(pixels[changed] + new - old, 0, 255).astype(np.uint8)
    return result


def _converted(pixels: Pixels, transform: Any) -> Pixels:
    from PIL import ImageCms

    rgb = Image.fromarray(np.ascontiguousarray(pixels[..., :3]))
    converted = np.asarray(ImageCms.applyTransform(rgb, transform))
    return np.dstack([converted, pixels[..., 3]]) if pixels.shape[2] == 4 else converted


@lru_cache(maxsize=8)
def _transforms(icc: bytes) -> tuple[Any, Any]:
    """From a profile to sRGB and back; neither for sRGB itself, and where one of them cannot be had."""
    from PIL import ImageCms

    srgb = ImageCms.createProfile("sRGB")
    try:
        profile: Any = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        there = ImageCms.buildTransform(profile, srgb, "RGB", "RGB", renderingIntent=intent)
        back = ImageCms.buildTransform(srgb, profile, "RGB", "RGB", renderingIntent=intent)
    except (OSError, ImageCms.PyCMSError):
        return None, None
    colors = np.stack(np.meshgrid(STEPS, STEPS, STEPS), axis=-1).reshape(1, -1, 3).astype(np.uint8)
    if np.abs(_converted(colors, there).astype(int) - colors).max() <= 2:
        return None, None
    return there, back
