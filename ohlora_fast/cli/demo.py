"""`ohlora-fast demo`: dye the public-domain portrait that scikit-image ships."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ohlora_fast.cli.options import add_engine_options, color, fraction, stylist_from
from ohlora_fast.colors import PALETTE, describe_color
from ohlora_fast.errors import InputError

if TYPE_CHECKING:
    from ohlora_fast.media.convert import Pixels

DESCRIPTION = """\
Dye the portrait of the astronaut Eileen Collins (NASA, public domain) that scikit-image ships, cropped to
head and shoulders. Writes before.png, mask.png, overlay.png, after.png and sheet.png, a contact sheet of
colours × heights. Earlier ones are replaced."""

HEIGHTS = (0.3, 0.6, 1.0)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `demo` and its options."""
    parser = subparsers.add_parser("demo", help="dye a sample portrait", description=DESCRIPTION)
    parser.add_argument("-o", "--out", default="ohlora-demo", metavar="DIR", help="the folder (ohlora-demo)")
    parser.add_argument("--color", type=color, default=0.5, help="of after.png: 0 to 1, a CSS name or #rrggbb")
    parser.add_argument("--ombre-height", type=fraction, default=0.6, metavar="X", help="of after.png (0.6)")
    parser.add_argument("--ombre-grad-height", type=fraction, default=0.5, metavar="X", help="(0.5)")
    add_engine_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the five pictures and say where."""
    from ohlora_fast.heads.hair import full_size
    from ohlora_fast.media.images import write_photo
    from ohlora_fast.media.overlay import mask_pixels, overlay_pixels
    from ohlora_fast.media.sheet import contact_sheet

    before = portrait()
    folder = Path(args.out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out: cannot make the folder {folder}: {error.strerror}") from error
    stylist = stylist_from(args)
    hair = stylist.find_hair(before)
    mask = mask_pixels(full_size(hair, args.threads))

    def dyed(number: float, height: float) -> Pixels:
        return stylist.dye_by_map(before, hair, number, height, args.ombre_grad_height)

    rows, columns = head_window(mask)
    pictures = {
        "before": before,
        "mask": mask,
        "overlay": overlay_pixels(before, mask),
        "after": dyed(args.color, args.ombre_height),
        "sheet": contact_sheet(
            [[dyed(number, height)[rows, columns] for number in PALETTE.values()] for height in HEIGHTS],
            column_labels=[f"{name}\ncolor {number:.3g}" for name, number in PALETTE.items()],
            row_labels=[f"height\n{height}" for height in HEIGHTS],
        ),
    }
    print(describe_color(args.color))
    for name, pixels in pictures.items():
        write_photo(folder / f"{name}.png", pixels, overwrite=True)
        print(folder / f"{name}.png")
    return 0


def head_window(mask: Pixels) -> tuple[slice, slice]:
    """Return the rows and columns of a window around the hair with half its size as margin, for the sheet.

    Args:
        mask: uint8 (H, W), dyed hair from 192 on (0.75); without any the window is the whole picture.
    """
    hair = mask >= 192
    if not hair.any():
        return slice(None), slice(None)
    windows = []
    for axis in (1, 0):
        places = hair.any(axis).nonzero()[0]
        first, last = int(places[0]), int(places[-1])
        margin = (last - first + 1) // 2
        windows.append(slice(max(first - margin, 0), last + margin + 1))
    return windows[0], windows[1]


def portrait() -> Pixels:
    """Return head and shoulders of the sample portrait, uint8 (320, 320, 3).

    Raises:
        InputError: scikit-image is not installed.
    """
    try:
        from skimage import data
    except ImportError as error:
        raise InputError(f"demo needs scikit-image ({error}); pip install 'ohlora-fast[demo]'") from error
    pixels: Pixels = data.astronaut()[0:320, 60:380].copy()
    return pixels
