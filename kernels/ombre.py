"""The ombre, fused: cubic resize of the map, threshold, hair rows, gradient, dye and blend in two kernels.

`extent_kernel` finds the first and last hair row of each map; `dye_kernel` reads each pixel once and writes it once.
Between them go eight bytes a map. Bytes: 2·C a pixel for uint8, and the map; in place only the blocks that change.
Limit: bytes, but where all is half-transparent hair: float64 arithmetic, some 25 operations a pixel.

The results are the reference's wherever OpenCV's order of additions is known (see csrc/ombre_rows.cpp). So the resize
is float32 in that order, with fused multiply-adds where OpenCV has them and, by ``enable_fp_fusion=False``, nowhere
else; and the blend is float64 in the reference's order.

By refined maps (see `refine`), `dye_kernel` adds to each row of the map what the photo's pixels tell. Refining first
takes 16 bytes a pixel more: a map of the photo's size is written, read, written and read again. Limit: bytes, or where
there is hair, loads from the cache: 16 numbers a pixel, and of interleaved pixels one channel at a time; unmeasured.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import torch
import triton
import triton.language as tl
from ohlora_fast.kernels.cubic import tap_table
from ohlora_fast.kernels.form import Form
from ohlora_fast.kernels.map_rows import COMPILED, all_inner, at, can_exceed, clamped, map_row, place
from ohlora_fast.kernels.refine import on_grid, slopes, with_detail

from ohlora_fast.ops.refine_op import DOUBT
from ohlora_fast.student import SIZE

if TYPE_CHECKING:
    from torch import Tensor

CLEAR = tl.constexpr(191.25)
"""On the map's scale of 0 to 255: up to here the opacity is 0."""
HAIR = tl.constexpr(239.0625)
"""On that scale: an opacity of 191.25 of 255, which makes a hair row."""
FAINT = tl.constexpr(CLEAR.value / (1 + DOUBT))
"""What is more than this, refining may raise above `CLEAR`."""
GRID = tl.constexpr(SIZE)
"""Height and width of the planes by which maps are refined."""

# One warp a program: its branches are a warp's own, and need no barrier. Four bytes a thread and plane make a load of
# 128 bytes; the rows of an interleaved image have one plane to keep the memory busy with, so they take eight.
# The interpreter's time goes by the number of operations, whatever their size.
OPTIONS = {"num_warps": 1, "num_stages": 1, "enable_fp_fusion": False}
BLOCK, BLOCK_INTERLEAVED = (128, 256) if COMPILED else (1024, 1024)

# The rows of a program share its columns' taps and most of the stretched rows of the map. Batches below LARGE pixels
# are cut finer, to fill the GPU.
ROWS, ROWS_SMALL, LARGE = 32, 8, 2**22


@triton.jit
def extent_kernel(
    prob, extent, rows, columns, map_height, map_width, height, width, band,
    BLOCK: tl.constexpr, TINY: tl.constexpr, COMPILED: tl.constexpr,
):  # fmt: skip
    m, begin, end, x_begin, x_end = place(height, width, band, BLOCK)
    prob = at(prob, m, map_height * map_width)
    if can_exceed(HAIR, prob, rows, columns, begin, end, x_begin, x_end, map_height, map_width, COMPILED):
        x = x_begin + tl.arange(0, BLOCK)
        plain = all_inner(columns, x_begin, x_end, map_width)
        r0 = tl.zeros((BLOCK,), tl.float32)
        r1, r2, r3 = r0, r0, r0
        held = -(2**30)
        # Down from the first row to the top of the hair; from there on up from the last row to its bottom.
        top, bottom = end, begin - 1
        y = begin
        while y < end:
            q, r0, r1, r2, r3, held = map_row(
                y, r0, r1, r2, r3, held, prob, rows, columns, x, plain, map_height, map_width, height, width,
                TINY, COMPILED,
            )  # fmt: skip
            hair = tl.max(q, 0) >= HAIR
            down = top == end
            top = tl.where(hair & down, y, top)
            bottom = tl.where(down, bottom, y)
            y = tl.where(down, tl.where(hair, end - 1, y + 1), tl.where(hair, end, y - 1))
        if top < end:
            tl.atomic_max(extent + 2 * m, height - top)
            tl.atomic_max(extent + 2 * m + 1, bottom + 1)


