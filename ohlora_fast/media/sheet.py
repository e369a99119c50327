"""A contact sheet: pictures in a labelled grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ohlora_fast.media.convert import Pixels

GAP = 8
LABEL_SIZE = 18


def contact_sheet(
    rows: Sequence[Sequence[Pixels]], column_labels: Sequence[str], row_labels: Sequence[str], cell: int = 192,
    captions: Sequence[Sequence[str]] = (),
) -> Pixels:  # fmt: skip
    """Lay pictures out in a grid on white, with a label above each column and left of each row.

    Args:
        rows: uint8 RGB pictures (H, W, 3) of any sizes; each is scaled to fit a `cell` square.
        column_labels: one a column; a line break makes two lines.
        row_labels: one a row.
        cell: side of a square in pixels.
        captions: one line below each picture; none by default.

    Returns:
        uint8 RGB.

    >>> contact_sheet([[np.zeros((4, 4, 3), np.uint8)]], ["a"], ["b"], cell=32).shape[2]
    3
    """
    font = ImageFont.load_default(LABEL_SIZE)
    ruler = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    left = 2 * GAP + _longest(ruler, row_labels, font)[0]
    width, height = _longest(ruler, column_labels, font)
    top = 2 * GAP + height
    caption_height = LABEL_SIZE + GAP if captions else 0
    step, drop = max(cell, width) + GAP, cell + caption_height + GAP
    size = (left + step * len(column_labels), top + drop * len(row_labels))
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for column, label in enumerate(column_labels):
        centre = left + column * step + (step - GAP) // 2
        draw.multiline_text((centre, top - GAP), label, "black", font, anchor="md", align="center")
    for row, (label, pictures) in enumerate(zip(row_labels, rows, strict=True)):
        middle = top + row * drop + cell // 2
        draw.multiline_text((left - GAP, middle), label, "black", font, anchor="rm", align="right")
        for column, pixels in enumerate(pictures):
            picture = Image.fromarray(pixels)
            picture.thumbnail((cell, cell), Image.Resampling.LANCZOS)
            centre = left + column * step + (step - GAP) // 2
            sheet.paste(picture, (centre - picture.width // 2, middle - picture.height // 2))
            if captions:
                draw.text((centre, middle + cell // 2 + GAP // 2), captions[row][column], "black", font, anchor="ma")
    return np.asarray(sheet)


def picture_grid(pictures: Sequence[Pixels], columns: int, gap: int = 2) -> Pixels:
    """Lay pictures of one size side by side, row by row, pixel for pixel and without labels, white between them.

    Args:
        pictures: uint8 RGB (H, W, 3).
        columns: pictures a row; the last row may be shorter.
        gap: pixels between them.

    Returns:
        uint8 RGB.

    >>> picture_grid([np.zeros((4, 6, 3), np.uint8)] * 3, columns=2).shape
    (10, 14, 3)
    """
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    grid = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for index, picture in enumerate(pictures):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        grid[top : top + height, left : left + width] = picture
    return grid


def _longest(
    draw: ImageDraw.ImageDraw, labels: Sequence[str], font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> tuple[int, int]:
    boxes = [draw.multiline_textbbox((0, 0), label, font=font) for label in labels]
    return round(max(box[2] for box in boxes)), round(max(box[3] for box in boxes))
