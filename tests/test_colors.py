"""Colour words and numbers → the hue the ombre takes."""

from __future__ import annotations

import colorsys
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageColor

from ohlora_fast.colors import _color_of_degree, describe_color, hue_degree, parse_color
from ohlora_fast.errors import InputError


@pytest.mark.parametrize(
    ("text", "degree"),
    [
        ("0", 0),
        ("0.1", 36),
        ("0.5", 180),
        ("0.7", 251),  # 252 in exact arithmetic, 251 in float64, which is what counts
        ("0.9", 324),
        ("1.0", 0),
        (" 1 ", 0),
        ("1e-1", 36),
        ("red", 0),
        ("Orange", 39),
        ("deepskyblue", 195),
        ("hotpink", 330),
        ("brown", 0),
        ("#00ffff", 180),
        ("#0ff", 180),
        ("#00F", 240),
        ("#FF0001", 0),
    ],
)
def test_hue_of(text: str, degree: int) -> None:
    assert hue_degree(parse_color(text)) == degree


def test_numbers_pass_unchanged() -> None:
    assert [parse_color(text) for text in ("0.1", "0.123456789", "1")] == [0.1, 0.123456789, 1.0]


@pytest.mark.parametrize("text", ["grey", "black", "white", "#777", "#fefefe", "rgb(5,5,5)"])
def test_colours_without_hue(text: str) -> None:
    with pytest.raises(InputError, match="has no hue"):
        parse_color(text)


@pytest.mark.parametrize("text", ["", "nan", "inf", "-0.01", "1.01", "rainbow", "#12", "#12345g", "0,5", "0x1"])
def test_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^color: .*allowed is a number from 0 to 1") as caught:
        parse_color(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(ImageColor.colormap))
def test_every_css_name_gives_its_nearest_degree(name: str) -> None:
    red, green, blue = (part / 255 for part in ImageColor.getrgb(name)[:3])
    hue, saturation, _ = colorsys.rgb_to_hsv(red, green, blue)
    if saturation == 0:
        with pytest.raises(InputError):
            parse_color(name)
    else:
        distance = abs(hue_degree(parse_color(name)) - 360 * hue)
        assert min(distance, 360 - distance) <= 0.5 + 1e-9


def test_every_degree_can_be_reached() -> None:
    assert [hue_degree(_color_of_degree(degree)) for degree in range(360)] == list(range(360))


@given(st.tuples(*[st.integers(0, 255)] * 3).filter(lambda rgb: len(set(rgb)) > 1))
def test_any_hex_colour_becomes_a_color_in_range(rgb: tuple[int, int, int]) -> None:
    color = parse_color("#{:02x}{:02x}{:02x}".format(*rgb))
    assert 0 <= color < 1
    hue = 360 * colorsys.rgb_to_hsv(*(part / 255 for part in rgb))[0]
    assert hue_degree(color) == math.floor(hue + 0.5) % 360


@pytest.mark.parametrize(
    ("color", "words"),
    [
        (0.0, "color 0 → hue 0° #ff0000"),
        (0.1, "color 0.1 → hue 36° #ff9900"),
        (0.5, "color 0.5 → hue 180° #00ffff"),
        (0.9, "color 0.9 → hue 324° #ff0099"),
        (1.0, "color 1 → hue 0° #ff0000"),
    ],
)
def test_described(color: float, words: str) -> None:
    assert describe_color(color) == words
