"""`ohlora-fast distill`: train a student on photos with hair masks."""

from __future__ import annotations

import argparse

from ohlora_fast.cli.options import count, fraction

DESCRIPTION = """\
Train a student on DATA/images/NAME.jpg and DATA/masks/NAME.png. RUN gets settings.json, log.csv, the best and the
last student and a checkpoint; the same command on the same RUN goes on where it stopped, at most 50 steps back."""


def repeat(text: str) -> tuple[str, int]:
    """`--repeat SOURCE=N`."""
    source, _, number = text.partition("=")
    if not source or not number.isdigit() or int(number) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} came; allowed is SOURCE=N, N a whole number from 1 on")
    return source, int(number)


def rate(text: str) -> float:
    """A learning rate."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} came; allowed is a number above 0, at most 1")
    return value


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `distill` and its options."""
    parser = subparsers.add_parser("distill", help="train a student", description=DESCRIPTION)
    parser.add_argument("data", metavar="DATA", help="folder of images/ and masks/")
    parser.add_argument("-o", "--out", required=True, metavar="RUN", help="folder of the run")
    parser.add_argument("--encoder", default="efficientnet-lite0", help="efficientnet-lite0 or efficientnet-b0")
    parser.add_argument("--head-stride", type=int, default=2, help="1 or 2 (default 2)")
    parser.add_argument("--epochs", type=count, default=16, help="default 16")
    parser.add_argument("--batch", type=count, default=16, help="photos a step (default 16)")
    parser.add_argument(
        "--repeat", type=repeat, action="append", metavar="SOURCE=N",
        help="draw a source (file names up to the first underscore) N times an epoch",
    )  # fmt: skip
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--start", metavar="FILE", help="go on from this student (default: ImageNet weights)")
    start.add_argument("--from-scratch", action="store_true", help="start from random weights")
    parser.add_argument("--encoder-lr", type=rate, default=4e-4, help="peak learning rate of the encoder (4e-4)")
    parser.add_argument("--head-lr", type=rate, default=2e-3, help="peak learning rate of the head (2e-3)")
    parser.add_argument("--ema-decay", type=fraction, default=0.998, help="averaging of the weights, a step (0.998)")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:N or mps (default cpu)")
    parser.add_argument("--seed", type=int, default=0)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train, and return the exit code."""
    from ohlora_fast.distill.train import Settings, Trainer

    settings = Settings(
        encoder=args.encoder, head_stride=args.head_stride, epochs=args.epochs, batch=args.batch,
        encoder_lr=args.encoder_lr, head_lr=args.head_lr, ema_decay=args.ema_decay, repeat=dict(args.repeat or ()),
        pretrained=not args.from_scratch, start=args.start,
        precision=args.precision, seed=args.seed,
    )  # fmt: skip
    trainer = Trainer(args.data, args.out, settings, args.device)
    try:
        best = trainer.fit()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"the same command goes on from {args.out}/checkpoint.pt") from None
    print(f"best student: {best}")
    return 0
