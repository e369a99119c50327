"""sRGB ↔ OKLab (Björn Ottosson, "A perceptual color space for image processing", 2020) in float64 NumPy.

OKLab holds a lightness L, 0 black to 1 white, and two colour axes: a from green to red, b from blue to yellow.
sqrt(a² + b²) is the chroma, atan2(b, a) the hue. Linear light times k gives all three times the cube root of k.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["decode_table", "from_oklab", "linear_from_srgb", "srgb_from_linear", "to_oklab"]

RGB_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
"""Linear sRGB to the responses of the eye's cones."""
ROOTS_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
"""Their cube roots to L, a, b."""
LAB_TO_ROOTS = np.array(
    [
        [1.0, 0.3963377774, 0.2158037573],
        [1.0, -0.1055613458, -0.0638541728],
        [1.0, -0.0894841775, -1.2914855480],
    ]
)
CONES_TO_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


@lru_cache(maxsize=1)
def decode_table() -> Floats:
    """Linear light, 0 to 1, of each byte of sRGB, (256,).

    Example:
        >>> decode_table()[[0, 255]].tolist()
        [0.0, 1.0]
    """
    return linear_from_srgb(np.arange(256) / 255)


def linear_from_srgb(value: Floats) -> Floats:
    """Decode sRGB, 0 to 1, to linear light, 0 to 1.

    Example:
        >>> linear_from_srgb(np.array([0.0, 0.04045, 1.0])).round(4).tolist()
        [0.0, 0.0031, 1.0]
    """
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def srgb_from_linear(light: Floats) -> Floats:
    """Encode linear light, 0 to 1, as sRGB, 0 to 1.

    Example:
        >>> srgb_from_linear(np.array([0.0, 0.0031308, 1.0])).round(4).tolist()
        [0.0, 0.0404, 1.0]
    """
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055)


def to_oklab(pixels: NDArray[Any]) -> Floats:
    """Turn sRGB (…, 3), bytes or floating point in 0 to 255, into OKLab (…, 3).

    Example:
        >>> to_oklab(np.array([255, 0, 0], np.uint8)).round(3).tolist()
        [0.628, 0.225, 0.126]
    """
    light = linear_from_srgb(pixels / 255) if pixels.dtype.kind == "f" else decode_table()[pixels]
    return np.cbrt(light @ RGB_TO_CONES.T) @ ROOTS_TO_LAB.T


def from_oklab(lab: Floats) -> Floats:
    """Turn OKLab (…, 3) into sRGB (…, 3), 0 to 255, not rounded; what lies outside sRGB is clipped in linear light.

    Example:
        >>> from_oklab(np.array([0.628, 0.225, 0.126])).round().tolist()
        [255.0, 0.0, 0.0]
    """
    light = (lab @ LAB_TO_ROOTS.T) ** 3 @ CONES_TO_RGB.T
    return 255.0 * srgb_from_linear(np.clip(light, 0.0, 1.0))
