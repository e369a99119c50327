"""Training of the head finder, from folders of photos to its files; resumable.

    python -m ohlora_fast.heads.training SCENES OPEN [--hair HAIR] -o RUN

trains until the minutes are over and writes RUN/heads.safetensors, and of it RUN/heads.onnx and, in 8-bit integers,
RUN/heads-int8.onnx, which are what is bundled. The same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ohlora_fast.distill.runs import AveragedWeights, Checkpoints, Clock, locked, make_trainer, quiet, train
from ohlora_fast.errors import InputError
from ohlora_fast.heads.export import export_heads, quantized_heads
from ohlora_fast.heads.network import LEFT_OUT, STRIDE, FrozenEncoder, HeadFinderNet
from ohlora_fast.heads.scenes import Sample, Scenes
from ohlora_fast.heads.sources import read_hair, read_nothing, read_portraits, read_street
from ohlora_fast.heads.weights import load_net, save_net
from ohlora_fast.media.files import written_whole
from ohlora_fast.media.run_folder import claim, refuse_another
from ohlora_fast.student.weights import lite_state

CHECKPOINT, WEIGHTS = "checkpoint.ckpt", "heads.safetensors"
CALIBRATION = 100
"""Samples that scale the activations of the graph in 8-bit integers."""
TICKS = 10_000
"""Steps of the schedule, which goes by the clock."""
BOX_WEIGHT = 0.5
"""Of the boxes' loss beside the heat's."""
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class HeadSettings:
    """Settings of a head finder's training.

    Attributes:
        minutes: how long it takes; the rates go by the clock.
        batch: samples a step.
        size: side of a sample in pixels, a multiple of 32.
        encoder_lr, head_lr: peak learning rates of AdamW.
        weight_decay: AdamW's, on kernels.
        ema_decay: of the averaged weights, which are the result.
        seed: of the samples and weights.
        start: a file of weights to go on from; None: the encoder's of ImageNet.
    """

    minutes: float = 30.0
    batch: int = 16
    size: int = 288
    encoder_lr: float = 6e-4
    head_lr: float = 3e-3
    weight_decay: float = 1e-2
    ema_decay: float = 0.995
    seed: int = 0
    start: str | None = None


class Samples(Dataset[Sample]):
    """The samples of a step range, numbered throughout a run."""

    def __init__(self, scenes: Scenes, first: int, count: int) -> None:
        self.scenes, self.first, self.count = scenes, first, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        return self.scenes[self.first + index]


def collate(samples: Sequence[Sample]) -> tuple[Tensor, Tensor, Tensor]:
    """A batch: RGB uint8 (N, S, S, 3), targets (N, 6, s, s) and weights of the heat (N, s, s), as of `target`."""
    pixels = torch.from_numpy(np.stack([sample.pixels for sample in samples]))
    made = [target(sample) for sample in samples]
    targets, weights = (torch.from_numpy(np.stack(part)) for part in zip(*made, strict=True))
    return pixels, targets, weights


def target(sample: Sample) -> tuple[Array, Array]:
    """Targets of the network for a sample.

    Returns:
        float32 (6, s, s): heat in [0, 1], 1 at the centres; offset and logarithm of the size, as the network's output;
        how much the box counts there. And float32 (s, s): how much the heat counts, 0 where a head is doubtful.
    """
    cells = sample.pixels.shape[0] // STRIDE
    rows, columns = np.mgrid[:cells, :cells] + 0.5
    out, weight = np.zeros((6, cells, cells), np.float32), np.ones((cells, cells), np.float32)
    for x0, y0, x1, y1 in sample.doubtful / STRIDE:
        weight[(rows > y0 - 0.5) & (rows < y1 + 0.5) & (columns > x0 - 0.5) & (columns < x1 + 0.5)] = 0
    order = np.argsort([-(box[2] - box[0]) * (box[3] - box[1]) for box in sample.heads])  # the smaller ones' count
    for x0, y0, x1, y1 in sample.heads[order] / STRIDE if len(order) else []:
        x, y, wide, high = (x0 + x1) / 2, (y0 + y1) / 2, max(x1 - x0, 0.3), max(y1 - y0, 0.3)
        spread = np.maximum([0.11 * wide, 0.11 * high], 0.55)
        heat = np.exp(-(((columns - x) / spread[0]) ** 2 + ((rows - y) / spread[1]) ** 2) / 2)
        row, column = min(int(y), cells - 1), min(int(x), cells - 1)
        heat[row, column] = 1
        inside = heat > 0.35
        box = [x - columns, y - rows, np.full_like(rows, np.log(wide)), np.full_like(rows, np.log(high)), heat]
        for plane, values in zip(out[1:], box, strict=True):
            plane[inside] = values[inside]
        out[0] = np.maximum(out[0], heat)
        weight[inside] = 1
    return out, weight


def loss_of(output: Tensor, targets: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Focal loss of the heat and L1 of the boxes, each a head.

    Args:
        output: (N, 5, s, s), the network's.
        targets, weights: as of `collate`.
    """
    heat, prob = targets[:, 0], torch.sigmoid(output[:, 0])
    centres = (heat == 1).float()
    count = centres.sum().clamp(min=1)
    log_yes, log_no = F.logsigmoid(output[:, 0]), F.logsigmoid(-output[:, 0])
    hit = centres * (1 - prob) ** 2 * log_yes
    miss = (1 - centres) * (1 - heat) ** 4 * prob**2 * log_no
    focal = -(weights * (hit + miss)).sum() / count
    share = targets[:, 5:]
    boxes = (share * (output[:, 1:] - targets[:, 1:5]).abs()).sum() / share.sum().clamp(min=1)
    return focal, boxes


