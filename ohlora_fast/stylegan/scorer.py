"""Training property networks: a network a fold, each resumable, then one file with all of them."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from ohlora_fast.distill.checks import check_choices, check_counts, check_numbers
from ohlora_fast.distill.report import Table, table_markdown
from ohlora_fast.distill.runs import Checkpoints, locked, make_trainer, quiet, train
from ohlora_fast.errors import InputError
from ohlora_fast.media.files import written_whole
from ohlora_fast.media.run_folder import claim, write_json
from ohlora_fast.student.engines import device_problem
from ohlora_fast.stylegan.ensemble import load_models, save_ensemble
from ohlora_fast.stylegan.metrics import auroc
from ohlora_fast.stylegan.property_cnn import PROPERTIES, PropertyCNN
from ohlora_fast.stylegan.scorer_data import (
    data_fingerprint,
    epoch_batches,
    load_labelled,
    make_folds,
    read_labels,
)

SCORER, REPORT = "scorer.safetensors", "report.md"
LOG, CHECKPOINT, BEST, RESULT = "log.csv", "checkpoint.ckpt", "best.safetensors", "result.json"
"""In a fold's folder."""


@dataclass(frozen=True)
class ScorerSettings:
    """What a training of scorers is determined by, apart from its data.

    Recorded are AdamW, five folds and the early stop after 20 epochs; the other values are ours.

    Attributes:
        property: one of `PROPERTIES`.
        folds: into how many parts the images are split; each network is validated on one and trained on the others.
        epochs: at most this many.
        batch: images a step.
        lr: learning rate of AdamW.
        weight_decay: of AdamW.
        patience: stop after this many epochs without a lower validation loss.
        seed: of all that is random.
    """

    property: str
    folds: int = 5
    epochs: int = 200
    batch: int = 32
    lr: float = 1e-4
    weight_decay: float = 1e-2
    patience: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        check_choices(self, property=PROPERTIES)
        check_counts(self, 2, "folds")
        check_counts(self, 1, "epochs", "batch", "patience")
        check_counts(self, 0, "seed")
        check_numbers(self, "numbers above 0", lambda value: 0 < value < math.inf, "lr")
        check_numbers(self, "numbers from 0 on", lambda value: 0 <= value < math.inf, "weight_decay")


@dataclass(frozen=True)
class FoldResult:
    """How the best network of a fold does on its own validation images.

    Attributes:
        fold: from 1 on.
        training, validation: numbers of images.
        epochs: how many were trained.
        epoch: the best one, from 1 on.
        val_loss: its binary cross-entropy.
        accuracy: share of the images on the right side of 0.5.
        auroc: see `auroc`.
    """

    fold: int
    training: int
    validation: int
    epochs: int
    epoch: int
    val_loss: float
    accuracy: float
    auroc: float


