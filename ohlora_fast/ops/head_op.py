"""The student's head, from the encoder's features to hair probabilities: PyTorch form, Triton form, custom op.

Importing this registers ``torch.ops.ohlora_fast.student_head``, which is for inference: it has no gradient. Everything
here trusts its arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

import torch
import torch.nn.functional as F
from torch import Tensor

from ohlora_fast.student import SIZE
from ohlora_fast.student.model import double_bilinear
from ohlora_fast.student.rewrite import InferenceEffiSegNet, bilinear_to, double_nearest, summed

LARGEST_HEAD = 128
"""Channels of the widest head that Triton runs: in float32, wider ones would spill registers by the kilobyte."""


class HeadWeights(NamedTuple):
    """A head's weights as the kernels read them: inputs before outputs, channels last.

    What is multiplied on the tensor cores is in the features' dtype, the rest float32. The head's width and half of
    it are enlarged to powers of two, each level's channels to P: a power of two up to 64, a multiple of 64 beyond.
    What is added is zero, and stays zero through the whole head.

    Attributes:
        laterals: (9 · ΣP, width), finest level first; of each level the nine taps, of each tap its channels.
        pointwise: (5, width, half).
        bias1: (half,).
        norm1: (2, half), scale and shift.
        depthwise1: (9, half).
        phases1: (16, half), `depthwise1` for a map that is doubled: see `doubled_stencils`.
        mix2: (2, half, half), for the first ghost module's first and second half.
        bias2: (half,).
        norm2: (2, half).
        depthwise2: (9, half).
        mix3: (2, half), for the second ghost module's first and second half.
        bias3: (1,).
    """

    laterals: Tensor
    pointwise: Tensor
    bias1: Tensor
    norm1: Tensor
    depthwise1: Tensor
    phases1: Tensor
    mix2: Tensor
    bias2: Tensor
    norm2: Tensor
    depthwise2: Tensor
    mix3: Tensor
    bias3: Tensor


def pack_head(form: InferenceEffiSegNet, dtype: torch.dtype) -> HeadWeights:
    """Repack a head's weights for the kernels, on their device.

    Args:
        form: a rewritten student; it stays as it is.
        dtype: of the features to come: float16, bfloat16 or float32.

    >>> from ohlora_fast.student.model import EffiSegNet
    >>> packed = pack_head(InferenceEffiSegNet(EffiSegNet("efficientnet-lite0")), torch.float16)
    >>> tuple(packed.laterals.shape), tuple(packed.pointwise.shape), packed.norm1.dtype
    ((5040, 64), (5, 64, 32), torch.float32)
    """
    state = form.state_dict()
    levels = range(len(form.laterals))
    half, width = (max(16, power_of_two(count)) for count in state["pointwise.0.weight"].shape[:2])

    def matrix(name: str, *sizes: int) -> Tensor:
        return enlarged(state[f"{name}.weight"][:, :, 0, 0].T, *sizes)

    def taps(name: str) -> Tensor:
        return enlarged(state[f"{name}.weight"].flatten(1).T, half).float()

    def norm(name: str) -> Tensor:
        return enlarged(torch.stack([state[f"{name}.scale"], state[f"{name}.shift"]]).flatten(1), half).float()

    laterals = [state[f"laterals.{level}.weight"].permute(2, 3, 1, 0).flatten(0, 1) for level in levels]
    mix3 = torch.stack([state["primary3.weight"], state["cheap3.weight"]]).flatten(1)
    return HeadWeights(
        torch.cat([enlarged(nine, padded(nine.shape[1]), width).flatten(0, 1) for nine in laterals]).to(dtype),
        torch.stack([matrix(f"pointwise.{level}", width, half) for level in levels]).to(dtype),
        enlarged(state[f"pointwise.{levels[-1]}.bias"], half).float(),
        norm("norm1"),
        taps("depthwise1"),
        doubled_stencils(taps("depthwise1")),
        torch.stack([matrix(name, half, half) for name in ("primary2", "cheap2")]).to(dtype),
        enlarged(state["cheap2.bias"], half).float(),
        norm("norm2"),
        taps("depthwise2"),
        enlarged(mix3, half).float(),
        state["cheap3.bias"].float().clone(),
    )


def power_of_two(count: int) -> int:
    """The next power of two from `count` on."""
    return 1 << (count - 1).bit_length()


def padded(channels: int) -> int:
    """How many rows a level's channels take in `HeadWeights.laterals`.

    >>> [padded(channels) for channels in (3, 16, 24, 40, 112, 320)]
    [16, 16, 32, 64, 128, 320]
    """
    return max(16, power_of_two(channels)) if channels <= 64 else -(-channels // 64) * 64


def enlarged(weight: Tensor, *sizes: int) -> Tensor:
    """Append zeros to the last axes until they have these sizes; the result is contiguous."""
    missing = [size - old for size, old in zip(sizes, weight.shape[-len(sizes) :], strict=True)]
    return F.pad(weight, [amount for count in reversed(missing) for amount in (0, count)]).contiguous()


def doubled_stencils(taps: Tensor) -> Tensor:
    """What a 3×3 convolution of a map doubled by nearest neighbours is, on the map itself.

    Output (2y + i, 2x + j) reads rows 2y + i − 1 to 2y + i + 1 of the doubled map: for i = 0 these are row y − 1 and
    twice row y, for i = 1 twice row y and row y + 1. So it is a 2×2 convolution whose weights are sums of the nine.

    Args:
        taps: (9, channels).

    Returns:
        (16, channels): for (i, j) = (0, 0), (0, 1), (1, 0), (1, 1) the weights of rows and columns
        (y + i − 1, x + j − 1), (y + i − 1, x + j), (y + i, x + j − 1), (y + i, x + j).

    >>> doubled_stencils(torch.arange(9.0)[:, None]).view(4, 4).tolist()
    [[0.0, 3.0, 9.0, 24.0], [1.0, 2.0, 20.0, 13.0], [3.0, 12.0, 6.0, 15.0], [8.0, 7.0, 13.0, 8.0]]
    """
    # Along one axis: [i][tap on the map][tap on the doubled map].
    groups = torch.tensor([[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]], dtype=taps.dtype, device=taps.device)
    return torch.einsum("iak,jbl,klc->ijabc", groups, groups, taps.view(3, 3, -1)).reshape(16, -1)


def head_torch(
    features: Sequence[Tensor], weights: Sequence[Tensor], head_stride: int, upsampling: str = "nearest"
) -> Tensor:
    """The head in plain PyTorch, in float32, from packed weights: what the kernels are held to, and what CPUs run.

    Args:
        features: five of (N, C, h, w), finest first, each twice as high and wide as the next.
        weights: those of `HeadWeights`, in order.
        head_stride: 1, or 2 for a head at the finest feature's resolution, whose logits are doubled.
        upsampling: the student's, ``"nearest"`` or ``"bilinear"``.

    Returns:
        float32 probabilities (N, 1, 2h, 2w).
    """
    packed = HeadWeights(*(weight.float() for weight in weights))
    maps = [
        F.conv2d(F.relu(F.conv2d(feature.float(), lateral, padding=1)), pointwise.T[:, :, None, None])
        for feature, lateral, pointwise in zip(features, level_weights(features, packed), packed.pointwise, strict=True)
    ]
    maps[-1] += packed.bias1[:, None, None]
    total = summed(maps, upsampling)

    def affine(x: Tensor, norm: Tensor) -> Tensor:
        return x * norm[0, :, None, None] + norm[1, :, None, None]

    def depthwise(x: Tensor, taps: Tensor) -> Tensor:
        return F.relu(F.conv2d(x, taps.T.reshape(-1, 1, 3, 3), padding=1, groups=taps.shape[1]))

    def mixed(x: Tensor, factor: Tensor) -> Tensor:
        return F.conv2d(x, factor.T[:, :, None, None])

    primary = affine(F.relu(total), packed.norm1)
    first = mixed(primary, packed.mix2[0])
    if head_stride == 1:
        primary, first = double_nearest(primary), double_nearest(first)
    second = mixed(depthwise(primary, packed.depthwise1), packed.mix2[1]) + packed.bias2[:, None, None]
    p2 = affine(F.relu(first + second), packed.norm2)
    cheap = depthwise(p2, packed.depthwise2)
    logits = mixed(p2, packed.mix3[0][:, None]) + mixed(cheap, packed.mix3[1][:, None]) + packed.bias3
    return torch.sigmoid(logits if head_stride == 1 else double_bilinear(logits))


def level_weights(features: Sequence[Tensor], packed: HeadWeights) -> list[Tensor]:
    """Each level's 3×3 convolution, (width, C, 3, 3)."""
    counts = [feature.shape[1] for feature in features]
    levels = packed.laterals.split([9 * padded(count) for count in counts])
    return [
        level.view(3, 3, padded(count), -1)[:, :, :count].permute(3, 2, 0, 1)
        for level, count in zip(levels, counts, strict=True)
    ]


