"""Options that several subcommands share."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ohlora_fast.colors import parse_color
from ohlora_fast.errors import InputError

if TYPE_CHECKING:
    from ohlora_fast.media.convert import Pixels
    from ohlora_fast.ombre import Ombre
    from ohlora_fast.stylist import HairStylist


def color(text: str) -> float:
    """`--color`: a number, a name or #rrggbb."""
    try:
        return parse_color(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("color: ")) from error


def fraction(text: str) -> float:
    """A number from 0 to 1."""
    return between(text, 0, 1)


def between(text: str, least: float, most: float) -> float:
    """A number in a range."""
    return number(text, lambda value: least <= value <= most, f"a number from {least:g} to {most:g}")


def number(text: str, fits: Callable[[float], bool], allowed: str) -> float:
    """A number that fits; `allowed` says which do. To `fits`, what is no number is nan."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not fits(value):
        raise argparse.ArgumentTypeError(f"{text!r} came; allowed is {allowed}")
    return value


def color_range(text: str) -> float | tuple[float, float]:
    """`--color` of a set: as `color`, or LOW..HIGH."""
    return _range(text, color)


def as_text(read: Callable[[str], object]) -> Callable[[str], str]:
    """A type that takes what `read` takes, and gives it as it came: what method reads it is not known yet."""

    def text_itself(text: str) -> str:
        read(text)
        return text

    return text_itself


def fraction_range(text: str) -> float | tuple[float, float]:
    """A number from 0 to 1, or LOW..HIGH."""
    return _range(text, fraction)


def _range(text: str, one: Callable[[str], float]) -> float | tuple[float, float]:
    low, dots, high = text.partition("..")
    if not dots:
        return one(text)
    ends = one(low), one(high)
    if ends[0] > ends[1]:
        raise argparse.ArgumentTypeError(f"{text!r} came; allowed is LOW..HIGH, the lower end first")
    return ends


def color_keys(text: str) -> tuple[float, ...]:
    """`--color` of an animation: one or more as `color` takes, with colons between."""
    return tuple(map(color, text.split(":")))


def fraction_keys(text: str) -> tuple[float, ...]:
    """Numbers from 0 to 1, with colons between."""
    return tuple(map(fraction, text.split(":")))


def count(text: str) -> int:
    """A whole number from 1 on; 200_000_000 may be written so."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} came; allowed is a whole number from 1 on")
    return value


def head_numbers(text: str) -> tuple[int, ...]:
    """`--head`: numbers from 1, with commas between, as indices from 0.

    >>> head_numbers("1,3")
    (0, 2)
    """
    numbers = text.split(",")
    indices = tuple(int(one) - 1 for one in numbers if one.isascii() and one.isdigit())
    if len(indices) < len(numbers) or min(indices) < 0 or len(set(indices)) < len(indices):
        raise argparse.ArgumentTypeError(
            f"{text!r} came; allowed are numbers of heads from 1 on, each once, with commas between"
        )
    return indices


def colors(text: str) -> tuple[float, ...]:
    """`--head-colors`: one or more as `color` takes, with commas between."""
    return tuple(map(color, text.split(",")))


def positive(text: str) -> float:
    """A number above 0."""
    return number(text, lambda value: 0 < value < math.inf, "a number above 0")


def rate(text: str) -> float:
    """A learning rate."""
    return number(text, lambda value: 0 < value <= 1, "a number above 0, at most 1")


def seconds(text: str) -> float:
    """A time."""
    return number(text, lambda value: 0 <= value <= 86400, "a number of seconds from 0 to 86400")


def percent(text: str) -> int:
    """A whole number from 1 to 100."""
    if (value := count(text)) > 100:
        raise argparse.ArgumentTypeError(f"{text!r} came; allowed is a whole number from 1 to 100")
    return value


def add_ombre_options(parser: argparse.ArgumentParser) -> None:
    """Add the settings of one ombre, as `ombre_from` reads them."""
    parser.add_argument(
        "--color",
        type=as_text(color),
        default="0.5",
        help="0 to 1, a CSS name or #rrggbb: the hue (default 0.5, sky blue)",
    )
    parser.add_argument(
        "--ombre-height", type=fraction, default=0.6, metavar="X", help="how far up the colour goes, 0 to 1 (0.6)"
    )
    parser.add_argument(
        "--ombre-grad-height", type=fraction, default=0.5, metavar="X", help="share that fades in, 0 to 1 (0.5)"
    )


def ombre_from(args: argparse.Namespace) -> Ombre:
    """The ombre that `add_ombre_options` asks for."""
    from ohlora_fast.ombre import Ombre

    return Ombre(color(args.color), args.ombre_height, args.ombre_grad_height)


def add_engine_options(parser: argparse.ArgumentParser, several: bool = False) -> None:
    """Add what `stylist_from` needs; with `several`, `--checkpoint` may come again and gives a list."""
    group = parser.add_argument_group("engine")
    group.add_argument(
        "--checkpoint", metavar="FILE", action="append" if several else "store",
        help="weights of another student (default: the bundled)" + ("; may be repeated" if several else ""),
    )  # fmt: skip
    group.add_argument("--engine", default="auto", help="auto, or one that `ohlora-fast info` lists")
    group.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    group.add_argument("--threads", type=count, metavar="N", help="CPU threads (default: the engine's choice)")


