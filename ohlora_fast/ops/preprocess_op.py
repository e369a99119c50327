"""From photos to the student's input, on their device: PyTorch form, Triton form, custom op.

Importing this registers ``torch.ops.ohlora_fast.preprocess``. Everything here trusts its arguments.

The result is rounded to whole bytes, as the photos were that the student was trained on, and centred by taking 127.5
off. Such numbers are exact in float16 and bfloat16, where the same numbers scaled to [−1, 1] are not: bfloat16 would
round them by up to a quarter of a byte. The scale, 1 / 127.5, belongs into the weights that follow. The CPU path
(`student.preprocess`) rounds once across and once down, as Pillow does: the two differ by at most 2 bytes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ohlora_fast.student import SIZE


def preprocess_torch(image: Tensor, dtype: torch.dtype, size: int = SIZE) -> Tensor:
    """Resize and centre photos in plain PyTorch: what the kernel is held to, and what CPUs run.

    Args:
        image: uint8 RGB or RGBA (N, 3 or 4, H, W), of any strides; alpha is dropped.
        dtype: of the result: float16, bfloat16 or float32. All is computed in float32.
        size: height and width of the result, a multiple of 32.

    Returns:
        (N, 3, size, size): bytes less 127.5, so −127.5 to 127.5; channels-last in memory.

    >>> x = preprocess_torch(torch.full((1, 4, 40, 30), 255, dtype=torch.uint8), torch.float16)
    >>> x.shape, x.is_contiguous(memory_format=torch.channels_last), x.min().item()
    (torch.Size([1, 3, 224, 224]), True, 127.5)
    """
    pixels = F.interpolate(image[:, :3].float(), (size, size), mode="bilinear", antialias=True, align_corners=False)
    return (torch.floor(pixels + 0.5) - 127.5).to(dtype, memory_format=torch.channels_last)


def preprocess_triton(image: Tensor, dtype: torch.dtype, size: int = SIZE) -> Tensor:
    """Resize and centre photos in Triton: arguments and result as of :func:`preprocess_torch`."""
    from ohlora_fast.kernels.preprocess import preprocess as launch

    return launch(image, dtype, size)


preprocess = torch.library.custom_op(
    "ohlora_fast::preprocess",
    preprocess_torch,
    mutates_args=(),
    schema=f"(Tensor image, ScalarType dtype, int size={SIZE}) -> Tensor",
)
preprocess.register_kernel("cuda")(preprocess_triton)


@preprocess.register_fake
def _(image: Tensor, dtype: torch.dtype, size: int = SIZE) -> Tensor:
    shape = (image.shape[0], 3, size, size)
    return torch.empty(shape, dtype=dtype, device=image.device, memory_format=torch.channels_last)


def preprocess_cost(count: int, height: int, width: int, itemsize: int, channels: int = 3) -> tuple[int, int]:
    """Count what the preprocessing of a batch takes at least.

    Args:
        count: photos in the batch.
        height, width: of the photos.
        itemsize: bytes of a number of the result.
        channels: of the photos. All are counted: interleaved bytes come with their neighbours.

    Returns:
        Bytes through memory (photo read once, result written once), and operations of the two resizes, rows first.

    >>> preprocess_cost(1, 1024, 1024, 2)
    (3446784, 15335424)
    """
    down, across = (max(2 * source / SIZE, 2.0) for source in (height, width))  # weights an output
    operations = 2 * 3 * (SIZE * width * down + SIZE * SIZE * across)
    return count * (height * width * channels + 3 * SIZE * SIZE * itemsize), round(count * operations)
