"""The whole way from a photo to its hair or to the dyed photo, as one PyTorch module that exporters take.

All of it is plain operations on tensors of any batch, height and width: no custom operation, no size that is fixed, so
that what is exported loads without this package. It computes what `HairStylist` does with ``heads="whole"``, apart from
rounding: a photo is taken as one head that fills it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ohlora_fast.errors import InputError
from ohlora_fast.ops.ombre_op import HAIR_ALPHA, hue_colors
from ohlora_fast.student.export import FromBytes
from ohlora_fast.student.model import EffiSegNet

Stage = Literal["prob", "alpha", "mask", "dye"]
Layout = Literal["nhwc", "nchw"]
Kind = Literal["uint8", "float32"]
Squash = Callable[[Tensor, int], Tensor]
"""From photos (N, 3, H, W), uint8 or float32 in 0–255, and a size to the student's bytes (N, 3, size, size)."""

PARAMETERS = ("color", "ombre_height", "ombre_grad_height")


@dataclass(frozen=True)
class PipelineSettings:
    """What a graph takes and gives.

    Args:
        stage: the last stage, and so the output: ``"prob"`` hair probabilities in [0, 1], as `HairStylist.segment`
            gives with ``heads="whole"``; ``"alpha"`` the ombre's opacity, clip(4 · prob − 3, 0, 1); ``"mask"`` uint8,
            255 where the probability is at least `threshold`, else 0, all (N, H, W); ``"dye"`` the dyed photo, as
            `HairStylist.dye` gives with ``heads="whole"``, in the photo's layout and dtype.
        threshold: in [0, 1], for the stage ``"mask"``.
        layout: of the photo: ``"nhwc"`` (N, H, W, 3) or ``"nchw"`` (N, 3, H, W). RGB.
        kind: its dtype: ``"uint8"``, or ``"float32"`` in 0–255, which skips the rounding of the dyed photo.

    Raises:
        InputError: an argument is not one of these.

    >>> PipelineSettings("dye").inputs
    ('image', 'color', 'ombre_height', 'ombre_grad_height')
    """

    stage: Stage
    threshold: float = 0.5
    layout: Layout = "nhwc"
    kind: Kind = "uint8"

    def __post_init__(self) -> None:
        for name, allowed in (("stage", Stage), ("layout", Layout), ("kind", Kind)):
            if getattr(self, name) not in get_args(allowed):
                raise InputError(f"{name}: got {getattr(self, name)!r}, allowed are {', '.join(get_args(allowed))}")
        if not 0 <= self.threshold <= 1:
            raise InputError(f"threshold: got {self.threshold!r}, allowed is a number from 0 to 1")

    @property
    def inputs(self) -> tuple[str, ...]:
        """The inputs' names: the photo, and for a dye the three parameters, float64 (N,) in [0, 1] each."""
        return ("image", *PARAMETERS) if self.stage == "dye" else ("image",)

    @property
    def output(self) -> str:
        """The output's name."""
        return "dyed" if self.stage == "dye" else self.stage

    @property
    def axes(self) -> dict[str, dict[int, str]]:
        """The free axes of inputs and output, by name."""
        photo = {0: "N", 1: "H", 2: "W"} if self.layout == "nhwc" else {0: "N", 2: "H", 3: "W"}
        found = photo if self.stage == "dye" else {0: "N", 1: "H", 2: "W"}
        return {"image": photo} | {name: {0: "N"} for name in self.inputs[1:]} | {self.output: found}

    def example(self, height: int = 40, width: int = 48) -> tuple[Tensor, ...]:
        """Inputs to trace with: two photos."""
        shape = (2, height, width, 3) if self.layout == "nhwc" else (2, 3, height, width)
        photo = torch.zeros(shape, dtype=getattr(torch, self.kind))
        return photo, *(torch.full((2,), 0.5, dtype=torch.float64) for _ in self.inputs[1:])


class HairPipeline(nn.Module):
    """A student with what comes before and after it, up to the stage ``"prob"``, ``"alpha"`` or ``"mask"``.

    Args:
        model: the student; it stays as it is.
        settings: which stage to end with, and the photo's form.
        squash: for formats that have an operator for it.

    >>> from ohlora_fast.student.weights import load_student
    >>> pipeline = HairPipeline(load_student(), PipelineSettings("prob"))
    >>> pipeline(torch.zeros(2, 30, 40, 3, dtype=torch.uint8)).shape
    torch.Size([2, 30, 40])
    """

    def __init__(self, model: EffiSegNet, settings: PipelineSettings, squash: Squash | None = None) -> None:
        super().__init__()
        self.student = FromBytes(model)
        self.settings = settings
        self.squash = squash or squash_twice
        self.eval().requires_grad_(False)

    def forward(self, image: Tensor) -> Tensor:
        prob = self.prob(self.planes(image))
        if self.settings.stage == "mask":
            return (prob >= self.settings.threshold).to(torch.uint8) * 255
        return opacity(prob) if self.settings.stage == "alpha" else prob

    def planes(self, image: Tensor) -> Tensor:
        """Photos as (N, 3, H, W)."""
        return image.permute(0, 3, 1, 2) if self.settings.layout == "nhwc" else image

    def prob(self, planes: Tensor) -> Tensor:
        """Hair probabilities (N, H, W) of photos (N, 3, H, W)."""
        size = self.student.size
        maps = self.student(self.squash(planes, size).permute(0, 2, 3, 1))
        return unsquash(maps, size, planes.shape[2], planes.shape[3]).clamp(0.0, 1.0)