class HeadTraining(pl.LightningModule):
    """A head finder, its loss and its optimizer."""

    def __init__(self, settings: HeadSettings) -> None:
        super().__init__()
        torch.manual_seed(settings.seed)
        self.settings, self.net = settings, HeadFinderNet()
        if settings.start is None:
            state = lite_state("efficientnet-lite0", LEFT_OUT)
            self.net.encoder.load_state_dict({name: state[name] for name in self.net.encoder.state_dict()})
        else:
            self.net = load_net(settings.start)
        self.clock = Clock(60 * settings.minutes)
        # In a tuple, so that it is no part of what is trained, averaged and stored.
        self.frozen = (FrozenEncoder(self.net),)

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> Tensor:
        pixels, targets, weights = batch
        x = pixels.permute(0, 3, 1, 2).float() * (2 / 255) - 1
        output = self.frozen[0](self.net, x.contiguous(memory_format=torch.channels_last))
        focal, boxes = loss_of(output.float(), targets, weights)
        self.log_dict({"focal": focal, "boxes": boxes})
        if self.global_step % 20 == 0:
            print(f"step {self.global_step}  {100 * self.clock.share():.0f} %  "
                  f"focal {focal.detach():.3f}  boxes {boxes.detach():.3f}", flush=True)  # fmt: skip
        return focal + BOX_WEIGHT * boxes

    def configure_optimizers(self) -> Any:
        """AdamW, with weight decay on kernels alone; the rates go by the clock."""
        settings, groups = self.settings, []
        for encoder, lr in ((True, settings.encoder_lr), (False, settings.head_lr)):
            chosen = [one for name, one in self.net.named_parameters() if name.startswith("encoder.") == encoder]
            decayed, plain = [one for one in chosen if one.ndim > 1], [one for one in chosen if one.ndim == 1]
            groups += [{"params": decayed, "lr": lr, "weight_decay": settings.weight_decay},
                       {"params": plain, "lr": lr, "weight_decay": 0.0}]  # fmt: skip
        rates: list[Any] = [group["lr"] for group in groups]
        optimizer = torch.optim.AdamW(groups)
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, TICKS, pct_start=0.1)
        return [optimizer], [{"scheduler": cycle, "interval": "step"}]

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        scheduler.last_epoch = round(self.clock.share() * (TICKS - 1)) - 1
        scheduler.step()


class HeadData(pl.LightningDataModule):
    """Samples in epochs of `ROUND` steps."""

    ROUND = 100

    def __init__(self, scenes: Scenes, batch: int) -> None:
        super().__init__()
        self.scenes, self.batch = scenes, batch

    def train_dataloader(self) -> Any:
        trainer = self.trainer
        assert trainer is not None
        first = trainer.global_step % self.ROUND
        start = trainer.global_step * self.batch
        samples = Samples(self.scenes, start, (self.ROUND - first) * self.batch)
        return DataLoader(samples, batch_size=self.batch, collate_fn=collate)


