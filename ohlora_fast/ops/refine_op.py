"""Refining maps of probabilities by their photos: reference in NumPy, compiled form, Triton form.

A guided filter (He, Sun and Tang, "Guided Image Filtering", 2013; on a small grid: He and Sun, "Fast Guided Filter",
2015, arXiv:1505.00996) fits the map, in each window, as a linear function of the photo's colours, and takes the mean of
all the functions that a pixel is in. That blurs the map. Here the map p stays, and gets from the filter only what is
finer than a window, with the means over windows written as mean():

    q = p + min(1, DOUBT · p · (1 − p)) · clip(mean(slopes)·(pixel − mean(colours)), −1, 1),    clipped to [0, 1].

Where the map is flat, the slopes are zero; where it is sure, the photo counts for little: a bright strand in dark hair
stays hair. So q is at most (1 + DOUBT) · p: where there is next to no hair, nobody need look. Slopes and offset, four
small planes, are stretched bilinearly to the photo; nothing else of full size is made.

Everything here trusts its arguments; :func:`ohlora_fast.refine.refine_map` checks them:

- image: uint8 (N, H, W, 3 or 4), the photos; a fourth channel does not count.
- guide: uint8 (N, h, w, 3), the photos at the grid's size.
- maps: float32 (N, h, w), or (1, h, w) for all photos, the maps at the grid's size.
- prob: float32 (N, H, W), the maps at the photos' size. It is changed.

The compiled form differs from the reference by at most `TOLERANCE`; so does Triton's.

An ombre of refined maps takes its hair rows, and so its gradient, from the maps as they come: refining changes how much
dye a pixel takes, not where the colour begins. The compiled form refines row by row while it dyes.

Example:
    >>> photo = np.zeros((1, 8, 8, 3), np.uint8)
    >>> photo[:, :, 3:] = 255
    >>> guide, maps = photo[:, ::2, ::2], np.float32([[[0, 0, 1, 1]] * 4])
    >>> prob = np.float32([[[0, 0, 0.2, 0.4, 0.8, 1, 1, 1]] * 8])
    >>> refine_numpy(photo, guide, maps, prob)
    >>> (prob[0, 0, 2:5] > 0.5).tolist()
    [False, True, True]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .arrays import aligned
from .ombre_op import blend_numpy, cpu_threads, opacity_of, resized_numpy, row_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "DOUBT",
    "EPS",
    "RADIUS",
    "TOLERANCE",
    "ombre_refined_cpp",
    "ombre_refined_numpy",
    "refine_cpp",
    "refine_numpy",
]

RADIUS = 4
"""Of a window, in cells of the grid: 9×9."""
EPS = 1 / 256
"""Colours of a window, on a scale of 0 to 1, that vary by less than the root of this, 1/16, count as noise."""
DOUBT = 16.0
"""How fast the photo's share falls where the map is sure: it is whole from 0.067 to 0.933."""
TOLERANCE = 1e-4
"""Sums are float32, in any order."""


def _mean(values: NDArray[Any], radius: int) -> NDArray[Any]:
    """The mean over windows of planes (h, w, …), whose border is replicated."""
    for axis in (0, 1):
        widths = [(radius, radius) if one == axis else (0, 0) for one in range(values.ndim)]
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, widths, "edge"), 2 * radius + 1, axis)
        values = windows.mean(axis=-1)
    return values


def _coefficients(guide: NDArray[Any], one: NDArray[Any], radius: int, eps: float) -> NDArray[Any]:
    """Slopes of red, green and blue, and the offset: (h, w, 4)."""
    colors = _mean(guide, radius)
    squares = _mean(guide[..., :, None] * guide[..., None, :], radius) - colors[..., :, None] * colors[..., None, :]
    products = _mean(guide * one[..., None], radius) - colors * _mean(one, radius)[..., None]
    slopes = np.linalg.solve(squares + eps * np.eye(3), products[..., None])[..., 0]
    slopes = _mean(slopes, radius)
    return np.concatenate([slopes, -(slopes * colors).sum(-1, keepdims=True)], axis=-1)


