"""The generator: StyleGAN 1 with labels, and its mapping network of StyleGAN-FineTune-v9.

Source: Karras et al., "A Style-Based Generator Architecture for Generative Adversarial Networks", 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ohlora_fast.errors import InputError
from ohlora_fast.ops.stylegan_layer_op import EPS, layer_torch
from ohlora_fast.stylegan.layers import (
    BASE,
    FUSED_FROM,
    GAIN,
    LABELS,
    WIDTH,
    Blur,
    Dense,
    check_size,
    leaky,
    resolutions_to,
    scale_of,
    up_convolution,
)

Version = Literal["v1", "v9"]
NoiseKind = Literal["stored", "fresh"]
Randomness: TypeAlias = torch.Generator | Sequence[torch.Generator] | None
VERSIONS = ("v1", "v9")
NOISES = ("stored", "fresh")
LATENT = 512
"""Size of z and of w."""
EMBEDDING = 16
"""Size that a label is brought to."""
NEW_WIDTH = 2048
"""Of the first of v9's new layers."""
MAPPING_RATE = 0.01
W_AVERAGE_DECAY = 0.995
"""How much of the average w is kept at each step of the training."""


class Mapping(nn.Module):
    """z (N, 512) and labels (N, 7) to w (N, 512).

    In v9 the last two of the eight dense layers have a second branch beside them, and w is the sum of both.
    """

    def __init__(self, version: Version) -> None:
        super().__init__()
        self.version = version
        self.label_weight = nn.Parameter(torch.randn(LABELS, EMBEDDING))
        self.dense0 = Dense(LATENT + EMBEDDING, LATENT, rate=MAPPING_RATE)
        for index in range(1, 6):
            setattr(self, f"dense{index}", Dense(LATENT, LATENT, rate=MAPPING_RATE))
        self.dense6 = Dense(LATENT, LATENT, rate=MAPPING_RATE)
        self.dense7 = Dense(LATENT, LATENT, rate=MAPPING_RATE)
        if version == "v9":
            self.dense_new0 = Dense(LATENT, NEW_WIDTH, rate=MAPPING_RATE)
            self.dense_new1 = Dense(NEW_WIDTH, LATENT, rate=MAPPING_RATE)

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        x = torch.cat([z, label @ self.label_weight], dim=1)
        x = x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + EPS)
        for index in range(6):
            x = leaky(self.get_submodule(f"dense{index}")(x))
        w = leaky(self.dense7(leaky(self.dense6(x))))
        return w if self.version == "v1" else w + leaky(self.dense_new1(leaky(self.dense_new0(x))))


class Truncation(nn.Module):
    """One w a layer, the first ones drawn towards the average w."""

    w_avg: Tensor

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.layers = layers
        self.register_buffer("w_avg", torch.zeros(LATENT))

    def forward(self, w: Tensor, psi: float, layers: int) -> Tensor:
        """w (N, 512) or one a layer (N, layers, 512) to (N, layers, 512): of the first `layers`, psi is kept."""
        ws = w[:, None].expand(-1, self.layers, -1) if w.ndim == 2 else w
        kept = torch.where(torch.arange(self.layers, device=w.device) < layers, psi, 1.0).to(w.dtype)
        return self.w_avg + (ws - self.w_avg) * kept[:, None]


class Noise(nn.Module):
    """One plane of noise, times a weight of each channel."""

    noise: Tensor

    def __init__(self, channels: int, resolution: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels))
        self.register_buffer("noise", torch.randn(1, 1, resolution, resolution))


def noise_plane(stored: Tensor, count: int, kind: NoiseKind, rng: Randomness) -> Tensor:
    """The noise for a layer: the stored plane (1, 1, H, W), or fresh ones from rng, (count, 1, H, W)."""
    if kind == "stored":
        return stored
    if rng is None or isinstance(rng, torch.Generator):
        return torch.randn(count, *stored.shape[1:], generator=rng, device=stored.device)
    planes = [torch.randn(1, *stored.shape[1:], generator=one, device=one.device) for one in rng]
    return torch.cat(planes).to(stored.device)


