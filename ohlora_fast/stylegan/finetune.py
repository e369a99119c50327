"""Fine-tuning runs: a folder each, resumable, with the recorded log, networks and pictures."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.strategies import DDPStrategy
from torch.utils.data import DataLoader

from ohlora_fast.distill.data import Batches
from ohlora_fast.distill.runs import Checkpoints, locked, make_trainer, quiet, stored_state, train
from ohlora_fast.distill.settings import PRECISIONS
from ohlora_fast.errors import InputError
from ohlora_fast.media.files import written_whole
from ohlora_fast.media.run_folder import claim
from ohlora_fast.student.engines import device_problem
from ohlora_fast.stylegan.adversarial import Adversaries
from ohlora_fast.stylegan.ensemble import Ensemble, fingerprint, load_ensembles
from ohlora_fast.stylegan.finetune_data import TrainingImages
from ohlora_fast.stylegan.finetune_settings import FinetuneSettings
from ohlora_fast.stylegan.log import COLUMNS
from ohlora_fast.stylegan.samples import SAMPLES, SHEETS, Observer
from ohlora_fast.stylegan.weights import save_weights

LOG, CHECKPOINT = "log.csv", "checkpoint.ckpt"
GENERATOR, DISCRIMINATOR = "generator.safetensors", "discriminator.safetensors"
STATE = ("step", "g_loss", "penalty", "d_iterations")
"""What a checkpoint needs of `Adversaries` beside weights and optimizers, so that a run resumes exactly."""


class FinetuneRun:
    """One fine-tuning in a folder of its own.

    Args:
        paths: of the images.
        folder: for checkpoints, logs and pictures; if it holds a checkpoint of the same settings, training goes on
            there.
        settings: see `FinetuneSettings`.
        scorers: files of property networks, see `load_ensembles`; none for a log without scores.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.
        devices: how many of them; each is a process, and takes ``batch`` images a step.
        checkpoint_seconds: how often the state is stored, beside after each test: so much work at most is lost.
        sample_every: steps between pictures, for which the networks are written as well.
        pictures: their format, ``"jpg"`` or ``"png"``.

    Attributes:
        per_epoch: batches an epoch.

    Raises:
        InputError: the images, the networks or the scorers cannot be used, or ``folder`` holds another run.
    """

    def __init__(
        self, paths: Sequence[str | Path], folder: str | Path, settings: FinetuneSettings,
        scorers: Sequence[str | Path] = (), device: str = "cpu", devices: int = 1, checkpoint_seconds: float = 60,
        sample_every: int = 500, pictures: str = "jpg",
    ) -> None:  # fmt: skip
        if reason := device_problem(device):
            raise InputError(f"device: {device!r} does not run here: {reason}")
        if settings.precision == "fp16" and not device.startswith("cuda"):
            raise InputError(f"precision: fp16 needs an NVIDIA GPU; allowed on {device} are fp32 and bf16")
        self.folder, self.settings, self.device, self.devices = Path(folder), settings, device, devices
        self.checkpoint_seconds, self.sample_every, self.pictures = checkpoint_seconds, sample_every, pictures
        self.scorers: dict[str, Ensemble] = load_ensembles(scorers) if scorers else {}
        self.module = Adversaries(settings)
        self.images = TrainingImages(paths, self.module.generator.resolution, settings.resize)
        self.per_epoch = len(self.batches(0))
        wanted = asdict(settings) | {
            "images": self.images.fingerprint(),
            "scorers": fingerprint(scorers) if scorers else None,
            "devices": devices,
        }
        # All that can be refused has been: from here on the folder is this run's.
        claim(self.folder, wanted)

    def batches(self, epoch: int, first: int = 0, rank: int = 0) -> Batches:
        """An epoch's batches, which leave out the images that do not fill one."""
        settings, sources = self.settings, [""] * len(self.images)
        return Batches(sources, settings.batch, False, settings.seed, epoch, first, rank=rank, world=self.devices)

    def fit(self, max_steps: int | None = None) -> None:
        """Train to the end, from the last checkpoint if there is one.

        Args:
            max_steps: end after so many steps in all, whatever the settings' epochs say.

        Raises:
            InputError: another process trains there, a loss or a weight is no number any more, or a file cannot be
                written.
            KeyboardInterrupt: interrupted; the last checkpoint is whole.
        """
        with locked(self.folder):
            self.fit_alone(max_steps)

    def fit_alone(self, max_steps: int | None) -> None:
        checkpoint = self.folder / CHECKPOINT
        if checkpoint.is_file():
            step = stored_state(checkpoint, Keeper)["step"]
            if step >= min(max_steps or step + 1, self.settings.epochs * self.per_epoch):
                return
        with quiet():
            train(self.trainer(max_steps), self.module, Data(self), checkpoint)

    def trainer(self, max_steps: int | None) -> pl.Trainer:
        """The loop, and all that hangs on it."""
        checkpoints = AskedCheckpoints(self.folder / CHECKPOINT, self.checkpoint_seconds)
        return make_trainer(
            self.device,
            self.devices,
            [Keeper(self, checkpoints, max_steps), checkpoints],
            strategy=Together() if self.devices > 1 else "auto",
            precision=PRECISIONS[self.settings.precision],
            max_epochs=self.settings.epochs,
            logger=False,
        )


