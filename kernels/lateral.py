"""One level of the student's head: 3×3 convolution → ReLU → 1×1 convolution, plus the coarser level's sum, doubled.

An implicit matrix product: a program takes a run of pixels, gathers their patches tap by tap, multiplies them on the
tensor cores, and carries the result through ReLU and the 1×1 convolution without leaving the chip. What would be the
widest tensor of the head, 64 channels at each level's resolution, is never written.

Bytes: the feature is read once (its nine taps come from the caches), the coarser sum once, the level's sum of 32
channels is written once: 1.4 MB an image at 112×112 in half precision, for 0.28 GFLOP. Limit: bytes on Hopper at large
batches; at batch 1 the latency of the coarse levels' long sums (2,880 products each at 7×7).
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from ohlora_fast.kernels.form import Form
from torch import Tensor

WARPS = 4
"""One warpgroup, which Hopper's wgmma needs."""
STAGES = 3
"""Patches in flight: with 24 KB each in half precision, two programs fit a multiprocessor's shared memory."""
PROGRAMS = 128
"""Smaller blocks are taken when larger ones would not give a GPU of 108 (A100) or 132 (H100) processors one each."""


@triton.jit
def product(a, b, total, UPCAST: tl.constexpr):
    """total + a·b in float32. UPCAST for bfloat16 in the interpreter, which would multiply its bits as integers."""
    if UPCAST:
        a = a.to(tl.float32)
        b = b.to(tl.float32)
    return tl.dot(a, b, total, input_precision="ieee")


