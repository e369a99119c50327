"""Train a student on photos with hair masks: resumable, with progress, on one CPU or GPU."""

from __future__ import annotations

import csv
import json
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from ohlora_fast.distill.data import Pair, Photos, find_pairs, hold_out
from ohlora_fast.distill.losses import bce_dice_loss
from ohlora_fast.distill.metrics import pair_ious, source_means
from ohlora_fast.errors import InputError
from ohlora_fast.media.files import written_whole
from ohlora_fast.student.engines import device_problem
from ohlora_fast.student.model import EffiSegNet, EncoderName
from ohlora_fast.student.preprocess import squash, to_input, unsquash
from ohlora_fast.student.weights import load_student, save_student, start_encoder


@dataclass(frozen=True)
class Settings:
    """What a run is determined by, apart from its data. Written to ``settings.json`` in the run's folder."""

    encoder: EncoderName = "efficientnet-lite0"
    head_stride: int = 2
    head_channels: int = 64
    epochs: int = 16
    batch: int = 16
    encoder_lr: float = 4e-4
    head_lr: float = 2e-3
    weight_decay: float = 2e-2
    dice_weight: float = 0.5
    ema_decay: float = 0.998
    held_out: float = 0.06
    repeat: Mapping[str, int] = field(default_factory=dict)
    pretrained: bool = True
    start: str | None = None
    precision: str = "fp32"
    seed: int = 0


