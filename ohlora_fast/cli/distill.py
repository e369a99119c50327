"""`ohlora-fast distill`: train a student on photos with hair masks or a teacher's soft labels."""

from __future__ import annotations

import argparse
from typing import Any

from ohlora_fast.cli.options import count, fraction, positive, rate, seconds

DESCRIPTION = """\
Train a student on DATA: images/NAME.jpg with masks/NAME.png (grey values are soft labels), or what `ohlora-fast label`
writes. RUN gets settings.json, log.csv, TensorBoard logs, a checkpoint, the best and the last student, and in the end a
report. The same command on the same RUN goes on where it stopped. Options change the preset's settings."""
SETTINGS = (
    "start", "encoder", "head_stride", "head_channels", "size", "upsampling", "loss", "dice_weight", "teacher",
    "teacher_weight", "teacher_once", "agreement", "epochs", "minutes", "rounds", "batch", "encoder_lr", "head_lr",
    "ema_decay", "patience", "frozen_norms", "augmentation", "balance", "validation", "test", "precision", "seed",
)  # fmt: skip
"""The options that are settings, by the names of both."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `distill` and its options."""
    parser = subparsers.add_parser("distill", help="train a student", description=DESCRIPTION)
    parser.add_argument("data", metavar="DATA", help="folder of pairs")
    parser.add_argument("-o", "--out", required=True, metavar="RUN", help="folder of the run")
    parser.add_argument("--preset", default="default", help="default, imagenet or ohlora-v4 (default: default)")
    parser.add_argument("--max-steps", type=count, metavar="N", help="end after N steps in all")
    parser.add_argument(
        "--compare-losses", action="store_true", help="train with mse, soft-bce and kl in turn, report them together"
    )
    parser.add_argument(
        "--checkpoint-seconds", type=seconds, default=10.0, metavar="S", help="store the state so often (default 10)"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:N or mps (default cpu)")
    parser.add_argument("--devices", type=count, default=1, metavar="N", help="how many of them, a process each")
    group = parser.add_argument_group("settings", "see docs/training.md; without an option, the preset's")
    group.add_argument("--start", metavar="FILE", help="bundled, imagenet, scratch, or a student's weights")
    group.add_argument("--encoder", help="efficientnet-lite0, -lite2, -lite2-short or -b0; if from imagenet or scratch")
    group.add_argument("--head-stride", type=int, help="1 or 2")
    group.add_argument("--head-channels", type=int, help="width of the head")
    group.add_argument("--size", type=count, help="side of what the student takes, a multiple of 32")
    group.add_argument("--upsampling", help="of the head: nearest or bilinear; without, the start's")
    group.add_argument("--loss", help="soft-bce, mse, kl or dice+bce")
    group.add_argument("--dice-weight", type=float, help="of the Dice part of dice+bce")
    group.add_argument(
        "--teacher", action="append", metavar="FILE",
        help="a student whose map is mixed into the masks; of several, their mean",
    )  # fmt: skip
    group.add_argument("--teacher-weight", type=fraction, help="of its map in that mixture")
    group.add_argument(
        "--agreement", type=fraction, metavar="IOU", help="leave out pairs of which the teacher thinks otherwise"
    )
    group.add_argument("--epochs", type=count, help="after each, the student is validated")
    group.add_argument(
        "--minutes", type=positive, metavar="M", help="train for so long instead; the schedule goes by the clock"
    )
    group.add_argument("--rounds", type=count, help="how often an epoch draws as many photos as there are")
    group.add_argument("--batch", type=count, help="photos a step and device")
    group.add_argument("--encoder-lr", type=rate, help="peak learning rate of the encoder")
    group.add_argument("--head-lr", type=rate, help="peak learning rate of the head")
    group.add_argument("--ema-decay", type=fraction, help="averaging of the weights, a step; 0 for none")
    group.add_argument("--patience", type=int, metavar="N", help="stop after N epochs without a better loss; 0: never")
    for name, text in (
        ("teacher-once", "ask the teachers once, about each photo as it is, rather than at each step"),
        ("frozen-norms", "keep the batch norms' statistics: twice as quick"),
        ("balance", "draw every source equally often"),
    ):
        group.add_argument(f"--{name}", action=argparse.BooleanOptionalAction, help=text)
    group.add_argument("--augmentation", help="none, light, mild or strong")
    group.add_argument("--validation", type=fraction, help="share of the pairs that chooses the best epoch")
    group.add_argument("--test", type=fraction, help="share of the pairs that only scores it")
    group.add_argument("--precision", help="fp32, bf16 or fp16")
    group.add_argument("--seed", type=int)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train, report, and return the exit code."""
    from importlib.util import find_spec

    from ohlora_fast.distill.settings import RECORDED_LOSSES, settings_from
    from ohlora_fast.errors import InputError

    if missing := [name for name in ("lightning", "kornia", "matplotlib", "tensorboard") if not find_spec(name)]:
        raise InputError(f'training needs {", ".join(missing)}: pip install "ohlora_fast[train]"')
    from ohlora_fast.distill.train import distill

    settings = settings_from(args.preset, {name: getattr(args, name) for name in SETTINGS})
    names = ("device", "devices", "max_steps", "checkpoint_seconds")
    options: dict[str, Any] = {name: getattr(args, name) for name in names}
    losses = RECORDED_LOSSES if args.compare_losses else ()
    try:
        report = distill(args.data, args.out, settings, losses, **options)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"the same command goes on from the last checkpoint in {args.out}") from None
    print(f"report: {report}")
    return 0
