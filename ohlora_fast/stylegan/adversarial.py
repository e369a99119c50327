"""What one step of the fine-tuning is: a LightningModule around generator and discriminator.

Source of the R1 penalty: Mescheder et al., "Which Training Methods for GANs do actually Converge?", 2018.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ohlora_fast.errors import InputError
from ohlora_fast.stylegan.finetune_settings import FinetuneSettings, make_discriminator, make_generator
from ohlora_fast.stylegan.generator import LATENT, Generator

TRAINING, TEST, PICTURES, AUROC = range(4)
"""What numbers are drawn for."""


def seed_of(settings: FinetuneSettings, purpose: int, *place: int) -> int:
    """The seed of what is drawn for a purpose, at a place such as a step: a run that resumes draws what it would have.

    >>> settings = FinetuneSettings("new", train="all")
    >>> seed_of(settings, TEST, 7) == seed_of(settings, TEST, 7) != seed_of(settings, TEST, 8)
    True
    """
    return int(np.random.SeedSequence([settings.seed, purpose, *place]).generate_state(1, np.uint64)[0] >> 1)


def r1_penalty(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """The scores (N, 1) of images and |∇|², the mean over them of the squared gradients of their scores.

    In float32, whatever autocast says, and with a graph for training on both.
    """
    with torch.autocast(images.device.type, enabled=False):
        images = images.detach().float().requires_grad_()
        scores = model(images)
        (gradient,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
        return scores, gradient.square().sum(dim=(1, 2, 3)).mean()


@contextmanager
def without_gradients(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Parameters through which gradients pass, and which get none."""
    chosen = list(parameters)
    for parameter in chosen:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in chosen:
            parameter.requires_grad_(True)


@dataclass(frozen=True)
class Step:
    """What the last step gave: numbers for the log, images (N, 3, H, W) and scores (N,) of its last iterations."""

    d_loss: float
    g_loss: float
    d_count: int
    g_count: int
    real: Tensor
    fake: Tensor
    real_scores: Tensor
    fake_scores: Tensor


