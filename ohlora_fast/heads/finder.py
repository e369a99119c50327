"""The head finder in use: a photo in, boxes of its heads out. ONNX Runtime on the CPU; PyTorch is never loaded."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ohlora_fast.errors import InputError
from ohlora_fast.heads.boxes import MOST, Heads

Array = np.ndarray[Any, Any]

STRIDE = 8
"""Pixels a cell of the network's output."""
LOOK = 256
"""Longer side, in pixels, at which a photo is looked at first."""
CLOSE_LOOK = 736
"""Longer side of the second look, for photos in which no head is large."""
LARGE = 0.35
"""A head so high, as a share of the photo's longer side, makes the second look unnecessary."""
SURE = 0.35
"""Score from which on a head counts at the first look …"""
SURE_CLOSE = 0.3
"""… at the second …"""
SURE_LARGE = 0.18
"""… and one higher than `LARGE` at either: close-ups of hair look least like a head."""
OVERLAP = 0.45
"""Intersection over union at which two boxes are one head's."""
CONTAINED = 0.7
"""Share of the smaller box inside the larger one at which they are, too."""
OUTER = 0.6
"""The larger one stays if its score is at least this share of the smaller one's."""


class Session(Protocol):
    """The network: uint8 RGB (1, h, w, 3), sides multiples of 32, → float32 (1, 5, h/8, w/8)."""

    def __call__(self, image: Array) -> Array: ...


class HeadFinder:
    """Finds heads in photos. One object may be used from several threads at once.

    Args:
        model: an ``.onnx`` file of the network; None for the bundled one.
        threads: CPU threads of one call; None for all cores.

    Raises:
        InputError: the file cannot be read, or is no head finder.

    >>> finder = HeadFinder()
    >>> len(finder.find(np.full((60, 80, 3), 128, np.uint8)))
    0
    """

    def __init__(self, model: str | Path | None = None, threads: int | None = None) -> None:
        self._arguments = (None if model is None else os.path.abspath(model), threads)
        self.session = onnx_session(model, threads)

    def __reduce__(self) -> tuple[type[HeadFinder], tuple[Any, ...]]:
        """Pickle and copy the arguments, as `HairStylist` does."""
        return type(self), self._arguments

    def find(self, photo: Array) -> Heads:
        """Find the heads of a photo, uint8 RGB or RGBA (H, W, C), of any strides."""
        height, width = photo.shape[:2]
        boxes, scores = self.look(photo, LOOK, SURE)
        longer = max(height, width)
        large = (boxes[:, 3] - boxes[:, 1] >= LARGE * longer).any()
        if not large and longer > 1.25 * LOOK:
            close, close_scores = self.look(photo, min(CLOSE_LOOK, longer), SURE_CLOSE)
            boxes, scores = np.concatenate([boxes, close]), np.concatenate([scores, close_scores])
        return distinct(boxes, scores)

    def look(self, photo: Array, longer: int, sure: float) -> tuple[Array, Array]:
        """Boxes (K, 4) in the photo's pixels and scores (K,) from `sure` on, at a scale of the photo's longer side."""
        height, width = photo.shape[:2]
        seen = shrunk(photo, longer)
        output = self.session(seen[None])[0]
        boxes, scores = peaks(output)
        scale = np.array([width / seen.shape[1], height / seen.shape[0]] * 2, np.float32)
        boxes = np.clip(boxes * scale, 0, [width, height, width, height]).astype(np.float32)
        high, wide = boxes[:, 3] - boxes[:, 1], boxes[:, 2] - boxes[:, 0]
        least = np.where(high >= LARGE * max(height, width), SURE_LARGE, sure)
        kept = (scores >= least) & (high >= 2) & (wide >= 2)
        return boxes[kept], scores[kept]


def shrunk(photo: Array, longer: int) -> Array:
    """A photo at the network's size: its longer side about `longer`, both multiples of 32, the aspect kept to that.

    >>> shrunk(np.zeros((600, 900, 4), np.uint8), 256).shape
    (160, 256, 3)
    """
    import cv2

    height, width = photo.shape[:2]
    scale = longer / max(height, width)
    size = [max(32, 32 * round(side * scale / 32)) for side in (width, height)]
    pixels = photo[..., :3]
    if not pixels.flags.c_contiguous:
        pixels = np.ascontiguousarray(pixels)
    shrinks = size[0] < width and size[1] < height
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR))


