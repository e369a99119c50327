"""Natural dyeing: reference in NumPy, and the compiled form for CPUs. What each pixel does stands in `natural_plan`.

Everything here trusts its arguments; :func:`ohlora_fast.ombre.apply_ombre` checks them. A batch of N images comes with
M probability maps, where M is N or 1, and packed mixtures, one a sample.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .arrays import aligned
from .hair_flow import smoothstep
from .natural_plan import EDGES, Mixture, Plan, make_plan, sample_grid
from .oklab import decode_table, from_oklab, to_oklab
from .ombre_op import cpu_threads, hair_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["dyed_hair", "natural_cpp", "natural_numpy", "plan_of", "plan_of_sample", "planned_cpp"]


def plan_of(
    image: NDArray[np.uint8], prob: NDArray[np.float32], packed: NDArray[np.float64], threads: int | None = None
) -> Plan:
    """Make the plan of a batch (N, H, W, 3 or 4) and its maps (M, h, w)."""
    size = image.shape[1], image.shape[2]
    rows, columns = sample_grid(*size, Mixture.unpacked(packed[0]).by_rows)
    return plan_of_sample(image[:, rows[:, None], columns, :3], prob, size, packed, threads)


def plan_of_sample(
    pixels: NDArray[np.uint8],
    prob: NDArray[np.float32],
    size: tuple[int, int],
    packed: NDArray[np.float64],
    threads: int | None = None,
) -> Plan:
    """As `plan_of`, of a batch's pixels at `sample_grid`, (N, h, w, 3), and its height and width."""
    return make_plan(pixels, prob, hair_rows(prob, *size, threads), size, packed)


def natural_numpy(
    image: NDArray[np.uint8], prob: NDArray[np.float32], packed: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """Dye a batch the plain way, in float64: the definition that every other backend is held to.

    Args:
        image: uint8 (N, H, W, 3 or 4); a fourth channel passes through.
        prob: float32 (M, h, w) in [0, 1].
        packed: float64 (N, 14 + 3·S), as of `natural_plan.Mixture`.

    Returns:
        uint8, shape of the image.
    """
    plan = plan_of(image, prob, packed)
    out = image.copy()
    for n in range(len(image)):
        hair, values = dyed_hair(image[n, :, :, :3], prob[n if len(prob) > 1 else 0], plan, n)
        out[n, :, :, :3][hair] = np.floor(values + 0.5).astype(np.uint8)
    return out


def dyed_hair(
    pixels: NDArray[Any], prob: NDArray[np.float32], plan: Plan, n: int = 0
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Dye one photo's hair, and round nothing.

    Args:
        pixels: (H, W, 3), uint8 or floating point in 0 to 255.
        prob: float32 (h, w) in [0, 1].
        plan: of the batch.
        n: which sample of the plan the photo is.

    Returns:
        Which pixels are hair, (H, W), and what becomes of these, float64 (K, 3).
    """
    import cv2

    height, width = pixels.shape[:2]
    resized = cv2.resize(prob, (width, height), interpolation=cv2.INTER_CUBIC)
    opacity = smoothstep(resized.astype(np.float64), *EDGES).reshape(height, width)
    table = plan.table[n].astype(np.float64)
    entries = table[:, None] if plan.index is None else table[plan.index[n]]
    hair = opacity > 0
    entries = np.broadcast_to(entries, (height, width, table.shape[1]))[hair]
    lab = to_oklab(pixels[hair])
    lab += (entries[:, 0] * opacity[hair])[:, None] * (dyed(lab, entries) - lab)
    return hair, from_oklab(lab)


def natural_cpp(
    image: NDArray[np.uint8], prob: NDArray[np.float32], packed: NDArray[np.float64], threads: int | None = None
) -> NDArray[np.uint8]:
    """Dye a batch with the compiled kernel; arguments and result as of :func:`natural_numpy`."""
    return planned_cpp(image, prob, plan_of(image, prob, packed, threads), threads)


def planned_cpp(
    image: NDArray[np.uint8], prob: NDArray[np.float32], plan: Plan, threads: int | None = None
) -> NDArray[np.uint8]:
    """As `natural_cpp`, by a plan that is made already."""
    from ohlora_fast import _core

    if image.strides[3] != 1 or image.strides[2] != image.shape[3]:
        image = np.ascontiguousarray(image)
    prob, threads = aligned(prob), cpu_threads(threads)
    out = np.empty(image.shape, np.uint8)
    for n, photo in enumerate(image):
        resized = _core.resize_maps(prob[n : n + 1] if len(prob) > 1 else prob, *photo.shape[:2], threads)[0]
        index = None if plan.index is None else plan.index[n]
        _core.natural(photo, resized, plan.table[n], index, decode_table(), out[n], threads)
    return out


def dyed(lab: Any, entries: Any) -> Any:
    """What dyes (…, 12) make of OKLab (…, 3): the formula of `natural_plan`, at full amount."""
    _, mean, level, dark, light, knee, a, b, rising, falling, dulled, _ = np.moveaxis(entries, -1, 0)
    apart = lab[..., 0] - mean
    above = np.maximum(apart, 0.0)
    lightness = np.clip(level + np.where(apart < 0, dark * apart, light * above / (1.0 + knee * above)), 0.0, 1.0)
    color = np.minimum(rising * lightness, falling * (1.0 - lightness)) * (1.0 - dulled * above)
    return np.stack([lightness, color * a, color * b], axis=-1)