class Adversaries(pl.LightningModule):
    """Generator, discriminator, their losses and optimizers.

    Attributes:
        step: how many batches were trained on.
        g_loss: the generator's last loss.
        penalty: the R1 penalty, weighed, when it was last computed.
        d_iterations: how often the discriminator was trained.
        last: of the last batch.
        average: the generator's moving average, or None.

    Raises:
        InputError: a network's file cannot be used.
    """

    def __init__(self, settings: FinetuneSettings) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.settings = settings
        self.step, self.g_loss, self.penalty, self.d_iterations = 0, math.inf, 0.0, 0
        self.last: Step | None = None
        self.generator = make_generator(settings)
        self.discriminator = make_discriminator(settings, self.generator)
        self.average = copy.deepcopy(self.generator).requires_grad_(False) if settings.ema_decay else None
        self.to(memory_format=torch.channels_last)

    @property
    def shown(self) -> Generator:
        """The generator that is tested, shown and kept: the average, if there is one."""
        return self.generator if self.average is None else self.average

    def trained(self, model: nn.Module) -> list[nn.Parameter]:
        return [parameter for parameter in model.parameters() if parameter.requires_grad]

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        settings = self.settings
        torch.manual_seed(seed_of(settings, TRAINING, self.step, self.global_rank))
        real = self.real_images(batch)
        d_count, d_loss = 0, math.inf
        while d_count < settings.d_most and d_loss >= settings.d_factor * self.g_loss:
            d_loss, fake, real_scores, fake_scores = self.train_discriminator(real)
            d_count += 1
        g_count, g_loss = 0, math.inf
        with without_gradients(self.trained(self.discriminator)):
            while g_count < settings.g_most and g_loss >= settings.g_factor * d_loss:
                g_loss = self.train_generator(len(real))
                g_count += 1
        if self.average is not None:
            self.follow(self.average)
        self.g_loss, self.step = g_loss, self.step + 1
        self.last = Step(d_loss, g_loss, d_count, g_count, real, fake, real_scores, fake_scores)
        self.log_dict({"d_loss": d_loss, "g_loss": g_loss}, prog_bar=True, logger=False)

    def real_images(self, batch: Tensor) -> Tensor:
        """uint8 images to [−1, 1], mirrored at random if the settings say so."""
        if self.settings.mirror:
            turned = torch.rand(len(batch), 1, 1, 1, device=batch.device) < 0.5
            batch = torch.where(turned, batch.flip(-1), batch)
        return (batch.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)

    def fake_images(self, count: int) -> Tensor:
        """As many images of random latents without labels; the average w follows them."""
        torch.clear_autocast_cache()  # of weights before the last step, or without their gradients
        w = self.generator.latent(torch.randn(count, LATENT, device=self.device))
        self.generator.follow(self.mean(w.detach().float().mean(0, keepdim=True)), self.settings.w_avg_decay)
        return self.generator.render(w, noise=self.settings.noise)

    def train_discriminator(self, real: Tensor) -> tuple[float, Tensor, Tensor, Tensor]:
        """One iteration; its loss, the fake images, and the scores of real and fake ones."""
        settings = self.settings
        with torch.no_grad():
            fake = self.fake_images(len(real)).float()
        penalised = settings.gamma > 0 and self.d_iterations % settings.r1_every == 0
        if penalised:
            real_scores, penalty = r1_penalty(self.discriminator, real)
            weighed = settings.gamma / 2 * penalty
        else:
            real_scores, weighed = self.discriminator(real), real.new_tensor(self.penalty)
        fake_scores = self.discriminator(fake)
        loss = F.softplus(-real_scores.float()).mean() + F.softplus(fake_scores.float()).mean()
        plain, self.penalty = self.mean(torch.stack([loss, weighed]).detach()).tolist()
        self.check("d_loss", plain)
        self.check("the R1 penalty", self.penalty)
        self.descend(0, loss + settings.r1_every * weighed if penalised else loss)
        self.d_iterations += 1
        return plain + self.penalty, fake, real_scores.detach()[:, 0].float(), fake_scores.detach()[:, 0].float()

    def train_generator(self, count: int) -> float:
        """One iteration; its loss."""
        loss = F.softplus(-self.discriminator(self.fake_images(count)).float()).mean()
        shared = float(self.mean(loss.detach().clone()))
        self.check("g_loss", shared)
        self.descend(1, loss)
        return shared

    def descend(self, index: int, loss: Tensor) -> None:
        """One step of an optimizer, along the gradients that all processes have on average."""
        optimizer = self.optimizers()[index]  # type: ignore[index]
        optimizer.zero_grad()
        self.manual_backward(loss)
        if self.trainer.world_size > 1:
            gradients = [
                one.grad for group in optimizer.param_groups for one in group["params"] if one.grad is not None
            ]
            flat = self.mean(torch.cat([gradient.flatten() for gradient in gradients]))
            for gradient, part in zip(gradients, flat.split([one.numel() for one in gradients]), strict=True):
                gradient.copy_(part.view_as(gradient))
        optimizer.step()

    def mean(self, value: Tensor) -> Tensor:
        """The mean over all processes; it may take the value's place."""
        mean: Tensor = self.trainer.strategy.reduce(value, reduce_op="mean")
        return mean

    def check(self, name: str, loss: float) -> None:
        """Refuse to go on with a loss that is no number."""
        if not math.isfinite(loss):
            raise InputError(
                f"{name} is {loss} at step {self.step + 1}; the last checkpoint is kept; lower learning rates may help"
            )

    def check_weights(self) -> None:
        """Refuse to keep weights that are no numbers, as gradients beyond all bounds leave them.

        Raises:
            InputError: naming the network.
        """
        for name, model in (("generator", self.generator), ("discriminator", self.discriminator)):
            if not all(torch.isfinite(parameter).all() for parameter in self.trained(model)):
                raise InputError(
                    f"the {name}'s weights are no numbers after step {self.step}; the last checkpoint is kept; lower "
                    "learning rates may help"
                )

    @torch.no_grad()
    def follow(self, average: Generator) -> None:
        """Move the generator's average towards the generator."""
        for parameter, now in zip(average.parameters(), self.generator.parameters(), strict=True):
            parameter.lerp_(now, 1 - self.settings.ema_decay)
        for buffer, new in zip(average.buffers(), self.generator.buffers(), strict=True):
            buffer.copy_(new)

    def on_train_epoch_end(self) -> None:
        if self.settings.cosine_epochs:
            for schedule in self.lr_schedulers():  # type: ignore[union-attr]
                schedule.step()

    def configure_optimizers(self) -> Any:
        settings = self.settings
        optimizers = [
            torch.optim.AdamW(
                self.trained(model), lr=lr, betas=(settings.beta1, settings.beta2), weight_decay=settings.weight_decay
            )
            for model, lr in (
                (self.discriminator, settings.discriminator_lr),
                (self.generator, settings.generator_lr),
            )
        ]
        if not settings.cosine_epochs:
            return optimizers
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR
        return optimizers, [cosine(optimizer, T_max=settings.cosine_epochs) for optimizer in optimizers]