def head_triton(
    features: Sequence[Tensor], weights: Sequence[Tensor], head_stride: int, upsampling: str = "nearest"
) -> Tensor:
    """The head in Triton: arguments and result as of :func:`head_torch`, features in the dtype of the weights."""
    from ohlora_fast.kernels.head import finish, ghost
    from ohlora_fast.kernels.lateral import lateral

    packed = HeadWeights(*weights)
    levels = packed.laterals.split([9 * padded(feature.shape[1]) for feature in features])
    total: Tensor | None = None
    parts = list(zip(features, levels, packed.pointwise, strict=True))
    for level in reversed(range(len(parts))):
        total = lateral(*parts[level], packed.bias1, total, bilinear_to(level, upsampling))
    assert total is not None
    stencils = packed.phases1 if head_stride == 1 else packed.depthwise1
    p2 = ghost(total, packed.norm1, stencils, packed.mix2, packed.bias2, packed.norm2, head_stride)
    return finish(p2, packed.depthwise2, packed.mix3, packed.bias3, head_stride)


student_head = torch.library.custom_op(
    "ohlora_fast::student_head",
    head_torch,
    mutates_args=(),
    schema='(Tensor[] features, Tensor[] weights, int head_stride, str upsampling="nearest") -> Tensor',
)


@student_head.register_kernel("cuda")
def head_on_gpu(
    features: Sequence[Tensor], weights: Sequence[Tensor], head_stride: int, upsampling: str = "nearest"
) -> Tensor:
    """The head in Triton, or, where it is too wide for that, in plain PyTorch."""
    form = head_triton if weights[0].shape[1] <= LARGEST_HEAD else head_torch
    return form(features, weights, head_stride, upsampling)


