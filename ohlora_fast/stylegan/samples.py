"""What a fine-tuning shows of itself: tests with scores, grids of fixed latents, sheets of real and fake images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ohlora_fast.media.convert import Pixels
from ohlora_fast.media.images import write_photo
from ohlora_fast.media.sheet import contact_sheet, picture_grid
from ohlora_fast.stylegan.adversarial import AUROC, PICTURES, TEST, Adversaries, seed_of
from ohlora_fast.stylegan.discriminator import GROUP
from ohlora_fast.stylegan.fast import FastGenerator
from ohlora_fast.stylegan.finetune_data import TrainingImages
from ohlora_fast.stylegan.generator import LATENT
from ohlora_fast.stylegan.layers import LABELS
from ohlora_fast.stylegan.metrics import auroc
from ohlora_fast.stylegan.painter import to_pixels
from ohlora_fast.stylegan.scores import score_images

SAMPLES, SHEETS = "samples", "real-fake"
"""Folders of the grids, and of the sheets, which hold photos."""
SIDE = 4
"""A grid has as many rows and columns."""
LEGIBLE = 128
"""Pixels a side, up to which smaller images are enlarged."""
SHOWN = 8
"""Real and fake images on a sheet, at most."""


def pictures(images: Tensor) -> list[Pixels]:
    """Images (N, 3, H, W) as arrays (H, W, 3), each pixel repeated until it can be seen."""
    times = max(1, LEGIBLE // images.shape[2])
    pixels = to_pixels(images).permute(0, 2, 3, 1).cpu().numpy()
    return list(pixels.repeat(times, axis=1).repeat(times, axis=2))


def draw(seed: int, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Latents (count, 512) and labels (count, 7), N(0, 1)."""
    rng = torch.Generator().manual_seed(seed)
    z, label = torch.randn(count, LATENT, generator=rng), torch.randn(count, LABELS, generator=rng)
    return z.to(device), label.to(device)


class Observer:
    """Looks at a run's networks from outside; what it draws does not change the run.

    Args:
        module: the networks.
        images: AUROCs over more images than the batch's take some of them.
        scorers: property → ensemble, on the module's device.
    """

    def __init__(self, module: Adversaries, images: TrainingImages, scorers: Mapping[str, nn.Module]) -> None:
        self.module, self.settings, self.images, self.scorers = module, module.settings, images, scorers

    @torch.inference_mode()
    def make(self, z: Tensor, label: Tensor | None = None, psi: float = 1.0) -> Tensor:
        """Images of the generator that is shown, without labels if none come, in batches."""
        fast = FastGenerator(self.module.shown, z.device)
        label = z.new_zeros(len(z), LABELS) if label is None else label
        parts = zip(z.split(GROUP), label.split(GROUP), strict=True)
        return torch.cat([fast(*part, truncation_psi=psi) for part in parts])

    def row(self, epoch: int, idx: int) -> dict[str, str]:
        """A row of the log: the last step, and the scores of images made now."""
        last = self.module.last
        assert last is not None
        numbers = {
            "d_loss": last.d_loss, "g_loss": last.g_loss, "d_train_count": last.d_count, "g_train_count": last.g_count,
            "real_scores_mean": float(last.real_scores.mean()), "fake_scores_mean": float(last.fake_scores.mean()),
            "real_fake_auroc": self.auroc(), **self.scores(),
        }  # fmt: skip
        shown = {name: f"{value:.4f}" if isinstance(value, float) else str(value) for name, value in numbers.items()}
        return {"epoch": str(epoch), "idx": str(idx), **shown}

    def scores(self) -> dict[str, float]:
        """The mean scores of images of random latents and labels."""
        if not self.scorers:
            return {}
        settings, device = self.settings, self.module.device
        z, label = draw(seed_of(settings, TEST, self.module.step), settings.test_images, device)
        images = to_pixels(self.make(z, label, settings.psi))
        return {
            f"mean_{name}_score": float(
                torch.cat([score_images(model, part, str(device)) for part in images.split(GROUP)]).mean()
            )
            for name, model in self.scorers.items()
        }

    def auroc(self) -> float:
        """Of real against fake: the last batch's, or of as many as the settings say.

        Then the real ones are always the same of the training images, and the fake ones are new and have no labels, as
        in training.
        """
        last, count = self.module.last, min(self.settings.auroc_images, len(self.images))
        assert last is not None
        real, fake = last.real_scores, last.fake_scores
        if count:
            chosen = np.random.default_rng(seed_of(self.settings, AUROC)).permutation(len(self.images))[:count]
            device = self.module.device
            z, _ = draw(seed_of(self.settings, AUROC, self.module.step), count, device)
            pixels = torch.stack([self.images[index] for index in chosen.tolist()]).to(device)
            real, fake = self.judge(pixels.float() / 127.5 - 1), self.judge(self.make(z))
        labels = np.repeat([1, 0], [len(real), len(fake)])
        return auroc(torch.cat([real, fake]).cpu().numpy(), labels)

    @torch.inference_mode()
    def judge(self, images: Tensor) -> Tensor:
        """The discriminator's scores (N,), in groups as in training."""
        parts = images.split(min(self.settings.batch, GROUP))
        return torch.cat([self.module.discriminator(part)[:, 0] for part in parts])

    def write_grid(self, path: Path) -> None:
        """Write images of latents and labels that stay the same through the run."""
        z, label = draw(seed_of(self.settings, PICTURES), SIDE * SIDE, self.module.device)
        write_photo(path, picture_grid(pictures(self.make(z, label, self.settings.psi)), SIDE), overwrite=True)

    def write_sheet(self, path: Path) -> None:
        """Write the last batch's real and fake images, the discriminator's scores below them."""
        last = self.module.last
        assert last is not None
        rows = [pictures(images[:SHOWN]) for images in (last.real, last.fake)]
        captions = [[f"{score:+.2f}" for score in scores[:SHOWN]] for scores in (last.real_scores, last.fake_scores)]
        sheet = contact_sheet(rows, [""] * len(rows[0]), ["real", "fake"], rows[0][0].shape[0], captions)
        write_photo(path, sheet, overwrite=True)