@triton.jit
def gradient(extent, settings, height):
    """The rows where the gradient begins and ends; 0 and 0, so no gradient, where there is no hair row."""
    above = tl.load(extent)
    top = height - above
    bottom = tl.load(extent + 1) - 1
    grad_top = (top + (bottom - top).to(tl.float64) * (1.0 - tl.load(settings + 3))).to(tl.int32)
    grad_bottom = (grad_top + (bottom - grad_top).to(tl.float64) * tl.load(settings + 4)).to(tl.int32)
    return tl.where(above > 0, grad_top, 0), tl.where(above > 0, grad_bottom, 0)


@triton.jit
def row_weight(y, grad_top, grad_bottom):
    steps = tl.maximum(grad_bottom - grad_top, 1)
    ramp = tl.maximum(y - grad_top, 0).to(tl.float64) / steps.to(tl.float64)
    return tl.where(y < grad_bottom, ramp, 1.0)


@triton.jit
def as_double(value):
    """Whole numbers below 2^31 as float64: the bits of 2^52 + value, less 2^52. Conversions run at 1/4 the rate."""
    return (value.to(tl.int64) | 0x4330000000000000).to(tl.float64, bitcast=True) - 4503599627370496.0


@triton.jit
def over_255(a, COMPILED: tl.constexpr):
    """a / 255 of float64, correctly rounded, in three operations: a quotient within 1 ulp, and its remainder's."""
    if COMPILED:
        quotient = a * (1.0 / 255.0)
        return tl.fma(tl.fma(quotient, -255.0, a), 1.0 / 255.0, quotient)
    else:
        return a / 255.0


@triton.jit
def shade_of(settings, channel, IMAGE: tl.constexpr):
    hue = tl.load(settings + channel)
    if tl.uint8 == IMAGE:
        return 5 * hue.to(tl.int32) - 765
    else:
        return 0.25 * hue.to(tl.float32) - 38.25


