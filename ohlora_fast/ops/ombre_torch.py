"""The ombre in plain PyTorch: on any device, in any floating point type, with gradients."""

from __future__ import annotations

import torch

from ohlora_fast.kernels.cubic import cubic_matrix, cubic_taps

from .ombre_op import HAIR_ALPHA

__all__ = ["ombre_gradients", "ombre_torch", "resize_adjoint", "resized_torch"]


def _fused(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    """a·b + c of float32, rounded once but for some 1 in 2^29 cases; on mps, which lacks float64, twice."""
    if a.device.type == "mps":
        return a * b + c
    return (a.double() * b.double() + c.double()).to(a.dtype)


def _resized_part(prob: torch.Tensor, height: int, width: int, rows: slice, columns: slice, order: str) -> torch.Tensor:
    """One rectangle of the resized map."""

    def taps(axis: int, size: int, part: slice) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        index, weight, _, _ = cubic_taps(prob.shape[axis], size, order == "tiny")
        indices = torch.from_numpy(index[part].T.copy()).to(prob.device)
        weights = torch.from_numpy(weight[part].T.copy()).to(prob.device, prob.dtype)
        return list(indices), list(weights)

    index, w = taps(2, width, columns)
    p = [prob.index_select(2, i) for i in index]
    if order == "inner":
        across = (p[0] * w[0] + p[1] * w[1]) + (p[2] * w[2] + p[3] * w[3])
    elif order == "border":
        across = _fused(p[3], w[3], _fused(p[2], w[2], _fused(p[0], w[0], p[1] * w[1])))
    else:
        across = p[0] * w[0] + p[1] * w[1] + p[2] * w[2] + p[3] * w[3]
    index, w = taps(1, height, rows)
    p = [across.index_select(1, i) for i in index]
    w = [one[:, None] for one in w]
    if order == "inner":
        return _fused(p[0], w[0], p[1] * w[1]) + _fused(p[2], w[2], p[3] * w[3])
    if order == "border":
        return (p[0] * w[0] + p[2] * w[2]) + (p[1] * w[1] + p[3] * w[3])
    return p[0] * w[0] + (p[1] * w[1] + (p[2] * w[2] + p[3] * w[3]))


def resized_torch(prob: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Resize maps (M, h, w) cubically, in OpenCV's orders of operations: see csrc/ombre_rows.cpp."""

    def part(rows: slice, columns: slice, order: str = "border") -> torch.Tensor:
        return _resized_part(prob, height, width, rows, columns, order)

    everywhere = slice(0, width)
    if min(prob.shape[1:]) < 4:
        return part(slice(0, height), everywhere, "tiny")
    _, _, y0, y1 = cubic_taps(prob.shape[1], height)
    _, _, x0, x1 = cubic_taps(prob.shape[2], width)
    middle = slice(y0, y1)
    band = [part(middle, slice(0, x0)), part(middle, slice(x0, x1), "inner"), part(middle, slice(x1, width))]
    above, below = part(slice(0, y0), everywhere), part(slice(y1, height), everywhere)
    return torch.cat([above, torch.cat(band, dim=2), below], dim=1)


def _row_weights(alpha: torch.Tensor, height: torch.Tensor, grad_height: torch.Tensor) -> torch.Tensor:
    """Weights (N, H) of the rows of opacity maps (M, H, W), on the settings' device: constants, in float64."""
    hair = (alpha.detach().amax(dim=2) >= HAIR_ALPHA).to(height.device).expand(len(height), -1)
    rows = hair.shape[1]
    top = hair.byte().argmax(dim=1).double()
    bottom = rows - 1 - hair.flip(1).byte().argmax(dim=1).double()
    grad_top = torch.floor(top + (bottom - top) * (1.0 - height))[:, None]
    grad_bottom = torch.floor(grad_top + (bottom[:, None] - grad_top) * grad_height[:, None])
    y = torch.arange(rows, dtype=torch.float64, device=height.device)
    ramp = (y - grad_top) / (grad_bottom - grad_top).clamp(min=1)
    weight = torch.where(y < grad_top, 0.0, torch.where(y < grad_bottom, ramp, 1.0))
    return torch.where(hair.any(dim=1, keepdim=True), weight, 1.0)


def ombre_torch(
    image: torch.Tensor, prob: torch.Tensor, settings: torch.Tensor, extent_of: torch.Tensor | None = None
) -> torch.Tensor:
    """Dye a batch of tensors on their device.

    Args:
        image: (N, 3 or 4, H, W); uint8, or floating point in 0 to 255, which skips both truncations and carries
            gradients to image and map.
        prob: floating point (M, h, w) in [0, 1], where M is N or 1.
        settings: float64 (N, 5), as of :func:`ohlora_fast.ops.ombre_op.pack_settings`: on the same device, or on the
            CPU for one that lacks float64.
        extent_of: a map whose hair rows count instead of the map's own, (M, h, w).

    Returns:
        Shape and dtype of the image.

    Example:
        >>> settings = torch.tensor([[0.0, 254.0, 255.0, 1.0, 0.0]], dtype=torch.float64)
        >>> ombre_torch(torch.full((1, 3, 4, 4), 100, dtype=torch.uint8), torch.ones(1, 2, 2), settings)[0, :, 0, 0]
        tensor([ 96, 160, 160], dtype=torch.uint8)
    """
    exact = image.dtype == torch.uint8
    work = image.dtype
    if exact:
        # Float64 decides truncations as the reference does; mps has none.
        work = torch.float32 if image.device.type == "mps" else torch.float64
    alpha, weight = _opacity(image, prob, settings, work)
    if extent_of is not None:
        _, weight = _opacity(image, extent_of, settings, work)
    alpha = (alpha * weight[:, :, None] / 255.0)[:, None]
    rgb = image[:, :3]
    hue = settings[:, :3, None, None]
    if exact:
        # In integers: floor((27·v + 5·hue − 765) / 20) equals the float64 formula for every v and hue.
        shade = 5 * hue.int().to(image.device) - 765
        dyed = (27 * rgb.int() + shade).clamp(min=0).div(20, rounding_mode="floor").clamp(max=255)
    else:
        dyed = (1.35 * rgb + 0.25 * hue.to(work).to(image.device) - 38.25).clamp(0.0, 255.0)
    out = ((1.0 - alpha) * rgb.to(work) + alpha * dyed.to(work)).to(image.dtype)
    return torch.cat([out, image[:, 3:]], dim=1) if image.shape[1] == 4 else out


def _opacity(
    image: torch.Tensor, prob: torch.Tensor, settings: torch.Tensor, work: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    """Opacity (M, H, W) on the scale of 0 to 255, before the gradient, and the weights (N, H) of the rows."""
    resized = resized_torch(prob * 255, image.shape[2], image.shape[3])
    alpha = (4.0 * resized.to(work) - 765.0).clamp(0.0, 255.0)
    return alpha, _row_weights(alpha, settings[:, 3], settings[:, 4]).to(work).to(image.device)


def ombre_gradients(
    grad: torch.Tensor, image: torch.Tensor, prob: torch.Tensor, settings: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients of image and map of :func:`ombre_torch`, given that of its result, all floating point.

    The weights of the rows count as constants.
    """
    alpha, weight = _opacity(image, prob, settings, image.dtype)
    a = (alpha * weight[:, :, None] / 255.0)[:, None]
    rgb, upstream = image[:, :3], grad[:, :3]
    undyed = 1.35 * rgb + 0.25 * settings[:, :3, None, None].to(image) - 38.25
    inside = (undyed >= 0) & (undyed <= 255)
    image_grad = grad.clone()
    image_grad[:, :3] = upstream * (1.0 - a + 1.35 * a * inside)
    opacity_grad = (upstream * (undyed.clamp(0.0, 255.0) - rgb)).sum(1) * weight[:, :, None] / 255.0
    return image_grad, resize_adjoint(opacity_grad * ((alpha > 0) & (alpha < 255)) * (4 * 255), prob)


def resize_adjoint(grad: torch.Tensor, prob: torch.Tensor) -> torch.Tensor:
    """Carry gradients (N, H, W) of resized maps back to the maps (M, h, w), where M is N or 1: two matrix products."""
    tiny = min(prob.shape[1:]) < 4
    rows, columns = (
        torch.from_numpy(cubic_matrix(prob.shape[axis], grad.shape[axis], tiny)).to(grad) for axis in (1, 2)
    )
    maps = grad.sum(0, keepdim=True) if len(prob) < len(grad) else grad
    return (rows.T @ maps @ columns).to(prob.dtype)
