"""Training runs: a folder each, resumable, with logs, a best student and a report."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from ohlora_fast.distill.data import Batches, ScoringPhotos, TrainingPhotos, find_pairs, fingerprint, split
from ohlora_fast.distill.metrics import pair_counts, summarise
from ohlora_fast.distill.module import Distillation, Teachers, make_student
from ohlora_fast.distill.report import Run as ReportedRun
from ohlora_fast.distill.report import read_run, write_report
from ohlora_fast.distill.runs import AveragedWeights, Checkpoints, locked, make_trainer, quiet, stored_state, train
from ohlora_fast.distill.settings import PRECISIONS, Settings
from ohlora_fast.errors import InputError
from ohlora_fast.media.files import written_whole
from ohlora_fast.media.run_folder import claim, refuse_another
from ohlora_fast.student.engines import device_problem
from ohlora_fast.student.weights import save_student
from ohlora_fast.stylist import HairStylist

LOG, CHECKPOINT, BEST, LAST = "log.csv", "checkpoint.ckpt", "best.safetensors", "last.safetensors"


class Run:
    """One training run in a folder of its own.

    Args:
        data: folder of pairs, see `find_pairs`.
        folder: for checkpoints and logs; if it holds a checkpoint of the same settings, training goes on there.
        settings: see `Settings`.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.
        devices: how many of them; each is a process, and takes ``batch`` photos a step.
        checkpoint_seconds: how often the state is stored: so much work at most is lost.

    Raises:
        InputError: the data is unusable, a setting is not allowed, or ``folder`` holds a run with other settings or
            data.
    """

    def __init__(
        self, data: str | Path, folder: str | Path, settings: Settings, device: str = "cpu", devices: int = 1,
        checkpoint_seconds: float = 10,
    ) -> None:  # fmt: skip
        if reason := device_problem(device):
            raise InputError(f"device: {device!r} does not run here: {reason}")
        self.folder, self.settings, self.device, self.devices = Path(folder), settings, device, devices
        self.checkpoint_seconds = checkpoint_seconds
        pairs = find_pairs(data)
        self.validation, self.test, self.training = split(pairs, settings.validation, settings.test)
        if not self.training:
            raise InputError(f"{data}: all {len(pairs)} pairs are held out; training needs more")
        self.wanted = asdict(settings) | {"data": fingerprint(pairs)}
        refuse_another(self.folder, self.wanted)
        self.batches(0)
        student = make_student(settings)
        self.photos = TrainingPhotos(self.training, student.size)
        teachers = Teachers(settings.teacher) if settings.teacher else None
        if teachers and (settings.agreement or settings.teacher_once):
            labels = self.photos.soft_labels(teachers.to(device), max(student.size, teachers.size), device)
            kept = self.leave_out(labels) if settings.agreement else slice(None)
            if settings.teacher_once:
                self.photos.mix(labels[kept], settings.teacher_weight)
                teachers = None
        self.module = Distillation(settings, student, len(self.batches(0)), teachers)
        # All that can be refused has been: from here on the folder is this run's.
        claim(self.folder, self.wanted)

    def leave_out(self, labels: Tensor) -> list[int]:
        """Leave out the pairs that the teachers' soft labels contradict, and return the indices of the others."""
        agreements = self.photos.agreements(labels)
        kept = [index for index, agreement in enumerate(agreements) if agreement >= self.settings.agreement]
        self.photos.keep(kept)
        before, self.training = len(agreements), [self.training[index] for index in kept]
        print(f"{before - len(kept)} of {before} training pairs left out, as the teachers contradict them", flush=True)
        return kept

    def batches(self, epoch: int, first: int = 0, rank: int = 0) -> Batches:
        sources = [pair.source for pair in self.training]
        settings = self.settings
        return Batches(
            sources, settings.batch, settings.balance, settings.seed, epoch, first, rank=rank, world=self.devices,
            rounds=settings.rounds,
        )  # fmt: skip

    def fit(self, max_steps: int | None = None) -> None:
        """Train to the end, from the last checkpoint if there is one, and leave the best student in `BEST`.

        The best is the one with the highest mean IoU on the validation pairs.

        Args:
            max_steps: end after so many steps in all, whatever the settings' epochs say.

        Raises:
            InputError: another process trains there, the loss is not finite any more, or a file cannot be written.
            KeyboardInterrupt: interrupted; the last checkpoint is whole.
        """
        with locked(self.folder):
            self.fit_alone(max_steps)

    def fit_alone(self, max_steps: int | None) -> None:
        checkpoint = self.folder / CHECKPOINT
        if checkpoint.is_file() and stored_state(checkpoint, Keeper)["finished"]:
            return
        with quiet():
            keeper, data, trainer = Keeper(self), Data(self), self.trainer(max_steps)
            trainer.callbacks.insert(0, keeper)  # type: ignore[attr-defined]
            train(trainer, self.module, data, checkpoint)
            if not keeper.logged(trainer):  # max_steps ended it within an epoch
                trainer.validate(self.module, data, verbose=False)

    def trainer(self, max_steps: int | None) -> pl.Trainer:
        """The loop, and all that hangs on it but the `Keeper`."""
        settings = self.settings
        callbacks: list[pl.Callback] = [Checkpoints(self.folder / CHECKPOINT, self.checkpoint_seconds)]
        if settings.ema_decay:
            callbacks.append(AveragedWeights(settings.ema_decay))
        if self.module.clock:
            callbacks.append(self.module.clock)
        if settings.patience:
            callbacks.append(EarlyStopping("val_loss", patience=settings.patience))
        return make_trainer(
            self.device,
            self.devices,
            callbacks,
            strategy="ddp" if self.devices > 1 else "auto",
            precision=PRECISIONS[settings.precision],
            max_epochs=-1 if settings.minutes else settings.epochs,
            max_steps=max_steps or -1,
            logger=TensorBoardLogger(self.folder, name="tensorboard", version=""),
            gradient_clip_val=settings.clip or None,
            benchmark=True,  # cuDNN's, as all batches have one shape
            log_every_n_steps=10,
        )


