"""What one training step is: a LightningModule around the student."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn

from ohlora_fast.distill.augment import make_augmentation, resized
from ohlora_fast.distill.depthwise import QuickDepthwise
from ohlora_fast.distill.losses import make_loss
from ohlora_fast.distill.metrics import iou
from ohlora_fast.distill.runs import Clock
from ohlora_fast.distill.settings import Settings
from ohlora_fast.student import SIZE
from ohlora_fast.student.model import EffiSegNet
from ohlora_fast.student.preprocess import to_input, unsquash
from ohlora_fast.student.rewrite import FrozenNorms, InferenceEffiSegNet
from ohlora_fast.student.weights import load_student, start_encoder

Array = np.ndarray[Any, Any]
UNTRAINED = ("encoder._conv_head.", "encoder._bn1.")
"""Parameters of the published checkpoints that nothing reads."""
TICKS = 10_000
"""Steps of a one-cycle schedule that goes by the clock."""


def make_student(settings: Settings) -> EffiSegNet:
    """The student that a run starts from.

    Raises:
        InputError: its weights cannot be had, or the variant is not allowed.
    """
    if settings.start not in ("imagenet", "scratch"):
        path = None if settings.start == "bundled" else settings.start
        return load_student(path, settings.size, settings.upsampling)
    torch.manual_seed(settings.seed)
    student = EffiSegNet(
        settings.encoder, settings.head_stride, settings.head_channels, settings.size or SIZE,  # type: ignore[arg-type]
        settings.upsampling or "bilinear",
    )  # fmt: skip
    if settings.start == "imagenet":
        start_encoder(student)
    return student


class Teachers(nn.Module):
    """Several students as one: (N, 3, S, S) in [−1, 1] → the mean of their maps, (N, 1, S, S) in [0, 1].

    Each student's map is the mean of the photo's and of its mirror image's. Photos come to a student, and its maps
    back, by a bilinear resize, if its size is another. ``size`` is that of the largest.

    Raises:
        InputError: a file is not a student's weights.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        super().__init__()
        members = [InferenceEffiSegNet(load_student(path), fold=True) for path in paths]
        self.members, self.size = nn.ModuleList(members), max(member.size for member in members)

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.asked(member, x) for member in self.members]).mean(0)

    @staticmethod
    def asked(member: Any, x: Tensor) -> Tensor:
        """One student's maps, at the photos' size."""
        x, size = resized(x, member.size), x.shape[-1]
        return resized((member(x).float() + member(x.flip(-1)).flip(-1).float()) / 2, size)


class Distillation(pl.LightningModule):
    """A student, its losses and its optimizer.

    Args:
        settings: see `Settings`.
        student: see `make_student`. It is trained.
        steps_per_epoch: for the one-cycle schedule.
        teachers: those of the settings, if there are any.

    Raises:
        InputError: a package is missing.
    """

    def __init__(
        self, settings: Settings, student: EffiSegNet, steps_per_epoch: int, teachers: Teachers | None = None
    ) -> None:
        super().__init__()
        self.settings, self.student, self.steps_per_epoch = settings, student, steps_per_epoch
        for name, parameter in self.student.named_parameters():
            parameter.requires_grad_(not name.startswith(UNTRAINED))
        # Teachers see the photo as sharp as the largest of them takes it.
        self.augment = make_augmentation(settings.augmentation, max(student.size, teachers.size if teachers else 0))
        self.loss = make_loss(settings.loss, settings.dice_weight)
        # In tuples, so that they are no part of what is trained, averaged and stored in checkpoints.
        self.frozen = (FrozenNorms(self.student),) if settings.frozen_norms else ()
        self.teachers = (teachers,) if teachers else ()
        self.clock = Clock(60 * settings.minutes) if settings.minutes else None
        self.held: list[tuple[str, float, float]] = []  # (source, loss, IoU) of each held-out photo so far

    def logits(self, x: Tensor) -> Tensor:
        with QuickDepthwise() if x.device.type == "cpu" else nullcontext():
            return self.frozen[0](self.student, x) if self.frozen else self.student.logits(x)

    def on_fit_start(self) -> None:
        if self.device.type == "cuda":  # whose quickest convolutions want channels last
            self.student.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for teachers in self.teachers:
            teachers.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        # All chance comes from here on, so that a run that was interrupted goes on as it would have.
        torch.manual_seed((self.settings.seed * 1_000_003 + self.global_step) * 64 + self.global_rank)
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            images, target = self.augment(*(part.float() / 255 for part in batch))
            x = (images * 2 - 1).contiguous(memory_format=torch.channels_last)
        for teachers in self.teachers:
            target = torch.lerp(target, teachers(x), self.settings.teacher_weight)
        with torch.autocast(self.device.type, enabled=False):
            x, target = resized(x, self.student.size), resized(target, self.student.size)
        loss = self.loss(self.logits(x), target)
        self.log("loss", loss, prog_bar=True, logger=True)
        return loss

    def validation_step(self, batch: list[tuple[Array, Array, str]], batch_idx: int) -> None:
        images = np.stack([image for image, _, _ in batch])
        logits = self.student.logits(torch.from_numpy(to_input(images)).to(self.device)).float().cpu()
        for one, (_, mask, source) in zip(logits, batch, strict=True):
            prob = unsquash(torch.sigmoid(one[0]).numpy(), *mask.shape)
            target = torch.from_numpy(unsquash(mask.astype(np.float32) / 255, *one.shape[1:]))[None, None]
            self.held.append((source, float(self.loss(one[None], target)), iou(prob > 0.5, mask >= 128)))

    def take_scores(self) -> dict[str, float]:
        """The held-out photos' mean loss, mean IoU by source, and ``iou``: the mean over sources; then forget them."""
        held, self.held = self.held, []
        scores = {"val_loss": float(np.mean([loss for _, loss, _ in held]))}
        for source in sorted({source for source, _, _ in held}):
            scores[f"iou_{source}"] = float(np.mean([value for name, _, value in held if name == source]))
        return scores | {"iou": float(np.mean([value for name, value in scores.items() if name.startswith("iou_")]))}

    def configure_optimizers(self) -> Any:
        """AdamW, with weight decay on matrices and kernels alone, and the schedule of the settings."""
        settings, groups = self.settings, []
        trained = [(name, value) for name, value in self.student.named_parameters() if value.requires_grad]
        for is_encoder, lr in ((True, settings.encoder_lr), (False, settings.head_lr)):
            chosen = [value for name, value in trained if name.startswith("encoder.") == is_encoder]
            groups.append(
                {"params": [p for p in chosen if p.ndim > 1], "lr": lr, "weight_decay": settings.weight_decay}
            )
            groups.append({"params": [p for p in chosen if p.ndim == 1], "lr": lr, "weight_decay": 0.0})
        optimizer = torch.optim.AdamW(groups)
        if settings.schedule == "exponential":
            return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, settings.gamma)]
        steps = TICKS if self.clock else settings.epochs * self.steps_per_epoch
        rates: list[Any] = [group["lr"] for group in groups]
        rise = 0.1 if self.clock else min(0.2, 250 / steps)
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, steps, pct_start=rise)
        return [optimizer], [{"scheduler": cycle, "interval": "step"}]

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Move a schedule on by a step, or, where it goes by the clock, to what time it is."""
        if self.clock and isinstance(scheduler, torch.optim.lr_scheduler.OneCycleLR):
            share = self.trainer.strategy.broadcast(self.clock.share())  # one time for all processes
            scheduler.last_epoch = round(share * (TICKS - 1)) - 1
        scheduler.step()