@student_head.register_fake
def _(features: Sequence[Tensor], weights: Sequence[Tensor], head_stride: int, upsampling: str = "nearest") -> Tensor:
    count, _, height, width = features[0].shape
    return features[0].new_empty((count, 1, 2 * height, 2 * width), dtype=torch.float32)


def refuse_gradients(*_: Any, **__: Any) -> NoReturn:
    """Stand where the gradient would: say at the call, not at the backward pass, that there is none."""
    raise NotImplementedError(
        "student_head: has no gradient; call it under torch.inference_mode() or torch.no_grad(), "
        "or train InferenceEffiSegNet, which computes the same"
    )


student_head.register_autograd(refuse_gradients, setup_context=refuse_gradients)


def head_cost(
    count: int,
    itemsize: int,
    head_stride: int,
    channels: Sequence[int] = (16, 24, 40, 112, 320),
    head_channels: int = 64,
    size: int = SIZE,
) -> tuple[int, int]:
    """Count what the head of a batch takes at least.

    Args:
        count: photos in the batch.
        itemsize: bytes of a number of the features' dtype.
        head_stride: 1 or 2.
        channels: the features', finest first; those of EfficientNet-B0 and -Lite0 unless given.
        head_channels: the head's width.
        size: height and width of the photos, a multiple of 32.

    Returns:
        Bytes through memory (each feature read once, each map between the kernels written once and read once, the
        float32 result written; weights are not counted), and operations (a multiplication and an addition are two).

    >>> head_cost(1, 2, head_stride=2)
    (4735360, 533270528)
    """
    half = head_channels // 2
    areas = [(size >> level) ** 2 for level in range(1, 6)]
    resolution = 4 * areas[0] if head_stride == 1 else areas[0]
    features = sum(area * number for area, number in zip(areas, channels, strict=True))
    numbers = features + 2 * half * (sum(areas) + resolution)
    logits = 0 if head_stride == 1 else 2 * 4 * areas[0]
    products = 9 * head_channels * features + head_channels * half * sum(areas)  # the laterals
    products += areas[0] * half * half + resolution * half * (half + 2)  # primary 2; cheap 2 and the readout
    products += resolution * half * (9 + (4 if head_stride == 1 else 9))  # the depthwise convolutions
    return count * (numbers * itemsize + logits + 4 * size * size), 2 * count * products
