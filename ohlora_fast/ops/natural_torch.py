"""Natural dyeing in plain PyTorch: on any device, with gradients. What each pixel does stands in `natural_plan`."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .natural_op import plan_of_sample
from .natural_plan import COLUMNS, EDGES, Mixture, sample_grid
from .oklab import CONES_TO_RGB, LAB_TO_ROOTS, RGB_TO_CONES, ROOTS_TO_LAB, decode_table
from .ombre_torch import resized_torch

__all__ = ["natural_gradients", "natural_torch", "plan_tensors"]


def plan_tensors(image: Tensor, prob: Tensor, packed: Tensor) -> tuple[Tensor, Tensor | None]:
    """Make the plan of a batch of tensors: some 50 KB of it go to the CPU, and all of its maps; tables come back.

    Args:
        image, prob, packed: as of `natural_torch`.

    Returns:
        float32 (N, R, COLUMNS), and int32 (N, H, W) or None, on the image's device.
    """
    settings = packed.cpu().numpy()
    size = image.shape[2], image.shape[3]
    rows, columns = sample_grid(*size, Mixture.unpacked(settings[0]).by_rows)
    at = torch.from_numpy(rows)[:, None].to(image.device), torch.from_numpy(columns).to(image.device)
    sample = image.detach()[:, :3, at[0], at[1]].permute(0, 2, 3, 1)
    sample = sample.round() if sample.is_floating_point() else sample
    pixels = np.ascontiguousarray(sample.byte().cpu().numpy())
    plan = plan_of_sample(pixels, np.ascontiguousarray(prob.detach().float().cpu().numpy()), size, settings)
    table = torch.from_numpy(plan.table).to(image.device)
    if plan.index is None:
        return table, None
    return table, torch.from_numpy(plan.index.astype(np.int32)).to(image.device)


def natural_torch(image: Tensor, prob: Tensor, packed: Tensor) -> Tensor:
    """Dye a batch of tensors on their device.

    Args:
        image: (N, 3 or 4, H, W); uint8, or floating point in 0 to 255, which is not rounded and carries gradients to
            image and map. The plan counts as a constant.
        prob: floating point (M, h, w) in [0, 1], where M is N or 1.
        packed: float64 (N, 14 + 3·S), as of :func:`ohlora_fast.natural.pack_natural`; on any device.

    Returns:
        Shape and dtype of the image.

    Example:
        >>> from ohlora_fast.natural import NaturalDye, pack_natural
        >>> packed = torch.from_numpy(pack_natural(NaturalDye("red", strength=1, lift=1), *np.array([[0.0], [1], [0]])))
        >>> natural_torch(torch.full((1, 3, 4, 4), 99, dtype=torch.uint8), torch.ones(1, 2, 2), packed)[0, :, 0, 0]
        tensor([255,   0,   0], dtype=torch.uint8)
    """
    return _planned(image, prob, *plan_tensors(image, prob, packed))


def _planned(image: Tensor, prob: Tensor, table: Tensor, index: Tensor | None) -> Tensor:
    work = image.dtype if image.is_floating_point() else torch.float32
    opacity = resized_torch(prob.to(work) * 255, image.shape[2], image.shape[3]) / 255
    opacity = ((opacity - EDGES[0]) / (EDGES[1] - EDGES[0])).clamp(0.0, 1.0)
    opacity = opacity * opacity * (3.0 - 2.0 * opacity)
    dyes = _entries(table.to(work), index)
    share = dyes[0] * opacity
    rgb = image[:, :3]
    lab = _to_oklab(_linear(rgb, work))
    lab = lab + share[:, None] * (_dyed(lab, dyes) - lab)
    out = 255.0 * _encoded(_from_oklab(lab))
    out = out if image.is_floating_point() else (out + 0.5).floor().to(image.dtype)
    out = torch.where(share[:, None] > 0, out, rgb)
    return torch.cat([out, image[:, 3:]], dim=1) if image.shape[1] == 4 else out


def natural_gradients(grad: Tensor, image: Tensor, prob: Tensor, packed: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of image and map of `natural_torch`, given that of its result, all floating point."""
    plan = plan_tensors(image, prob, packed)
    # Inside an operation autograd itself is switched off; its functional form is not.
    pull = torch.func.vjp(lambda pixels, maps: _planned(pixels, maps, *plan), image.detach(), prob.detach())[1]
    image_grad, prob_grad = pull(grad)
    return image_grad.contiguous(), prob_grad.contiguous()


def _entries(table: Tensor, index: Tensor | None) -> list[Tensor]:
    """The columns of each pixel's dye, (N, H, 1) or (N, H, W)."""
    if index is None:
        return list(table[:, :, None].unbind(3))
    flat = table.reshape(-1, COLUMNS)
    first = torch.arange(len(table), device=table.device)[:, None, None] * table.shape[1]
    return list(flat[index + first].unbind(3))


def _mixed(planes: Tensor, matrix: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> Tensor:
    """Mix three planes (N, 3, H, W) by a matrix, in full precision whatever the device's matrix product does."""
    mixed = [sum(weight * planes[:, k] for k, weight in enumerate(row)) for row in matrix.tolist()]
    return torch.stack(mixed, dim=1)  # type: ignore[arg-type]


def _linear(rgb: Tensor, work: torch.dtype) -> Tensor:
    if not rgb.is_floating_point():
        return torch.from_numpy(decode_table()).to(rgb.device, work)[rgb.int()]
    value = rgb / 255.0
    return torch.where(value <= 0.04045, value / 12.92, ((value.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4)


def _encoded(light: Tensor) -> Tensor:
    light = light.clamp(0.0, 1.0)
    return torch.where(light <= 0.0031308, 12.92 * light, 1.055 * light.clamp(min=0.0031308) ** (1 / 2.4) - 0.055)


def _to_oklab(light: Tensor) -> Tensor:
    return _mixed(_mixed(light, RGB_TO_CONES).clamp(min=1e-12) ** (1 / 3), ROOTS_TO_LAB)


def _from_oklab(lab: Tensor) -> Tensor:
    return _mixed(_mixed(lab, LAB_TO_ROOTS) ** 3, CONES_TO_RGB)


def _dyed(lab: Tensor, dyes: list[Tensor]) -> Tensor:
    """The formula of `natural_plan`, at full amount."""
    _, mean, level, dark, light, knee, a, b, rising, falling, dulled, _ = dyes
    apart = lab[:, 0] - mean
    above = apart.clamp(min=0.0)
    lightness = level + torch.where(apart < 0, dark * apart, light * above / (1.0 + knee * above))
    lightness = lightness.clamp(0.0, 1.0)
    color = torch.minimum(rising * lightness, falling * (1.0 - lightness)) * (1.0 - dulled * above)
    return torch.stack([lightness, color * a, color * b], dim=1)