def add_mask_options(parser: argparse.ArgumentParser) -> None:
    """Add how masks are made: `args.refine` is True, False, or None for large pictures alone."""
    parser.add_argument(
        "--refine", action=argparse.BooleanOptionalAction, default=None,
        help="take strands finer than the student's 224×224 from the picture (default: if its shorter side has 448 "
        "pixels or more)",
    )  # fmt: skip
    add_tiles_option(parser)


def add_tiles_option(parser: argparse.ArgumentParser) -> None:
    """Add `--tiles`, which scripts may still give."""
    parser.add_argument(
        "--tiles", action="store_true", help="has no effect any more: small heads are always looked at up close"
    )


def add_head_options(parser: argparse.ArgumentParser) -> None:
    """Add whose hair is dyed, and in which colours: `heads_from` and `head_colors_from` read it."""
    group = parser.add_argument_group("heads", "Each is dyed on its own; `ohlora-fast heads` shows their numbers.")
    add_whose_options(group)
    group.add_argument(
        "--head-colors", type=colors, metavar="C,C,…",
        help="a hue a head, 0 to 1, CSS names or #rrggbb, from the left or in the order of --head; the first comes "
        "again after the last (default: --color for all)",
    )  # fmt: skip


def add_whose_options(parser: argparse._ActionsContainer) -> None:
    """Add whose hair is meant, as `heads_from` reads it."""
    whose = parser.add_mutually_exclusive_group()
    whose.add_argument(
        "--head", type=head_numbers, metavar="N,N,…", help="these heads alone, numbered from 1, from the left (all)"
    )
    whose.add_argument(
        "--whole", action="store_true", help="look for no heads: take the hair that the student sees in the whole photo"
    )


def heads_from(args: argparse.Namespace) -> str | tuple[int, ...]:
    """Whose hair the options ask for: "auto", "whole", or indices from 0."""
    indices: tuple[int, ...] | None = args.head
    return indices or ("whole" if args.whole else "auto")


def head_colors_from(args: argparse.Namespace) -> tuple[float, ...] | None:
    """The heads' hues, which are dealt out over and over; None: one colour for all.

    Raises:
        InputError: they came beside a palette, which has its own colours.
    """
    hues: tuple[float, ...] | None = args.head_colors
    if hues is not None and getattr(args, "palette", None) is not None:
        raise InputError("--head-colors: came with --palette; allowed is one of the two")
    return hues


def add_file_options(parser: argparse.ArgumentParser, out_help: str, needed: bool = True) -> None:
    """Add inputs, output, which may be left out unless it is `needed`, and what happens to files that exist."""
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="picture files, globs and folders")
    parser.add_argument("-o", "--out", required=needed, help=out_help)
    parser.add_argument("--recursive", action="store_true", help="go into the folders of a folder, and keep them")
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("--overwrite", action="store_true", help="replace outputs that exist (never an input)")
    existing.add_argument("--skip-existing", action="store_true", help="leave out pictures whose output exists")
    parser.add_argument(
        "--max-pixels", type=count, metavar="N", help="refuse larger pictures unread (default 178,956,970)"
    )


def add_sweep_options(parser: argparse.ArgumentParser) -> None:
    """Add the settings of an ombre that move through an animation; `color_keys` reads its colour."""
    group = parser.add_argument_group(
        "ombre", "Each a value, or several with colons between, which are reached one after the other at even times."
    )
    group.add_argument(
        "--color", type=as_text(color_keys), default="0:1", metavar="A:B:…",
        help="0 to 1, CSS names or #rrggbb: the hue (default 0:1, once round)",
    )  # fmt: skip
    group.add_argument(
        "--ombre-height", type=fraction_keys, default=(0.3, 1.0, 0.3), metavar="A:B:…",
        help="how far up the colour goes, 0 to 1 (default 0.3:1:0.3)",
    )  # fmt: skip
    group.add_argument(
        "--ombre-grad-height", type=fraction_keys, default=(0.5,), metavar="A:B:…",
        help="share that fades in, 0 to 1 (default 0.5)",
    )  # fmt: skip


def add_animation_options(parser: argparse.ArgumentParser) -> None:
    """Add how frames become a file."""
    group = parser.add_argument_group("animation")
    group.add_argument(
        "--fps", type=frame_rate, default=20.0, metavar="X",
        help="frames a second, above 0; of GIF and WebP up to 50, in whole 1/100 s (default 20)",
    )  # fmt: skip
    group.add_argument("--once", action="store_true", help="show a GIF or WebP once, not for ever")
    group.add_argument("--dither", action="store_true", help="dither a GIF's colours (Floyd–Steinberg)")


def write_animation(args: argparse.Namespace, frames: Iterable[Pixels], total: int) -> None:
    """Write `args.out` as the animation options ask for, with a progress bar."""
    from tqdm import tqdm

    from ohlora_fast.media.animation import write_frames

    bar = tqdm(frames, total=total, unit="frame", file=sys.stderr, disable=None)
    write_frames(args.out, bar, args.fps, args.once, args.dither, args.overwrite)


def frame_rate(text: str) -> float:
    """Frames a second: above 0, and up to 1000."""
    return number(text, lambda value: 0 < value <= 1000, "a number above 0 and up to 1000")


def stylist_from(args: argparse.Namespace) -> HairStylist:
    """Load the student that the engine options ask for."""
    from ohlora_fast.stylist import HairStylist

    return HairStylist(checkpoint=args.checkpoint, engine=args.engine, device=args.device, threads=args.threads)
