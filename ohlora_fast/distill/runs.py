"""What every training run has: a folder that nothing else trains in, checkpoints that are whole, Lightning's loop."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import lightning.pytorch as pl
import torch
from filelock import FileLock, Timeout
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint, TQDMProgressBar, WeightAveraging
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ohlora_fast.errors import InputError
from ohlora_fast.media.files import written_whole


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder; the processes of one run on several GPUs share their first one's lock.

    Raises:
        InputError: another process trains there.
    """
    lock = FileLock(folder / ".lock")
    if "LOCAL_RANK" not in os.environ:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise InputError(f"{folder}: another process is training there; wait for it, or end it") from None
    try:
        yield
    finally:
        lock.release()


def stored_state(checkpoint: Path, keeper: type[pl.Callback]) -> dict[str, Any]:
    """What a checkpoint holds of a run's callback of that kind.

    Raises:
        InputError: it cannot be read.
    """
    try:
        stored = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
        return dict(stored["callbacks"][keeper.__qualname__])
    except Exception as error:  # an unpickler may raise anything at bytes it was not made for
        raise InputError(
            f"{checkpoint}: not a readable checkpoint ({type(error).__name__}); remove it to train anew"
        ) from error


class Checkpoints(Checkpoint):
    """Stores the run's state every so many seconds, and after each validation.

    Not after an epoch's last step: the validation that follows would be left out on resuming.
    """

    def __init__(self, path: Path, seconds: float) -> None:
        self.path, self.seconds, self.stored = path, seconds, monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not trainer.is_last_batch and self.waited(trainer):
            self.store(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn == TrainerFn.FITTING:
            self.store(trainer)

    def waited(self, trainer: pl.Trainer) -> bool:
        """Whether the time has come, for any of the processes: they store together, or wait for one another forever."""
        waited = monotonic() - self.stored >= self.seconds
        return trainer.strategy.reduce_boolean_decision(waited, all=False)

    def store(self, trainer: pl.Trainer) -> None:
        trainer.save_checkpoint(self.path)
        self.stored = monotonic()


class Clock(pl.Callback):
    """Ends a run when its time is up; what passes between an interruption and the resuming does not count.

    Args:
        seconds: how long the run trains in all.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds, self.before, self.since = seconds, 0.0, monotonic()

    def spent(self) -> float:
        """Seconds of training so far."""
        return self.before + monotonic() - self.since

    def share(self) -> float:
        """How much of the time is spent, from 0 to 1."""
        return min(1.0, self.spent() / self.seconds)

    def state_dict(self) -> dict[str, Any]:
        return {"spent": self.spent()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.before, self.since = state_dict["spent"], monotonic()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.since = monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # Several processes stop together, or those that go on would wait for the others forever.
        trainer.should_stop |= trainer.strategy.reduce_boolean_decision(self.share() >= 1, all=False)


class AveragedWeights(WeightAveraging):
    """Validates and keeps the exponential average of the weights, and of the batch norms' statistics.

    In the n-th step its decay is at most (1 + n) / (10 + n), as in TensorFlow, so that a short run's average forgets
    where it started.

    Args:
        decay: a step, from 0 to 1.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(multi_avg_fn=self.average)
        self.decay = decay

    def average(self, averaged: Any, current: Any, count: Tensor | int) -> None:
        """Move averages towards current values, in place."""
        steps = int(count)
        get_ema_multi_avg_fn(min(self.decay, (1 + steps) / (10 + steps)))(averaged, current, steps)


class WholeCheckpoints(TorchCheckpointIO):
    """Checkpoints that are written whole or not at all."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        try:
            with written_whole(path) as file:
                torch.save(checkpoint, file)
        except RuntimeError as error:  # what PyTorch may make of a Ctrl-C while it writes
            if isinstance(error.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from None
            raise


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Lightning's advice for developers from users of the command line."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric", "lightning_utilities")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            warnings.filterwarnings("ignore", message=".*dataloader.*|.*LeafSpec.*|.*isinstance.treespec.*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def make_trainer(device: str, devices: int, callbacks: Sequence[pl.Callback], **options: Any) -> pl.Trainer:
    """Lightning's loop, with what all runs have in common.

    Args:
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.
        devices: how many of them, where none is numbered.
        callbacks: beside a progress bar on a terminal; Lightning moves `Checkpoints` behind all others.
        options: further ones of Lightning's trainer.
    """
    kind, _, index = device.partition(":")
    seen = sys.stderr.isatty()
    return pl.Trainer(
        accelerator={"cuda": "gpu"}.get(kind, kind),
        devices=[int(index)] if index else devices,
        callbacks=[*callbacks, *([TQDMProgressBar()] if seen else [])],
        plugins=[WholeCheckpoints()],
        num_sanity_val_steps=0,
        enable_progress_bar=seen,
        enable_model_summary=False,
        use_distributed_sampler=False,
        reload_dataloaders_every_n_epochs=1,
        **options,
    )


def train(trainer: pl.Trainer, module: pl.LightningModule, data: pl.LightningDataModule, checkpoint: Path) -> None:
    """Train from the checkpoint, or from the start if there is none; of several processes only the first comes back."""
    resume: dict[str, Any] = {"ckpt_path": str(checkpoint), "weights_only": True} if checkpoint.is_file() else {}
    try:
        trainer.fit(module, data, **resume)
    except SystemExit:  # Lightning's answer to Ctrl-C
        raise KeyboardInterrupt from None
    if not trainer.is_global_zero:  # the first does the rest
        raise SystemExit(0)
