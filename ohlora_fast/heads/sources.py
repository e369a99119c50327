"""Photos that the head finder is trained on: readers of folders, and boxes of the heads in them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ohlora_fast.distill.data import read_image
from ohlora_fast.errors import InputError
from ohlora_fast.heads.boxes import head_boxes

Array = np.ndarray[Any, Any]

SURE, DOUBTFUL = 0.95, 0.5
"""Confidence of a face from which it is a head, and from which on it is at least left out of the loss."""


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo with the boxes of its heads.

    Attributes:
        pixels: uint8 RGB (H, W, 3).
        heads: (K, 4) x0 y0 x1 y1, around the head with its hair.
        doubtful: (J, 4), where a head may be.
        person, hair: masks uint8 (H, W), 255 = yes; None if unknown.
    """

    pixels: Array
    heads: Array
    doubtful: Array
    person: Array | None = None
    hair: Array | None = None


def box_of_hair(hair: Array) -> Array:
    """The box (1, 4) of a head of which hair alone is known: the upper part of the hair; (0, 4) without any."""
    rows, columns = np.flatnonzero((hair > 127).any(1)), np.flatnonzero((hair > 127).any(0))
    if not len(rows):
        return np.zeros((0, 4), np.float32)
    top, left, right = rows[0], columns[0], columns[-1] + 1
    return np.array([[left, top, right, min(rows[-1] + 1, top + 1.25 * (right - left))]], np.float32)


def read_street(folder: Path) -> list[Photo]:
    """Street photos of one person each: images/, hair/, person/ and faces.json."""
    faces, photos = read_faces(folder / "faces.json"), []
    for name, found in faces.items():
        pixels = read_rgb(folder / "images" / name)
        hair, person = (
            read_image(folder / part / f"{Path(name).stem}.png", cv2.IMREAD_GRAYSCALE) for part in ("hair", "person")
        )
        heads, doubtful = sorted_faces(found, pixels)
        if not len(heads):
            heads = box_of_hair(hair)
        photos.append(Photo(pixels, heads, doubtful, person, hair))
    return photos


def read_portraits(folder: Path) -> list[Photo]:
    """Portraits: faces/ and faces.json. Those without a sure face are left out."""
    photos = []
    for name, found in read_faces(folder / "faces.json").items():
        pixels = read_rgb(folder / "faces" / name)
        heads, doubtful = sorted_faces(found, pixels)
        if len(heads):
            photos.append(Photo(pixels, heads, doubtful))
    return photos


def read_hair(folder: Path) -> list[Photo]:
    """Photos that hair fills, from any side: images/, masks/ and faces.json."""
    photos = []
    for name, found in read_faces(folder / "faces.json").items():
        pixels = read_rgb(folder / "images" / name)
        hair = read_image(folder / "masks" / f"{Path(name).stem}.png", cv2.IMREAD_GRAYSCALE)
        heads, doubtful = sorted_faces(found, pixels)
        heads = heads if len(heads) else box_of_hair(hair)
        if len(heads):
            photos.append(Photo(pixels, heads, doubtful, None, hair))
    return photos


def read_nothing(folder: Path) -> list[Photo]:
    """Photos without people: the .jpg files of a folder."""
    none = np.zeros((0, 4), np.float32)
    return [Photo(read_rgb(path), none, none) for path in sorted(folder.glob("*.jpg"))]


def read_faces(path: Path) -> dict[str, list[list[float]]]:
    try:
        faces: dict[str, list[list[float]]] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected JSON of faces by photo, got {type(error).__name__}") from None
    return faces


def sorted_faces(found: Sequence[Sequence[float]], pixels: Array) -> tuple[Array, Array]:
    """Heads of the sure faces, and of the doubtful ones, inside the photo; the largest first."""
    kinds = [face for face in found if face[4] >= SURE], [face for face in found if DOUBTFUL <= face[4] < SURE]
    sure, doubtful = (clipped(head_boxes(kind), pixels.shape[1::-1]) for kind in kinds)
    return sure[np.argsort(-(sure[:, 3] - sure[:, 1]), kind="stable")], doubtful


def read_rgb(path: Path) -> Array:
    return cv2.cvtColor(read_image(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def clipped(box: Array, size: Sequence[int]) -> Array:
    return np.clip(box, 0, [size[0], size[1]] * 2)
