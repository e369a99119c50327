"""A contact sheet: pictures in a labelled grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ohlora_fast.media.convert import Pixels

GAP = 8
LABEL_SIZE = 18


def contact_sheet(
    rows: Sequence[Sequence[Pixels]], column_labels: Sequence[str], row_labels: Sequence[str], cell: int = 192
) -> Pixels:
    """Lay pictures out in a grid on white, with a label above each column and left of each row.

    Args:
        rows: uint8 RGB pictures (H, W, 3) of any sizes; each is scaled to fit a `cell` square.
        column_labels: one a column; a line break makes two lines.
        row_labels: one a row.
        cell: side of a square in pixels.

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
    step = max(cell, width) + GAP
    size = (left + step * len(column_labels), top + (cell + GAP) * len(row_labels))
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for column, label in enumerate(column_labels):
        centre = left + column * step + (step - GAP) // 2
        draw.multiline_text((centre, top - GAP), label, "black", font, anchor="md", align="center")
    for row, (label, pictures) in enumerate(zip(row_labels, rows, strict=True)):
        middle = top + row * (cell + GAP) + cell // 2
        draw.multiline_text((left - GAP, middle), label, "black", font, anchor="rm", align="right")
        for column, pixels in enumerate(pictures):
            picture = Image.fromarray(pixels)
            picture.thumbnail((cell, cell), Image.Resampling.LANCZOS)
            centre = left + column * step + (step - GAP) // 2
            sheet.paste(picture, (centre - picture.width // 2, middle - picture.height // 2))
    return np.asarray(sheet)


def _longest(
    draw: ImageDraw.ImageDraw, labels: Sequence[str], font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> tuple[int, int]:
    boxes = [draw.multiline_textbbox((0, 0), label, font=font) for label in labels]
    return round(max(box[2] for box in boxes)), round(max(box[3] for box in boxes))
