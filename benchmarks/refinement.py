"""Do refined maps, and crops around small heads, find hair better?

    python -m ohlora_fast.benchmarks.refinement DATA

takes photos with true masks (DATA/images, DATA/masks) and scores, at each photo's own size, against its mask:

- the true mask averaged to 56×56, resized bicubically, and refined by the photo: what the photo alone adds,
- the student's map, resized, and refined,
- with `--canvas 4`, each photo on a blurred form of itself, 4 times as wide and high: the student's map of the whole,
  and the masks of the heads that are found there.

Boundary IoU is that of `ohlora-fast evaluate`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import cv2
import numpy as np
from ohlora_fast.benchmarks.report import markdown

from ohlora_fast.distill.data import find_pairs
from ohlora_fast.distill.metrics import Counts, count_pixels, summarise
from ohlora_fast.errors import InputError
from ohlora_fast.refine import refine_map
from ohlora_fast.student.preprocess import unsquash
from ohlora_fast.stylist import HairStylist

Array = np.ndarray[Any, Any]
Segment = Callable[[Array, Array], Array]


def main() -> int:
    """Run from the command line, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ohlora_fast.benchmarks.refinement", description=__doc__)
    parser.add_argument("data", metavar="DATA", help="folder of images/ and masks/")
    parser.add_argument("--side", type=int, default=56, metavar="N", help="of the averaged mask (56)")
    parser.add_argument("--canvas", type=int, default=0, metavar="N", help="score heads N times smaller instead (0)")
    parser.add_argument("--engine", default="auto", help="of the student (auto)")
    args = parser.parse_args()
    stylist = HairStylist(engine=args.engine)
    if args.canvas:
        ways: dict[str, Segment] = {
            "whole photo": lambda photo, _: stylist.segment(photo, heads="whole"),
            "heads": lambda photo, _: stylist.segment(photo),
            "heads, refined": lambda photo, _: stylist.segment(photo, refine=True),
        }
    else:
        ways = {
            f"true mask at {args.side}², resized": lambda photo, mask: unsquash(averaged(mask, args.side), *mask.shape),
            f"true mask at {args.side}², refined": lambda photo, mask: refine_map(photo, averaged(mask, args.side)),
            "student, resized": lambda photo, _: stylist.segment(photo),
            "student, refined": lambda photo, _: stylist.segment(photo, refine=True),
        }
    try:
        rows = list(scored(args.data, ways, args.canvas))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(markdown(["map", "photos of", "photos", "IoU", "boundary IoU", "MSE"], rows, left=2))
    return 0


def averaged(mask: Array, side: int) -> Array:
    return cv2.resize(mask.astype(np.float32) / 255, (side, side), interpolation=cv2.INTER_AREA).clip(0, 1)


def on_canvas(photo: Array, times: int) -> Array:
    """A photo (H, W, …) in the middle of a blurred form of itself; a mask (H, W) on nothing."""
    height, width = photo.shape[:2]
    canvas = np.zeros((times * height, times * width, *photo.shape[2:]), np.uint8)
    if photo.ndim == 3:
        blurred = cv2.GaussianBlur(photo, (0, 0), min(height, width) / 8)
        canvas[:] = cv2.resize(blurred, (times * width, times * height))
    top, left = (times - 1) * height // 2, (times - 1) * width // 2
    canvas[top : top + height, left : left + width] = photo
    return canvas


def scored(data: str, ways: dict[str, Segment], canvas: int) -> Iterator[list[str]]:
    """A row of means a way and source."""
    from tqdm import tqdm

    pairs = find_pairs(data)
    counts: dict[str, list[Counts]] = {name: [] for name in ways}
    for pair in tqdm(pairs, unit="photo", disable=None):
        photo, mask = map(partial(on_canvas, times=canvas) if canvas else np.asarray, pair.load())
        for name, way in ways.items():
            counts[name].append(count_pixels(way(photo, mask), mask))
    for name, found in counts.items():
        for source, summary in summarise(pairs, found).items():
            mean = summary.mean
            numbers = f"{mean.iou:.4f}", f"{mean.boundary_iou:.4f}", f"{mean.mse:.5f}"
            yield [name, source, str(summary.photos), *numbers]


if __name__ == "__main__":
    sys.exit(main())