class Trainer:
    """One training run in a folder of its own.

    Args:
        data: folder of ``images/`` and ``masks/``.
        run: folder for checkpoints and logs; if it holds a checkpoint of the same settings, training goes on there.
        settings: see `Settings`.
        device: where to train, e.g. ``"cpu"`` or ``"cuda"``.

    Raises:
        InputError: the data is unusable, a setting is not allowed, or ``run`` holds a run with other settings or data.
    """

    def __init__(self, data: str | Path, run: str | Path, settings: Settings, device: str = "cpu") -> None:
        if reason := device_problem(device):
            raise InputError(f"device: {device!r} does not run here: {reason}")
        self.run, self.settings, self.device = Path(run), settings, torch.device(device)
        pairs = find_pairs(data)
        train, self.held = hold_out(pairs, settings.held_out)
        torch.manual_seed(settings.seed)
        self.model = EffiSegNet(settings.encoder, settings.head_stride, settings.head_channels)
        if settings.start is not None:
            self.model = load_student(settings.start)
        elif settings.pretrained:
            start_encoder(self.model)
        self.model = self.model.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.ema = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(settings.ema_decay), use_buffers=True)
        self.photos = Photos(train, settings.batch, settings.repeat, settings.seed)
        self.steps = settings.epochs * self.photos.steps_per_epoch
        self.optimizer, self.schedule = self.make_optimizer()
        self.step, self.best = 0, -1.0
        self.losses: list[float] = []  # of this epoch's steps
        self.claim_run(pairs)

    def claim_run(self, pairs: Sequence[Pair]) -> None:
        """Create the run's folder, or make sure that what it holds has these settings and this data."""
        names = zlib.crc32("\n".join(pair.name for pair in pairs).encode())
        file = self.run / "settings.json"
        wanted = json.loads(json.dumps(asdict(self.settings))) | {"data": f"{len(pairs)} pairs, crc32 {names:08x}"}
        if file.is_file():
            found = json.loads(file.read_text())
            differing = sorted(key for key in found | wanted if found.get(key) != wanted.get(key))
            if differing:
                raise InputError(
                    f"{self.run}: holds a run with other settings ({', '.join(differing)}); choose another folder"
                )
        self.run.mkdir(parents=True, exist_ok=True)
        with written_whole(file) as stream:
            stream.write((json.dumps(wanted, indent=2) + "\n").encode())

    def make_optimizer(self) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        """AdamW and a one-cycle schedule, with weight decay on matrices and kernels alone."""
        settings, groups = self.settings, []
        for is_encoder, lr in ((True, settings.encoder_lr), (False, settings.head_lr)):
            chosen = [p for n, p in self.model.named_parameters() if n.startswith("encoder.") == is_encoder]
            groups.append(
                {"params": [p for p in chosen if p.ndim > 1], "lr": lr, "weight_decay": settings.weight_decay}
            )
            groups.append({"params": [p for p in chosen if p.ndim == 1], "lr": lr, "weight_decay": 0.0})
        optimizer = torch.optim.AdamW(groups)
        rates: list[Any] = [group["lr"] for group in groups]
        return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, self.steps, pct_start=0.2)

    def fit(self, checkpoint_every: int = 50) -> Path:
        """Train to the end, from the last checkpoint if there is one, and return the best student's file.

        The best is the one that scores highest on the held-out pairs; without any, it is the last.

        Interrupting is safe at any time: at most ``checkpoint_every`` steps are lost.
        """
        self.resume()
        per_epoch = self.photos.steps_per_epoch
        self.model.train()
        with tqdm(total=self.steps, initial=self.step, unit="step", mininterval=1, smoothing=0.05) as bar:
            for images, masks in self.photos.batches(self.step, self.steps):
                self.losses.append(self.train_step(images, masks))
                self.step += 1
                bar.update()
                bar.set_postfix(loss=f"{np.mean(self.losses[-100:]):.4f}")
                finished = self.step % per_epoch == 0
                if finished:
                    self.finish_epoch(float(np.mean(self.losses)))
                    self.losses.clear()
                if finished or self.step % checkpoint_every == 0:
                    self.save()
        return self.run / "best.safetensors"

    def train_step(self, images: Tensor, masks: Tensor) -> float:
        images = images.to(self.device).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.precision == "bf16"):
            logits = self.model.logits(images)
        loss = bce_dice_loss(logits, masks.to(self.device), self.settings.dice_weight)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        self.ema.update_parameters(self.model)
        return float(loss.detach())

    def finish_epoch(self, loss: float) -> None:
        """Score the averaged student on the held-out part, keep it if it is the best, and log a row."""
        student = self.ema.module
        assert isinstance(student, EffiSegNet)
        scores = self.score(student) if self.held else {}
        mean = float(np.mean(list(scores.values()))) if scores else -loss
        save_student(student, self.run / "last.safetensors")
        if mean > self.best or self.best < 0:
            self.best = mean
            save_student(student, self.run / "best.safetensors")
        epoch = self.step // self.photos.steps_per_epoch
        row = {"epoch": epoch, "step": self.step, "time": int(time.time()), "loss": round(loss, 5)}
        row |= {f"iou_{source}": round(score, 5) for source, score in scores.items()}
        tqdm.write("  ".join(f"{name} {value}" for name, value in row.items() if name != "time"))
        file = self.run / "log.csv"
        fresh = not file.exists()
        with file.open("a", newline="") as stream:
            writer = csv.DictWriter(stream, row)
            if fresh:
                writer.writeheader()
            writer.writerow(row)

    def score(self, student: EffiSegNet) -> Mapping[str, float]:
        """Mean IoU by source over the held-out pairs."""
        student.eval()
        with torch.inference_mode():
            return source_means(self.held, list(pair_ious(lambda image: self.segment(student, image), self.held)))

    def segment(self, student: EffiSegNet, image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        batch = torch.from_numpy(to_input(squash(image)[None])).to(self.device)
        return unsquash(student(batch)[0, 0].float().cpu().numpy(), *image.shape[:2])

    def save(self) -> None:
        """Write the run's checkpoint: everything that the next step depends on."""
        state = {
            "model": self.model.state_dict(), "ema": self.ema.state_dict(), "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(), "step": self.step, "best": self.best, "losses": self.losses,
            "rng": torch.get_rng_state(),
        }  # fmt: skip
        with written_whole(self.run / "checkpoint.pt") as file:
            torch.save(state, file)

    def resume(self) -> None:
        """Take up the run's last checkpoint, if there is one."""
        file = self.run / "checkpoint.pt"
        if not file.is_file():
            return
        state: dict[str, Any] = torch.load(file, map_location=self.device, weights_only=True)
        for name in ("model", "ema", "optimizer", "schedule"):
            getattr(self, name).load_state_dict(state[name])
        self.step, self.best, self.losses = state["step"], state["best"], state["losses"]
        torch.set_rng_state(state["rng"].cpu())
        tqdm.write(f"resuming {self.run} at step {self.step} of {self.steps}")
