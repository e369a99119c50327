"""Natural dyeing, fused: cubic resize of the map, opacity, and the way through OKLab and back, in one kernel.

What it computes stands in ohlora_fast/ops/natural_plan.py, whose plan (tables of dyes, which pixel takes which) comes
from the CPU. The kernel reads each pixel once and writes it once. Bytes: 2·C a pixel for uint8, 4 more where each pixel
has an index. Limit: arithmetic, some 150 float32 operations for a pixel of hair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import triton
import triton.language as tl
from ohlora_fast.kernels.form import Form
from ohlora_fast.kernels.map_rows import COMPILED, all_inner, at, can_exceed, map_row, place
from ohlora_fast.kernels.ombre import OPTIONS, band_rows, tables

from ohlora_fast.ops.natural_plan import COLUMNS, EDGES
from ohlora_fast.ops.natural_torch import plan_tensors
from ohlora_fast.ops.oklab import decode_table

if TYPE_CHECKING:
    from torch import Tensor

CLEAR = tl.constexpr(255 * EDGES[0])
"""On the map's scale of 0 to 255: up to here the opacity is 0."""
FULL = tl.constexpr(255 * EDGES[1])
"""And from here on 1."""
DYE = tl.constexpr(COLUMNS)

# Four bytes a thread; the interpreter's time goes by the number of operations, whatever their size.
BLOCK = 128 if COMPILED else 1024