def peaks(output: Array, least: float = 0.1) -> tuple[Array, Array]:
    """Boxes (K, 4) in pixels of what the network saw, and scores (K,), of the peaks of its heat, the highest first.

    Args:
        output: (5, h, w), see `HeadFinderNet`.
        least: score of a peak.
    """
    heat = output[0]
    around = np.pad(heat, 1, constant_values=-np.inf)
    rows, columns = heat.shape
    neighbours = [around[y : y + rows, x : x + columns] for y in range(3) for x in range(3)]
    logit = np.log(least / (1 - least))
    found = np.flatnonzero((heat >= np.max(neighbours, axis=0)) & (heat > logit))
    found = found[np.argsort(-heat.flat[found], kind="stable")][: 3 * MOST]
    y, x = np.divmod(found, columns)
    shift_x, shift_y, wide, high = output[1:].reshape(4, -1)[:, found]
    half_wide, half_high = np.exp(np.clip(wide, -4, 6)) / 2, np.exp(np.clip(high, -4, 6)) / 2
    x, y = x + 0.5 + shift_x, y + 0.5 + shift_y
    boxes = np.stack([x - half_wide, y - half_high, x + half_wide, y + half_high], 1) * STRIDE
    scores = 1 / (1 + np.exp(-heat.flat[found].astype(np.float64)))
    return boxes.astype(np.float32), scores.astype(np.float32)


def distinct(boxes: Array, scores: Array) -> Heads:
    """Leave one box a head, the surest, and put them from left to right.

    >>> boxes = np.array([[20, 0, 30, 10], [0, 0, 10, 10], [1, 0, 11, 10]], np.float32)
    >>> distinct(boxes, np.array([0.5, 0.9, 0.6], np.float32)).boxes[:, 0].tolist()
    [0.0, 20.0]
    """
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])

    def shares(kept: list[int], index: int) -> tuple[Array, Array]:
        """Of each kept box with another: their intersection over union, and over the smaller one."""
        meets = np.minimum(boxes[kept, 2:], boxes[index, 2:]) - np.maximum(boxes[kept, :2], boxes[index, :2])
        shared = np.prod(np.clip(meets, 0, None), axis=1)
        return shared / (areas[kept] + areas[index] - shared), shared / np.minimum(areas[kept], areas[index])

    sure: list[int] = []
    for index in np.argsort(-scores, kind="stable").tolist():
        if not (shares(sure, index)[0] > OVERLAP).any():
            sure.append(index)
    kept: list[int] = []
    # Of a box inside another the outer one stays, unless it is much less sure.
    for index in sorted(sure, key=lambda index: -areas[index]):
        within = [other for other, share in zip(kept, shares(kept, index)[1], strict=True) if share > CONTAINED]
        if any(scores[other] >= OUTER * scores[index] for other in within):
            continue
        kept = [other for other in kept if other not in within] + [index]
    kept = sorted(kept, key=lambda index: -scores[index])[:MOST]
    order = sorted(kept, key=lambda index: (boxes[index, 0] + boxes[index, 2], boxes[index, 1]))
    return Heads(boxes[order], scores[order])


def onnx_session(model: str | Path | None, threads: int | None) -> Session:
    """The network in ONNX Runtime.

    Raises:
        InputError: the file cannot be read, or is no head finder.
    """
    from ohlora_fast.student.session import read_graph, session_of

    path = bundled_heads() if model is None else Path(model)
    session = session_of(read_graph(path, f"checkpoint {path}"), threads, f"checkpoint {path}")
    (*inputs,), (*outputs,) = session.session.get_inputs(), session.session.get_outputs()
    fits = len(inputs) == 1 and inputs[0].type == "tensor(uint8)" and len(inputs[0].shape) == 4
    if not fits or inputs[0].shape[3] != 3 or len(outputs) != 1 or outputs[0].shape[1:2] != [5]:
        raise InputError(f"{path}: expected a head finder's graph, uint8 (1, h, w, 3) to float32 (1, 5, h/8, w/8)")
    names, image_name = [outputs[0].name], inputs[0].name

    def run(image: Array) -> Array:
        try:
            found = session.run(names, {image_name: image})[0]
        except Exception as error:  # ONNX Runtime's exceptions have no common public base
            raise InputError(f"{path}: does not run ({str(error).splitlines()[0]})") from None
        expected = (1, 5, *(side // STRIDE for side in image.shape[1:3]))
        if np.shape(found) != expected or found.dtype != np.float32:
            raise InputError(f"{path}: gives {found.dtype} of shape {np.shape(found)}, expected float32 {expected}")
        return found

    return run


@lru_cache(maxsize=1)
def bundled_heads() -> Path:
    """The bundled graph: in 8-bit integers where the processor has instructions for them."""
    from ohlora_fast.student.engines import int8_problem

    folder = Path(__file__).parent / "bundled"
    small = folder / "heads-int8.onnx"
    return small if int8_problem() is None and small.is_file() else folder / "heads.onnx"
