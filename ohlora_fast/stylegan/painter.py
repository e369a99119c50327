"""A checkpoint's generator as pictures are made of it: uint8, and on a CPU the same whichever are made together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from ohlora_fast.errors import InputError
from ohlora_fast.media.convert import Pixels
from ohlora_fast.student.engines import device_problem
from ohlora_fast.stylegan.fast import FastGenerator
from ohlora_fast.stylegan.generator import NoiseKind
from ohlora_fast.stylegan.weights import load_generator

Other = TypeVar("Other", Tensor | None, Sequence[torch.Generator] | None)


class Painter:
    """Makes pictures of a generator's latents, in half precision on an NVIDIA GPU.

    Args:
        checkpoint: a generator's, as of `load_generator`.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``, or ``"auto"``: CUDA where it runs, else the CPU.
        psi: how much of w's distance from the average w is kept, see `Portraits.render`.
        truncation_layers: of how many layers, from the coarsest on.

    Raises:
        InputError: the checkpoint is unusable, or the device does not run here.

    >>> import tempfile
    >>> from ohlora_fast.stylegan.generator import Generator
    >>> from ohlora_fast.stylegan.weights import save_weights
    >>> name = f"{tempfile.mkdtemp()}/tiny.safetensors"
    >>> save_weights(Generator(resolution=16, width=8), name)
    >>> painter = Painter(name, device="cpu")
    >>> painter.paint(painter.latent(torch.randn(2, 512))).shape
    (2, 16, 16, 3)
    """

    def __init__(
        self, checkpoint: str | Path, device: str = "auto", psi: float = 0.7, truncation_layers: int = 8
    ) -> None:
        if device == "auto":
            device = "cpu" if device_problem("cuda") else "cuda"
        self.on_cpu = device.startswith("cpu")
        half = device.startswith("cuda")
        self.model = FastGenerator(load_generator(checkpoint), device, torch.float16 if half else torch.float32)
        self.checkpoint, self.device, self.psi, self.truncation_layers = checkpoint, device, psi, truncation_layers

    @torch.inference_mode()
    def latent(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """w (N, 512), on the device, of z (N, 512) and labels (N, 7), None for zeros."""
        label = None if label is None else label.to(self.device)
        return torch.cat([self.model.latent(*part) for part in self.parts(z.to(self.device), label)])

    @torch.inference_mode()
    def paint(self, w: Tensor, noises: Sequence[torch.Generator] | None = None) -> Pixels:
        """Pictures, uint8 (N, H, W, 3), RGB.

        Args:
            w: (N, 512), on the device.
            noises: what the fresh noise of each is drawn from; None for the noise of the checkpoint.

        Raises:
            InputError: values that are not finite came out.
        """
        kind: NoiseKind = "stored" if noises is None else "fresh"
        made = []
        for part, rng in self.parts(w, noises):
            images = self.model.render(part, self.psi, self.truncation_layers, kind, rng)
            if not images.isfinite().all():
                raise InputError(f"checkpoint {self.checkpoint}: its pictures hold NaN or infinite values")
            made.append(to_pixels(images).permute(0, 2, 3, 1).cpu().numpy())
        return np.concatenate(made)

    def parts(self, batch: Tensor, other: Other) -> Iterator[tuple[Tensor, Other]]:
        """A batch whole; on a CPU, which is no slower so, one by one: sums of several round otherwise than of one."""
        if not self.on_cpu:
            yield batch, other
            return
        for index in range(len(batch)):
            yield batch[index : index + 1], None if other is None else other[index : index + 1]


def to_pixels(images: Tensor) -> Tensor:
    """Images of [−1, 1], whatever lies beyond clipped, as uint8 of the same shape.

    >>> to_pixels(torch.tensor([-1.5, -1.0, 0.0, 1.0])).tolist()
    [0, 0, 128, 255]
    """
    return ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