@triton.jit
def farther(at, size):
    """Of the two cells between which place `at` of a doubled axis lies, the one that it is farther from; within the
    map. The nearer one, at // 2, has weight 3/4."""
    return tl.minimum(tl.maximum(at // 2 - 1 + at % 2 * 2, 0), size - 1)


@triton.jit
def cells(at, inside):
    """The float32 numbers at these places, those of pixels that are inside."""
    return tl.load(at, mask=inside[:, None], other=0.0).to(tl.float32)


@triton.jit
def lateral_kernel(
    feature, weight, pointwise, bias, coarser, out, pixels, height, width,
    CHANNELS: tl.constexpr, PADDED: tl.constexpr, WIDTH: tl.constexpr, HALF: tl.constexpr, COARSEST: tl.constexpr,
    BILINEAR: tl.constexpr, BLOCK: tl.constexpr, BLOCK_K: tl.constexpr, UPCAST: tl.constexpr,
):  # fmt: skip
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    row = pixel // width
    y = row % height
    x = pixel % width
    inside = pixel < pixels
    patches = feature + pixel.to(tl.int64)[:, None] * CHANNELS
    within = tl.arange(0, BLOCK_K)
    column = tl.arange(0, WIDTH)
    half = tl.arange(0, HALF)
    hidden = tl.zeros((BLOCK, WIDTH), tl.float32)
    PARTS: tl.constexpr = PADDED // BLOCK_K
    for step in range(9 * PARTS):
        tap = step // PARTS
        dy = tap // 3 - 1
        dx = tap % 3 - 1
        channel = step % PARTS * BLOCK_K + within
        there = inside & (y + dy >= 0) & (y + dy < height) & (x + dx >= 0) & (x + dx < width)
        mask = there[:, None] & (channel < CHANNELS)[None, :]
        patch = tl.load(patches + (dy * width + dx) * CHANNELS + channel[None, :], mask=mask, other=0.0)
        taps = tl.load(weight + (step * BLOCK_K + within)[:, None] * WIDTH + column[None, :])
        hidden = product(patch, taps, hidden, UPCAST)
    hidden = tl.maximum(hidden, 0.0).to(out.dtype.element_ty)
    mix = tl.load(pointwise + column[:, None] * HALF + half[None, :])
    total = product(hidden, mix, tl.zeros((BLOCK, HALF), tl.float32), UPCAST)
    if COARSEST:
        total += tl.load(bias + half)[None, :]
    else:
        above = (row // height * (height // 2) + y // 2) * (width // 2) + x // 2
        at = coarser + above.to(tl.int64)[:, None] * HALF + half[None, :]
        if BILINEAR:
            across = ((farther(x, width // 2) - x // 2) * HALF)[:, None]
            down = ((farther(y, height // 2) - y // 2) * (width // 2) * HALF)[:, None]
            nearer = 0.75 * cells(at, inside) + 0.25 * cells(at + across, inside)
            total += 0.75 * nearer + 0.25 * (0.75 * cells(at + down, inside) + 0.25 * cells(at + down + across, inside))
        else:
            total += cells(at, inside)
    tl.store(out + pixel.to(tl.int64)[:, None] * HALF + half[None, :], total, mask=inside[:, None])


def block_size(pixels: int, width: int, step: int, itemsize: int) -> int:
    """How many pixels a program takes, of which it multiplies `step` channels at a time.

    As many as leave every processor a program and the sums in registers: at most 168 a thread in half precision. In
    float32, which is multiplied without tensor cores, Triton keeps the factors there too.
    """
    room = 10240 if itemsize == 2 else 3072
    for block in (128, 64, 32):
        if block * (width + step) <= room and pixels >= PROGRAMS * block:
            return block
    return 16


def block_k(padded: int, itemsize: int) -> int:
    """How many channels of a patch one step multiplies: a cache line of 128 bytes, or all of them."""
    return min(padded, 128 // itemsize)


def upcast(tensor: Tensor) -> bool:
    """Whether `product` must enlarge this tensor's numbers. Tensors on the CPU are the interpreter's alone."""
    return tensor.dtype == torch.bfloat16 and not tensor.is_cuda


def lateral(
    feature: Tensor, weight: Tensor, pointwise: Tensor, bias: Tensor, coarser: Tensor | None, bilinear: bool = False
) -> Tensor:
    """Sum of one level and all coarser ones, before the first ghost module's ReLU.

    Args:
        feature: (N, C, H, W), channels-last in memory (another layout is copied); fp16, bf16 or fp32.
        weight: (9 · P, width) in the feature's dtype: for each tap P rows, of which those past C are zeros.
        pointwise: (width, half) in the feature's dtype.
        bias: float32 (half,), read at the coarsest level alone.
        coarser: (N, H/2, W/2, half), the coarser levels' sum; None at the coarsest level.
        bilinear: double that sum bilinearly (half-pixel centres, borders replicated), not by repeating its values.

    Returns:
        (N, H, W, half) in the feature's dtype.
    """
    feature = feature.contiguous(memory_format=torch.channels_last)
    count, channels, height, width = feature.shape
    pixels, padded = count * height * width, weight.shape[0] // 9
    out = feature.new_empty((count, height, width, pointwise.shape[1]))
    step = block_k(padded, feature.element_size())
    block = block_size(pixels, weight.shape[1], step, feature.element_size())
    with torch.cuda.device_of(feature):
        lateral_kernel[(triton.cdiv(pixels, block),)](
            feature, weight, pointwise, bias, out if coarser is None else coarser, out, pixels, height, width,
            CHANNELS=channels, PADDED=padded, WIDTH=weight.shape[1], HALF=pointwise.shape[1],
            COARSEST=coarser is None, BILINEAR=bilinear, BLOCK=block, BLOCK_K=step, UPCAST=upcast(feature),
            num_warps=WARPS, num_stages=STAGES,
        )  # fmt: skip
    return out


def forms() -> list[Form]:
    """Each level of the pyramids of EfficientNet-B0 and -Lite0, and of -Lite2, at batch 1 and at batch 64."""
    sizes = ((16, 16, 112), (24, 32, 56), (40, 64, 28), (48, 64, 28), (112, 128, 14), (120, 128, 14))
    sizes += ((320, 320, 7), (352, 384, 7))
    found = {}
    for kind, itemsize in (("fp16", 2), ("bf16", 2), ("fp32", 4)):
        for channels, padded, size in sizes:
            for count in (1, 64):
                step = block_k(padded, itemsize)
                block = block_size(count * size * size, 64, step, itemsize)
                name = f"head: lateral of {channels} channels, blocks of {block}, {kind}"
                for bilinear in (False, True) if size in (14, 28, 56) else (False,):  # levels that bilinear sums reach
                    constants = {
                        "CHANNELS": channels, "PADDED": padded, "WIDTH": 64, "HALF": 32, "COARSEST": size == 7,
                        "BILINEAR": bilinear, "BLOCK": block, "BLOCK_K": step, "UPCAST": False,
                    }  # fmt: skip
                    one = name + ", bilinear" * bilinear
                    found[one] = form(one, lateral_kernel, kind, constants, num_warps=WARPS, num_stages=STAGES)
    return list(found.values())


def form(name: str, kernel: Any, kind: str, constants: dict[str, Any], **options: int) -> Form:
    """A form of one of the head's kernels for features of a type; all its pointers are aligned."""
    float32 = ("bias", "norm1", "norm2", "phases", "depthwise1", "depthwise2", "bias2", "mix3", "bias3", "readout")
    types = dict.fromkeys(("pixels", "height", "width"), "i32") | dict.fromkeys(float32, "*fp32")
    types |= dict.fromkeys(constants, "constexpr")
    signature = {argument: types.get(argument, f"*{kind}") for argument in kernel.arg_names}
    pointers = tuple(argument for argument, one in signature.items() if one.startswith("*"))
    return Form(name, kernel, signature, constants, options, pointers)