class Layer(nn.Module):
    """A synthesis layer: convolution, then noise, bias, leaky ReLU, instance norm and style.

    Args:
        inputs, outputs: channels; without inputs, a learned constant takes the convolution's place.
        resolution: of the output.
        up: whether the convolution doubles height and width, which a blur follows.
    """

    def __init__(self, inputs: int | None, outputs: int, resolution: int, up: bool) -> None:
        super().__init__()
        self.resolution, self.up = resolution, up
        self.bias = nn.Parameter(torch.zeros(outputs))
        if inputs is None:
            self.const = nn.Parameter(torch.ones(1, outputs, resolution, resolution))
        else:
            self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.apply_noise = Noise(outputs, resolution)
        self.style = Dense(LATENT, 2 * outputs, gain=1.0)
        if up:
            self.blur = Blur(outputs)

    def convolved(self, x: Tensor | None, count: int) -> Tensor:
        """What the noise is added to; a constant where there is no input."""
        if x is None:
            return self.const.expand(count, -1, -1, -1)
        weight = self.weight * scale_of(self.weight, GAIN)
        if not self.up:
            return F.conv2d(x, weight, padding=1)
        return self.blur(up_convolution(x, weight, fused=self.resolution >= FUSED_FROM))

    def forward(self, x: Tensor | None, w: Tensor, noise: NoiseKind, rng: Randomness) -> Tensor:
        x = self.convolved(x, w.shape[0])
        plane = noise_plane(self.apply_noise.noise, w.shape[0], noise, rng)
        return layer_torch(x, plane, self.apply_noise.weight, self.bias, self.style(w), blur=False)


