"""Options that the subcommands of `stylegan` share which make pictures."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

from ohlora_fast.cli.options import add_animation_options, add_sweep_options, count, number
from ohlora_fast.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ohlora_fast.media.convert import Pixels
    from ohlora_fast.stylegan.drawing import Labels
    from ohlora_fast.stylegan.painter import Painter
    from ohlora_fast.sweep import Times

LARGEST_SEED = 2**32 - 1


def natural(text: str) -> int:
    """A whole number from 0 to 2³² − 1: a seed, or a picture's number."""
    try:
        value = int(text)
    except ValueError:
        value = -1
    if not 0 <= value <= LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"{text!r} came; allowed is a whole number from 0 to {LARGEST_SEED}")
    return value


def finite(text: str) -> float:
    """A finite number."""
    return number(text, math.isfinite, "a number")


def labels(text: str) -> Labels:
    """`--labels`: zeros, random, seven numbers, or a file of them."""
    from ohlora_fast.stylegan.drawing import parse_labels

    try:
        return parse_labels(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("labels: ")) from error


def add_painter_options(parser: argparse.ArgumentParser) -> None:
    """Add what `painter_from` needs but for `--device`, and what decides which pictures come."""
    parser.add_argument("generator", metavar="CKPT", help="a generator, .safetensors or .pth")
    group = parser.add_argument_group("pictures")
    group.add_argument("--seed", type=natural, default=0, metavar="N", help="of the latents, 0 to 2³² − 1 (default 0)")
    group.add_argument(
        "--labels", type=labels, metavar="FILE|V,V,…",
        help="zeros (default), random, seven numbers for all, or a CSV file with seven a row, a row a picture",
    )  # fmt: skip
    group.add_argument(
        "--psi", type=finite, default=0.7, metavar="X",
        help="truncation: 1 keeps all variety, 0 gives the average face (default 0.7)",
    )  # fmt: skip
    group.add_argument(
        "--truncation-layers", type=natural, default=8, metavar="N", help="from the coarsest on (default 8)"
    )
    parser.add_argument("--batch", type=count, default=8, metavar="N", help="pictures at a time (default 8)")


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """Add `--device`, where `add_engine_options` does not."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default auto)")


def add_walk_options(parser: argparse.ArgumentParser, dyed: bool = False) -> None:
    """Add what an animated walk needs but for where it runs; with `dyed`, also the ombre that moves along."""
    parser.add_argument("-o", "--out", required=True, help="a .gif, .webp or .mp4 file, or a folder")
    add_painter_options(parser)
    group = parser.add_argument_group("walk")
    group.add_argument(
        "--index", type=natural, nargs="+", default=[0, 1, 2], metavar="I",
        help="numbers of the pictures on its way, as `generate` counts them (default 0 1 2)",
    )  # fmt: skip
    group.add_argument("--frames", type=count, default=60, metavar="N", help="how many (default 60)")
    group.add_argument("--space", choices=("w", "z"), default="w", help="straight lines in w or arcs in z (default w)")
    group.add_argument(
        "--loop", action=argparse.BooleanOptionalAction, default=True, help="go back to the first (default)"
    )
    if dyed:
        add_sweep_options(parser)
    add_animation_options(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace a file that exists")


def walk_from(args: argparse.Namespace, painter: Painter, times: Times) -> Iterator[Pixels]:
    """Batches of frames of the walk that the options ask for."""
    from ohlora_fast.stylegan.walk import walk

    stops = args.index + args.index[:1] * args.loop
    return walk(painter, args.seed, stops, times, args.labels, args.space, args.batch)


def painter_from(args: argparse.Namespace) -> Painter:
    """Load the generator that the options ask for."""
    from ohlora_fast.stylegan.painter import Painter

    return Painter(args.generator, args.device, args.psi, args.truncation_layers)
