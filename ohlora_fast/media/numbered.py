"""Heads marked in a photo: a box around each, and its number."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ohlora_fast.media.convert import Pixels

ON, OFF = (124, 58, 237), (107, 114, 128)
SMALLEST = 13
"""Height of a number, in pixels; more in photos of more than `PER_LETTER` times that."""
PER_LETTER = 36


def number_heads(pixels: Pixels, boxes: NDArray[np.float32], off: Collection[int] = ()) -> Pixels:
    """Draw a numbered box around each head, from 1.

    Args:
        pixels: the photo, uint8 (H, W, 3 or 4).
        boxes: (K, 4), x0 y0 x1 y1 in its pixels.
        off: indices of heads whose boxes are grey.

    Returns:
        A new photo of that shape.

    >>> photo = np.zeros((60, 80, 3), np.uint8)
    >>> marked = number_heads(photo, np.array([[10, 10, 40, 50]], np.float32))
    >>> marked[50, 25].tolist(), marked[30, 25].tolist()
    ([124, 58, 237], [0, 0, 0])
    """
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    size = max(SMALLEST, max(image.size) // PER_LETTER)
    font, line = ImageFont.load_default(size), max(1, size // 8)
    for index, box in enumerate(boxes):
        x0, y0, x1, y1 = np.rint(box).astype(int).tolist()
        color = OFF if index in off else ON
        draw.rectangle((x0, y0, x1, y1), outline=color, width=line)
        text = str(index + 1)
        wide, high = round(draw.textlength(text, font) + 0.7 * size), round(1.3 * size)
        # Over the head, if there is room.
        left, top = min(max(x0, 0), image.width - wide), min(max(y0 - high + line, 0), image.height - high)
        draw.rectangle((left, top, left + wide - 1, top + high - 1), fill=color)
        draw.text((left + wide / 2, top + high / 2), text, "white", font, anchor="mm")
    return np.asarray(image)
