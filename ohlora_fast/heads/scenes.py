"""Training samples for the head finder, composed on the fly from photos, cut-out people and photos without people.

A sample is a square of pixels with the boxes of the heads in it. One of these kinds is drawn for each:

- a window of a street photo, at a scale that is drawn, or one below the head, which holds none;
- a portrait, or a part of it that hair and face fill;
- a photo that hair fills, from behind or from the side as often as not;
- people cut out of street photos by their masks, on a photo without people;
- a mosaic of portraits, street photos and photos without people;
- a photo without people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from ohlora_fast.heads.sources import Photo, box_of_hair, clipped

Array = np.ndarray[Any, Any]

KINDS = {"street": 0.18, "body": 0.10, "portrait": 0.14, "hair": 0.18, "people": 0.20, "mosaic": 0.10, "nothing": 0.10}
"""Share of the samples of each kind."""
LEAST, MOST = 7.0, 300.0
"""Height of a head in the sample, in pixels, between which scales are drawn."""
VISIBLE = 0.45
"""Share of a head that must be seen for it to count."""


@dataclass(frozen=True, eq=False)
class Sample:
    """A square of pixels (S, S, 3), the heads in it (K, 4) and the boxes (J, 4) that count neither way."""

    pixels: Array
    heads: Array
    doubtful: Array


class Scenes:
    """Draws samples: a function of the seed and the sample's number.

    Args:
        street, portraits, hair, nothing: what samples are made of, see `sources`; without `hair`, portraits serve.
        size: side of a sample.
        seed: another one draws other samples.
    """

    def __init__(
        self, street: Sequence[Photo], portraits: Sequence[Photo], hair: Sequence[Photo], nothing: Sequence[Photo],
        size: int, seed: int = 0,
    ) -> None:  # fmt: skip
        self.street, self.portraits, self.hair, self.nothing = street, portraits, hair or portraits, nothing
        self.size, self.seed = size, seed

    def __getitem__(self, number: int) -> Sample:
        rng = np.random.default_rng([self.seed, number])
        kind = rng.choice(list(KINDS), p=list(KINDS.values()))
        sample = getattr(self, f"_{kind}")(rng)
        return recoloured(sample, rng)

    def _street(self, rng: Any) -> Sample:
        photo = pick(self.street, rng)
        canvas = self._backdrop(rng)
        if len(photo.heads):
            if rng.random() < 0.25:
                photo = from_behind(photo, rng)
            high = photo.heads[0, 3] - photo.heads[0, 1]
            # Small enough for the whole photo now and then, as large as a close-up otherwise.
            least = self.size / max(photo.pixels.shape[:2]) * high
            scale = log_uniform(rng, max(LEAST, 0.8 * least), MOST) / high
            where = self._around(photo, scale, rng)
        else:
            scale, where = self.size / min(photo.pixels.shape[:2]), None
        return pasted(canvas, [self._placed(photo, scale, where, rng, 0.15)])

    def _body(self, rng: Any) -> Sample:
        """A window below the head: clothes, legs, ground."""
        photo = pick(self.street, rng)
        width = photo.pixels.shape[1]
        boxes = [*photo.heads, *box_of_hair(photo.hair)] if photo.hair is not None else [*photo.heads]
        chin = int(max([box[3] for box in boxes], default=0) + 4)
        below = Photo(photo.pixels[chin:], photo.heads[:0], photo.doubtful - [0, chin, 0, chin])
        if len(below.pixels) < 64:
            return self._nothing(rng)
        scale = log_uniform(rng, 1.0, 4.0) * self.size / width
        return pasted(self._backdrop(rng), [self._placed(below, scale, None, rng, 0.15)])

    def _portrait(self, rng: Any) -> Sample:
        photo = pick(self.portraits, rng)
        side = max(photo.pixels.shape[:2])
        zoom = rng.choice([1.0, rng.uniform(0.5, 1.5), rng.uniform(1.4, 2.6)], p=[0.35, 0.4, 0.25])
        box = photo.heads[0]
        if zoom > 1.4:  # hair more than face: a window at the head's upper or outer part
            half = 0.5 * side / zoom
            x = np.clip(rng.uniform(box[0], box[2]), half, photo.pixels.shape[1] - half)
            y = np.clip(rng.uniform(box[1], 0.6 * box[1] + 0.4 * box[3]), half, photo.pixels.shape[0] - half)
        else:
            x, y = rng.uniform(0.4, 0.6) * side, rng.uniform(0.4, 0.6) * side
        scale = zoom * self.size / side
        return pasted(self._backdrop(rng), [self._placed(photo, scale, (x, y, 0.5, 0.5), rng, 0.2)])

    def _hair(self, rng: Any) -> Sample:
        photo = pick(self.hair, rng)
        height, width = photo.pixels.shape[:2]
        # From the photo as a whole to a part of it that its shorter side fills, and more.
        scale = self.size / max(height, width)
        scale *= log_uniform(rng, 0.8, 1.25 * max(height, width) / min(height, width))
        x, y = (side / 2 + rng.normal(0, 0.05) * side for side in (width, height))
        where = (x, y, 0.5, 0.5)
        return pasted(self._backdrop(rng), [self._placed(photo, scale, where, rng, 0.2)])

    def _people(self, rng: Any) -> Sample:
        canvas = self._backdrop(rng)
        layers = []
        base = log_uniform(rng, 9.0, 110.0)
        count = int(rng.integers(1, 9)) if base < 40 else int(rng.integers(1, 4))
        for x in rng.permutation(np.linspace(0.08, 0.92, count) if count > 1 else [rng.uniform(0.2, 0.8)]):
            photo = pick(self.street, rng)
            if not len(photo.heads) or photo.person is None or hidden(photo.heads[0], photo.person) < 0.35:
                continue
            if rng.random() < 0.2:
                photo = from_behind(photo, rng)
            high = photo.heads[0, 3] - photo.heads[0, 1]
            scale = base * rng.uniform(0.75, 1.3) / high
            middle = (photo.heads[0, :2] + photo.heads[0, 2:]) / 2
            where = (*middle, x + rng.normal(0, 0.05), rng.uniform(0.05, 0.7))
            image, matrix, boxes, unsure = self._placed(photo, scale, where, rng, 0.1)
            layers.append((image, matrix, boxes[:1], unsure[:0]))  # who stands behind is not cut out
        return pasted(canvas, layers, cut=True)

    def _mosaic(self, rng: Any) -> Sample:
        across = int(rng.integers(2, 6))
        cell, layers = self.size / across, []
        for row in range(across):
            for column in range(across):
                kind = rng.random()
                close = self.portraits if kind < 0.35 else self.hair
                photo = pick(close if kind < 0.6 else self.street if kind < 0.85 else self.nothing, rng)
                scale = cell / min(photo.pixels.shape[:2])
                window = photo if kind >= 0.6 else square_of(photo)
                height, width = window.pixels.shape[:2]
                matrix = np.array([[scale, 0, column * cell], [0, scale, row * cell]])
                if height > width:  # the upper part of what is taller than a cell
                    rows = int(width)
                    window = cropped(window, 0, 0, width, rows)
                elif width > height:
                    left = (width - height) // 2
                    window = cropped(window, left, 0, left + height, height)
                layers.append((window, matrix, moved(window.heads, matrix), moved(window.doubtful, matrix)))
        return pasted(np.zeros((self.size, self.size, 3), np.uint8), layers)

    def _nothing(self, rng: Any) -> Sample:
        none = np.zeros((0, 4), np.float32)
        return Sample(self._backdrop(rng), none, none)

    def _backdrop(self, rng: Any) -> Array:
        """A window of a photo without people that fills the sample."""
        pixels = pick(self.nothing, rng).pixels
        least = self.size / min(pixels.shape[:2])
        scale = least * (1.0 if rng.random() < 0.5 else log_uniform(rng, 1.0, 4.0))
        wide, high = (max(self.size, round(side * scale)) for side in pixels.shape[1::-1])
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        resized = cv2.resize(pixels, (wide, high), interpolation=way)
        top, left = rng.integers(high - self.size + 1), rng.integers(wide - self.size + 1)
        window = resized[top : top + self.size, left : left + self.size]
        return np.ascontiguousarray(window[:, ::-1] if rng.random() < 0.5 else window)

    def _around(self, photo: Photo, scale: float, rng: Any) -> tuple[float, float, float, float]:
        """A point of the photo, and where in the sample it goes, so that its head is seen and the photo fills it."""
        size = []
        middle = (photo.heads[0, :2] + photo.heads[0, 2:]) / 2
        for side, at in zip(photo.pixels.shape[1::-1], middle, strict=True):
            extent, place = side * scale, at * scale
            # The window begins anywhere that keeps the head's middle inside, and stays in the photo where it can.
            low, high = max(0.0, place - 0.95 * self.size), max(0.0, min(place - 0.05 * self.size, extent - self.size))
            if extent > self.size:
                start = rng.uniform(min(low, high), max(low, high))
            else:
                start = -rng.uniform(0, self.size - extent)
            size.append((place - start) / self.size)
        return float(middle[0]), float(middle[1]), float(size[0]), float(size[1])

    def _placed(
        self, photo: Photo, scale: float, where: tuple[float, float, float, float] | None, rng: Any, turning: float
    ) -> tuple[Photo, Array, Array, Array]:
        """A photo, the affine matrix (2, 3) that brings it into the sample, and its boxes there.

        ``where``: a point of the photo and the share of the sample at which it comes to lie; None for anywhere that
        fills the sample. ``turning``: how often it is turned.
        """
        height, width = photo.pixels.shape[:2]
        if where is None:
            x, y = (
                rng.uniform(0.5 * self.size / scale, max(0.5 * self.size / scale, side - 0.5 * self.size / scale))
                for side in (width, height)
            )
            where = (x, y, 0.5, 0.5)
        x, y, u, v = where
        angle = np.deg2rad(rng.normal(0, 12)) if rng.random() < turning else 0.0
        flip = -1.0 if rng.random() < 0.5 else 1.0
        cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
        linear = np.array([[cos * flip, -sin], [sin * flip, cos]])
        u = 1 - u if flip < 0 else u
        shift = self.size * np.array([u, v]) - linear @ np.array([x, y])
        matrix = np.column_stack([linear, shift])
        return photo, matrix, moved(photo.heads, matrix), moved(photo.doubtful, matrix)


def moved(boxes: Array, matrix: Array) -> Array:
    """Boxes where an affine matrix (2, 3) takes them: the middle moves, the sides are scaled."""
    if not len(boxes):
        return boxes
    scale = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2 @ matrix[:, :2].T + matrix[:, 2]
    half = (boxes[:, 2:] - boxes[:, :2]) / 2 * scale
    return np.concatenate([middle - half, middle + half], 1).astype(np.float32)


def pasted(canvas: Array, layers: Sequence[tuple[Photo, Array, Array, Array]], cut: bool = False) -> Sample:
    """Paste photos onto a canvas one after the other, by their person masks if ``cut``; heads that are hidden go."""
    size = canvas.shape[1], canvas.shape[0]
    heads: list[Array] = []
    doubtful: list[Array] = []
    for photo, matrix, boxes, unsure in layers:
        scale = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
        # Shrunk first, so that the warp does not alias.
        pixels, person = photo.pixels, photo.person
        if scale < 0.6:
            smaller = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
            ratio = np.array([smaller[0] / pixels.shape[1], smaller[1] / pixels.shape[0]])
            pixels = cv2.resize(pixels, smaller, interpolation=cv2.INTER_AREA)
            person = None if person is None else cv2.resize(person, smaller, interpolation=cv2.INTER_AREA)
            matrix = matrix / np.array([*ratio, 1.0])
        border = cv2.BORDER_CONSTANT
        warped = cv2.warpAffine(pixels, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        cover = person if cut and person is not None else np.full(pixels.shape[:2], 255, np.uint8)
        alpha = cv2.warpAffine(cover, matrix, size, flags=cv2.INTER_LINEAR, borderMode=border)
        share = alpha[..., None].astype(np.float32) / 255
        canvas = np.rint(canvas + share * (warped.astype(np.float32) - canvas)).astype(np.uint8)
        seen = [box for box in heads if hidden(box, alpha) < 0.5]
        heads = [*seen, *boxes]
        doubtful = [*doubtful, *unsure]
    inside, unclear = [], list(doubtful)
    for box in heads:
        visible = clipped(box, size)
        part = area(visible) / max(area(box), 1e-6)
        if part >= VISIBLE or (part > 0.2 and area(visible) > 0.3 * size[0] * size[1]):
            inside.append(visible)
        elif part > 0.02:
            unclear.append(visible)
    none = np.zeros((0, 4), np.float32)
    return Sample(canvas, np.array(inside, np.float32) if inside else none, np.array(unclear) if unclear else none)


def hidden(box: Array, alpha: Array) -> float:
    """Share of a box that a mask covers."""
    x0, y0, x1, y1 = np.rint(clipped(box, alpha.shape[::-1])).astype(int)
    inside = alpha[y0:y1, x0:x1]
    return float(inside.mean()) / 255 if inside.size else 0.0


def area(box: Array) -> float:
    return float(max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1]))


def cropped(photo: Photo, left: int, top: int, right: int, bottom: int) -> Photo:
    shift = np.array([left, top, left, top], np.float32)
    return Photo(photo.pixels[top:bottom, left:right], photo.heads - shift, photo.doubtful - shift)


def square_of(photo: Photo) -> Photo:
    side = min(photo.pixels.shape[:2])
    return cropped(photo, 0, 0, side, side)


def from_behind(photo: Photo, rng: Any) -> Photo:
    """A head without its face: hair from above it is stretched down over it, as if it was seen from behind."""
    hair = photo.hair
    if hair is None:
        return photo
    x0, y0, x1, y1 = np.rint(photo.heads[0]).astype(int).clip(0)
    crown = hair[y0 : y0 + max(2, (y1 - y0) // 3), x0:x1]
    rows, columns = np.flatnonzero((crown > 127).any(1)), np.flatnonzero((crown > 127).any(0))
    if len(rows) < 4 or len(columns) < 0.4 * (x1 - x0):
        return photo
    pixels = photo.pixels.copy()
    source = pixels[y0 + rows[0] + 1 : y0 + rows[-1], x0 + columns[0] : x0 + columns[-1] + 1]
    inside = hair[y0 + rows[0] + 1 : y0 + rows[-1], x0 + columns[0] : x0 + columns[-1] + 1] > 127
    if not inside.any():
        return photo
    filled = np.where(inside[..., None], source, np.median(source[inside], 0).astype(np.uint8))
    high, wide = y1 - y0, x1 - x0
    texture = cv2.resize(filled, (wide, high), interpolation=cv2.INTER_CUBIC)
    noise = rng.normal(1.0, 0.10, (1, wide, 1)) * np.linspace(1.0, rng.uniform(0.6, 1.0), high)[:, None, None]
    texture = np.clip(texture * noise, 0, 255)
    oval = np.zeros((high, wide), np.float32)
    cv2.ellipse(oval, (wide // 2, high // 2), (max(1, int(0.42 * wide)), max(1, high // 2)), 0, 0, 360, 1.0, -1)
    oval = cv2.GaussianBlur(oval, (0, 0), max(0.5, 0.03 * wide))[..., None]
    window = pixels[y0:y1, x0:x1]
    oval, texture = oval[: window.shape[0], : window.shape[1]], texture[: window.shape[0], : window.shape[1]]
    pixels[y0:y1, x0:x1] = np.rint(window + oval * (texture - window)).astype(np.uint8)
    return Photo(pixels, photo.heads, photo.doubtful, photo.person, photo.hair)


def recoloured(sample: Sample, rng: Any) -> Sample:
    """Light, contrast, tint, at times no colour, blur, noise and JPEG."""
    pixels: Any = sample.pixels.astype(np.float32)
    gain, contrast = rng.uniform(0.65, 1.35), rng.uniform(0.7, 1.3)
    mean = pixels.mean()
    pixels = (pixels - mean) * contrast + mean * gain
    pixels *= rng.uniform(0.9, 1.1, 3).astype(np.float32)
    if rng.random() < 0.12:
        pixels = np.repeat(pixels.mean(2, keepdims=True), 3, 2)
    if rng.random() < 0.15:
        pixels = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.4, 1.4))
    if rng.random() < 0.15:
        pixels = pixels + rng.normal(0, rng.uniform(2, 10), pixels.shape).astype(np.float32)
    small: Array = np.clip(pixels, 0, 255).astype(np.uint8)
    if rng.random() < 0.2:
        _, code = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 90))])
        small = np.array(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8)
    return Sample(small, sample.heads, sample.doubtful)


def pick(photos: Sequence[Photo], rng: Any) -> Photo:
    return photos[int(rng.integers(len(photos)))]


def log_uniform(rng: Any, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(max(low * 1.001, high)))))
