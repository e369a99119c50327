"""Hold an export against the library's own result before it is written."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ohlora_fast.errors import InputError, NoHairWarning
from ohlora_fast.export.pipeline import PipelineSettings
from ohlora_fast.student.export import FromBytes
from ohlora_fast.student.model import EffiSegNet
from ohlora_fast.student.weights import save_student
from ohlora_fast.stylist import HairStylist

Array = np.ndarray[Any, Any]
Run = Callable[..., Array]
"""Takes the inputs as arrays, and gives the output."""

SIZES = ((1, 320, 320), (2, 301, 222), (1, 7, 5))
"""Batch, height and width of the photos to compare."""
PARAMETERS = ((0.9, 0.1), (0.95, 0.65), (0.15, 0.75))
"""Color, height and height of the gradient for the photos of a batch; none of them is on the brink of another hue."""
LIMITS = {"map": (0.001, 1e-5), "prob": (0.05, 0.0005), "alpha": (0.2, 0.0005), "mask": (255, 0.5), "dye": (8, 0.05)}
"""For each stage: the largest and the mean difference that pass, in the output's units.

Runtimes add up in another order, and shrink a photo to bytes that are one off here and there; a hair's edge turns the
latter into a few levels of the dyed photo, and a mask's pixel into the other value.
"""


@dataclass(frozen=True)
class Difference:
    """How far an export is from the library, in the output's units."""

    largest: float
    mean: float

    def __str__(self) -> str:
        return f"differs from the library's by at most {self.largest:.3g}, on average {self.mean:.2g}"


def check(run: Run, model: EffiSegNet, settings: PipelineSettings) -> Difference:
    """Compare what an export gives with what `HairStylist` gives for whole photos, on drawn portraits of several sizes.

    Raises:
        InputError: they differ by more than `LIMITS`.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "student.safetensors"
        save_student(model, path)
        stylist = HairStylist(path, engine="torch", device="cpu")
    differences = []
    for count, height, width in SIZES:
        photos = np.stack([portrait(height, width, seed) for seed in range(count)])
        parameters = [np.array(values[:count]) for values in PARAMETERS]
        wanted = expected(stylist, photos, parameters, settings)
        planes = settings.layout == "nchw"
        image = (photos.transpose(0, 3, 1, 2) if planes else photos).astype(settings.kind)
        found = run(np.ascontiguousarray(image), *parameters[: len(settings.inputs) - 1])
        if settings.stage == "dye" and planes:
            found = found.transpose(0, 2, 3, 1)
        if found.shape != wanted.shape or found.dtype != wanted.dtype:
            raise InputError(
                f"the export gives {found.dtype} {found.shape}, not {wanted.dtype} {wanted.shape}: it was not written"
            )
        differences.append(np.abs(found.astype(np.float64) - wanted))
    return judged(differences, settings.stage)


def check_map(run: Run, model: EffiSegNet) -> Difference:
    """As `check`, for the student alone: uint8 (N, size, size, 3) → (N, size, size).

    Raises:
        InputError: they differ by more than `LIMITS`.
    """
    photos = np.stack([portrait(model.size, model.size, seed) for seed in range(2)])
    with torch.inference_mode():
        wanted = FromBytes(model).eval()(torch.from_numpy(photos)).numpy()
    return judged([np.abs(run(photos) - wanted)], "map")


def judged(differences: Sequence[Array], output: str) -> Difference:
    """Sum up the absolute differences of several batches.

    Raises:
        InputError: they are more than `LIMITS` allows.
    """
    result = Difference(
        max(float(one.max()) for one in differences), float(np.mean([one.mean() for one in differences]))
    )
    largest, mean = LIMITS[output]
    if not (result.largest <= largest and result.mean <= mean):  # NaN is refused, too
        raise InputError(f"the export {result}; allowed are {largest} and {mean}: it was not written")
    return result


def expected(stylist: HairStylist, photos: Array, parameters: list[Array], settings: PipelineSettings) -> Array:
    """What the library gives for the whole of photos (N, H, W, 3), in that layout."""
    if settings.stage == "dye":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NoHairWarning)
            if settings.kind == "uint8":
                return np.asarray(stylist.dye(photos, *parameters, heads="whole"))
            planes = torch.from_numpy(photos.transpose(0, 3, 1, 2).astype(np.float32))
            return np.asarray(stylist.dye(planes, *parameters, heads="whole").permute(0, 2, 3, 1))
    prob = np.asarray(stylist.segment(photos, heads="whole"))
    if settings.stage == "mask":
        return np.where(prob >= np.float32(settings.threshold), 255, 0).astype(np.uint8)
    return np.clip(4 * prob - 3, 0, 1) if settings.stage == "alpha" else prob


def portrait(height: int, width: int, seed: int = 0) -> Array:
    """Draw somebody with long dark hair: uint8 (height, width, 3).

    >>> portrait(30, 20).shape
    (30, 20, 3)
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / np.array([height, width])[:, None, None]
    pixels = np.full((height, width, 3), (186.0, 197.0, 210.0))
    strands = 12 * np.sin(x * 160 + 9 * np.sin(y * 7))[..., None]
    shoulders = (y > 0.75) & (np.abs(x - 0.5) < 0.16 + 1.2 * (y - 0.75))
    hair = (((x - 0.5) / 0.27) ** 2 + ((y - 0.36) / 0.3) ** 2 < 1) | (
        (np.abs(x - 0.5) < 0.27) & (y > 0.36) & (y < 0.78)
    )
    neck = (np.abs(x - 0.5) < 0.09) & (y > 0.55) & (y < 0.8)
    face = ((x - 0.5) / 0.17) ** 2 + ((y - 0.42) / 0.23) ** 2 < 1
    eyes = (np.abs(np.abs(x - 0.5) - 0.07) < 0.025) & (np.abs(y - 0.4) < 0.012)
    pixels[shoulders] = (52, 73, 115)
    pixels = np.where(hair[..., None], np.array([62.0, 42, 30]) + strands, pixels)
    for shape, color in ((neck, (205, 158, 132)), (face, (222, 178, 152)), (eyes, (48, 36, 30))):
        pixels[shape] = color
    return np.clip(pixels + rng.normal(0, 4, pixels.shape), 0, 255).astype(np.uint8)