def _stretched(planes: NDArray[Any], size: int, axis: int) -> NDArray[Any]:
    """Resize bilinearly along one axis."""
    source = planes.shape[axis]
    position = (np.arange(size) + 0.5) * source / size - 0.5
    cell = np.floor(position).astype(int)
    first, second = (planes.take(np.clip(one, 0, source - 1), axis) for one in (cell, cell + 1))
    weight = np.expand_dims(position - cell, [one for one in range(planes.ndim) if one != axis])
    return first + (second - first) * weight


def refine_numpy(
    image: NDArray[np.uint8],
    guide: NDArray[np.uint8],
    maps: NDArray[np.float32],
    prob: NDArray[np.float32],
    radius: int = RADIUS,
    eps: float = EPS,
) -> None:
    """Refine a batch the plain way, in float64: the definition that the other forms are held to."""
    height, width = image.shape[1:3]
    for n, (photo, small) in enumerate(zip(image[..., :3] / 255, guide / 255, strict=True)):
        planes = _coefficients(small, maps[n if len(maps) > 1 else 0].astype(np.float64), radius, eps)
        planes = _stretched(_stretched(planes, height, 0), width, 1)
        detail = np.clip((planes[..., :3] * photo).sum(-1) + planes[..., 3], -1, 1)
        prob[n] = np.clip(prob[n] + np.minimum(1, DOUBT * prob[n] * (1 - prob[n])) * detail, 0, 1)


def refine_cpp(
    image: NDArray[np.uint8],
    guide: NDArray[np.uint8],
    maps: NDArray[np.float32],
    prob: NDArray[np.float32],
    radius: int = RADIUS,
    eps: float = EPS,
    threads: int | None = None,
) -> None:
    """Refine a batch with the compiled kernel. `prob` is contiguous."""
    from ohlora_fast import _core

    if image.strides[3] != 1 or image.strides[2] != image.shape[3]:
        image = np.ascontiguousarray(image)
    _core.refine(image, guide, aligned(maps), radius, eps, DOUBT, prob, cpu_threads(threads))


def ombre_refined_numpy(
    image: NDArray[np.uint8],
    guide: NDArray[np.uint8],
    maps: NDArray[np.float32],
    prob: NDArray[np.float32],
    settings: NDArray[np.float64],
) -> NDArray[np.uint8]:
    """Dye a batch by refined maps, the plain way.

    Args:
        image, guide, maps: as above.
        prob: float32 (M, h, w) in [0, 1], where M is N or 1, the maps as they come.
        settings: float64 (N, 5), as of `ohlora_fast.ops.ombre_op.pack_settings`.

    Returns:
        uint8, shape of the image.
    """
    out = image.copy()
    for n, one in enumerate(settings):
        resized = resized_numpy(prob[n if len(prob) > 1 else 0], *image.shape[1:3])
        weight = row_weights(opacity_of(resized), *one[3:])
        refined = np.clip(resized * np.float32(1 / 255), 0, 1)
        refine_numpy(image[n, None], guide[n, None], maps[n if len(maps) > 1 else 0, None], refined[None])
        blend_numpy(out[n, :, :, :3], opacity_of(refined * np.float32(255)) * weight[:, None], one[:3])
    return out


def ombre_refined_cpp(
    image: NDArray[np.uint8],
    guide: NDArray[np.uint8],
    maps: NDArray[np.float32],
    prob: NDArray[np.float32],
    settings: NDArray[np.float64],
    threads: int | None = None,
) -> NDArray[np.uint8]:
    """Dye a batch with the compiled kernel; arguments and result as of :func:`ombre_refined_numpy`."""
    from ohlora_fast import _core

    if image.strides[3] != 1 or image.strides[2] != image.shape[3]:
        image = np.ascontiguousarray(image)
    hue, height, grad_height = settings[:, :3].astype(np.uint8), settings[:, 3], settings[:, 4]
    return _core.ombre_refined(
        image, aligned(prob), hue, height, grad_height, guide, aligned(maps), RADIUS, EPS, DOUBT, cpu_threads(threads)
    )