@triton.jit
def cube_root(x):
    """Of 1e-15 and more: a guess by dividing the exponent, and twice Halley's step, which triples the digits."""
    x = tl.maximum(x, 1e-15)
    y = (x.to(tl.int32, bitcast=True) // 3 + 0x2A514067).to(tl.float32, bitcast=True)
    cube = y * y * y
    y = y * (cube + 2.0 * x) / (2.0 * cube + x)
    cube = y * y * y
    return y * (cube + 2.0 * x) / (2.0 * cube + x)


@triton.jit
def encoded(light):
    """Linear light as sRGB, 0 to 255: light to the power 1/2.4 is its cube root's to 5/4."""
    light = tl.minimum(tl.maximum(light, 0.0), 1.0)
    root = cube_root(light)
    return 255.0 * tl.where(light <= 0.0031308, 12.92 * light, 1.055 * root * tl.sqrt(tl.sqrt(root)) - 0.055)


@triton.jit
def linear(pixels, decode):
    """Linear light of bytes by a table, of floats by the formula."""
    if pixels.dtype == tl.uint8:
        return tl.load(decode + pixels.to(tl.int32))
    else:
        value = pixels / 255.0
        curve = tl.exp2(2.4 * tl.log2((tl.maximum(value, 0.04045) + 0.055) / 1.055))
        return tl.where(value <= 0.04045, value / 12.92, curve)


@triton.jit
def stored(value, pixels, share):
    """What becomes of a channel: rounded to nearest for bytes, and as it was where nothing is dyed."""
    if pixels.dtype == tl.uint8:
        return tl.where(share > 0.0, (value + 0.5).to(tl.int32).to(tl.uint8), pixels)
    else:
        return tl.where(share > 0.0, value, pixels)


@triton.jit
def natural_kernel(
    image, out, prob, table, index, decode, rows, columns,
    image_sample, image_plane, image_row, image_column, out_sample, out_plane, out_row, out_column,
    maps, map_height, map_width, height, width, band, dyes,
    CHANNELS: tl.constexpr, BLOCK: tl.constexpr, INDEXED: tl.constexpr, TINY: tl.constexpr, COMPILED: tl.constexpr,
):  # fmt: skip
    n, begin, end, x_begin, x_end = place(height, width, band, BLOCK)
    prob = at(prob, tl.minimum(n, maps - 1), map_height * map_width)
    lit = can_exceed(CLEAR, prob, rows, columns, begin, end, x_begin, x_end, map_height, map_width, COMPILED)
    x = x_begin + tl.arange(0, BLOCK)
    there = x < width
    image = at(at(image, n, image_sample), x, image_column)
    out = at(at(out, n, out_sample), x, out_column)
    table = at(table, n, dyes * DYE)
    index = at(index, n * height, width) + x
    plain = all_inner(columns, x_begin, x_end, map_width)
    r0 = tl.zeros((BLOCK,), tl.float32)
    r1, r2, r3 = r0, r0, r0
    held = -(2**30)
    for step in range(0, end - begin):
        y = begin + step
        source = at(image, y, image_row)
        target = at(out, y, out_row)
        red = tl.load(source, mask=there, other=0)
        green = tl.load(at(source, 1, image_plane), mask=there, other=0)
        blue = tl.load(at(source, 2, image_plane), mask=there, other=0)
        if CHANNELS == 4:
            tl.store(at(target, 3, out_plane), tl.load(at(source, 3, image_plane), mask=there, other=0), mask=there)
        if lit:
            q, r0, r1, r2, r3, held = map_row(
                y, r0, r1, r2, r3, held, prob, rows, columns, x, plain, map_height, map_width, height, width,
                TINY, COMPILED,
            )  # fmt: skip
            if tl.max((q > CLEAR).to(tl.int32), 0) > 0:
                dye = table + y * DYE
                if INDEXED:
                    dye = table + tl.load(at(index, y, width), mask=there, other=0) * DYE
                opacity = tl.minimum(tl.maximum((q - CLEAR) / (FULL - CLEAR), 0.0), 1.0)
                share = tl.load(dye) * opacity * opacity * (3.0 - 2.0 * opacity)

                r, g, b = linear(red, decode), linear(green, decode), linear(blue, decode)
                l_ = cube_root(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b)
                m_ = cube_root(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b)
                s_ = cube_root(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b)
                lightness = 0.2104542553 * l_ + 0.7936177850 * m_ - 0.0040720468 * s_
                a_axis = 1.9779984951 * l_ - 2.4285922050 * m_ + 0.4505937099 * s_
                b_axis = 0.0259040371 * l_ + 0.7827717662 * m_ - 0.8086757660 * s_

                apart = lightness - tl.load(dye + 1)
                above = tl.maximum(apart, 0.0)
                brighter = tl.load(dye + 4) * above / (1.0 + tl.load(dye + 5) * above)
                dyed = tl.load(dye + 2) + tl.where(apart < 0.0, tl.load(dye + 3) * apart, brighter)
                dyed = tl.minimum(tl.maximum(dyed, 0.0), 1.0)
                color = tl.minimum(tl.load(dye + 8) * dyed, tl.load(dye + 9) * (1.0 - dyed))
                color *= 1.0 - tl.load(dye + 10) * above
                lightness += share * (dyed - lightness)
                a_axis += share * (color * tl.load(dye + 6) - a_axis)
                b_axis += share * (color * tl.load(dye + 7) - b_axis)

                l_ = lightness + 0.3963377774 * a_axis + 0.2158037573 * b_axis
                m_ = lightness - 0.1055613458 * a_axis - 0.0638541728 * b_axis
                s_ = lightness - 0.0894841775 * a_axis - 1.2914855480 * b_axis
                l_, m_, s_ = l_ * l_ * l_, m_ * m_ * m_, s_ * s_ * s_
                red = stored(encoded(4.0767416621 * l_ - 3.3077115913 * m_ + 0.2309699292 * s_), red, share)
                green = stored(encoded(-1.2684380046 * l_ + 2.6097574011 * m_ - 0.3413193965 * s_), green, share)
                blue = stored(encoded(-0.0041960863 * l_ - 0.7034186147 * m_ + 1.7076147010 * s_), blue, share)
        tl.store(target, red, mask=there)
        tl.store(at(target, 1, out_plane), green, mask=there)
        tl.store(at(target, 2, out_plane), blue, mask=there)


def natural_triton(image: Tensor, prob: Tensor, packed: Tensor) -> Tensor:
    """Dye a batch of images on their GPU, which waits for the CPU once; under Triton's interpreter on the CPU.

    Args:
        image: uint8 or float32 (N, 3 or 4, H, W) of any strides. Planes are read and written in the longest runs.
        prob: float32 (M, h, w) in [0, 1], where M is N or 1.
        packed: float64 (N, 14 + 3·S), as of :func:`ohlora_fast.natural.pack_natural`.

    Returns:
        A new tensor of the image's shape, dtype and layout.
    """
    out = torch.empty_like(image)
    count, channels, height, width = image.shape
    prob = prob.contiguous()
    table, index = plan_tensors(image, prob, packed)
    decode = torch.from_numpy(decode_table()).to(image.device, torch.float32)
    rows, columns, tiny = tables(prob, height, width)
    band = band_rows(count, height, width)
    with torch.cuda.device_of(image):
        natural_kernel[(count * triton.cdiv(height, band) * triton.cdiv(width, BLOCK),)](
            image, out, prob, table, table if index is None else index, decode, rows, columns,
            *image.stride(), *out.stride(), *prob.shape, height, width, band, table.shape[1],
            CHANNELS=channels, BLOCK=BLOCK, INDEXED=index is not None, TINY=tiny, COMPILED=COMPILED, **OPTIONS,
        )  # fmt: skip
    return out


def forms() -> list[Form]:
    """The compiled forms for large batches of planes and 224×224 maps, as they are launched."""
    return [
        form(f"natural: {kind}, {channels} channels{', indexed' * indexed}", kind, channels, indexed)
        for kind in ("u8", "fp32")
        for channels in (3, 4)
        for indexed in (False, True)
    ]


def form(name: str, kind: str, channels: int, indexed: bool) -> Form:
    constants: dict[str, Any] = {
        "CHANNELS": channels, "BLOCK": BLOCK, "INDEXED": indexed, "TINY": False, "COMPILED": True,
        "image_column": 1, "out_column": 1,
    }  # fmt: skip
    pointers = dict.fromkeys(("prob", "table", "decode", "rows", "columns"), "*fp32")
    pointers |= {"image": f"*{kind}", "out": f"*{kind}", "index": "*i32" if indexed else "*fp32"}
    signature = {
        argument: "constexpr" if argument in constants else pointers.get(argument, "i32")
        for argument in natural_kernel.arg_names
    }
    divisible = tuple(one for one, of in signature.items() if of != "constexpr" and one != "maps")
    return Form(name, natural_kernel, signature, constants, OPTIONS, divisible)
