"""A synthesis layer of StyleGAN past its convolution: blur → noise → bias → leaky ReLU → instance norm → style.

Three kernels. `stats` reads the map and writes mean and squared deviations of each tile, `combine` makes a mean and a
factor of each plane of them, `apply` reads the map again and writes the result: what lies between is made twice rather
than written and read. A program walks down a strip of columns, so that the blur reads each row once, with its two
neighbours from the nearest cache.

Bytes: the map twice and the result once, 25 MB an image at 256×256 and 64 channels in half precision; plain PyTorch
reads and writes it some 16 times. Limit: bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import triton
import triton.language as tl
from ohlora_fast.kernels.form import Form
from torch import Tensor

WARPS = 4
NUMBERS = 1024
"""Of a row of a strip, eight a thread."""
CHANNELS = 64
"""Of a strip at most: in half precision, a cache line."""
ROWS = (32, 8)
"""Of a tile. A blur reads two more, so the taller ones are taken where there are enough of them …"""
PROGRAMS = 256
"""… to give each of a GPU's processors two."""
TILES = 32
"""Tiles that `combine` reads at once."""


@triton.jit
def pixels(x, y, column, channel, height, width, channels):
    """Row y of the map at some columns, (COLUMNS, CHANNELS) in float32; zeros outside."""
    inside = (column >= 0) & (column < tl.where((y >= 0) & (y < height), width, 0))
    at = (y * width + column)[:, None] * channels + channel[None, :]
    mask = inside[:, None] & (channel < channels)[None, :]
    return tl.load(x + at, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def across(x, y, column, channel, height, width, channels):
    """Row y, each pixel twice and its neighbours once."""
    left = pixels(x, y, column - 1, channel, height, width, channels)
    right = pixels(x, y, column + 1, channel, height, width, channels)
    return left + 2.0 * pixels(x, y, column, channel, height, width, channels) + right


@triton.jit
def rows_before(x, top, column, channel, height, width, channels, BLUR: tl.constexpr):
    """What `row` takes in the first row of a strip."""
    above = tl.zeros((column.shape[0], channel.shape[0]), tl.float32)
    here = above
    if BLUR:
        above = across(x, top - 1, column, channel, height, width, channels)
        here = across(x, top, column, channel, height, width, channels)
    return above, here


@triton.jit
def row(x, y, above, here, column, channel, height, width, channels, BLUR: tl.constexpr):
    """Row y, blurred or as it is; then what the next row takes: `across` of y and of y + 1 if blurred."""
    if BLUR:
        below = across(x, y + 1, column, channel, height, width, channels)
        value = 0.0625 * (above + 2.0 * here + below)
    else:
        below = here
        value = pixels(x, y, column, channel, height, width, channels)
    return value, here, below


@triton.jit
def activated(value, noise, y, column, height, width, weight, bias):
    """leaky(value + noise · weight + bias) in row y."""
    inside = column < tl.where(y < height, width, 0)
    plane = tl.load(noise + y * width + column, mask=inside, other=0.0).to(tl.float32)
    value = value + plane[:, None] * weight[None, :] + bias[None, :]
    return tl.where(value > 0.0, value, 0.2 * value)


@triton.jit
def strip(width, channels, ROWS: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr):
    """This program's sample, first row, columns and channels."""
    tiles = tl.cdiv(width, COLUMNS)
    top = tl.program_id(0) // tiles * ROWS
    column = tl.program_id(0) % tiles * COLUMNS + tl.arange(0, COLUMNS)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    return tl.program_id(2).to(tl.int64), top, column, channel


@triton.jit
def of_channels(values, channel, channels):
    return tl.load(values + channel, mask=channel < channels, other=0.0).to(tl.float32)


@triton.jit
def stats_kernel(
    x, noise, noise_weight, bias, partial, height, width, channels, noise_stride,
    BLUR: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Mean and sum of squared deviations of each tile and channel. Each number of a strip's row keeps its own first."""
    sample, top, column, channel = strip(width, channels, ROWS, COLUMNS, CHANNELS)
    x += sample * height * width * channels
    noise += sample * noise_stride
    weight = of_channels(noise_weight, channel, channels)
    start = of_channels(bias, channel, channels)
    mean = tl.zeros((COLUMNS, CHANNELS), tl.float32)
    squares = mean
    above, here = rows_before(x, top, column, channel, height, width, channels, BLUR)
    for step in range(ROWS):
        y = top + step
        value, above, here = row(x, y, above, here, column, channel, height, width, channels, BLUR)
        value = activated(value, noise, y, column, height, width, weight, start)
        there = column < tl.where(y < height, width, 0)
        delta = tl.where(there[:, None], value - mean, 0.0)
        mean += delta / (step + 1)
        squares += delta * (value - mean)
    rows = tl.minimum(height - top, ROWS).to(tl.float32)
    counts = tl.where(column < width, rows, 0.0)[:, None]
    middle = tl.sum(mean * counts, axis=0) / tl.sum(counts)
    apart = mean - middle[None, :]
    total = tl.sum(squares + counts * apart * apart, axis=0)
    out = partial + (sample * tl.num_programs(0) + tl.program_id(0)) * 2 * channels + channel
    tl.store(out, middle, mask=channel < channels)
    tl.store(out + channels, total, mask=channel < channels)


@triton.jit
def tile_counts(tile, height, width, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """The pixels of some tiles; none of those past the last."""
    strips = tl.cdiv(width, COLUMNS)
    rows = tl.maximum(tl.minimum(height - tile // strips * ROWS, ROWS), 0)
    return (rows * tl.minimum(width - tile % strips * COLUMNS, COLUMNS)).to(tl.float32)


@triton.jit
def combine_kernel(
    partial, style, moments, tiles, height, width, channels,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr, TILES: tl.constexpr,
):  # fmt: skip
    """Mean and factor, (1 + style) / deviation, of each plane."""
    sample = tl.program_id(1).to(tl.int64)
    channel = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    inside = channel < channels
    partial += sample * tiles * 2 * channels
    number = tl.cast(height * width, tl.float32)  # a size of 1 is no tensor: Triton makes it a constant
    mean = tl.zeros((CHANNELS,), tl.float32)
    for first in range(0, tiles, TILES):
        tile = first + tl.arange(0, TILES)
        mask = (tile < tiles)[:, None] & inside[None, :]
        middle = tl.load(partial + tile[:, None] * 2 * channels + channel[None, :], mask=mask, other=0.0)
        mean += tl.sum(middle * tile_counts(tile, height, width, ROWS, COLUMNS)[:, None], axis=0) / number
    squares = tl.zeros((CHANNELS,), tl.float32)
    for first in range(0, tiles, TILES):
        tile = first + tl.arange(0, TILES)
        mask = (tile < tiles)[:, None] & inside[None, :]
        at = partial + tile[:, None] * 2 * channels + channel[None, :]
        apart = tl.load(at, mask=mask, other=0.0) - mean[None, :]
        counts = tile_counts(tile, height, width, ROWS, COLUMNS)[:, None]
        squares += tl.sum(tl.load(at + channels, mask=mask, other=0.0) + counts * apart * apart, axis=0)
    factor = 1.0 + tl.load(style + sample * 2 * channels + channel, mask=inside, other=0.0).to(tl.float32)
    out = moments + sample * 2 * channels + channel
    tl.store(out, mean, mask=inside)
    tl.store(out + channels, factor / tl.sqrt(squares / number + 1e-8), mask=inside)


@triton.jit
def apply_kernel(
    x, noise, noise_weight, bias, style, moments, out, height, width, channels, noise_stride,
    BLUR: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """factor · (value − mean) + shift."""
    sample, top, column, channel = strip(width, channels, ROWS, COLUMNS, CHANNELS)
    x += sample * height * width * channels
    out += sample * height * width * channels
    noise += sample * noise_stride
    weight = of_channels(noise_weight, channel, channels)
    start = of_channels(bias, channel, channels)
    mean = of_channels(moments + sample * 2 * channels, channel, channels)[None, :]
    factor = of_channels(moments + (sample * 2 + 1) * channels, channel, channels)[None, :]
    shift = of_channels(style + (sample * 2 + 1) * channels, channel, channels)[None, :]
    above, here = rows_before(x, top, column, channel, height, width, channels, BLUR)
    for step in range(ROWS):
        y = top + step
        value, above, here = row(x, y, above, here, column, channel, height, width, channels, BLUR)
        value = activated(value, noise, y, column, height, width, weight, start)
        there = column < tl.where(y < height, width, 0)
        at = out + (y * width + column)[:, None] * channels + channel[None, :]
        tl.store(at, factor * (value - mean) + shift, mask=there[:, None] & (channel < channels)[None, :])


def tile_of(count: int, channels: int, height: int, width: int) -> dict[str, int]:
    """Rows, columns and channels of a program's tile.

    >>> tile_of(32, 64, 256, 256)
    {'ROWS': 32, 'COLUMNS': 16, 'CHANNELS': 64}
    """
    block = min(CHANNELS, triton.next_power_of_2(channels))
    columns = NUMBERS // block
    strips = count * triton.cdiv(channels, block) * triton.cdiv(width, columns)
    rows = next((rows for rows in ROWS if strips * triton.cdiv(height, rows) >= PROGRAMS), ROWS[-1])
    return {"ROWS": rows, "COLUMNS": columns, "CHANNELS": block}


def layer(x: Tensor, noise: Tensor, noise_weight: Tensor, bias: Tensor, style: Tensor, blur: bool) -> Tensor:
    """The layer of `ohlora_fast.ops.stylegan_layer_op`, which tells its arguments.

    Returns:
        (N, C, H, W), channels-last, in x's dtype: fp16, bf16 or fp32. Another layout of x is copied.
    """
    x = x.contiguous(memory_format=torch.channels_last)
    noise, style = noise.contiguous(), style.contiguous()
    count, channels, height, width = x.shape
    tile = tile_of(count, channels, height, width)
    tiles = triton.cdiv(height, tile["ROWS"]) * triton.cdiv(width, tile["COLUMNS"])
    blocks = triton.cdiv(channels, tile["CHANNELS"])
    partial = x.new_empty((count, tiles, 2, channels), dtype=torch.float32)
    moments = x.new_empty((count, 2, channels), dtype=torch.float32)
    out = torch.empty_like(x, memory_format=torch.channels_last)
    sizes = height, width, channels, 0 if noise.shape[0] == 1 else height * width
    with torch.cuda.device_of(x):
        stats_kernel[(tiles, blocks, count)](
            x, noise, noise_weight, bias, partial, *sizes, BLUR=blur, **tile, num_warps=WARPS
        )
        combine_kernel[(blocks, count)](
            partial, style, moments, tiles, *sizes[:3], **tile, TILES=TILES, num_warps=WARPS
        )
        apply_kernel[(tiles, blocks, count)](
            x, noise, noise_weight, bias, style, moments, out, *sizes, BLUR=blur, **tile, num_warps=WARPS
        )
    return out


def forms() -> Iterator[Form]:
    """The layers of the reference generator in each type, after a blur and without, in tall tiles and in low ones."""
    for rows in ROWS:
        tile = {"ROWS": rows, "COLUMNS": NUMBERS // CHANNELS, "CHANNELS": CHANNELS}
        yield form(f"stylegan: combine, {rows} rows", combine_kernel, "fp32", tile | {"TILES": TILES})
        for kind in ("fp16", "bf16", "fp32"):
            for blur in (True, False):
                about = f"{'blur, ' if blur else ''}{rows} rows, {kind}"
                yield form(f"stylegan: stats, {about}", stats_kernel, kind, {"BLUR": blur} | tile)
                yield form(f"stylegan: apply, {about}", apply_kernel, kind, {"BLUR": blur} | tile)


def form(name: str, kernel: Any, kind: str, constants: dict[str, Any]) -> Form:
    """A form for maps of a type; all else is float32."""
    types = dict.fromkeys(("tiles", "height", "width", "channels", "noise_stride"), "i32")
    types |= dict.fromkeys(("x", "out"), f"*{kind}") | dict.fromkeys(constants, "constexpr")
    signature = {argument: types.get(argument, "*fp32") for argument in kernel.arg_names}
    divisible = tuple(argument for argument, one in signature.items() if one.startswith("*"))
    return Form(name, kernel, signature, constants, {"num_warps": WARPS}, (*divisible, "channels"))
