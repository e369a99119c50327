"""The student's head past its lateral convolutions: two ghost modules and the readout, in two kernels.

`ghost` reads the laterals' sum (N, h, w, half) and writes the second ghost module's first half, p2, at the head's
resolution; `finish` reads p2 and writes probabilities, or for head stride 2 logits, which `double` then enlarges.
Neither the first ghost module's maps, nor the second's depthwise half, nor any concatenation is ever written.

At head stride 1 the first depthwise 3×3 convolution reads a map doubled by nearest neighbours. Each of its outputs,
(2y + i, 2x + j), then sees only 2×2 pixels of the map itself, whose weights are sums of the nine: `ghost_doubled`
computes the four outputs of a pixel from its nine neighbours with 16 products a channel in place of 36. Zero padding
agrees: row −1 of the doubled map is row −1 of the map, and row 2h is row h.

Bytes an image in half precision (half = 32): stride 1 reads 0.8 MB and writes 3.2 MB, then reads those and writes 0.2
MB; stride 2 reads 0.8, writes 0.8, reads 0.8, writes 0.05 MB of logits, and enlarges them to 0.2 MB. Operations: 0.18
and 0.07 GFLOP. Limit: bytes.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from ohlora_fast.kernels.form import Form
from ohlora_fast.kernels.lateral import farther, form, product, upcast
from torch import Tensor

GHOST_WARPS = 4
"""For tiles of 1,024 numbers: 150 registers a thread at the most; tiles of 2,048 take up to 255."""
FINISH_WARPS = 8
"""Four numbers a thread, so that the eleven weights a channel take 44 registers: 112 in all at the most, not 176."""
FINISH_ROWS = 8
"""Rows a program of `finish` walks down: it reads ten, so 1.25 times p2 from the caches, and 196 programs an image."""
DOUBLE_WARPS, DOUBLE_BLOCK = 4, 1024


@triton.jit
def primary(total, y, x, height, width, scale, shift, half, HALF: tl.constexpr):
    """ReLU and norm 1 of the laterals' sum at pixels y, x of a sample; zero outside it, where the padding begins."""
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    at = total + (y * width + x)[:, None] * HALF + half[None, :]
    value = tl.load(at, mask=inside[:, None], other=0.0).to(tl.float32)
    return tl.where(inside[:, None], tl.maximum(value, 0.0) * scale + shift, 0.0)


@triton.jit
def quad(a, b, c, d, taps, HALF: tl.constexpr):
    """ReLU of a 2×2 stencil whose four weights, a channel each, stand at taps."""
    half = tl.arange(0, HALF)
    total = a * tl.load(taps + half)[None, :] + b * tl.load(taps + HALF + half)[None, :]
    total += c * tl.load(taps + 2 * HALF + half)[None, :] + d * tl.load(taps + 3 * HALF + half)[None, :]
    return tl.maximum(total, 0.0)


@triton.jit
def write_p2(first, cheap, mix2, bias2, norm2, out, at, mask, HALF: tl.constexpr, UPCAST: tl.constexpr):
    """p2 = norm 2 of ReLU of primary 2 (given: first) + cheap 2 of the depthwise half, at the pixels of out at `at`."""
    half = tl.arange(0, HALF)
    factor = tl.load(mix2 + HALF * HALF + half[:, None] * HALF + half[None, :])
    mixed = product(cheap.to(factor.dtype), factor, first, UPCAST) + tl.load(bias2 + half)[None, :]
    p2 = tl.maximum(mixed, 0.0) * tl.load(norm2 + half)[None, :] + tl.load(norm2 + HALF + half)[None, :]
    tl.store(out + at[:, None] * HALF + half[None, :], p2, mask=mask[:, None])


