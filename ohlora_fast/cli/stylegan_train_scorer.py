"""`ohlora-fast stylegan train-scorer`: train the networks that score a property of portraits."""

from __future__ import annotations

import argparse

from ohlora_fast.cli.options import count, rate

DESCRIPTION = """\
Train five networks to tell images with a property (label 1) from those without (0), each on four fifths of the images,
and put them into one file, RUN/scorer.safetensors, whose score is the mean of theirs. CSV has the columns path
(relative to it) and label. RUN also gets settings, a log and the best network of each fold, and report.md with their
accuracy and AUROC. The same command on the same RUN goes on after the last whole epoch."""
SETTINGS = ("property", "folds", "epochs", "batch", "lr", "weight_decay", "patience", "seed")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `train-scorer` and its options."""
    parser = subparsers.add_parser("train-scorer", help="train scorers of a property", description=DESCRIPTION)
    parser.add_argument("labels", metavar="CSV", help="list of images and labels")
    parser.add_argument(
        "--property", required=True, help="gender, quality, age or glass: the network, and what it sees"
    )
    parser.add_argument("-o", "--out", required=True, metavar="RUN", help="folder of the run")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:N or mps (default cpu)")
    group = parser.add_argument_group("settings")
    group.add_argument("--folds", type=count, help="parts of the images, and networks (default 5)")
    group.add_argument("--epochs", type=count, help="at most so many (default 200)")
    group.add_argument("--batch", type=count, help="images a step (default 32)")
    group.add_argument("--lr", type=rate, help="learning rate (default 1e-4)")
    group.add_argument("--weight-decay", type=float, help="of AdamW (default 0.01)")
    group.add_argument(
        "--patience", type=count, metavar="N", help="stop after N epochs without a lower loss (default 20)"
    )
    group.add_argument("--seed", type=int, help="of all that is random (default 0)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train, print how the folds did, and return the exit code."""
    from importlib.util import find_spec

    from ohlora_fast.errors import InputError

    if not find_spec("lightning"):
        raise InputError('training needs lightning: pip install "ohlora_fast[train]"')
    from ohlora_fast.distill.report import table_markdown
    from ohlora_fast.stylegan.scorer import SCORER, ScorerRun, ScorerSettings, results_table

    given = {name: getattr(args, name) for name in SETTINGS if getattr(args, name) is not None}
    try:
        training = ScorerRun(args.labels, args.out, ScorerSettings(**given), args.device)
        results = training.fit()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"the same command goes on from the last whole epoch in {args.out}") from None
    print(f"\n{table_markdown(results_table(results))}\n\nscorer: {training.folder / SCORER}")
    return 0
