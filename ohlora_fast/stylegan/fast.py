"""The generator's form for inference: the same images, up to rounding, in a fraction of the time.

- A nearest-neighbour upsampling and the 3×3 convolution after it are one transposed 4×4 convolution, as the fused ones
  from 128×128 on are: 4/9 of the arithmetic.
- All that follows a convolution is one operation, `stylegan_layer`.
- Weights are scaled and laid out once; the styles of equally wide layers are one matrix product.
- Feature maps are channels-last. On a CPU images are made one at a time: what lies between two layers then stays in the
  caches, as far as it fits; and weights lie as oneDNN reads them, which PyTorch would else bring about at every call.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ohlora_fast.errors import InputError
from ohlora_fast.ops.stylegan_layer_op import EPS, stylegan_layer
from ohlora_fast.student.engines import device_problem
from ohlora_fast.stylegan.generator import (
    Generator,
    Layer,
    Mapping,
    NoiseKind,
    Portraits,
    Randomness,
    Truncation,
    noise_plane,
)
from ohlora_fast.stylegan.layers import FUSED_FROM, GAIN, Dense, leaky, over_shifts, scale_of

TYPES = (torch.float32, torch.float16, torch.bfloat16)


def buffers(module: nn.Module, **tensors: Tensor) -> None:
    """Register copies of tensors under their names, kernels of convolutions channels-last."""
    for name, tensor in tensors.items():
        layout = torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
        module.register_buffer(name, tensor.detach().clone(memory_format=layout))


def onednn_convolution(weight: Tensor, up: bool, size: int) -> Callable[[Tensor], Tensor] | None:
    """A layer's convolution with its weight in oneDNN's own layout.

    Args:
        weight: (O, C, 3, 3) float32, or for ``up`` (C, O, 4, 4), of a transposed convolution of stride 2.
        up: which of the two.
        size: height and width of the one map (1, C, size, size) that the layout is chosen for.

    Returns:
        What convolves maps, or None where PyTorch lacks these operations, which are not of its public ones.
    """
    one, two, none = [1, 1], [2, 2], [0, 0]
    shape = [1, weight.shape[0 if up else 1], size, size]
    try:
        if up:
            moved = torch.ops.mkldnn._reorder_convolution_transpose_weight(weight, one, none, two, one, 1, shape)
            run_up = torch.ops.mkldnn._convolution_transpose_pointwise
            return lambda x: run_up(x, moved, None, one, none, two, one, 1, "none", [], "")
        reorder: Any = torch._C._nn.mkldnn_reorder_conv2d_weight
        moved = reorder(weight.to_mkldnn(), one, one, one, 1, shape)
        run = torch.ops.mkldnn._convolution_pointwise
        return lambda x: run(x, moved, None, one, one, one, 1, "none", [], "")
    except (AttributeError, RuntimeError):
        return None


class FastDense(nn.Module):
    """A dense layer and its leaky ReLU, the scales multiplied into the weights."""

    weight: Tensor
    bias: Tensor

    def __init__(self, dense: Dense) -> None:
        super().__init__()
        buffers(self, weight=dense.weight * dense.scale, bias=dense.bias * dense.rate)

    def forward(self, x: Tensor) -> Tensor:
        return leaky(F.linear(x, self.weight, self.bias))


class FastMapping(nn.Module):
    """`Mapping`, of scaled weights."""

    label_weight: Tensor

    def __init__(self, mapping: Mapping) -> None:
        super().__init__()
        buffers(self, label_weight=mapping.label_weight)
        dense = {name: FastDense(one) for name, one in mapping.named_children() if isinstance(one, Dense)}
        self.trunk = nn.Sequential(*(dense[f"dense{index}"] for index in range(6)))
        self.last = nn.Sequential(dense["dense6"], dense["dense7"])
        self.new = nn.Sequential(dense["dense_new0"], dense["dense_new1"]) if mapping.version == "v9" else None

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        x = torch.cat([z, label @ self.label_weight], dim=1)
        x = self.trunk(x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + EPS))
        w: Tensor = self.last(x)
        return w if self.new is None else w + self.new(x)


class FastLayer(nn.Module):
    """`Layer`, of which the style comes from outside."""

    weight: Tensor
    bias: Tensor
    noise: Tensor
    noise_weight: Tensor

    def __init__(self, layer: Layer, dtype: torch.dtype, cpu: bool) -> None:
        super().__init__()
        self.up = layer.up
        self.convolution: Callable[[Tensor], Tensor] | None = None
        buffers(self, bias=layer.bias, noise=layer.apply_noise.noise, noise_weight=layer.apply_noise.weight)
        if hasattr(layer, "const"):
            buffers(self, weight=layer.const.to(dtype))
            return
        weight = layer.weight * scale_of(layer.weight, GAIN)
        if layer.up:
            kernel = over_shifts(weight).transpose(0, 1)
            # Upsampled pixels lie under a convolution's kernel, which a transposed one would turn round.
            weight = kernel if layer.resolution >= FUSED_FROM else kernel.flip(2, 3)
        size = layer.resolution // 2 if layer.up else layer.resolution
        self.convolution = onednn_convolution(weight.detach(), layer.up, size) if cpu else None
        if self.convolution is None:
            buffers(self, weight=weight.to(dtype))

    def forward(self, x: Tensor | None, style: Tensor, noise: Tensor) -> Tensor:
        if x is None:
            x = self.weight.expand(style.shape[0], -1, -1, -1)
        elif self.convolution is not None:
            x = self.convolution(x)
        elif self.up:
            x = F.conv_transpose2d(x, self.weight, stride=2, padding=1)
        else:
            x = F.conv2d(x, self.weight, padding=1)
        out: Tensor = stylegan_layer(x, noise, self.noise_weight, self.bias, style, self.up)
        return out


class FastSynthesis(nn.Module):
    """`Synthesis` with all styles made first, and on a CPU one image after the other."""

    output_weight: Tensor
    output_bias: Tensor

    def __init__(self, generator: Generator, dtype: torch.dtype, cpu: bool) -> None:
        super().__init__()
        synthesis = generator.synthesis
        self.layers = nn.ModuleList(FastLayer(layer, dtype, cpu) for layer in synthesis.layers)
        self.groups: list[tuple[int, int]] = []  # first layer and number of those equally wide
        for _, group in groupby(enumerate(synthesis.layers), key=lambda pair: pair[1].bias.numel()):
            indices, layers = zip(*group, strict=True)
            weights = torch.stack([layer.style.weight * layer.style.scale for layer in layers]).transpose(1, 2)
            biases = torch.stack([layer.style.bias for layer in layers])[:, None]
            buffers(self, **{f"style_weight{indices[0]}": weights, f"style_bias{indices[0]}": biases})
            self.groups.append((indices[0], len(indices)))
        output = synthesis.output
        weight = output.weight * scale_of(output.weight, 1.0)
        buffers(self, output_weight=weight.to(dtype), output_bias=output.bias.to(dtype))

    def styles(self, ws: Tensor) -> list[Tensor]:
        """The style of each layer (N, 2C) for one w a layer (N, layers, 512)."""
        found: list[Tensor] = []
        for first, count in self.groups:
            weight, bias = self.get_buffer(f"style_weight{first}"), self.get_buffer(f"style_bias{first}")
            found += torch.baddbmm(bias, ws[:, first : first + count].transpose(0, 1), weight).unbind()
        return found

    def images(self, styles: list[Tensor], noises: list[Tensor]) -> Tensor:
        """Images (N, 3, H, W) from the styles and the noise (1 or N, 1, h, w) of each layer."""
        x = None
        for layer, style, noise in zip(self.layers, styles, noises, strict=True):
            x = layer(x, style, noise)
        assert x is not None
        return F.conv2d(x, self.output_weight, self.output_bias).float()

    def forward(self, ws: Tensor, noise: NoiseKind, rng: Randomness) -> Tensor:
        count, styles = ws.shape[0], self.styles(ws)
        noises = [noise_plane(layer.get_buffer("noise"), count, noise, rng) for layer in self.layers]
        if ws.is_cuda or count < 2:
            return self.images(styles, noises)
        one_by_one = [
            self.images([style[i : i + 1] for style in styles], [plane[i % len(plane)][None] for plane in noises])
            for i in range(count)
        ]
        return torch.cat(one_by_one)


class FastGenerator(Portraits):
    """A generator for inference, called as `Generator` is.

    Args:
        generator: what it computes the same as; it shares no memory with it.
        device: where it runs, and where z, label and w must lie.
        dtype: of the feature maps. An NVIDIA GPU, fastest in half precision, takes float32, float16 and bfloat16, all
            else float32 alone. Latents, styles, sums and images are float32.

    Raises:
        InputError: no such device here, or a dtype that it does not take.

    >>> model = Generator("v9", resolution=16, width=8)
    >>> fast, z = FastGenerator(model), torch.randn(2, 512)
    >>> torch.allclose(fast(z), model(z), atol=1e-4)
    True
    """

    def __init__(
        self, generator: Generator, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        if problem := device_problem(str(device)):
            raise InputError(f"device: got {str(device)!r}, which does not run here: {problem}")
        types = TYPES if torch.device(device).type == "cuda" else TYPES[:1]
        if dtype not in types:
            allowed = ", ".join(map(str, types))
            raise InputError(f"dtype: got {dtype}, allowed on {device} is {allowed}")
        super().__init__()
        self.version, self.resolution = generator.version, generator.resolution
        self.mapping = FastMapping(generator.mapping)
        self.truncation = Truncation(generator.truncation.layers)
        self.truncation.load_state_dict(generator.truncation.state_dict())
        self.synthesis = FastSynthesis(generator, dtype, torch.device(device).type == "cpu")
        self.to(device).eval()
