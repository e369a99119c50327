"""What people call a colour → the `color` number of the ombre, which is a hue."""

from __future__ import annotations

import colorsys
import math

from ohlora_fast.errors import InputError

PALETTE = {
    "red": 0.0,
    "orange": 0.1,
    "yellow": 1 / 6,
    "green": 0.35,
    "sky blue": 0.5,
    "blue": 0.65,
    "purple": 0.78,
    "pink": 0.9,
}
"""Colours that show well on hair, by name, as `color` numbers."""

ALLOWED = "a number from 0 to 1, a CSS colour name such as teal, #rgb or #rrggbb"


def parse_color(text: str) -> float:
    """Return the ombre's `color`, a float in [0, 1], for a number or the hue of a named colour.

    The number is taken as it is: 0 is red, 0.1 orange, 0.5 sky blue, 0.9 pink, 1 red again. Of a colour only
    the hue counts, to the nearest degree: brown is red. Names are those of CSS, in any case.

    Raises:
        InputError: something else, a number out of range, or a colour without a hue (black, white, grey).

    >>> parse_color("0.5")
    0.5
    >>> parse_color("#00f") == parse_color("Blue") == 240 / 360
    True
    >>> parse_color("grey")
    Traceback (most recent call last):
    ...
    ohlora_fast.errors.InputError: color: 'grey' has no hue (black, white and greys have none); allowed is \
a number from 0 to 1, a CSS colour name such as teal, #rgb or #rrggbb
    """
    text = text.strip()
    try:
        number = float(text)
    except ValueError:
        return _color_of_degree(_nearest_degree(text))
    if not 0 <= number <= 1:
        raise InputError(f"color: {text} came; allowed is {ALLOWED}")
    return number


def hue_degree(color: float) -> int:
    """Return the hue, 0 to 359, that the ombre takes for `color` in [0, 1].

    >>> hue_degree(0.5), hue_degree(1.0)
    (180, 0)
    """
    return int(360 * color) % 360


def describe_color(color: float) -> str:
    """Return `color` in [0, 1] with its hue and the pure colour of that hue, to be printed.

    >>> describe_color(0.5)
    'color 0.5 → hue 180° #00ffff'
    """
    degree = hue_degree(color)
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(degree / 360, 1, 1))
    return f"color {color:.4g} → hue {degree}° #{red:02x}{green:02x}{blue:02x}"


def _nearest_degree(text: str) -> int:
    from PIL import ImageColor

    try:
        rgb = ImageColor.getrgb(text)
    except ValueError:
        raise InputError(f"color: {text!r} came; allowed is {ALLOWED}") from None
    hue, saturation, _ = colorsys.rgb_to_hsv(*(part / 255 for part in rgb[:3]))
    if saturation == 0:
        raise InputError(f"color: {text!r} has no hue (black, white and greys have none); allowed is {ALLOWED}")
    return math.floor(360 * hue + 0.5) % 360


def _color_of_degree(degree: int) -> float:
    color = degree / 360
    if hue_degree(color) != degree:  # 360 · (degree / 360) may fall just short of the degree
        color = math.nextafter(color, 1)
    return color
