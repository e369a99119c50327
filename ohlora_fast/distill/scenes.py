"""Scores on photos that are no portraits: whole figures, groups, and photos without people.

The folder holds ``ccp/val/images`` and ``ccp/val/hair``, photos of one person each with masks of the hair;
``people/faces.json``, photo → boxes of faces ``[x0, y0, x1, y1, confidence]``, beside the photos; and ``nothing/val``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from ohlora_fast.distill.data import Pair, matched, read_image
from ohlora_fast.errors import InputError

Array = np.ndarray[Any, Any]
Segment = Callable[[Array], Any]

LOST = 0.3
"""A figure's IoU below which its hair counts as lost."""
CERTAIN = 0.95
"""Confidence of a face whose hair is asked for …"""
LEAST = 14
"""… and its height in pixels, at least."""
HAIR = 0.06
"""Share of the box from the brows to above the head that must be hair for the head to count as found."""
UNLABELLED = 0.1
"""Share of the photos, those with the most hair far from faces, that is left out: heads without a box are there."""
FALSE = 0.005
"""Share of a photo without people from which on what is called hair counts."""


@dataclass(frozen=True, eq=False)
class Scenes:
    """The photos: of figures with masks, of people with faces (K, 5), and without anybody."""

    figures: tuple[Pair, ...]
    people: tuple[tuple[Path, Array], ...]
    nothing: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.figures) + len(self.people) + len(self.nothing)


@dataclass(frozen=True)
class SceneScores:
    """The measures, all in [0, 1].

    Attributes:
        iou: mean intersection over union of the figures' hair.
        lost: share of figures whose IoU is below 0.3.
        heads: share of certain faces with hair above them.
        spill: mean share of a photo that is called hair far from any face, over the photos of people with a face but
            the tenth of them with the most of it.
        nothing: share of photos without people in which more than 0.5 % is called hair.
    """

    iou: float
    lost: float
    heads: float
    spill: float
    nothing: float


def find_scenes(folder: str | Path) -> Scenes | None:
    """Find the photos; None where the folder is not laid out so.

    Raises:
        InputError: a part holds no photos, a photo has no mask, or the boxes cannot be read.
    """
    folder = Path(folder)
    figures, faces, nothing = folder / "ccp" / "val", folder / "people" / "faces.json", folder / "nothing" / "val"
    if not ((figures / "images").is_dir() and faces.is_file() and nothing.is_dir()):
        return None
    images, masks = (
        {path.stem: path for path in (figures / part).glob(pattern)}
        for part, pattern in (("images", "*.jpg"), ("hair", "*.png"))
    )
    pairs = matched(images, masks, dict.fromkeys(images, "ccp"), figures)
    empty = tuple(sorted(nothing.glob("*.jpg")))
    if not empty:
        raise InputError(f"{nothing}: holds no photos NAME.jpg")
    return Scenes(tuple(pairs), read_faces(faces), empty)


def read_faces(path: Path) -> tuple[tuple[Path, Array], ...]:
    """Photos with their faces (K, 5), from a JSON file beside them.

    Raises:
        InputError: the file is damaged, or no face in it is certain.
    """
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        people = tuple((path.parent / name, np.array(boxes, float).reshape(-1, 5)) for name, boxes in read.items())
    except (ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{path}: expected photo → [[x0, y0, x1, y1, confidence], …] ({error})") from None
    if not any(certain(face) for _, faces in people for face in faces):
        raise InputError(f"{path}: holds no face of a confidence of {CERTAIN} and {LEAST} pixels")
    return people


def score_scenes(segment: Segment, scenes: Scenes) -> SceneScores:
    """Score a way of finding hair, with a progress bar on a terminal.

    Args:
        segment: uint8 photo (H, W, 3) → hair probability (H, W).
        scenes: the photos.
    """
    with tqdm(total=len(scenes), unit="photo", disable=None) as bar:

        def hair(image: Array) -> Array:
            found: Array = np.asarray(segment(image)) > 0.5
            bar.update()
            return found

        ious = np.array([figure_iou(hair, pair) for pair in scenes.figures])
        heads, spills = [], []
        for path, faces in scenes.people:
            found = hair(read_rgb(path))
            heads += list(heads_found(found, faces))
            if len(faces):
                spills.append(spilled(found, faces))
        kept = sorted(spills)[: round(len(spills) * (1 - UNLABELLED))]
        false = [hair(read_rgb(path)).mean() > FALSE for path in scenes.nothing]
    return SceneScores(
        iou=float(ious.mean()),
        lost=float((ious < LOST).mean()),
        heads=float(np.mean(heads)),
        spill=float(np.mean(kept)) if kept else 0.0,
        nothing=float(np.mean(false)),
    )


def figure_iou(hair: Callable[[Array], Array], pair: Pair) -> float:
    """Intersection over union of a figure's hair; 0 where there is neither."""
    image, mask = pair.load()
    found, truth = hair(image), mask > 127
    return float((found & truth).sum() / max(1, (found | truth).sum()))


def heads_found(found: Array, faces: Array) -> Iterator[bool]:
    """Say for each certain face of a photo whether there is hair above it."""
    for face in faces:
        above = found[zone(face, 0.35, 0.55, 0.35, found.shape)]
        if certain(face) and above.size:
            yield bool(above.mean() >= HAIR)


def spilled(found: Array, faces: Array) -> float:
    """Share of a photo that is called hair and is far from any face."""
    near = np.zeros(found.shape, bool)
    for face in faces:
        near[zone(face, 1.6, 1.2, 3.5, near.shape)] = True
    return float((found & ~near).mean())


def certain(face: Array) -> bool:
    """Whether the hair above a face is asked for."""
    return bool(face[4] >= CERTAIN and face[3] - face[1] >= LEAST)


def zone(face: Array, beside: float, above: float, below: float, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns of a photo around a face: so many widths on each side, from so many heights above the box's top
    to so many below it.

    >>> zone(np.array([20, 30, 40, 50, 1]), 0.5, 1, 2, (100, 45))
    (slice(10, 70, None), slice(10, 45, None))
    """
    x0, y0, x1, y1 = face[:4].tolist()
    wide, high = x1 - x0, y1 - y0
    rows = slice(max(0, int(y0 - above * high)), min(shape[0], int(y0 + below * high)))
    return rows, slice(max(0, int(x0 - beside * wide)), min(shape[1], int(x1 + beside * wide)))


def read_rgb(path: Path) -> Array:
    return cv2.cvtColor(read_image(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
