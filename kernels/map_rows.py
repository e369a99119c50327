"""A map of probabilities, resized cubically row by row inside a kernel: the part that the ombre's kernels share.

All of it is float32 in the order of OpenCV 5.0's additions, of which there are three: inner, where all four taps of an
output lie inside the map, border, and one for maps below 4×4; csrc/ombre_rows.cpp says more. It is right only in
kernels launched with ``enable_fp_fusion=False``.
"""

from __future__ import annotations

import triton
import triton.language as tl

GAIN = tl.constexpr(1.446 * 255)
"""Two cubic passes raise a map's largest value m to at most 1.1875²·m + 0.1875²·m = 1.4453·m."""


@triton.jit
def at(pointer, index, stride):
    return pointer + tl.cast(index, tl.int64) * stride


@triton.jit
def clamped(index, size):
    return tl.minimum(tl.maximum(index, 0), size - 1)


@triton.jit
def fused(a, b, c, COMPILED: tl.constexpr):
    """a·b + c of float32, rounded once: the interpreter's `tl.fma` rounds twice."""
    if COMPILED:
        return tl.fma(a, b, c)
    else:
        return (a.to(tl.float64) * b + c).to(tl.float32)


@triton.jit
def place(height, width, rows, BLOCK: tl.constexpr):
    """This program's share: a sample, rows [begin, end), and columns [x_begin, x_end)."""
    blocks = tl.cdiv(width, BLOCK)
    bands = tl.cdiv(height, rows)
    program = tl.program_id(0)
    begin = program // blocks % bands * rows
    x_begin = program % blocks * BLOCK
    end, x_end = tl.minimum(begin + rows, height), tl.minimum(x_begin + BLOCK, width)
    return program // blocks // bands, begin, end, x_begin, x_end


@triton.jit
def taps(table, x, size):
    """Of outputs x: the first of the four cells, and the weights. Outputs beyond the size have weights of 0."""
    inside = x < size
    first = tl.load(table + x, mask=inside, other=0.0).to(tl.int32)
    w0 = tl.load(table + size + x, mask=inside, other=0.0)
    w1 = tl.load(table + 2 * size + x, mask=inside, other=0.0)
    w2 = tl.load(table + 3 * size + x, mask=inside, other=0.0)
    w3 = tl.load(table + 4 * size + x, mask=inside, other=0.0)
    return first, w0, w1, w2, w3


@triton.jit
def is_inner(first, size):
    return (first >= 0) & (first + 3 < size)


@triton.jit
def stretched(
    prob, j, inner_row, columns, x, map_height, map_width, width, TINY: tl.constexpr, COMPILED: tl.constexpr
):  # fmt: skip
    """Row j of the map, replicated at the border, stretched to columns x."""
    row = prob + clamped(j, map_height) * map_width
    last = map_width - 1
    # The taps come from the cache each time: kept in registers they would halve the warps of a processor.
    first, w0, w1, w2, w3 = taps(columns, x, width)
    p0 = tl.load(row + tl.minimum(tl.maximum(first, 0), last)) * 255.0
    p1 = tl.load(row + tl.minimum(tl.maximum(first + 1, 0), last)) * 255.0
    p2 = tl.load(row + tl.minimum(tl.maximum(first + 2, 0), last)) * 255.0
    p3 = tl.load(row + tl.minimum(tl.maximum(first + 3, 0), last)) * 255.0
    if TINY:
        return ((p0 * w0 + p1 * w1) + p2 * w2) + p3 * w3
    else:
        border = fused(p3, w3, fused(p2, w2, fused(p0, w0, p1 * w1, COMPILED), COMPILED), COMPILED)
        return tl.where(inner_row & is_inner(first, map_width), (p0 * w0 + p1 * w1) + (p2 * w2 + p3 * w3), border)


@triton.jit
def all_inner(columns, x_begin, x_end, map_width):
    first, last = tl.load(columns + x_begin).to(tl.int32), tl.load(columns + x_end - 1).to(tl.int32)
    return is_inner(first, map_width) & is_inner(last, map_width)


@triton.jit
def map_row(
    y, r0, r1, r2, r3, held, prob, rows, columns, x, plain, map_height, map_width, height, width,
    TINY: tl.constexpr, COMPILED: tl.constexpr,
):  # fmt: skip
    """Row y of the resized map at columns x, on the scale of 0 to 255; r0 to r3 are the stretched rows from `held` on.

    Output rows of one cell share them, and the next cell's are the same but for one: from 224 to 1024, a row of the map
    is stretched every 4.6 rows. `plain` is what `all_inner` says of the columns.
    """
    cell, v0, v1, v2, v3 = taps(rows, y, height)
    inner_row = is_inner(cell, map_height)
    if cell != held:
        kept = tl.where((cell > held) & (inner_row == is_inner(held, map_height)), 4 - (cell - held), 0)
        for k in range(tl.maximum(kept, 0), 4):
            r0 = r1
            r1 = r2
            r2 = r3
            r3 = stretched(
                prob, cell + k, inner_row, columns, x, map_height, map_width, width, TINY, COMPILED
            )  # fmt: skip
        held = cell
    if TINY:
        q = r0 * v0 + (r1 * v1 + (r2 * v2 + r3 * v3))
    else:
        q = fused(r0, v0, r1 * v1, COMPILED) + fused(r2, v2, r3 * v3, COMPILED)
        if (inner_row & plain) == 0:
            first = tl.load(columns + x, mask=x < width, other=0.0).to(tl.int32)
            inner = inner_row & is_inner(first, map_width)
            q = tl.where(inner, q, (r0 * v0 + r2 * v2) + (r1 * v1 + r3 * v3))
    return q, r0, r1, r2, r3, held


@triton.jit
def can_exceed(limit, prob, rows, columns, begin, end, x_begin, x_end, map_height, map_width, COMPILED: tl.constexpr):
    """Whether any output of a rectangle may exceed a limit, by the largest of the cells that it touches."""
    HIGH: tl.constexpr = 8 if COMPILED else 64
    WIDE: tl.constexpr = 32 if COMPILED else 256
    j_begin = clamped(tl.load(rows + begin).to(tl.int32), map_height)
    j_end = clamped(tl.load(rows + end - 1).to(tl.int32) + 3, map_height) + 1
    i_begin = clamped(tl.load(columns + x_begin).to(tl.int32), map_width)
    i_end = clamped(tl.load(columns + x_end - 1).to(tl.int32) + 3, map_width) + 1
    largest = tl.zeros((HIGH, WIDE), tl.float32)
    for j0 in range(j_begin, j_end, HIGH):
        j = j0 + tl.arange(0, HIGH)[:, None]
        for i0 in range(i_begin, i_end, WIDE):
            i = i0 + tl.arange(0, WIDE)[None, :]
            cells = tl.load(prob + j * map_width + i, mask=(j < j_end) & (i < i_end), other=0.0)
            largest = tl.maximum(largest, cells)
    return tl.max(tl.max(largest, 1), 0) * GAIN > limit


COMPILED = isinstance(map_row, triton.JITFunction)
"""False under the interpreter."""
