"""Refining maps of hair by their photos on a GPU; ohlora_fast/ops/refine_op.py says what is computed.

Three kernels: `fit` and `smooth` make the slopes and offsets of a grid, `add` goes over the photo. Bytes: the photo is
read once, the map at its size read and written; the four planes of the grid, 0.8 MB, stay in the cache. Limit: bytes.
To dye alone, `ombre_refined_triton` needs no map of the photo's size, and no `add`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from ohlora_fast.kernels.form import Form
from ohlora_fast.kernels.map_rows import COMPILED, clamped
from torch import Tensor

from ohlora_fast.ops.preprocess_op import preprocess
from ohlora_fast.ops.refine_op import DOUBT, EPS, RADIUS
from ohlora_fast.student import SIZE

STEEPNESS = tl.constexpr(DOUBT)
"""`DOUBT`, for kernels."""
WARPS = 4
CELLS = 128 if COMPILED else 2**14
"""Of the grid, a program. The interpreter's time goes by the number of operations, whatever their size."""
BLOCK = 512
"""Pixels of a row of the photo, a program."""


@triton.jit
def cells_of(height, width, CELLS: tl.constexpr):
    """This program's sample, and its cells: rows, columns, and which are inside."""
    cell = tl.program_id(0) * CELLS + tl.arange(0, CELLS)
    return tl.program_id(1).to(tl.int64), cell // width, cell % width, cell < height * width


