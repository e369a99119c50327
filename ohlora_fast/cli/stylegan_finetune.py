"""`ohlora-fast stylegan finetune`: train the network that paints portraits on pictures."""

from __future__ import annotations

import argparse
from typing import Any

from ohlora_fast.cli.options import count, fraction, rate, seconds

DESCRIPTION = """\
Train a generator on IMAGES against a discriminator, by the recorded recipe unless an option says otherwise. RUN gets
settings.json, log.csv (a row a test, for `stylegan report`), a checkpoint, generator.safetensors and
discriminator.safetensors, grids of images in samples/, and in real-fake/ sheets that show some of IMAGES. The same
command on the same RUN goes on where it stopped. See docs/stylegan.md."""
OPTIONS = ("device", "devices", "checkpoint_seconds", "sample_every", "pictures")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `finetune` and its options."""
    parser = subparsers.add_parser("finetune", help="train the generator on portraits", description=DESCRIPTION)
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="picture files, globs and folders")
    parser.add_argument("--from", dest="start", required=True, metavar="FILE", help="the generator's weights, or new")
    parser.add_argument("--discriminator", metavar="FILE", help="its weights (default: a new one, for --train all)")
    parser.add_argument(
        "--scorer", nargs="+", action="extend", default=[], metavar="FILE",
        help="what train-scorer wrote, of any properties (default: a log without scores)",
    )  # fmt: skip
    parser.add_argument("-o", "--out", required=True, metavar="RUN", help="folder of the run")
    parser.add_argument("--recursive", action="store_true", help="go into the folders of a folder")
    parser.add_argument("--max-steps", type=count, metavar="N", help="end after N batches in all")
    parser.add_argument(
        "--checkpoint-seconds", type=seconds, default=60.0, metavar="S",
        help="store the state so often, beside after each test (default 60)",
    )  # fmt: skip
    parser.add_argument(
        "--sample-every", type=count, default=500, metavar="N",
        help="write pictures and networks every N batches, and at the end (default 500)",
    )  # fmt: skip
    parser.add_argument("--pictures", choices=("jpg", "png"), default="jpg", help="their format (default jpg)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:N or mps (default cpu)")
    parser.add_argument("--devices", type=count, default=1, metavar="N", help="how many of them, a process each")
    add_settings(parser)
    parser.set_defaults(run=run)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add the options that are settings, by their names."""
    group = parser.add_argument_group("networks")
    group.add_argument("--version", metavar="V", help="v9, made of a v1 if need be, or v1 (default v9)")
    group.add_argument(
        "--train", metavar="LAYERS", help="recorded, for the layers up to 16×16, or all (default recorded)"
    )
    group.add_argument("--resolution", type=int, metavar="N", help="of a new generator: 8, 16 … 1024 (default 256)")
    group.add_argument("--base", type=int, metavar="N", help="its feature maps times the resolution (default 16384)")
    group.add_argument("--width", type=int, metavar="N", help="its most feature maps (default 512)")
    group.add_argument(
        "--w-avg-decay", type=fraction, metavar="X", help="of the average w, below 1, a batch (default 0.995)"
    )
    group.add_argument(
        "--ema-decay",
        type=fraction,
        metavar="X",
        help="of the generator's average, below 1, a step; 0 for none (default 0)",
    )
    group.add_argument("--noise", metavar="KIND", help="in training: stored or fresh (default stored)")
    group = parser.add_argument_group("training")
    group.add_argument("--epochs", type=count, metavar="N", help="how often every image comes (default 72)")
    group.add_argument(
        "--batch", type=count, metavar="N", help="images a step and device: 1 to 16, or a multiple of 16 (default 8)"
    )
    group.add_argument("--generator-lr", type=rate, metavar="LR", help="above 0, at most 1 (default 1e-4)")
    group.add_argument("--discriminator-lr", type=rate, metavar="LR", help="above 0, at most 1 (default 1e-4)")
    group.add_argument("--beta1", type=fraction, metavar="B", help="of AdamW, below 1 (default 0.9)")
    group.add_argument("--beta2", type=fraction, metavar="B", help="of AdamW, below 1 (default 0.999)")
    group.add_argument("--weight-decay", type=float, metavar="X", help="of AdamW, from 0 on (default 0.01)")
    group.add_argument(
        "--cosine-epochs", type=int, metavar="N", help="rates follow a cosine over N epochs; 0: constant (default 0)"
    )
    group.add_argument("--gamma", type=float, metavar="X", help="of the R1 penalty; 0 for none (default 10)")
    group.add_argument("--r1-every", type=count, metavar="N", help="every Nth time, N times as strong (default 1)")
    group.add_argument(
        "--d-most", type=count, metavar="N", help="train the discriminator up to N times a step … (default 4)"
    )
    group.add_argument(
        "--d-factor", type=float, metavar="X", help="… until its loss is below X times the other's (default 2.5)"
    )
    group.add_argument("--g-most", type=count, metavar="N", help="then the generator up to N times … (default 4)")
    group.add_argument(
        "--g-factor", type=float, metavar="X", help="… until its loss is below X times the other's (default 2)"
    )
    group.add_argument(
        "--mirror", action=argparse.BooleanOptionalAction, help="turn images over at random (default: no)"
    )
    group.add_argument(
        "--resize", action=argparse.BooleanOptionalAction,
        help="crop images to a square and resize them (default: another size is an error)",
    )  # fmt: skip
    group.add_argument("--precision", metavar="KIND", help="fp32, bf16 or fp16 (default fp32)")
    group.add_argument("--seed", type=int, metavar="N", help="of all that is random (default 0)")
    group = parser.add_argument_group("tests")
    group.add_argument("--test-every", type=count, metavar="N", help="batches of an epoch between tests (default 50)")
    group.add_argument(
        "--first-tests", type=int, metavar="N", help="also after each of the first N batches (default 10)"
    )
    group.add_argument(
        "--first-test-every", type=count, metavar="N", help="batches between tests in the first epoch (default 25)"
    )
    group.add_argument("--test-images", type=count, metavar="N", help="images scored in a test (default 100)")
    group.add_argument(
        "--psi", type=fraction, metavar="X", help="truncation in tests and grids, 0 to 1 (default 1: none)"
    )
    group.add_argument(
        "--auroc-images", type=int, metavar="N", help="real and fake ones for the AUROC; 0: the batch's (default 0)"
    )


def run(args: argparse.Namespace) -> int:
    """Train, and return the exit code."""
    from dataclasses import fields
    from importlib.util import find_spec

    from ohlora_fast.errors import InputError

    if not find_spec("lightning"):
        raise InputError('training needs lightning: pip install "ohlora_fast[train]"')
    from ohlora_fast.cli.plan import find_pictures
    from ohlora_fast.stylegan.finetune import GENERATOR, FinetuneRun
    from ohlora_fast.stylegan.finetune_settings import FinetuneSettings

    given = {field.name: getattr(args, field.name) for field in fields(FinetuneSettings)}
    options: dict[str, Any] = {name: getattr(args, name) for name in OPTIONS}
    settings = FinetuneSettings(**{name: value for name, value in given.items() if value is not None})
    paths = find_pictures(args.images, args.out, args.recursive)
    training = FinetuneRun(paths, args.out, settings, args.scorer, **options)
    try:
        training.fit(args.max_steps)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"the same command goes on from the last checkpoint in {args.out}") from None
    print(f"generator: {training.folder / GENERATOR}")
    return 0
