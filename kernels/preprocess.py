"""Photos to the student's input: antialiased bilinear resize, centring, layout and type, in one kernel.

A resize is two matrix products, down · photo · across, whose matrices hold a triangle of weights for each output. A
program makes a tile of the output, 16×32 pixels of three colours. It walks over the part of the photo that the tile's
triangles touch, 16×64 pixels at a time, down each strip of 64 columns and then on to the next one; it computes the
weights as it goes, and multiplies on the tensor cores. So a byte of the photo is loaded about 1.4 times, and
neighbouring threads load neighbouring bytes. A gather of every output's own taps would load each byte about five times
when shrinking, in strides that grow with the photo.

Bytes: the photo read once (where tiles overlap, again from the caches), three numbers a pixel written: 3.1 + 0.3 MB for
a photo of 1024², 0.2 + 0.3 MB for one of 256². Limit: instructions, 0.4 of a warp's a byte, reckoned at two
to three times the time of the bytes for a photo of 1024² on an H100; unmeasured.

Exact enough for float32: bytes are exact in float16, and what is not is split into two float16, 22 bits.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
import triton
import triton.language as tl
from ohlora_fast.kernels.form import Form
from torch import Tensor

TILE_H, TILE_W = 16, 32
"""98 programs for a single photo, near one for each processor of an A100 or H100."""
ROWS, COLUMNS = 16, 64
"""With 16×64 pixels a step 96 to 168 registers a thread; 32 rows, 128 columns or tiles of 32 rows take up to 255."""
OPTIONS = {"num_warps": 4, "maxnreg": 168}
"""Three programs a processor. Left to itself, ptxas aims at 128 registers here and there, and spills a few."""


@triton.jit
def triangle(source, start, offset, peak, narrow):
    """Weight of source pixels for outputs whose triangles start at pixel `start`, `offset` from their tips."""
    distance = (source - start).to(tl.float32) + offset
    return tl.maximum(peak - peak * narrow * tl.abs(distance), 0.0)


@triton.jit
def halves(x):
    """x as the sum of two float16, which holds 22 bits of it."""
    high = x.to(tl.float16)
    return high, (x - high.to(tl.float32)).to(tl.float16)


@triton.jit
def down(high, low, pixels, mask, total):
    """total + weights · pixels."""
    values = tl.load(pixels, mask=mask, other=0).to(tl.float16)
    return tl.dot(low, values, tl.dot(high, values, total))


@triton.jit
def across(columns, high, low, total):
    """total + columns · weights, but for the product of both lower halves."""
    column_high, column_low = halves(columns)
    return tl.dot(column_low, high, tl.dot(column_high, low, tl.dot(column_high, high, total)))


@triton.jit
def centred(value):
    """The nearest byte, less 127.5: half whole numbers, exact in every type."""
    return (value + 0.5).to(tl.int32).to(tl.float32) - 127.5


@triton.jit
def preprocess_kernel(
    image, out, window_y, shape_y, window_x, shape_x, narrow_y, narrow_x, height, width,
    sample_stride, colour_stride, row_stride, column_stride, out_colour, out_row, out_column,
    SIZE: tl.constexpr, TILE_H: tl.constexpr, TILE_W: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    columns: tl.constexpr = SIZE // TILE_W
    tiles: tl.constexpr = SIZE // TILE_H * columns
    sample = (tl.program_id(0) // tiles).to(tl.int64)
    top = tl.program_id(0) % tiles // columns * TILE_H
    left = tl.program_id(0) % columns * TILE_W
    image += sample * sample_stride
    y = top + tl.arange(0, TILE_H)
    x = left + tl.arange(0, TILE_W)
    start_y = tl.load(window_y + y)[:, None]
    offset_y = tl.load(shape_y + y)[:, None]
    peak_y = tl.load(shape_y + SIZE + y)[:, None]
    start_x = tl.load(window_x + x)[None, :]
    offset_x = tl.load(shape_x + x)[None, :]
    peak_x = tl.load(shape_x + SIZE + x)[None, :]
    # Starting at a multiple of 16, rows of whole planes are loaded 16 bytes a thread.
    first_x = tl.load(window_x + left) // 16 * 16
    last_x = tl.cdiv(tl.load(window_x + SIZE + left + TILE_W - 1), 16) * 16
    first_y = tl.load(window_y + top)
    last_y = tl.load(window_y + SIZE + top + TILE_H - 1)

    red = tl.zeros((TILE_H, TILE_W), tl.float32)
    green = red
    blue = red
    for column in range(first_x, last_x, COLUMNS):
        source_x = column + tl.arange(0, COLUMNS)
        inside_x = (source_x < last_x) & (source_x < width)
        column_red = tl.zeros((TILE_H, COLUMNS), tl.float32)
        column_green = column_red
        column_blue = column_red
        for row in range(first_y, last_y, ROWS):
            source_y = row + tl.arange(0, ROWS)
            high, low = halves(triangle(source_y[None, :], start_y, offset_y, peak_y, narrow_y))
            mask = (source_y < last_y)[:, None] & inside_x[None, :]
            pixels = image + tl.cast(row, tl.int64) * row_stride
            pixels += tl.arange(0, ROWS)[:, None] * row_stride + source_x[None, :] * column_stride
            column_red = down(high, low, pixels, mask, column_red)
            column_green = down(high, low, pixels + colour_stride, mask, column_green)
            column_blue = down(high, low, pixels + 2 * colour_stride, mask, column_blue)
        high, low = halves(triangle(source_x[:, None], start_x, offset_x, peak_x, narrow_x))
        red = across(column_red, high, low, red)
        green = across(column_green, high, low, green)
        blue = across(column_blue, high, low, blue)

    out += sample * 3 * SIZE * SIZE + y[:, None] * out_row + x[None, :] * out_column
    tl.store(out, centred(red))
    tl.store(out + out_colour, centred(green))
    tl.store(out + 2 * out_colour, centred(blue))


def resize_windows(source: int, size: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], float]:
    """Where each output of an antialiased bilinear resize reads along one axis, and how the pixels there weigh.

    An output's weights are a triangle about its centre, half as wide as `scale` = source / size pixels, or 1 where the
    photo is enlarged; cut off at the photo's borders, and divided by their sum.

    Returns:
        int32 (2, size): the window's first pixel and the one after its last; float32 (2, size): the first pixel's
        distance from the triangle's tip, and the weight at the tip; the inverse of the triangle's half width.

    >>> windows, shape, narrow = resize_windows(8, 4)
    >>> windows.tolist(), narrow
    ([[0, 1, 3, 5], [3, 5, 7, 8]], 0.5)
    >>> shape[0].tolist()
    [-0.5, -1.5, -1.5, -1.5]
    """
    scale = source / size
    support = max(scale, 1.0)
    centre = scale * (np.arange(size) + 0.5)
    first = np.maximum(np.floor(centre - support + 0.5), 0)
    last = np.minimum(np.floor(centre + support + 0.5), source)
    offset = first + 0.5 - centre
    distance = offset[:, None] + np.arange(int((last - first).max()))
    weight = np.maximum(1 - np.abs(distance) / support, 0) * (np.arange(distance.shape[1]) < (last - first)[:, None])
    windows = np.stack([first, last]).astype(np.int32)
    return windows, np.stack([offset, 1 / weight.sum(axis=1)]).astype(np.float32), 1 / support


@lru_cache(maxsize=256)
def windows_on(source: int, size: int, device: torch.device) -> tuple[Tensor, Tensor, float]:
    """`resize_windows` on a device, copied there once."""
    windows, shape, narrow = resize_windows(source, size)
    return torch.from_numpy(windows).to(device), torch.from_numpy(shape).to(device), narrow


def preprocess(image: Tensor, dtype: torch.dtype, size: int, channels_last: bool = True) -> Tensor:
    """Resize and centre photos.

    Args:
        image: uint8 (N, 3 or 4, H, W), of any strides; a fourth channel is not read.
        dtype: of the result: float16, bfloat16 or float32.
        size: height and width of the result, a multiple of 32.
        channels_last: the result's memory format; contiguous if False.

    Returns:
        (N, 3, size, size): bytes less 127.5.
    """
    count, _, height, width = image.shape
    layout = torch.channels_last if channels_last else torch.contiguous_format
    out = torch.empty((count, 3, size, size), dtype=dtype, device=image.device, memory_format=layout)
    window_y, shape_y, narrow_y = windows_on(height, size, image.device)
    window_x, shape_x, narrow_x = windows_on(width, size, image.device)
    with torch.cuda.device_of(image):
        preprocess_kernel[(count * (size // TILE_H) * (size // TILE_W),)](
            image, out, window_y, shape_y, window_x, shape_x, narrow_y, narrow_x, height, width,
            *image.stride(), *out.stride()[1:],
            SIZE=size, TILE_H=TILE_H, TILE_W=TILE_W, ROWS=ROWS, COLUMNS=COLUMNS, **OPTIONS,
        )  # fmt: skip
    return out


def forms() -> list[Form]:
    """From RGB photos (bytes interleaved, or in planes of an even or an odd width) to each type, channels-last."""
    found = []
    fixed = {"out_colour": 1, "SIZE": 224, "TILE_H": TILE_H, "TILE_W": TILE_W, "ROWS": ROWS, "COLUMNS": COLUMNS}
    pointers = {"image", "out", "window_y", "shape_y", "window_x", "shape_x"}
    strides = {"sample_stride", "row_stride", "out_row"}
    for layout, unit, even in (
        ("interleaved", "colour_stride", {"width"} | strides),
        ("planes, width a multiple of 16", "column_stride", {"width", "colour_stride"} | strides),
        ("planes", "column_stride", {"out_row"}),
    ):
        for kind in ("fp16", "bf16", "fp32"):
            constants = {unit: 1} | fixed
            types = {"image": "*u8", "out": f"*{kind}", "narrow_y": "fp32", "narrow_x": "fp32"}
            types |= dict.fromkeys(("window_y", "window_x"), "*i32") | dict.fromkeys(("shape_y", "shape_x"), "*fp32")
            types |= dict.fromkeys(constants, "constexpr")
            signature = {argument: types.get(argument, "i32") for argument in preprocess_kernel.arg_names}
            name, divisible = f"preprocess: {layout}, {kind}", tuple(sorted(pointers | even))
            found.append(Form(name, preprocess_kernel, signature, constants, OPTIONS, divisible))
    return found
