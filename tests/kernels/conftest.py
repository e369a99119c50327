"""Where kernels are tested, and what several of their tests dye."""

import torch

from ohlora_fast.student.engines import device_problem

DEVICE = "cuda" if device_problem("cuda") is None else "cpu"
"""Without a GPU Triton's interpreter works on the CPU."""


def examples(interpreted):
    """How many examples hypothesis draws: half as many on a GPU, for which most shapes are compiled anew."""
    return interpreted if DEVICE == "cpu" else interpreted // 2


def laid_out(image, layout):
    """A tensor (N, C, H, W) of the pixels (N, H, W, C), laid out in memory one way or another."""
    pixels = torch.from_numpy(image).to(DEVICE).permute(0, 3, 1, 2)
    if layout == "planar":
        return pixels.contiguous()
    if layout == "interleaved":
        return pixels.contiguous(memory_format=torch.channels_last)
    spread = torch.zeros([2 * size + 1 for size in pixels.shape], dtype=pixels.dtype, device=DEVICE)
    spread[1::2, 1::2, 1::2, 1::2] = pixels
    return spread[1::2, 1::2, 1::2, 1::2]
