"""The options of natural dyeing, which several subcommands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING

from ohlora_fast.cli.options import fraction, fraction_keys
from ohlora_fast.errors import InputError

if TYPE_CHECKING:
    from ohlora_fast.natural import NaturalDye

SETTINGS = (
    "palette", "strength", "lift", "warmth", "direction", "highlights", "highlight_density", "undercolor",
)  # fmt: skip


def add_natural_options(parser: argparse.ArgumentParser, swept: bool = False) -> None:
    """Add `--method` and what `method_from` reads; each setting of natural dyeing asks for it by itself.

    Args:
        parser: gets them.
        swept: whether strength and lift may be several values, which an animation goes through.
    """
    one, metavar, several = (fraction_keys, "A:B:…", "; or several, as above") if swept else (fraction, "X", "")
    group = parser.add_argument_group("natural dyeing, which keeps strands and highlights")
    group.add_argument(
        "--method", choices=("seed", "natural"),
        help="seed: the ombre's plain formula; natural: as dyed hair looks (default: natural if one of its options "
        "is given, else seed)",
    )  # fmt: skip
    group.add_argument(
        "--palette", type=_colors("stops"), metavar="COLORS",
        help="a palette's name (rose-to-blue, sunset, mermaid, copper, platinum, …), or colours from root to tip with "
        "commas between (default: --color; a name or #rrggbb there is then that very colour)",
    )  # fmt: skip
    group.add_argument("--strength", type=one, metavar=metavar, help="how much the dye covers, 0 to 1 (0.9)" + several)
    group.add_argument(
        "--lift", type=one, metavar=metavar,
        help="how far dark hair is bleached first: 0, so that it takes a tint, to 1 (0.4)" + several,
    )  # fmt: skip
    group.add_argument("--warmth", type=fraction, metavar="X", help="orange that half a lift leaves, 0 to 1 (0.2)")
    group.add_argument(
        "--direction", choices=("vertical", "flow"), help="of the gradient; flow: along the hair (vertical)"
    )
    group.add_argument("--highlights", type=_colors("highlights"), metavar="COLOR", help="streaks of this colour")
    group.add_argument("--highlight-density", type=fraction, metavar="X", help="share that they take, 0 to 1 (0.25)")
    group.add_argument(
        "--undercolor", type=_colors("undercolor"), metavar="COLOR", help="another colour for the inner layer"
    )


def method_from(args: argparse.Namespace, color: str | None = None) -> str | NaturalDye:
    """What `--method` and the settings beside it ask for.

    Args:
        args: with what `add_natural_options` added. Values that an animation goes through are left to it.
        color: what came as `--color`: a colour that is no number is what natural dyeing takes as it is.

    Raises:
        InputError: settings of natural dyeing came with `--method seed`.
    """
    given = {name: value for name in SETTINGS if (value := getattr(args, name)) is not None}
    if args.method == "seed" and given:
        option = next(iter(given)).replace("_", "-")
        raise InputError(f"--{option}: came with --method seed; allowed is --method natural")
    if args.method != "natural" and not given:
        return "seed"
    from ohlora_fast.natural import NaturalDye

    stops = given.pop("palette", color if color is not None and not _is_number(color) else None)
    return NaturalDye(stops=stops, **{name: value for name, value in given.items() if not isinstance(value, tuple)})


def describe_method(method: NaturalDye) -> str:
    """Settings of natural dyeing that differ from the defaults, to be printed.

    >>> from ohlora_fast import NaturalDye
    >>> describe_method(NaturalDye("sunset", lift=0.8))
    'natural, stops sunset, lift 0.8'
    """
    changed = [
        f"{field.name} {value}" for field in fields(method) if (value := getattr(method, field.name)) != field.default
    ]
    return ", ".join(["natural", *changed])


def _is_number(text: str) -> bool:
    return all(part.replace(".", "", 1).replace("e-", "", 1).isdigit() for part in text.split(".."))


def _colors(name: str) -> Callable[[str], str]:
    """A type that takes what `NaturalDye` takes as this argument."""

    def colors(text: str) -> str:
        from ohlora_fast.natural import NaturalDye

        try:
            NaturalDye(**{name: text})  # type: ignore[arg-type]
        except InputError as error:
            raise argparse.ArgumentTypeError(str(error).removeprefix(f"{name}: ")) from error
        return text

    return colors