@triton.jit
def fit_kernel(guide, maps, planes, map_stride, height, width, radius, eps, CELLS: tl.constexpr):
    """Of each window the slopes, and the mean colours: six planes a sample."""
    sample, y, x, inside = cells_of(height, width, CELLS)
    size = height * width
    guide += sample * 3 * size
    maps += sample * map_stride
    zero = tl.zeros((CELLS,), tl.float32)
    m, r, g, b, rm, gm, bm = zero, zero, zero, zero, zero, zero, zero
    rr, rg, rb, gg, gb, bb = zero, zero, zero, zero, zero, zero
    side = 2 * radius + 1
    for step in range(side * side):
        at = clamped(y + step // side - radius, height) * width + clamped(x + step % side - radius, width)
        map_ = tl.load(maps + at, mask=inside, other=0.0)
        red = tl.load(guide + at, mask=inside, other=0.0)
        green = tl.load(guide + size + at, mask=inside, other=0.0)
        blue = tl.load(guide + 2 * size + at, mask=inside, other=0.0)
        m += map_
        r += red
        g += green
        b += blue
        rm += red * map_
        gm += green * map_
        bm += blue * map_
        rr += red * red
        rg += red * green
        rb += red * blue
        gg += green * green
        gb += green * blue
        bb += blue * blue
    share = 1.0 / (side * side)
    m, r, g, b = m * share, r * share, g * share, b * share
    rm, gm, bm = rm * share - r * m, gm * share - g * m, bm * share - b * m
    rr, rg, rb = rr * share - r * r + eps, rg * share - r * g, rb * share - r * b
    gg, gb, bb = gg * share - g * g + eps, gb * share - g * b, bb * share - b * b + eps
    # Elimination, as in csrc/refine_rows.cpp.
    g_r, b_r = rg / rr, rb / rr
    gg2, gb2, gm2 = gg - g_r * rg, gb - g_r * rb, gm - g_r * rm
    b_g = gb2 / gg2
    blue_slope = (bm - b_r * rm - b_g * gm2) / (bb - b_r * rb - b_g * gb2)
    green_slope = (gm2 - gb2 * blue_slope) / gg2
    red_slope = (rm - rg * green_slope - rb * blue_slope) / rr
    out = planes + sample * 6 * size + y * width + x
    tl.store(out, red_slope, mask=inside)
    tl.store(out + size, green_slope, mask=inside)
    tl.store(out + 2 * size, blue_slope, mask=inside)
    tl.store(out + 3 * size, r, mask=inside)
    tl.store(out + 4 * size, g, mask=inside)
    tl.store(out + 5 * size, b, mask=inside)


@triton.jit
def smooth_kernel(planes, out, height, width, radius, CELLS: tl.constexpr):
    """The means of the windows' slopes, and the offset: four planes a sample."""
    sample, y, x, inside = cells_of(height, width, CELLS)
    size = height * width
    planes += sample * 6 * size
    red = tl.zeros((CELLS,), tl.float32)
    green, blue = red, red
    side = 2 * radius + 1
    for step in range(side * side):
        at = clamped(y + step // side - radius, height) * width + clamped(x + step % side - radius, width)
        red += tl.load(planes + at, mask=inside, other=0.0)
        green += tl.load(planes + size + at, mask=inside, other=0.0)
        blue += tl.load(planes + 2 * size + at, mask=inside, other=0.0)
    share = 1.0 / (side * side)
    red, green, blue = red * share, green * share, blue * share
    cell = y * width + x
    offset = -red * tl.load(planes + 3 * size + cell, mask=inside, other=0.0)
    offset -= green * tl.load(planes + 4 * size + cell, mask=inside, other=0.0)
    offset -= blue * tl.load(planes + 5 * size + cell, mask=inside, other=0.0)
    out += sample * 4 * size + cell
    tl.store(out, red, mask=inside)
    tl.store(out + size, green, mask=inside)
    tl.store(out + 2 * size, blue, mask=inside)
    tl.store(out + 3 * size, offset, mask=inside)


@triton.jit
def place(index, source, size):
    """Between which two cells an output lies, and the second one's weight."""
    position = (index + 0.5) * (source / size) - 0.5
    cell = tl.floor(position)
    first = cell.to(tl.int32)
    return clamped(first, source), clamped(first + 1, source), position - cell


@triton.jit
def stretched(plane, top, bottom, left, right, down, across, mask):
    """A plane at one row of the photo."""
    above = tl.load(plane + top + left, mask=mask, other=0.0)
    above += (tl.load(plane + top + right, mask=mask, other=0.0) - above) * across
    below = tl.load(plane + bottom + left, mask=mask, other=0.0)
    below += (tl.load(plane + bottom + right, mask=mask, other=0.0) - below) * across
    return above + (below - above) * down


@triton.jit
def with_detail(p, red, green, blue, planes, y, x, grid_height, grid_width, height, width, mask):
    """Probabilities p at columns x of row y, and what their pixels tell, by a sample's slopes and offset."""
    size = grid_height * grid_width
    top, bottom, down = place(y, grid_height, height)
    left, right, across = place(x, grid_width, width)
    top, bottom = top * grid_width, bottom * grid_width
    detail = stretched(planes, top, bottom, left, right, down, across, mask) * red.to(tl.float32)
    detail += stretched(planes + size, top, bottom, left, right, down, across, mask) * green.to(tl.float32)
    detail += stretched(planes + 2 * size, top, bottom, left, right, down, across, mask) * blue.to(tl.float32)
    detail = detail / 255.0 + stretched(planes + 3 * size, top, bottom, left, right, down, across, mask)
    detail = tl.minimum(tl.maximum(detail, -1.0), 1.0)
    q = p + tl.minimum(p * (1.0 - p) * STEEPNESS, 1.0) * detail
    return tl.minimum(tl.maximum(q, 0.0), 1.0)


@triton.jit
def add_kernel(
    image, planes, prob, sample_stride, plane_stride, row_stride, column_stride, grid_height, grid_width, height, width,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Adds to a row's probabilities what its pixels tell."""
    x = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    y, sample = tl.program_id(1), tl.program_id(2).to(tl.int64)
    mask = x < width
    planes += sample * 4 * grid_height * grid_width
    image += sample * sample_stride + y * tl.cast(row_stride, tl.int64) + x * tl.cast(column_stride, tl.int64)
    red = tl.load(image, mask=mask, other=0)
    green = tl.load(image + tl.cast(plane_stride, tl.int64), mask=mask, other=0)
    blue = tl.load(image + 2 * tl.cast(plane_stride, tl.int64), mask=mask, other=0)
    prob += (sample * height + y) * width + x
    p = tl.load(prob, mask=mask, other=0.0)
    q = with_detail(p, red, green, blue, planes, y, x, grid_height, grid_width, height, width, mask)
    tl.store(prob, q, mask=mask)


def slopes(guide: Tensor, maps: Tensor) -> Tensor:
    """Fit maps to photos on a grid, on their GPU; under Triton's interpreter on the CPU.

    Args:
        guide: float32 in [0, 1], (N, 3, h, w), the photos at the grid's size.
        maps: float32 (N or 1, h, w), the maps at the grid's size.

    Returns:
        float32 (N, 4, h, w): the slopes of red, green and blue, and the offset.
    """
    count, _, rows, columns = guide.shape
    guide, maps = guide.contiguous(), maps.contiguous()
    planes, smoothed = guide.new_empty((count, 6, rows, columns)), guide.new_empty((count, 4, rows, columns))
    cells = (triton.cdiv(rows * columns, CELLS), count)
    map_stride = 0 if len(maps) == 1 else rows * columns
    with torch.cuda.device_of(guide):
        fit_kernel[cells](guide, maps, planes, map_stride, rows, columns, RADIUS, EPS, CELLS=CELLS, num_warps=WARPS)
        smooth_kernel[cells](planes, smoothed, rows, columns, RADIUS, CELLS=CELLS, num_warps=WARPS)
    return smoothed


def refine_triton(image: Tensor, guide: Tensor, maps: Tensor, prob: Tensor) -> None:
    """Refine a batch on its GPU; under Triton's interpreter on the CPU.

    Args:
        image: uint8 or float32 in 0 to 255, (N, 3 or 4, H, W), of any strides.
        guide: float32 in [0, 1], (N, 3, h, w), the photos at the grid's size.
        maps: float32 (N or 1, h, w), the maps at the grid's size.
        prob: float32 (N, H, W), contiguous, the maps at the photos' size. It is changed.
    """
    count, _, height, width = image.shape
    planes = slopes(guide, maps)
    with torch.cuda.device_of(image):
        add_kernel[(triton.cdiv(width, BLOCK), height, count)](
            image, planes, prob, *image.stride(), *planes.shape[2:], height, width, BLOCK=BLOCK, num_warps=WARPS
        )


def refined(photos: Tensor, maps: Tensor) -> Tensor:
    """The maps (N or 1, h, w) at the photos' size, refined: (N, H, W). Arguments as of `refine_triton`."""
    prob = resized(maps[:, None], photos.shape[2:], "bicubic")[:, 0].clamp(0, 1)
    prob = prob.expand(len(photos), -1, -1).contiguous()
    refine_triton(photos, *on_grid(photos, maps), prob)
    return prob


def on_grid(photos: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
    """Photos and maps at the grid's size, as `slopes` takes them."""
    grid = maps if maps.shape[1:] == (SIZE, SIZE) else resized(maps[:, None], (SIZE, SIZE), "bicubic")[:, 0].clamp(0, 1)
    if photos.dtype == torch.uint8:  # as the student takes them: without a copy in floats
        return (preprocess(photos, torch.float32) + 127.5) / 255, grid
    return resized(photos[:, :3].float(), (SIZE, SIZE), "bilinear") / 255, grid


def resized(x: Tensor, size: tuple[int, ...], mode: str) -> Tensor:
    return F.interpolate(x, tuple(size), mode=mode, align_corners=False, antialias=mode == "bilinear")


def forms() -> Iterator[Form]:
    """Every kernel for a student's grid, and photos of bytes and of floats."""
    yield form("refine: fit", fit_kernel, {"CELLS": CELLS})
    yield form("refine: smooth", smooth_kernel, {"CELLS": CELLS})
    for kind in ("u8", "fp32"):
        yield form(f"refine: add, {kind}", add_kernel, {"BLOCK": BLOCK}, image=f"*{kind}")


def form(name: str, kernel: Any, constants: dict[str, int], **types: str) -> Form:
    """A form whose pointers are float32 but for `types`, and whose other numbers are whole but for `eps`."""
    types |= dict.fromkeys(("guide", "maps", "planes", "out", "prob"), "*fp32") | {"eps": "fp32"}
    signature = {
        argument: "constexpr" if argument in constants else types.get(argument, "i32") for argument in kernel.arg_names
    }
    divisible = tuple(argument for argument, kind in signature.items() if kind.startswith("*"))
    return Form(name, kernel, signature, constants, {"num_warps": WARPS}, divisible)