class Together(DDPStrategy):
    """Several processes that average gradients themselves.

    PyTorch's wrapper expects one backward pass a forward pass, which an adaptive number of iterations is not.
    """

    def configure_ddp(self) -> None:
        pass


class Data(pl.LightningDataModule):
    """Serves a run's images to its trainer."""

    def __init__(self, run: FinetuneRun) -> None:
        super().__init__()
        self.run = run

    def train_dataloader(self) -> Any:
        """This epoch's batches, from where the trainer stands in it."""
        trainer, run = self.trainer, self.run
        assert trainer is not None
        epoch = trainer.current_epoch
        batches = run.batches(epoch, run.module.step - epoch * run.per_epoch, trainer.global_rank)
        return DataLoader(run.images, batch_sampler=batches, num_workers=0 if run.images.images is not None else 2)


class AskedCheckpoints(Checkpoints):
    """Checkpoints that also come when they are asked for, and after each epoch."""

    asked = False

    def waited(self, trainer: pl.Trainer) -> bool:
        return self.asked or super().waited(trainer)

    def store(self, trainer: pl.Trainer) -> None:
        trainer.lightning_module.check_weights()  # type: ignore[operator]
        super().store(trainer)
        self.asked = False

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_last_batch:  # else the steps ended within the epoch
            self.store(trainer)


class Keeper(pl.Callback):
    """Tests, logs, writes networks and pictures, and ends a run of so many steps."""

    def __init__(self, run: FinetuneRun, checkpoints: AskedCheckpoints, max_steps: int | None) -> None:
        self.run, self.checkpoints, self.max_steps = run, checkpoints, max_steps
        self.observer = Observer(run.module, run.images, run.scorers)
        self.rows = RunLog(run.folder / LOG, run.scorers)
        self.said = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self.run.module, name) for name in STATE}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name, value in state_dict.items():
            setattr(self.run.module, name, value)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        step, run = self.run.module.step, self.run
        if not trainer.is_global_zero:
            return
        for model in run.scorers.values():
            model.to(pl_module.device)
        for folder in (SAMPLES, SHEETS):
            (run.folder / folder).mkdir(exist_ok=True)
        self.rows.cut(step, run.per_epoch)
        if step:
            print(f"resuming {run.folder} at step {step}", flush=True)
        else:
            self.observer.write_grid(self.picture(SAMPLES))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        run, step = self.run, self.run.module.step
        epoch, idx = divmod(step - 1, run.per_epoch)
        ended = step in (self.max_steps, run.settings.epochs * run.per_epoch)
        tested, shown = run.settings.is_test(epoch, idx), ended or step % run.sample_every == 0
        trainer.should_stop = ended
        if tested or shown:
            self.checkpoints.asked = True
            run.module.check_weights()
        if not trainer.is_global_zero:
            return
        if tested:
            row = self.observer.row(epoch, idx)
            self.rows.append(row)
            self.say("  ".join(f"{name} {value}" for name, value in row.items()))
        elif trainer.progress_bar_callback is None and time.monotonic() - self.said > 30:
            assert run.module.last is not None
            self.say(f"step {step}  d_loss {run.module.last.d_loss:.4f}  g_loss {run.module.last.g_loss:.4f}")
        if shown:
            self.show()

    def say(self, line: str) -> None:
        self.said = time.monotonic()
        print(line, flush=True)

    def show(self) -> None:
        """Write pictures and networks."""
        module = self.run.module
        self.observer.write_grid(self.picture(SAMPLES))
        self.observer.write_sheet(self.picture(SHEETS))
        notes = {"step": str(module.step)}
        save_weights(module.shown, self.run.folder / GENERATOR, **notes)
        save_weights(module.discriminator, self.run.folder / DISCRIMINATOR, **notes)

    def picture(self, folder: str) -> Path:
        return self.run.folder / folder / f"step-{self.run.module.step:06d}.{self.run.pictures}"


class RunLog:
    """The recorded log, a row a test; a kill loses the row that is being written at most.

    Args:
        file: where it stands.
        properties: those that are scored, a column each after the recorded ones.
    """

    def __init__(self, file: Path, properties: Mapping[str, Any]) -> None:
        self.file, self.columns = file, (*COLUMNS, *(f"mean_{name}_score" for name in properties))

    def cut(self, step: int, per_epoch: int) -> None:
        """Leave only the rows up to a step: those after it will be written again."""
        rows: list[Sequence[str]] = [self.columns]
        if step and self.file.is_file():
            with self.file.open(newline="", encoding="utf-8") as stream:
                found = [row for row in list(csv.reader(stream))[1:] if len(row) == len(self.columns)]
            rows += [row for row in found if int(row[0]) * per_epoch + int(row[1]) < step]
        with written_whole(self.file) as file:
            file.write("".join(map(self.line, rows)).encode())

    def append(self, row: Mapping[str, str]) -> None:
        """Add a row, on the disk before this returns.

        Raises:
            InputError: it cannot be written.
        """
        try:
            with self.file.open("a", encoding="utf-8", newline="") as stream:
                stream.write(self.line([row[name] for name in self.columns]))
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise InputError(f"cannot write {self.file}: {os.strerror(error.errno or 0)}") from error

    @staticmethod
    def line(cells: Sequence[str]) -> str:
        return ",".join(cells) + "\n"
