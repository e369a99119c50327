"""`ohlora-fast gallery`: photos in many colours by every method, side by side on one page."""

from __future__ import annotations

import argparse
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from ohlora_fast.cli.options import (
    add_engine_options,
    add_file_options,
    add_whose_options,
    count,
    fraction,
    heads_from,
    stylist_from,
)
from ohlora_fast.errors import InputError

if TYPE_CHECKING:
    from ohlora_fast import HairStylist, NaturalDye
    from ohlora_fast.cli.plan import Job
    from ohlora_fast.media.convert import Pixels

DESCRIPTION = """\
Dye photos in many colours by every method, for looking: of each two sheets, NAME_methods.jpg (hues; the seed's
formula above natural dyeing, without and with more lift) and NAME_looks.jpg (palettes, flow, highlights, undercolour),
and a page, index.html, that shows them all."""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Gallery</title>
<style>body{{font:15px system-ui,sans-serif;margin:2em auto;max-width:1500px;padding:0 1em}}
img{{max-width:100%;height:auto;display:block;margin:.5em 0 1.5em}}</style></head><body>
<h1>{count} portraits</h1>
{sections}
</body></html>
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `gallery` and its options."""
    parser = subparsers.add_parser("gallery", help="many colours by every method on one page", description=DESCRIPTION)
    add_file_options(parser, "the folder")
    parser.add_argument("--cell", type=count, default=224, metavar="N", help="side of a picture, pixels (224)")
    parser.add_argument("--ombre-height", type=fraction, default=0.9, metavar="X", help="0 to 1 (0.9)")
    parser.add_argument("--ombre-grad-height", type=fraction, default=0.4, metavar="X", help="0 to 1 (0.4)")
    add_whose_options(parser)
    add_engine_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make the sheets and the page, and return the exit code."""
    from ohlora_fast.cli.jobs import run_jobs
    from ohlora_fast.cli.plan import plan_jobs, with_endings
    from ohlora_fast.media.files import written_whole
    from ohlora_fast.media.gamut import srgb_pixels
    from ohlora_fast.media.images import MAX_PIXELS, read_photo, write_photo

    naming = with_endings(as_file, "_methods.jpg", "_looks.jpg")
    plan = args.images, args.out, naming, args.recursive
    every = plan_jobs(*plan, overwrite=True)
    jobs = plan_jobs(*plan, overwrite=args.overwrite, skip_existing=args.skip_existing)
    stylist = stylist_from(args) if jobs else None

    def work(job: Job) -> Sequence[str]:
        assert stylist is not None
        photo = read_photo(job.source, max_pixels=args.max_pixels or MAX_PIXELS)
        before = shrunk(srgb_pixels(photo.pixels, photo.icc_profile)[..., :3], 4 * args.cell)
        for path, sheet in zip(job.outputs, sheets(stylist, before, args), strict=True):
            write_photo(path, sheet, quality=88, overwrite=True)
        return photo.notes

    code = run_jobs(jobs, work, args)
    page = Path(args.out) / "index.html"
    with written_whole(page) as file:
        file.write(
            page_html([job for job in every if all(path.exists() for path in job.outputs)], page.parent).encode()
        )
    print(page)
    return code


def sheets(stylist: HairStylist, before: Pixels, args: argparse.Namespace) -> list[Pixels]:
    """The two sheets of a portrait, cropped to the heads: methods by hues, and looks by lift.

    Raises:
        InputError: a head that was chosen is not there.
    """
    from ohlora_fast import NaturalDye
    from ohlora_fast.cli.demo import head_window
    from ohlora_fast.colors import PALETTE
    from ohlora_fast.heads.choosing import find_chosen
    from ohlora_fast.heads.hair import full_size
    from ohlora_fast.media.overlay import mask_pixels
    from ohlora_fast.media.sheet import contact_sheet

    hair, missing = find_chosen(stylist, before, heads_from(args))
    if missing is not None:
        raise InputError(missing)
    window = squared(head_window(mask_pixels(full_size(hair, stylist.threads))), before.shape[:2])
    heights = args.ombre_height, args.ombre_grad_height
    methods: dict[str, str | NaturalDye] = {
        "seed": "seed",
        "natural": "natural",
        "natural\nlift 0.8": NaturalDye(lift=0.8),
    }
    looks = {lift: looks_at(lift) for lift in (0.3, 0.9)}

    def dyed(color: float, method: str | NaturalDye) -> Pixels:
        result: Pixels = stylist.dye_by_map(before, hair, color, *heights, method=method)
        return result[window]

    return [
        contact_sheet(
            [[before[window], *(dyed(color, method) for color in PALETTE.values())] for method in methods.values()],
            ["before", *PALETTE], list(methods), args.cell,
        ),
        contact_sheet(
            [[before[window], *(dyed(0.0, look) for look in row.values())] for row in looks.values()],
            ["before", *looks[0.3]], [f"lift {lift}" for lift in looks], args.cell,
        ),
    ]  # fmt: skip


def squared(window: Sequence[slice], size: Sequence[int]) -> tuple[slice, ...]:
    """Widen a window's shorter side, both ways, to the longer one's length, as far as the picture reaches.

    >>> squared((slice(0, 40), slice(30, 50)), (100, 60))
    (slice(0, 40, None), slice(20, 60, None))
    """
    ends = [one.indices(whole)[:2] for one, whole in zip(window, size, strict=True)]
    longest = max(last - first for first, last in ends)
    starts = [
        max(0, min((first + last - longest) // 2, whole - longest))
        for (first, last), whole in zip(ends, size, strict=True)
    ]
    return tuple(slice(start, min(start + longest, whole)) for start, whole in zip(starts, size, strict=True))


def looks_at(lift: float) -> Mapping[str, NaturalDye]:
    """Natural dyes under the names that stand above their columns."""
    from ohlora_fast import NaturalDye

    palettes = ("rose-to-blue", "sunset", "mermaid", "copper", "platinum", "black")
    named = {name: NaturalDye(name, lift=lift) for name in palettes}
    return {
        **named,
        "rose-to-blue\nalong the flow": NaturalDye("rose-to-blue", lift=lift, direction="flow"),
        "highlights": NaturalDye("chocolate", lift=lift, highlights="#ecd9a8"),
        "undercolour": NaturalDye("chocolate", lift=lift, undercolor="teal"),
    }


def shrunk(pixels: Pixels, side: int) -> Pixels:
    """Bring a picture's longer side down to `side`, if it is longer."""
    import numpy as np
    from PIL import Image

    picture = Image.fromarray(pixels)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def page_html(jobs: Sequence[Job], folder: Path) -> str:
    """The page that shows the sheets that there are, by relative links."""
    sections = []
    for job in jobs:
        name = html.escape(job.source.name)
        links = [html.escape(quote(path.relative_to(folder).as_posix())) for path in job.outputs]
        pictures = "\n".join(f'<img loading="lazy" src="{link}" alt="{name} dyed in many colours">' for link in links)
        sections.append(f"<h2>{name}</h2>\n{pictures}")
    return PAGE.format(count=len(jobs), sections="\n".join(sections))


def as_file(out: Path) -> tuple[Path, ...]:
    """Refuse OUT as a file."""
    raise InputError(f"--out: {out} came; allowed is a folder")