class Output(nn.Module):
    """Feature maps to RGB, a 1×1 convolution."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(3))
        self.weight = nn.Parameter(torch.randn(3, inputs, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * scale_of(self.weight, 1.0), self.bias)


class Synthesis(nn.Module):
    """One w a layer (N, layers, 512) to images (N, 3, H, W).

    ``layer0`` and ``layer1`` work at 4×4, ``layer2`` and ``layer3`` at 8×8 and so on; ``output0`` reads what
    ``layer1`` gives. All outputs but the last are only kept in the checkpoints.
    """

    lod: Tensor

    def __init__(self, resolution: int, base: int, width: int) -> None:
        super().__init__()
        self.register_buffer("lod", torch.zeros(()))  # of growing in training; nothing reads it
        inputs = None
        for block, side in enumerate(resolutions_to(resolution)):
            channels = min(base // side, width)
            setattr(self, f"layer{2 * block}", Layer(inputs, channels, side, up=block > 0))
            setattr(self, f"layer{2 * block + 1}", Layer(channels, channels, side, up=False))
            setattr(self, f"output{block}", Output(channels))
            inputs = channels
        self.blocks = block + 1

    @property
    def layers(self) -> list[Layer]:
        """The layers in order."""
        return [getattr(self, f"layer{index}") for index in range(2 * self.blocks)]

    @property
    def output(self) -> Output:
        """The layer whose RGB is the image."""
        output: Output = getattr(self, f"output{self.blocks - 1}")
        return output

    def forward(self, ws: Tensor, noise: NoiseKind, rng: Randomness) -> Tensor:
        x = None
        for index, layer in enumerate(self.layers):
            x = layer(x, ws[:, index], noise, rng)
        return self.output(x)


class Portraits(nn.Module):
    """What a form of the generator is called with, whatever its mapping and its synthesis are made of.

    Attributes:
        mapping: z (N, 512) and labels (N, 7) to w (N, 512).
        truncation: w, psi and a number of layers to one w a layer.
        synthesis: these, the kind of noise and its source to images.
    """

    mapping: nn.Module
    truncation: Truncation
    synthesis: nn.Module

    def latent(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """The mapping alone.

        Args:
            z: (N, 512), N(0, 1).
            label: (N, 7); None for zeros.

        Returns:
            w, (N, 512), before truncation.

        Raises:
            InputError: another shape.
        """
        if z.ndim != 2 or z.shape[1] != LATENT:
            raise InputError(f"z: got shape {tuple(z.shape)}, allowed is (N, {LATENT})")
        if label is None:
            label = z.new_zeros(z.shape[0], LABELS)
        if label.shape != (z.shape[0], LABELS):
            raise InputError(
                f"label: got shape {tuple(label.shape)}, allowed is ({z.shape[0]}, {LABELS}), a row for each z"
            )
        return self.mapping(z, label)

    def render(
        self,
        w: Tensor,
        truncation_psi: float = 1.0,
        truncation_layers: int = 8,
        noise: NoiseKind = "stored",
        rng: Randomness = None,
    ) -> Tensor:
        """Truncation and synthesis.

        Args:
            w: (N, 512), or one a layer, (N, layers, 512).
            truncation_psi: how much of w's distance from the average w is kept; 1 keeps all of it.
            truncation_layers: of how many layers, from the coarsest on.
            noise: ``"stored"`` for the planes of the checkpoint, the same for every image, or ``"fresh"``.
            rng: what fresh noise is drawn from, on w's device; or one generator an image, on any device; None for
                PyTorch's own.

        Returns:
            Images (N, 3, H, W), RGB, mostly in [−1, 1], not clipped.

        Raises:
            InputError: another shape, or another kind of noise.
        """
        layers = self.truncation.layers
        if w.ndim not in (2, 3) or w.shape[-1] != LATENT or (w.ndim == 3 and w.shape[1] != layers):
            raise InputError(f"w: got shape {tuple(w.shape)}, allowed are (N, {LATENT}) and (N, {layers}, {LATENT})")
        if noise not in NOISES:
            raise InputError(f"noise: got {noise!r}, allowed are {' and '.join(NOISES)}")
        return self.synthesis(self.truncation(w, truncation_psi, truncation_layers), noise, rng)

    def forward(
        self,
        z: Tensor,
        label: Tensor | None = None,
        truncation_psi: float = 1.0,
        truncation_layers: int = 8,
        noise: NoiseKind = "stored",
        rng: Randomness = None,
    ) -> Tensor:
        """Images (N, 3, H, W) of latents z (N, 512) and labels (N, 7): `render` of `latent`."""
        return self.render(self.latent(z, label), truncation_psi, truncation_layers, noise, rng)


class Generator(Portraits):
    """Portraits from latents and labels, in the training form and with the reference's parameter names.

    A smaller network has the names of the reference for the same resolutions, and lacks those beyond: at 64×64,
    ``layer0`` to ``layer9`` and ``output0`` to ``output4``.

    Args:
        version: ``"v1"``, or ``"v9"`` with a second branch at the end of the mapping.
        resolution: height and width of the images, a power of two from 8 to 1024; 256 is the reference's.
        base: feature maps are base/resolution …
        width: … and at most this many, at every resolution; 16384 and 512 are the reference's.

    Raises:
        InputError: an argument is outside what is listed above.

    >>> model = Generator("v9", resolution=16, width=8).eval()
    >>> z, label = torch.randn(2, 512), torch.zeros(2, 7)
    >>> image = model(z, label, truncation_psi=0.7)
    >>> tuple(image.shape)
    (2, 3, 16, 16)
    >>> w = model.latent(z, label)
    >>> tuple(w.shape), torch.equal(model.render(w, truncation_psi=0.7), image)
    ((2, 512), True)
    """

    mapping: Mapping
    synthesis: Synthesis

    def __init__(self, version: Version = "v9", resolution: int = 256, base: int = BASE, width: int = WIDTH) -> None:
        if version not in VERSIONS:
            raise InputError(f"version: got {version!r}, allowed are {' and '.join(VERSIONS)}")
        check_size(resolution, base, width)
        super().__init__()
        self.version, self.resolution, self.base, self.width = version, resolution, base, width
        self.mapping = Mapping(version)
        synthesis = Synthesis(resolution, base, width)
        self.truncation = Truncation(2 * synthesis.blocks)
        self.synthesis = synthesis

    @torch.no_grad()
    def follow(self, w: Tensor, decay: float = W_AVERAGE_DECAY) -> None:
        """Move the average w towards the mean of w (N, 512), as each step of the training does."""
        self.truncation.w_avg.lerp_(w.mean(dim=0), 1 - decay)
