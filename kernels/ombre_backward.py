"""Gradients of the ombre of float32 images: the map resized anew, and the chain rule of each pixel, in one kernel.

`backward_kernel` reads the image and the gradient of the dyed image once, and writes the gradients of the image and of
the resized map; from there on back it is two matrix products, which are not made here. Bytes: 40 a pixel of three
channels. Limit: bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from ohlora_fast.kernels.form import Form
from ohlora_fast.kernels.map_rows import COMPILED, all_inner, at, map_row, place
from ohlora_fast.kernels.ombre import (
    BLOCK,
    CLEAR,
    OPTIONS,
    band_rows,
    dyed,
    form,
    gradient,
    hair_extents,
    opacity,
    row_weight,
    shade_of,
    tables,
)

if TYPE_CHECKING:
    from torch import Tensor


@triton.jit
def backward_kernel(
    grad, image, prob, settings, extent, rows, columns, image_grad, map_grad,
    grad_sample, grad_plane, grad_row, grad_column, image_sample, image_plane, image_row, image_column,
    out_sample, out_plane, out_row, out_column,
    maps, map_height, map_width, height, width, band,
    CHANNELS: tl.constexpr, BLOCK: tl.constexpr, TINY: tl.constexpr, COMPILED: tl.constexpr,
):  # fmt: skip
    n, begin, end, x_begin, x_end = place(height, width, band, BLOCK)
    m = tl.minimum(n, maps - 1)
    prob = at(prob, m, map_height * map_width)
    settings += 5 * n
    grad_top, grad_bottom = gradient(extent + 2 * m, settings, height)
    x = x_begin + tl.arange(0, BLOCK)
    there = x < width
    grad = at(at(grad, n, grad_sample), x, grad_column)
    image = at(at(image, n, image_sample), x, image_column)
    image_grad = at(at(image_grad, n, out_sample), x, out_column)
    map_grad = at(map_grad, n, height * width) + x
    plain = all_inner(columns, x_begin, x_end, map_width)
    r0 = tl.zeros((BLOCK,), tl.float32)
    r1, r2, r3 = r0, r0, r0
    held = -(2**30)
    for step in range(0, end - begin):
        y = begin + step
        q, r0, r1, r2, r3, held = map_row(
            y, r0, r1, r2, r3, held, prob, rows, columns, x, plain, map_height, map_width, height, width,
            TINY, COMPILED,
        )  # fmt: skip
        weight = row_weight(y, grad_top, grad_bottom)
        a = opacity(q, weight, tl.float32, COMPILED)
        total = tl.zeros((BLOCK,), tl.float32)
        for channel in tl.static_range(CHANNELS):
            upstream = tl.load(at(at(grad, y, grad_row), channel, grad_plane), mask=there, other=0.0)
            downstream = upstream
            if channel < 3:
                pixels = tl.load(at(at(image, y, image_row), channel, image_plane), mask=there, other=0.0)
                shade = shade_of(settings, channel, tl.float32)
                undyed = 1.35 * pixels + shade
                slope = tl.where((undyed >= 0.0) & (undyed <= 255.0), 1.35, 0.0)
                downstream = upstream * ((1.0 - a) + a * slope)
                total += upstream * (dyed(pixels, shade) - pixels)
            tl.store(at(at(image_grad, y, out_row), channel, out_plane), downstream, mask=there)
        steep = (q > CLEAR) & (q < 255.0)
        gain = tl.where(steep, 4.0 * weight.to(tl.float32), 0.0)  # 4 · 255 of the map's scale, over 255
        tl.store(at(map_grad, y, width), total * gain, mask=there)


def ombre_backward_triton(grad: Tensor, image: Tensor, prob: Tensor, settings: Tensor) -> tuple[Tensor, Tensor]:
    """Carry gradients through :func:`ohlora_fast.kernels.ombre.ombre_triton`, on the GPU or under the interpreter.

    Args:
        grad: of the dyed image, float32 of the image's shape, of any strides.
        image: float32 (N, 3 or 4, H, W) of any strides.
        prob: float32 (M, h, w) in [0, 1], where M is N or 1.
        settings: float64 (N, 5), as of :func:`ohlora_fast.ops.ombre_op.pack_settings`.

    Returns:
        The gradient of the image, and (N, H, W) that of the resized map. The weights of the rows count as constants.
    """
    count, channels, height, width = image.shape
    image_grad = torch.empty_like(grad)
    map_grad = torch.empty((count, height, width), dtype=torch.float32, device=image.device)
    prob = prob.contiguous()
    extent = hair_extents(prob, height, width)
    rows, columns, tiny = tables(prob, height, width)
    band = band_rows(count, height, width)
    grid = (count * triton.cdiv(height, band) * triton.cdiv(width, BLOCK),)
    with torch.cuda.device_of(image):
        backward_kernel[grid](
            grad, image, prob, settings, extent, rows, columns, image_grad, map_grad,
            *grad.stride(), *image.stride(), *image_grad.stride(), *prob.shape, height, width, band,
            CHANNELS=channels, BLOCK=BLOCK, TINY=tiny, COMPILED=COMPILED, **OPTIONS,
        )  # fmt: skip
    return image_grad, map_grad


def forms() -> list[Form]:
    """The compiled forms for planar images and maps of 224×224, as they are launched."""
    arrays = ("grad", "image", "prob", "rows", "columns", "image_grad", "map_grad")
    pointers = dict.fromkeys(arrays, "*fp32") | {"settings": "*fp64", "extent": "*i32"}
    fixed = {"BLOCK": BLOCK, "TINY": False, "COMPILED": True, "grad_column": 1, "image_column": 1, "out_column": 1}
    return [
        form(f"ombre, backward: {channels} channels", backward_kernel, pointers, {"CHANNELS": channels, **fixed})
        for channels in (3, 4)
    ]