class DyePipeline(HairPipeline):
    """As `HairPipeline`, up to the dyed photo; the parameters are float64 (N,) in [0, 1]."""

    hues: Tensor

    def __init__(self, model: EffiSegNet, settings: PipelineSettings, squash: Squash | None = None) -> None:
        super().__init__(model, settings, squash)
        degrees = (np.arange(360) + 0.5) / 360
        self.register_buffer("hues", torch.from_numpy(hue_colors(degrees).astype(np.float32)))

    def forward(  # type: ignore[override]
        self, image: Tensor, color: Tensor, ombre_height: Tensor, ombre_grad_height: Tensor
    ) -> Tensor:
        planes = self.planes(image)
        hue = self.hues[torch.floor(360.0 * color).long() % 360]
        dyed = dye(planes, opacity(self.prob(planes)), hue, ombre_height, ombre_grad_height)
        return dyed.permute(0, 2, 3, 1) if self.settings.layout == "nhwc" else dyed


def make_pipeline(model: EffiSegNet, settings: PipelineSettings, squash: Squash | None = None) -> HairPipeline:
    """The module for these settings; arguments as of `HairPipeline`."""
    return (DyePipeline if settings.stage == "dye" else HairPipeline)(model, settings, squash)


def squash_twice(planes: Tensor, size: int) -> Tensor:
    """A `Squash`: as `student.preprocess.squash`, whole bytes after the width and again after the height."""
    pixels = whole_bytes(planes.float())
    for sides in ((planes.shape[2], size), (size, size)):
        pixels = whole_bytes(F.interpolate(pixels, sides, mode="bilinear", antialias=True, align_corners=False))
    return pixels.to(torch.uint8)


def whole_bytes(pixels: Tensor) -> Tensor:
    """Floating point values rounded to whole numbers from 0 to 255."""
    return torch.floor(pixels + 0.5).clamp(0.0, 255.0)


def unsquash(maps: Tensor, size: int, height: int, width: int) -> Tensor:
    """Maps (N, size, size) resized bicubically, as two products with matrices: ONNX Runtime's ``Resize`` takes 15 times
    as long."""
    padded = F.pad(maps[:, None], (2, 2, 2, 2), mode="replicate")[:, 0]
    return cubic_weights(size, height, maps.device) @ padded @ cubic_weights(size, width, maps.device).T


def cubic_weights(source: int, size: int, device: torch.device) -> Tensor:
    """What resizes `source` values, two more at each end, to `size`: float32 (size, source + 4); a = −0.75."""
    centre = (torch.arange(size, dtype=torch.float64, device=device)[:, None] + 0.5) * (source / size) - 0.5
    d = (centre - torch.arange(-2, source + 2, dtype=torch.float64, device=device)).abs()
    near = (1.25 * d - 2.25) * d * d + 1.0
    far = ((-0.75 * d + 3.75) * d - 6.0) * d + 3.0
    return torch.where(d <= 1.0, near, torch.where(d < 2.0, far, 0.0)).float()


def opacity(prob: Tensor) -> Tensor:
    """The ombre's opacity in [0, 1] before the gradient."""
    return (4.0 * prob - 3.0).clamp(0.0, 1.0)


def dye(planes: Tensor, alpha: Tensor, hue: Tensor, height: Tensor, grad_height: Tensor) -> Tensor:
    """The ombre of photos (N, 3, H, W); photos without a hair row stay as they are.

    Args:
        planes: uint8, or float32 in 0–255, which skips both truncations.
        alpha: (N, H, W), as `opacity` gives.
        hue: float32 RGB (N, 3) in 0–255.
        height, grad_height: float64 (N,) in [0, 1].
    """
    weighted = (alpha * row_weights(alpha, height, grad_height).float()[:, :, None])[:, None]
    rgb = planes.float()
    dyed = (1.35 * rgb + 0.25 * hue[:, :, None, None] - 38.25).clamp(0.0, 255.0)
    if planes.dtype == torch.uint8:
        dyed = torch.floor(dyed)
    return ((1.0 - weighted) * rgb + weighted * dyed).to(planes.dtype)


def row_weights(alpha: Tensor, height: Tensor, grad_height: Tensor) -> Tensor:
    """The gradient's weight of each row, float64 (N, H): 0 above it, 1 below it, 0 throughout without a hair row."""
    rows = alpha.shape[1]
    hair = alpha.amax(dim=2) >= HAIR_ALPHA / 255
    y = torch.arange(rows, dtype=torch.float64, device=alpha.device)[None]
    top = torch.where(hair, y, float(2**20)).amin(dim=1, keepdim=True)
    bottom = torch.where(hair, y, -1.0).amax(dim=1, keepdim=True)
    grad_top = torch.floor(top + (bottom - top) * (1.0 - height[:, None]))
    grad_bottom = torch.floor(grad_top + (bottom - grad_top) * grad_height[:, None])
    ramp = (y - grad_top) / (grad_bottom - grad_top).clamp(min=1.0)
    return torch.where(y < grad_top, 0.0, torch.where(y < grad_bottom, ramp, 1.0)) * (bottom >= 0)