@triton.jit
def dyed(pixels, shade):
    """clip(1.35·v + 0.25·hue − 38.25); truncated, for bytes: the integers give the same for all v and hue."""
    if pixels.dtype == tl.uint8:
        return tl.minimum(tl.maximum(27 * pixels.to(tl.int32) + shade, 0) // 20, 255).to(tl.uint8)
    else:
        return tl.minimum(tl.maximum(1.35 * pixels + shade, 0.0), 255.0)


@triton.jit
def opacity(q, weight, IMAGE: tl.constexpr, COMPILED: tl.constexpr):
    # Exact in float32: from 128 on, q is a multiple of 2^-16.
    alpha = 4.0 * tl.minimum(tl.maximum(q, CLEAR), 255.0) - 765.0
    if tl.uint8 == IMAGE:
        return over_255(alpha.to(tl.float64) * weight, COMPILED)
    else:
        return alpha * weight.to(tl.float32) / 255.0


@triton.jit
def mixed(pixels, shade, a):
    if pixels.dtype == tl.uint8:
        mix = (1.0 - a) * as_double(pixels) + a * as_double(dyed(pixels, shade))
        return mix.to(tl.int32).to(tl.uint8)
    else:
        return (1.0 - a) * pixels + a * dyed(pixels, shade)


@triton.jit
def copy(image, out, begin, end, x, width, image_row, image_column, out_row, out_column):
    """Rows of one plane as they are, eight at once."""
    for y0 in range(begin, end, 8):
        y = y0 + tl.arange(0, 8)[:, None]
        there = (y < end) & (x < width)[None, :]
        pixels = tl.load(at(at(image, y, image_row), x[None, :], image_column), mask=there)
        tl.store(at(at(out, y, out_row), x[None, :], out_column), pixels, mask=there)


@triton.jit
def load_planes(source, plane, there, PLANES: tl.constexpr):
    p0 = tl.load(source, mask=there, other=0)
    if PLANES == 1:
        return p0, p0, p0
    else:
        return (
            p0,
            tl.load(at(source, 1, plane), mask=there, other=0),
            tl.load(at(source, 2, plane), mask=there, other=0),
        )


@triton.jit
def dye_kernel(
    image, out, prob, settings, extent, rows, columns, planes,
    image_sample, image_plane, image_row, image_column, out_sample, out_plane, out_row, out_column,
    maps, map_height, map_width, height, width, band,
    CHANNELS: tl.constexpr, PLANES: tl.constexpr, BLOCK: tl.constexpr,
    IN_PLACE: tl.constexpr, TINY: tl.constexpr, COMPILED: tl.constexpr,
):  # fmt: skip
    n, begin, end, x_begin, x_end = place(height, width, band, BLOCK)
    m = tl.minimum(n, maps - 1)
    prob = at(prob, m, map_height * map_width)
    settings += 5 * n
    grad_top, grad_bottom = gradient(extent + 2 * m, settings, height)
    # The first row of any weight; none where there is no opacity.
    start = clamped(grad_top + (grad_bottom > grad_top).to(tl.int32) - begin, end - begin + 1) + begin
    LIMIT: tl.constexpr = CLEAR if planes is None else FAINT
    if planes is not None:  # the maps are to be refined
        planes = at(planes, n, 4 * GRID * GRID)
    if not can_exceed(LIMIT, prob, rows, columns, begin, end, x_begin, x_end, map_height, map_width, COMPILED):
        start = end

    x = x_begin + tl.arange(0, BLOCK)
    image = at(image, n, image_sample)
    out = at(out, n, out_sample)
    if not IN_PLACE:
        for plane in tl.static_range(PLANES):
            copy(
                at(image, plane, image_plane), at(out, plane, out_plane), begin, end if plane == 3 else start,
                x, width, image_row, image_column, out_row, out_column,
            )  # fmt: skip

    IMAGE: tl.constexpr = image.dtype.element_ty
    channel = x % CHANNELS if PLANES == 1 else 0
    s0 = shade_of(settings, channel, IMAGE)
    s1, s2 = shade_of(settings, 1, IMAGE), shade_of(settings, 2, IMAGE)
    image = at(image, x, image_column)
    out = at(out, x, out_column)
    plain = all_inner(columns, x_begin, x_end, map_width)
    r0 = tl.zeros((BLOCK,), tl.float32)
    r1, r2, r3 = r0, r0, r0
    held = -(2**30)
    # Not range(start, end): Triton would not see the rows' alignment then, and read byte by byte.
    for step in range(0, end - start):
        y = start + step
        source = at(image, y, image_row)
        there = x < width
        if not IN_PLACE:  # early, so that the wait overlaps the map's arithmetic
            p0, p1, p2 = load_planes(source, image_plane, there, PLANES)
        q, r0, r1, r2, r3, held = map_row(
            y, r0, r1, r2, r3, held, prob, rows, columns, x, plain, map_height, map_width, height, width,
            TINY, COMPILED,
        )  # fmt: skip
        some = tl.max((q > LIMIT).to(tl.int32), 0) > 0
        if IN_PLACE:
            there = x < tl.where(some, width, 0)
            p0, p1, p2 = load_planes(source, image_plane, there, PLANES)
        if some:
            if planes is not None:
                p = tl.minimum(tl.maximum(q * (1.0 / 255.0), 0.0), 1.0)
                q = 255.0 * with_detail(p, p0, p1, p2, planes, y, x, GRID, GRID, height, width, there)
            weight = row_weight(y, grad_top, grad_bottom)
            part = tl.max(((q < 255.0) & there).to(tl.int32), 0)
            before = p0
            if (part == 0) & (weight == 1.0):
                p0 = dyed(p0, s0)
                if PLANES > 1:
                    p1 = dyed(p1, s1)
                    p2 = dyed(p2, s2)
            else:
                a = opacity(q, weight, IMAGE, COMPILED)
                p0 = mixed(p0, s0, a)
                if PLANES > 1:
                    p1 = mixed(p1, s1, a)
                    p2 = mixed(p2, s2, a)
            if PLANES == 1 and CHANNELS == 4:
                p0 = tl.where(channel < 3, p0, before)
        target = at(out, y, out_row)
        tl.store(target, p0, mask=there)
        if PLANES > 1:
            tl.store(at(target, 1, out_plane), p1, mask=there)
            tl.store(at(target, 2, out_plane), p2, mask=there)


def band_rows(count: int, height: int, width: int) -> int:
    """How many rows a program takes."""
    return ROWS if count * height * width >= LARGE or not COMPILED else ROWS_SMALL


def tile(channels: int, interleaved: bool) -> dict[str, int]:
    """What a program of `dye_kernel` takes of a row: a run of each plane, or a run of an interleaved row's values."""
    if interleaved:
        return {"CHANNELS": channels, "PLANES": 1, "BLOCK": BLOCK_INTERLEAVED}
    return {"CHANNELS": channels, "PLANES": channels, "BLOCK": BLOCK}


def tables(prob: Tensor, height: int, width: int, repeat: int = 1) -> tuple[Tensor, Tensor, bool]:
    """The taps of rows and of columns, each of those ``repeat`` times over, and whether the map is tiny."""
    tiny = min(prob.shape[1:]) < 4
    rows = tap_table(prob.shape[1], height, tiny, 1, prob.device)
    return rows, tap_table(prob.shape[2], width, tiny, repeat, prob.device), tiny


def hair_extents(prob: Tensor, height: int, width: int) -> Tensor:
    """Find the hair rows of maps resized to an image's size.

    Args:
        prob: float32 (M, h, w) in [0, 1], contiguous.
        height, width: of the image.

    Returns:
        int32 (M, 2): height less the first hair row, and the last one plus 1; 0 and 0 if there is none.
    """
    extent = torch.zeros((len(prob), 2), dtype=torch.int32, device=prob.device)
    rows, columns, tiny = tables(prob, height, width)
    band = band_rows(len(prob), height, width)
    grid = (len(prob) * triton.cdiv(height, band) * triton.cdiv(width, BLOCK),)
    with torch.cuda.device_of(prob):
        extent_kernel[grid](
            prob, extent, rows, columns, *prob.shape[1:], height, width, band,
            BLOCK=BLOCK, TINY=tiny, COMPILED=COMPILED, **OPTIONS,
        )  # fmt: skip
    return extent


def ombre_triton(
    image: Tensor, prob: Tensor, settings: Tensor, out: Tensor | None = None, planes: Tensor | None = None
) -> Tensor:
    """Dye a batch of images on their GPU; under Triton's interpreter on the CPU.

    Args:
        image: uint8 or float32 (N, 3 or 4, H, W) of any strides. What is contiguous, planar or interleaved, is read
            and written in runs of four bytes and more a thread, if its rows are aligned to 16 bytes.
        prob: float32 (M, h, w) in [0, 1], where M is N or 1.
        settings: float64 (N, 5), as of :func:`ohlora_fast.ops.ombre_op.pack_settings`.
        out: where to write, of the image's shape and dtype; None for a new tensor of the image's layout. It may be the
            image itself: runs of 128 pixels (85 in interleaved rows) that stay as they are, are then neither read nor
            written.
        planes: what :func:`ohlora_fast.kernels.refine.slopes` gives on the student's grid, to dye by maps refined so;
            the gradient stays that of the maps as they are.

    Returns:
        ``out``.
    """
    out = torch.empty_like(image) if out is None else out
    count, channels, height, width = image.shape
    # Refining takes whole pixels, not runs of values.
    interleaved = planes is None and all(one.stride(1) == 1 and one.stride(3) == channels for one in (image, out))
    shape = tile(channels, interleaved)
    repeat = channels if interleaved else 1
    prob = prob.contiguous()
    extent = hair_extents(prob, height, width)
    rows, columns, tiny = tables(prob, height, width, repeat)
    band = band_rows(count, height, width)
    strides = [stride for one in (image, out) for stride in (*one.stride()[:3], 1 if interleaved else one.stride(3))]
    grid = (count * triton.cdiv(height, band) * triton.cdiv(width * repeat, shape["BLOCK"]),)
    with torch.cuda.device_of(image):
        dye_kernel[grid](
            image, out, prob, settings, extent, rows, columns, planes, *strides,
            *prob.shape, height, width * repeat, band,
            **shape, IN_PLACE=out is image, TINY=tiny, COMPILED=COMPILED, **OPTIONS,
        )  # fmt: skip
    return out


def ombre_refined_triton(image: Tensor, prob: Tensor, settings: Tensor, out: Tensor | None = None) -> Tensor:
    """Dye a batch of images by refined maps on their GPU; under Triton's interpreter on the CPU.

    Args:
        image: uint8 or float32 in 0 to 255, (N, 3 or 4, H, W), of any strides. Planes are read and written in the
            longest runs.
        prob: float32 (M, h, w) in [0, 1], where M is N or 1. Its hair rows, not the refined map's, bear the gradient.
        settings: float64 (N, 5), as of :func:`ohlora_fast.ops.ombre_op.pack_settings`.
        out: where to write, as of :func:`ombre_triton`.

    Returns:
        ``out``.
    """
    return ombre_triton(image, prob, settings, out, slopes(*on_grid(image, prob)))


def forms() -> list[Form]:
    """The compiled forms of both kernels for large batches of 224×224 maps, as they are launched."""
    fixed = {"TINY": False, "COMPILED": True}
    found = [form("ombre: hair rows", extent_kernel, {}, {"BLOCK": BLOCK, **fixed})]
    for refined, kind, channels, interleaved, in_place in product(
        (False, True), ("u8", "fp32"), (3, 4), (False, True), (False, True)
    ):
        name = f"ombre{', refined' * refined}: {kind}, {channels} channels"
        name += f"{', interleaved' * interleaved}{', in place' * in_place}"
        pointers = {"image": f"*{kind}", "out": f"*{kind}", "settings": "*fp64"}
        constants = {"IN_PLACE": in_place, **fixed} | tile(channels, interleaved and not refined)
        if not refined:
            constants["planes"] = None
        if interleaved:
            constants |= {"image_plane": 1, "out_plane": 1}
        if not (interleaved and refined):
            constants |= {"image_column": 1, "out_column": 1}
        found.append(form(name, dye_kernel, pointers, constants))
    return found


def form(name: str, kernel: Any, pointers: dict[str, str], constants: dict[str, Any]) -> Form:
    """A form whose other arguments are whole numbers, most of them multiples of 16."""
    pointers = dict.fromkeys(("prob", "rows", "columns", "planes"), "*fp32") | {"extent": "*i32"} | pointers
    signature = {
        argument: "constexpr" if argument in constants else pointers.get(argument, "i32")
        for argument in kernel.arg_names
    }
    odd = ("maps", "image_column", "out_column")
    divisible = tuple(one for one, kind in signature.items() if kind != "constexpr" and one not in odd)
    return Form(name, kernel, signature, constants, OPTIONS, divisible)