class ScorerRun:
    """A training of the networks of one property, in a folder of its own.

    Args:
        labels: see `read_labels`.
        folder: for settings, logs, checkpoints and networks; if it holds a run of the same settings and data, training
            goes on there.
        settings: see `ScorerSettings`.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.

    Raises:
        InputError: the list or the images are unusable, a label is rarer than folds, or the folder holds another run.
    """

    def __init__(self, labels: str | Path, folder: str | Path, settings: ScorerSettings, device: str = "cpu") -> None:
        if reason := device_problem(device):
            raise InputError(f"device: {device!r} does not run here: {reason}")
        self.folder, self.settings, self.device = Path(folder), settings, device
        self.labelled, self.images = load_labelled(read_labels(labels))
        self.labels = torch.tensor([one.label for one in self.labelled])
        try:
            self.folds = make_folds(self.labels.tolist(), settings.folds, settings.seed)
        except InputError as error:
            raise InputError(f"{labels}: {error}") from None
        claim(self.folder, asdict(settings) | {"data": data_fingerprint(self.labelled)})

    def fit(self) -> list[FoldResult]:
        """Train what is not trained yet, from where it was left, and write `SCORER` and `REPORT`.

        Raises:
            InputError: another process trains there, a loss is not finite, or a file cannot be written.
            KeyboardInterrupt: interrupted; the last epoch's checkpoint is whole.
        """
        with locked(self.folder):
            results = [self.fit_fold(fold) for fold in range(1, self.settings.folds + 1)]
            models = [load_models(self.fold_folder(result.fold) / BEST)[0] for result in results]
            save_ensemble(models, self.folder / SCORER, folds=json.dumps([asdict(result) for result in results]))
        with written_whole(self.folder / REPORT) as file:
            file.write(report_markdown(self.settings, results).encode())
        return results

    def fold_folder(self, fold: int) -> Path:
        return self.folder / f"fold-{fold}"

    def fit_fold(self, fold: int) -> FoldResult:
        """Train a fold's network, or read how it did if it is trained."""
        folder = self.fold_folder(fold)
        folder.mkdir(exist_ok=True)
        result = folder / RESULT
        if result.is_file():
            return FoldResult(**json.loads(result.read_text()))
        held = self.folds[fold - 1]
        rest = [index for other in self.folds if other is not held for index in other]
        module = FoldTraining(self.settings, fold)
        data = FoldData(module, *(TensorDataset(self.images[chosen], self.labels[chosen]) for chosen in (rest, held)))
        keeper = Keeper(folder, fold, self.settings.patience)
        checkpoint = folder / CHECKPOINT
        with quiet():
            train(self.trainer(keeper, checkpoint), module, data, checkpoint)
        names = ("epoch", "val_loss", "accuracy", "auroc")
        found = FoldResult(fold, len(rest), len(held), len(keeper.rows), **{name: keeper.best[name] for name in names})
        write_json(result, asdict(found))
        checkpoint.unlink()
        return found

    def trainer(self, keeper: Keeper, checkpoint: Path) -> pl.Trainer:
        """The loop, and all that hangs on it."""
        callbacks = [keeper, Checkpoints(checkpoint, seconds=math.inf)]
        return make_trainer(self.device, 1, callbacks, max_epochs=self.settings.epochs, logger=False)


class FoldTraining(pl.LightningModule):
    """A property's network, its loss and its optimizer; what is random depends on seed, fold and step alone."""

    def __init__(self, settings: ScorerSettings, fold: int) -> None:
        super().__init__()
        self.settings, self.fold = settings, fold
        torch.manual_seed(self.seed(0))
        self.model = PropertyCNN(settings.property).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.held: list[tuple[Tensor, Tensor]] = []  # scores and labels of the validation images so far

    def seed(self, step: int) -> int:
        return (self.settings.seed * 1000 + self.fold) * 10_000_000 + step

    def score(self, images: Tensor) -> Tensor:
        x = (images.float() / 255).contiguous(memory_format=torch.channels_last)
        scores: Tensor = self.model(x)[:, 0]
        if not torch.isfinite(scores).all():
            raise InputError(
                f"fold {self.fold}: the network gives what is no number after step {self.global_step}; the last "
                "epoch's checkpoint is kept; a lower learning rate may help"
            )
        return scores

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        torch.manual_seed(self.seed(1 + self.global_step))
        return F.binary_cross_entropy(self.score(batch[0]), batch[1].float())

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self.held.append((self.score(batch[0]).cpu(), batch[1].cpu()))

    def take_measures(self) -> dict[str, float]:
        """Loss, accuracy and AUROC of the validation images; then forget them."""
        scores, labels = (torch.cat(parts) for parts in zip(*self.held, strict=True))
        self.held = []
        return {
            "val_loss": float(F.binary_cross_entropy(scores, labels.float())),
            "accuracy": float(((scores >= 0.5) == (labels == 1)).float().mean()),
            "auroc": auroc(scores.numpy(), labels.numpy()),
        }

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW(self.model.parameters(), lr=self.settings.lr, weight_decay=self.settings.weight_decay)