class Data(pl.LightningDataModule):
    """Serves a run's pairs to its trainer."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run

    def train_dataloader(self) -> Any:
        """This epoch's batches, from where the trainer stands in it."""
        trainer = self.trainer
        assert trainer is not None
        epoch = trainer.current_epoch
        first = trainer.global_step - epoch * len(self.run.batches(epoch))
        self.run.photos.settle(trainer.strategy.root_device)
        batches = self.run.batches(epoch, first, trainer.global_rank)
        return DataLoader(self.run.photos, batch_sampler=batches, collate_fn=tuple)

    def val_dataloader(self) -> Any:
        return DataLoader(ScoringPhotos(self.run.validation, self.run.photos.size), batch_size=8, collate_fn=list)


class Keeper(pl.Callback):
    """Logs a row an epoch, keeps the best student and the last, and says where a run stands.

    It comes before the averaging of the weights, which swaps the averaged ones in for a validation.
    """

    def __init__(self, run: Run) -> None:
        self.run, self.best, self.finished = run, -1.0, False
        self.rows: list[dict[str, Any]] = []
        self.loss, self.steps = torch.zeros(()), 0  # summed over this epoch
        self.said = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        names = ("rows", "best", "finished", "steps")
        return {name: getattr(self, name) for name in names} | {"loss": self.loss.cpu()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name, value in state_dict.items():
            setattr(self, name, value)

    def logged(self, trainer: pl.Trainer) -> bool:
        """Whether the log's last row is of the last step."""
        return bool(self.rows) and self.rows[-1]["step"] == trainer.global_step

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.global_step and trainer.is_global_zero:
            print(f"resuming {self.run.folder} at step {trainer.global_step}", flush=True)
            self.write_log()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs["loss"].detach()
        self.loss, self.steps = self.loss.to(loss.device) + loss, self.steps + 1
        if not torch.isfinite(self.loss):
            raise InputError(
                f"{self.run.folder}: the loss is {float(loss)} at step {trainer.global_step}; the last checkpoint is "
                "kept; lower learning rates may help"
            )
        if trainer.progress_bar_callback is None and time.monotonic() - self.said > 30 and trainer.is_global_zero:
            self.said = time.monotonic()
            print(f"step {trainer.global_step}  loss {float(self.loss) / self.steps:.4f}", flush=True)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        ended = trainer.should_stop or trainer.current_epoch == trainer.max_epochs
        self.finished = ended and self.logged(trainer)
        if self.finished:
            trainer.save_checkpoint(self.run.folder / CHECKPOINT)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        scores = pl_module.take_scores()  # type: ignore[operator]
        pl_module.log_dict(scores)
        self.finish_epoch(trainer, scores)

    def finish_epoch(self, trainer: pl.Trainer, scores: Mapping[str, float]) -> None:
        """Write the log with a new row, and the student if it is the best; the weights are the averaged ones."""
        loss = float(self.loss) / max(1, self.steps)
        self.loss, self.steps = torch.zeros(()), 0
        rates = [group["lr"] for group in trainer.optimizers[0].param_groups] if trainer.optimizers else [0.0]
        row: dict[str, Any] = {
            "epoch": -(-trainer.global_step // len(self.run.batches(0))), "step": trainer.global_step,
            "time": int(time.time()),
            "train_loss": round(loss, 6), "lr": f"{max(rates):.3e}",
        }  # fmt: skip
        self.rows.append(row | {name: round(score, 6) for name, score in scores.items()})
        if not trainer.is_global_zero:
            return
        self.write_log()
        student = self.run.module.student
        save_student(student, self.run.folder / LAST)
        if scores["iou"] > self.best:
            self.best = scores["iou"]
            save_student(student, self.run.folder / BEST)
        print("  ".join(f"{name} {value}" for name, value in self.rows[-1].items() if name != "time"), flush=True)

    def write_log(self) -> None:
        names = list(self.rows[0]) if self.rows else []
        lines = [",".join(names), *(",".join(str(row.get(name, "")) for name in names) for row in self.rows)]
        with written_whole(self.run.folder / LOG) as file:
            file.write(("\n".join(lines) + "\n").encode())


def distill(
    data: str | Path, folder: str | Path, settings: Settings, losses: Sequence[str] = (),
    max_steps: int | None = None, **options: Any,
) -> Path:  # fmt: skip
    """Train a student, or one with each loss, all else alike, and report on them.

    Args:
        data: folder of pairs, see `find_pairs`.
        folder: the run's; with ``losses`` each has a run in ``folder/LOSS``. The report comes into ``folder/report``.
        settings: see `Settings`.
        losses: names from `LOSSES`, to compare; none for the settings' loss alone.
        max_steps: end each run after so many steps in all.
        options: further arguments of `Run`.

    Returns:
        The report's HTML file.

    Raises:
        InputError: see `Run`.
    """
    if not losses:
        run = Run(data, folder, settings, **options)
        run.fit(max_steps)
        return write_report(run.folder / "report", [finished(run, "best")])
    reported = []
    for loss in losses:
        run = Run(data, Path(folder) / loss, replace(settings, loss=loss), **options)
        run.fit(max_steps)
        reported.append(finished(run, loss))
    return write_report(Path(folder) / "report", reported)


def finished(run: Run, name: str) -> ReportedRun:
    """Score a run's best student on its test pairs, or without any on its validation pairs."""
    pairs = run.test or run.validation
    stylist = HairStylist(checkpoint=run.folder / BEST, device="cpu")
    counts = list(pair_counts(stylist.segment, tqdm(pairs, "scoring the best student", unit="photo", disable=None)))
    return ReportedRun(name, *read_run(run.folder), summarise(pairs, counts))
