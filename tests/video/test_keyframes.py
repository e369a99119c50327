"""Keyframes: what may be written, and what comes of it."""

from __future__ import annotations

import pytest

from ohlora_fast import InputError, Ombre
from ohlora_fast.video import Keyframes


def test_settings_lie_on_lines_and_hold_at_the_ends() -> None:
    frames = Keyframes.parse("1:color=0.2; 3:color=0.6,ombre-height=1\n2: ombre_height=0.5", Ombre(0, 0, 0.3))
    assert frames.at(0) == Ombre(0.2, 0.5, 0.3)
    assert frames.at(1.5).color == pytest.approx(0.3)
    assert frames.at(2.5).ombre_height == pytest.approx(0.75)
    assert frames.at(99) == Ombre(0.6, 1.0, 0.3)


def test_files_have_lines_and_comments() -> None:
    text = "# the dye\n0: color=#ff0000  # red\n\n2: color = blue\n"
    assert Keyframes.parse(text).at(1).color == pytest.approx(1 / 3, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "nothing came"),
        ("color=0.1", "'color=0.1' came"),
        ("0:colour=0.1", "'0:colour=0.1' came"),
        ("x:color=0.1", "'x:color=0.1' came"),
        ("0:color", "'0:color' came"),
        ("0:ombre-height=high", "came, allowed is TIME:NAME=VALUE"),
        ("0:ombre-height=2", "ombre_height: got 2"),
        ("0:color=2", "color: 2 came"),
        ("1:color=0;1:color=1", "allowed are rising ones"),
        ("-1:color=0", "allowed are rising ones"),
        ("nan:color=0", "allowed are rising ones"),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Keyframes.parse(text)
