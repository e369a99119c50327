"""`ohlora-fast dye` head by head: files, sets, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ohlora_fast import HairStylist
from ohlora_fast.cli import main
from ohlora_fast.media.images import read_photo


def dye(*arguments: object) -> int:
    return main(["dye", *map(str, arguments)])


def test_each_head_its_colour(group: Path, group_pixels: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    stylist, out = HairStylist(), group.with_name("out.png")
    for options, colors, heads in (
        (("--head-colors", "0.1,lime"), [0.1, 1 / 3, 0.1], "auto"),
        (("--head", "3,1", "--head-colors", "0.1,0.6,0.9"), [0.1, 0.6], [2, 0]),
        (("--head", "2", "--color", "0.6"), 0.6, [1]),
        (("--whole", "--color", "0.6"), 0.6, "whole"),
        (("--tiles", "--color", "0.6"), 0.6, "auto"),
    ):
        assert dye(group, "-o", out, "--no-refine", "--overwrite", *options) == 0
        np.testing.assert_array_equal(read_photo(out).pixels, stylist.dye(group_pixels, colors, heads=heads))
    captured = capsys.readouterr()
    assert captured.out.splitlines()[0] == "heads: color 0.1 → hue 36° #ff9900, color 0.3333 → hue 120° #00ff00"
    assert captured.err == ""


def test_a_head_that_is_not_there_leaves_the_picture_as_it_is(
    group: Path, group_pixels: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    out = group.with_name("out.png")
    assert dye(group, "-o", out, "--head", "1,4,7") == 0
    message = f"ohlora-fast: warning: {group}: no head 4, 7 (heads found: 3); left unchanged\n"
    assert capsys.readouterr().err == message
    np.testing.assert_array_equal(read_photo(out).pixels, group_pixels)


def test_a_set_by_heads(group: Path, group_pixels: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (64, 48), (90, 120, 200)).save(group.with_name("sky.png"))
    Image.fromarray(group_pixels[:, :340]).save(group.with_name("one.png"))
    out = group.parent.parent / "out"
    options = ("--head", "2,3", "--head-colors", "0.2,0.7", "--no-refine")
    assert dye(group.parent, "-o", out, *options) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-1].startswith("3 dyed in ")
    assert captured.out.endswith(", 1 of them without hair\n")
    assert captured.err.splitlines() == [
        f"ohlora-fast: note: {group.with_name('one.png')}: no head 2, 3 (heads found: 1); left unchanged",
        f"ohlora-fast: note: {group.with_name('sky.png')}: no hair found; left unchanged",
    ]
    wanted = HairStylist().dye(group_pixels, [0.2, 0.7], heads=[1, 2])
    np.testing.assert_array_equal(read_photo(out / "group.png").pixels, wanted)
    for name in ("one.png", "sky.png"):
        np.testing.assert_array_equal(read_photo(out / name).pixels, read_photo(group.with_name(name)).pixels)
    assert dye(group.parent, "-o", out, *options, "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["earlier"] == 3
    assert dye(group.parent, "-o", out, "--json") == 0
    end = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (end["done"], end["without_hair"]) == (3, 1)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ("--head 0", 2, "argument --head: '0' came; allowed are numbers of heads from 1 on, each once, with commas"),
        ("--head x", 2, "argument --head: 'x' came; allowed are numbers of heads"),
        ("--head 1,,2", 2, "argument --head: '1,,2' came; allowed are numbers of heads"),
        ("--head 2,2", 2, "argument --head: '2,2' came; allowed are numbers of heads"),
        ("--head 1 --whole", 2, "argument --whole: not allowed with argument --head"),
        (
            "--head-colors nocolour",
            2,
            "argument --head-colors: 'nocolour' came; allowed is a number from 0 to 1, a CSS",
        ),
        ("--head-colors red,", 2, "argument --head-colors: '' came; allowed is a number from 0 to 1, a CSS"),
        ("--head-colors red --palette sunset", 1, "--head-colors: came with --palette; allowed is one of the two"),
    ],
)
def test_wrong_heads_are_one_line(
    portrait: Path, options: str, code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dye(portrait, "-o", portrait.with_name("out.png"), *options.split()) == code
    error = capsys.readouterr().err
    assert error.startswith(f"ohlora-fast: error: {message}")
    assert error.count("\n") == 1
    assert not portrait.with_name("out.png").exists()