class FoldData(pl.LightningDataModule):
    """A fold's images; each epoch's order is a function of seed, fold and epoch."""

    def __init__(self, module: FoldTraining, training: TensorDataset, validation: TensorDataset) -> None:
        super().__init__()
        self.module, self.training, self.validation = module, training, validation

    def train_dataloader(self) -> Any:
        assert self.trainer is not None
        settings, epoch = self.module.settings, self.trainer.current_epoch
        batches = epoch_batches(len(self.training), settings.batch, settings.seed, self.module.fold, epoch)
        return DataLoader(self.training, batch_sampler=batches)

    def val_dataloader(self) -> Any:
        return DataLoader(self.validation, batch_size=self.module.settings.batch)


class Keeper(pl.Callback):
    """Logs a row an epoch, keeps the network with the lowest validation loss, and stops when none comes any more."""

    def __init__(self, folder: Path, fold: int, patience: int) -> None:
        self.folder, self.fold, self.patience = folder, fold, patience
        self.rows: list[dict[str, Any]] = []
        self.loss, self.images = 0.0, 0  # summed over this epoch

    @property
    def best(self) -> dict[str, Any]:
        """The row of the lowest validation loss, the first of such."""
        return min(self.rows, key=lambda row: row["val_loss"])

    def stop_if_due(self, trainer: pl.Trainer) -> None:
        trainer.should_stop = len(self.rows) - self.best["epoch"] >= self.patience

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = state_dict["rows"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.rows:
            print(f"resuming fold {self.fold} after epoch {len(self.rows)}", flush=True)
            self.stop_if_due(trainer)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = float(outputs["loss"])
        self.loss, self.images = self.loss + loss * len(batch[0]), self.images + len(batch[0])

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        measures = pl_module.take_measures()  # type: ignore[operator]
        row = {"epoch": len(self.rows) + 1, "train_loss": self.loss / self.images, **measures}
        self.rows.append({**row, "time": int(time.time())})
        self.loss, self.images = 0.0, 0
        if self.best is self.rows[-1]:
            save_ensemble([pl_module.model], self.folder / BEST)  # type: ignore[list-item]
        self.stop_if_due(trainer)
        with written_whole(self.folder / LOG) as file:
            text = [",".join(self.rows[0]), *(",".join(map(shown, row.values())) for row in self.rows)]
            file.write(("\n".join(text) + "\n").encode())
        print(f"fold {self.fold}  " + "  ".join(f"{name} {shown(value)}" for name, value in row.items()), flush=True)


def shown(value: float) -> str:
    """A number of the log.

    >>> shown(3), shown(0.12345678)
    ('3', '0.123457')
    """
    return str(value) if isinstance(value, int) else f"{value:.6f}"


def results_table(results: Sequence[FoldResult]) -> Table:
    """The folds below one another, then their mean and standard deviation."""
    measures = [(one.val_loss, one.accuracy, one.auroc) for one in results]
    rows = [
        (
            str(one.fold), str(one.training), str(one.validation), f"{one.epoch} of {one.epochs}",
            *(f"{value:.4f}" for value in measure),
        )
        for one, measure in zip(results, measures, strict=True)
    ]  # fmt: skip
    for name, values in (("mean", np.mean(measures, axis=0)), ("standard deviation", np.std(measures, axis=0, ddof=1))):
        rows.append((name, "", "", "", *(f"{value:.4f}" for value in values)))
    return Table(
        "Folds",
        "Each network on the images that it was not trained on. They also chose its best epoch, by the lowest loss, so "
        "that the figures flatter it a little.",
        ("fold", "trained on", "validated on", "best epoch", "loss", "accuracy", "AUROC"),
        rows,
    )


def report_markdown(settings: ScorerSettings, results: Sequence[FoldResult]) -> str:
    """The whole of ``report.md``."""
    table = results_table(results)
    listed = ", ".join(f"{name} {value}" for name, value in asdict(settings).items() if name != "property")
    return f"# Scorer of {settings.property}\n\n{table.note}\n\n{table_markdown(table)}\n\nSettings: {listed}.\n"