@triton.jit
def tile(height, width, TILE_H: tl.constexpr, TILE_W: tl.constexpr):
    """The sample and the pixels y, x of this program's tile."""
    across = tl.cdiv(width, TILE_W)
    tiles = across * tl.cdiv(height, TILE_H)
    index = tl.program_id(0)
    within = tl.arange(0, TILE_H * TILE_W)
    y = index % tiles // across * TILE_H + within // TILE_W
    x = index % across * TILE_W + within % TILE_W
    return (index // tiles).to(tl.int64), y, x


@triton.jit
def ghost_doubled(
    total, norm1, phases, mix2, bias2, norm2, out, height, width,
    HALF: tl.constexpr, TILE_H: tl.constexpr, TILE_W: tl.constexpr, UPCAST: tl.constexpr,
):  # fmt: skip
    """Head stride 1: a tile of the sum → four times as many pixels of p2."""
    sample, y, x = tile(height, width, TILE_H, TILE_W)
    half = tl.arange(0, HALF)
    total += sample * height * width * HALF
    out += sample * height * width * 4 * HALF
    scale = tl.load(norm1 + half)[None, :]
    shift = tl.load(norm1 + HALF + half)[None, :]
    mask = (y < height) & (x < width)
    corner = 2 * y * (2 * width) + 2 * x

    centre = primary(total, y, x, height, width, scale, shift, half, HALF)
    factor = tl.load(mix2 + half[:, None] * HALF + half[None, :])
    first = product(centre.to(factor.dtype), factor, tl.zeros((TILE_H * TILE_W, HALF), tl.float32), UPCAST)
    # From the top row of neighbours to the bottom one: each is alive no longer than it must be.
    west = primary(total, y, x - 1, height, width, scale, shift, half, HALF)
    east = primary(total, y, x + 1, height, width, scale, shift, half, HALF)
    north_west = primary(total, y - 1, x - 1, height, width, scale, shift, half, HALF)
    north = primary(total, y - 1, x, height, width, scale, shift, half, HALF)
    cheap = quad(north_west, north, west, centre, phases, HALF)
    write_p2(first, cheap, mix2, bias2, norm2, out, corner, mask, HALF, UPCAST)
    north_east = primary(total, y - 1, x + 1, height, width, scale, shift, half, HALF)
    cheap = quad(north, north_east, centre, east, phases + 4 * HALF, HALF)
    write_p2(first, cheap, mix2, bias2, norm2, out, corner + 1, mask, HALF, UPCAST)
    south_west = primary(total, y + 1, x - 1, height, width, scale, shift, half, HALF)
    south = primary(total, y + 1, x, height, width, scale, shift, half, HALF)
    cheap = quad(west, centre, south_west, south, phases + 8 * HALF, HALF)
    write_p2(first, cheap, mix2, bias2, norm2, out, corner + 2 * width, mask, HALF, UPCAST)
    south_east = primary(total, y + 1, x + 1, height, width, scale, shift, half, HALF)
    cheap = quad(centre, east, south, south_east, phases + 12 * HALF, HALF)
    write_p2(first, cheap, mix2, bias2, norm2, out, corner + 2 * width + 1, mask, HALF, UPCAST)


@triton.jit
def ghost_plain(
    total, norm1, depthwise1, mix2, bias2, norm2, out, height, width,
    HALF: tl.constexpr, TILE_H: tl.constexpr, TILE_W: tl.constexpr, UPCAST: tl.constexpr,
):  # fmt: skip
    """Head stride 2: a tile of the sum → the same pixels of p2."""
    sample, y, x = tile(height, width, TILE_H, TILE_W)
    half = tl.arange(0, HALF)
    total += sample * height * width * HALF
    out += sample * height * width * HALF
    scale = tl.load(norm1 + half)[None, :]
    shift = tl.load(norm1 + HALF + half)[None, :]

    centre = primary(total, y, x, height, width, scale, shift, half, HALF)
    factor = tl.load(mix2 + half[:, None] * HALF + half[None, :])
    first = product(centre.to(factor.dtype), factor, tl.zeros((TILE_H * TILE_W, HALF), tl.float32), UPCAST)
    cheap = centre * tl.load(depthwise1 + 4 * HALF + half)[None, :]
    for tap in tl.static_range(9):
        if tap != 4:
            value = primary(total, y + tap // 3 - 1, x + tap % 3 - 1, height, width, scale, shift, half, HALF)
            cheap += value * tl.load(depthwise1 + tap * HALF + half)[None, :]
    cheap = tl.maximum(cheap, 0.0)
    write_p2(first, cheap, mix2, bias2, norm2, out, y * width + x, (y < height) & (x < width), HALF, UPCAST)


@triton.jit
def pixels_of(p2, y, x, height, width, HALF: tl.constexpr):
    """p2 in row y at columns x; zeros outside."""
    inside = (x >= 0) & (x < tl.where((y >= 0) & (y < height), width, 0))
    at = p2 + (y * width + x)[:, None] * HALF + tl.arange(0, HALF)[None, :]
    return tl.load(at, mask=inside[:, None], other=0.0).to(tl.float32)


@triton.jit
def three(weights, row: tl.constexpr, HALF: tl.constexpr):
    """The weights of one row of a depthwise 3×3 convolution."""
    at = weights + row * 3 * HALF + tl.arange(0, HALF)
    return tl.load(at)[None, :], tl.load(at + HALF)[None, :], tl.load(at + 2 * HALF)[None, :]


@triton.jit
def finish_kernel(
    p2, depthwise2, mix3, bias3, readout, height, width,
    HALF: tl.constexpr, SIGMOID: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """p2 → logits, or probabilities. A program walks down ROWS rows, reading each row once for the three it touches."""
    across = tl.cdiv(width, COLUMNS)
    tiles = across * tl.cdiv(height, ROWS)
    index = tl.program_id(0)
    sample = (index // tiles).to(tl.int64)
    top = index % tiles // across * ROWS
    x = index % across * COLUMNS + tl.arange(0, COLUMNS)
    half = tl.arange(0, HALF)
    p2 += sample * height * width * HALF
    readout += sample * height * width
    a0, a1, a2 = three(depthwise2, 0, HALF)
    b0, b1, b2 = three(depthwise2, 1, HALF)
    c0, c1, c2 = three(depthwise2, 2, HALF)
    primary3 = tl.load(mix3 + half)[None, :]
    cheap3 = tl.load(mix3 + HALF + half)[None, :]
    bias = tl.load(bias3)
    above = tl.zeros((COLUMNS, HALF), tl.float32)  # the depthwise sums, so far, of the row above
    here = above  # ... and of this one
    middle = above
    for step in tl.static_range(ROWS + 2):
        y = top + step - 1
        previous = middle
        left = pixels_of(p2, y, x - 1, height, width, HALF)
        middle = pixels_of(p2, y, x, height, width, HALF)
        right = pixels_of(p2, y, x + 1, height, width, HALF)
        if step >= 2:
            done = above + c0 * left + c1 * middle + c2 * right
            logit = tl.sum(tl.maximum(done, 0.0) * cheap3 + previous * primary3, axis=1) + bias
            if SIGMOID:
                logit = tl.sigmoid(logit)
            tl.store(readout + (y - 1) * width + x, logit, mask=x < tl.where(y <= height, width, 0))
        above = here + b0 * left + b1 * middle + b2 * right
        here = a0 * left + a1 * middle + a2 * right


@triton.jit
def double_kernel(logits, readout, height, width, BLOCK: tl.constexpr):
    """Logits (N, h, w) → sigmoid of them doubled bilinearly, half-pixel centres, borders replicated."""
    blocks = tl.cdiv(4 * height * width, BLOCK)
    sample = (tl.program_id(0) // blocks).to(tl.int64)
    pixel = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)
    mask = pixel < 4 * height * width
    y = pixel // (2 * width)
    x = pixel % (2 * width)
    far_y = farther(y, height)
    far_x = farther(x, width)
    logits += sample * height * width
    near = logits + y // 2 * width
    far = logits + far_y * width
    upper = 0.75 * tl.load(near + x // 2, mask=mask) + 0.25 * tl.load(near + far_x, mask=mask)
    lower = 0.75 * tl.load(far + x // 2, mask=mask) + 0.25 * tl.load(far + far_x, mask=mask)
    tl.store(readout + sample * 4 * height * width + pixel, tl.sigmoid(0.75 * upper + 0.25 * lower), mask=mask)


def tile_shape(half: int) -> tuple[int, int]:
    """Height and width of a ghost kernel's tile: 8×4 pixels of 32 channels, or as many numbers of other widths."""
    pixels = 1024 // half
    height = 8 if pixels > 16 else 4
    return height, pixels // height


def ghost(
    total: Tensor, norm1: Tensor, stencils: Tensor, mix2: Tensor, bias2: Tensor, norm2: Tensor, head_stride: int
) -> Tensor:
    """Both ghost modules up to the second one's first half.

    Args:
        total: (N, h, w, half), the laterals' sum.
        norm1, norm2: float32 (2, half), scale and shift.
        stencils: float32; of the depthwise convolution. For head stride 2 its taps, (9, half); for head stride 1
            (16, half): for each output of a pixel, (0, 0), (0, 1), (1, 0), (1, 1), the weights of the four pixels
            about it, in the same order.
        mix2: (2, half, half) in the dtype of total: the factors of the first ghost module's halves, inputs first.
        bias2: float32 (half,).
        head_stride: 1 or 2.

    Returns:
        (N, 2h, 2w, half) for head stride 1, (N, h, w, half) for 2, in the dtype of total.
    """
    count, height, width, half = total.shape
    up = 2 // head_stride
    out = total.new_empty((count, up * height, up * width, half))
    tile_h, tile_w = tile_shape(half)
    kernel = ghost_doubled if head_stride == 1 else ghost_plain
    with torch.cuda.device_of(total):
        kernel[(count * triton.cdiv(height, tile_h) * triton.cdiv(width, tile_w),)](
            total, norm1, stencils, mix2, bias2, norm2, out, height, width,
            HALF=half, TILE_H=tile_h, TILE_W=tile_w, UPCAST=upcast(total), num_warps=GHOST_WARPS,
        )  # fmt: skip
    return out


def finish(p2: Tensor, depthwise2: Tensor, mix3: Tensor, bias3: Tensor, head_stride: int) -> Tensor:
    """The second ghost module's depthwise half, the readout, and the sigmoid.

    Args:
        p2: (N, h, w, half).
        depthwise2: float32 (9, half).
        mix3: float32 (2, half), the readout's weights of p2 and of the depthwise half.
        bias3: float32 (1,).
        head_stride: 1; or 2, where the logits are doubled before the sigmoid.

    Returns:
        float32 probabilities, (N, 1, h, w) for head stride 1, (N, 1, 2h, 2w) for 2.
    """
    count, height, width, half = p2.shape
    logits = p2.new_empty((count, 1, height, width), dtype=torch.float32)
    columns = 1024 // half
    with torch.cuda.device_of(p2):
        finish_kernel[(count * triton.cdiv(height, FINISH_ROWS) * triton.cdiv(width, columns),)](
            p2, depthwise2, mix3, bias3, logits, height, width,
            HALF=half, SIGMOID=head_stride == 1, ROWS=FINISH_ROWS, COLUMNS=columns, num_warps=FINISH_WARPS,
        )  # fmt: skip
        if head_stride == 1:
            return logits
        out = logits.new_empty((count, 1, 2 * height, 2 * width))
        double_kernel[(count * triton.cdiv(4 * height * width, DOUBLE_BLOCK),)](
            logits, out, height, width, BLOCK=DOUBLE_BLOCK, num_warps=DOUBLE_WARPS
        )
    return out


def forms() -> list[Form]:
    """The kernels for heads of 64 channels in each type, and those for heads of 32 in half precision."""
    found = [form("head: double", double_kernel, "fp32", {"BLOCK": DOUBLE_BLOCK}, num_warps=DOUBLE_WARPS)]
    for kind, half in (("fp16", 32), ("bf16", 32), ("fp32", 32), ("fp16", 16)):
        tile_h, tile_w = tile_shape(half)
        tile_of = {"HALF": half, "TILE_H": tile_h, "TILE_W": tile_w, "UPCAST": False}
        rows = {"HALF": half, "ROWS": FINISH_ROWS, "COLUMNS": 1024 // half}
        for stride, ghost_kernel in ((1, ghost_doubled), (2, ghost_plain)):
            about = f"head stride {stride}, {half} channels, {kind}"
            found.append(form(f"head: ghost, {about}", ghost_kernel, kind, tile_of, num_warps=GHOST_WARPS))
            sigmoid = {"SIGMOID": stride == 1}
            found.append(form(f"head: finish, {about}", finish_kernel, kind, rows | sigmoid, num_warps=FINISH_WARPS))
    return found