class Saver(pl.Callback):
    """Writes the averaged weights after each round and at the end."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def save(self, trainer: pl.Trainer, module: Any) -> None:
        averaged = next((one for one in trainer.callbacks if isinstance(one, AveragedWeights)), None)  # type: ignore[attr-defined]
        model: Any = averaged._average_model.module if averaged is not None and averaged._average_model else module
        save_net(model.net, self.path)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.save(trainer, pl_module)


def train_heads(
    scenes: str | Path, portraits: str | Path, folder: str | Path, settings: HeadSettings = HeadSettings(),
    hair: str | Path | None = None,
) -> Path:  # fmt: skip
    """Train a head finder, from the run's last checkpoint if there is one.

    Args:
        scenes: folder with ``ccp/train`` (images/, hair/, person/, faces.json) and ``nothing/train``.
        portraits: folder with faces/ and faces.json.
        folder: of the run: settings.json, checkpoint.ckpt, heads.safetensors.
        settings: see `HeadSettings`.
        hair: folder with images/, masks/ and faces.json of photos that hair fills; None: portraits serve for these.

    Returns:
        The file of weights; beside it lie the two graphs.

    Raises:
        InputError: a folder lacks something, or ``folder`` holds a run of other settings.
    """
    scenes, portraits, folder = Path(scenes), Path(portraits), Path(folder)
    wanted = asdict(settings) | {"scenes": str(scenes), "portraits": str(portraits), "hair": hair and str(hair)}
    refuse_another(folder, wanted)
    for path in (scenes / "ccp" / "train", scenes / "nothing" / "train", portraits / "faces"):
        if not path.is_dir():
            raise InputError(f"{path}: no such folder; expected the photos to train the head finder on")
    data = Scenes(
        read_street(scenes / "ccp" / "train"), read_portraits(portraits), read_hair(Path(hair)) if hair else [],
        read_nothing(scenes / "nothing" / "train"), settings.size, settings.seed,
    )  # fmt: skip
    claim(folder, wanted)
    module = HeadTraining(settings)
    callbacks = [Saver(folder / WEIGHTS), AveragedWeights(settings.ema_decay), module.clock,
                 Checkpoints(folder / CHECKPOINT, 60)]  # fmt: skip
    with locked(folder), quiet():
        trainer = make_trainer("cpu", 1, callbacks, max_epochs=-1, logger=False, gradient_clip_val=5.0)
        train(trainer, module, HeadData(data, settings.batch), folder / CHECKPOINT)
        callbacks[0].save(trainer, module)  # type: ignore[attr-defined]
    write_graphs(folder, data)
    return folder / WEIGHTS


def write_graphs(folder: Path, scenes: Scenes) -> None:
    """Write a run's ONNX graphs, in float32 and in 8-bit integers, beside its weights."""
    graph = export_heads(load_net(folder / WEIGHTS))
    small = quantized_heads(graph, [scenes[number].pixels for number in range(CALIBRATION)])
    for name, content in (("heads.onnx", graph), ("heads-int8.onnx", small)):
        with written_whole(folder / name) as file:
            file.write(content)


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", metavar="SCENES", help="folder of ccp/train and nothing/train")
    parser.add_argument("portraits", metavar="OPEN", help="folder of faces/ and faces.json")
    parser.add_argument("--hair", metavar="HAIR", help="folder of images/, masks/, faces.json: photos that hair fills")
    parser.add_argument("-o", "--out", required=True, metavar="RUN", help="folder of the run")
    for field in fields(HeadSettings):
        kind = str if field.default is None else type(field.default)
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, default=field.default, metavar="X")
    args = parser.parse_args()
    try:
        settings = HeadSettings(**{field.name: getattr(args, field.name) for field in fields(HeadSettings)})
        print(train_heads(args.scenes, args.portraits, args.out, settings, args.hair))
    except InputError as error:
        parser.exit(1, f"error: {error}\n")


if __name__ == "__main__":
    main()
