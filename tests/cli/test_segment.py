"""`ohlora-fast segment`, with the bundled student."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ohlora_fast import HairStylist
from ohlora_fast.cli import main
from ohlora_fast.media.images import read_photo


def segment(*arguments: object) -> int:
    return main(["segment", *map(str, arguments)])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_mask_and_overlay(portrait: Path, portrait_pixels: np.ndarray) -> None:
    out = portrait.with_name("hair.png")
    assert segment(portrait, "-o", out) == 0
    prob = HairStylist().segment(portrait_pixels)
    with Image.open(out) as mask:
        assert mask.mode == "L"
        grey = np.asarray(mask)
    np.testing.assert_array_equal(grey, np.rint(prob * 255))
    assert grey.max() > 200
    assert grey.min() < 50
    green = np.zeros_like(portrait_pixels)
    green[..., 1] = grey
    wanted = 0.55 * portrait_pixels + 0.45 * green
    assert np.abs(read_photo(portrait.with_name("hair_overlay.png")).pixels - wanted).max() <= 1


def test_binary(portrait: Path, portrait_pixels: np.ndarray) -> None:
    assert segment(portrait, "-o", portrait.with_name("hair.png"), "--binary") == 0
    mask = np.asarray(Image.open(portrait.with_name("hair.png")))
    np.testing.assert_array_equal(mask, np.where(HairStylist().segment(portrait_pixels) >= 0.5, 255, 0))


def test_names_in_a_folder(portrait: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = portrait.with_name("masks")
    assert segment(portrait, "-o", out) == 0
    assert names(out) == ["portrait_mask.png", "portrait_overlay.png"]
    assert f"→ {out / 'portrait_mask.png'} {out / 'portrait_overlay.png'}" in capsys.readouterr().out
    assert segment(portrait, "-o", out) == 1
    assert "portrait_mask.png and 1 more exists already" in capsys.readouterr().err
    (out / "portrait_overlay.png").unlink()
    assert segment(portrait, "-o", out, "--skip-existing") == 0
    assert names(out) == ["portrait_mask.png", "portrait_overlay.png"]
    assert segment(portrait, "-o", out, "--skip-existing") == 0
    assert "every output exists already" in capsys.readouterr().out
    assert segment(portrait, "-o", out, "--overwrite") == 0


def test_two_pictures_with_one_stem_keep_their_full_names(portrait: Path) -> None:
    Image.open(portrait).save(portrait.with_suffix(".jpg"))
    Image.open(portrait).save(portrait.with_name("other.png"))
    out = portrait.with_name("out")
    assert segment(portrait.parent, "-o", out) == 0
    stems = ("other", "portrait.jpg", "portrait.png")
    assert names(out) == [f"{stem}_{kind}.png" for stem in stems for kind in ("mask", "overlay")]
    # Each is made from its own picture: one is lossy, the other not.
    np.testing.assert_array_equal(*(read_photo(out / f"{stem}_overlay.png").pixels for stem in stems[::2]))
    lossy, plain = (read_photo(out / f"{stem}_overlay.png").pixels for stem in stems[1:])
    assert (lossy != plain).any()


@pytest.mark.parametrize("name", ["mask.jpg", "mask.txt"])
def test_masks_are_png(portrait: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert segment(portrait, "-o", portrait.with_name(name)) == 1
    assert "allowed is a .png file or a folder" in capsys.readouterr().err


def test_the_overlay_may_not_hit_the_input(portrait: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = portrait.rename(portrait.with_name("x_overlay.png"))
    before = source.read_bytes()
    assert segment(source, "-o", source.with_name("x.png"), "--overwrite") == 1
    assert "would overwrite the input" in capsys.readouterr().err
    assert source.read_bytes() == before


def test_any_shape_and_alpha(tmp_path: Path) -> None:
    for size in [(1, 1), (3, 400), (333, 7)]:
        Image.new("RGBA", size, (10, 20, 30, 40)).save(tmp_path / "x.png")
        assert segment(tmp_path / "x.png", "-o", tmp_path / "m.png", "--overwrite") == 0
        assert Image.open(tmp_path / "m.png").size == size
        overlay = Image.open(tmp_path / "m_overlay.png")
        assert (overlay.size, overlay.mode) == (size, "RGBA")
        assert overlay.getchannel("A").getextrema() == (40, 40)


def test_large_pictures_are_refined_unless_told_otherwise(portrait: Path, portrait_pixels: np.ndarray) -> None:
    large = np.asarray(Image.fromarray(portrait_pixels).resize((448, 500)))
    path, out = portrait.with_name("large.png"), portrait.with_name("hair.png")
    Image.fromarray(large).save(path)
    stylist = HairStylist()
    for options, how in (((), {"refine": True}), (("--no-refine",), {}), (("--no-refine", "--tiles"), {})):
        assert segment(path, "-o", out, "--overwrite", *options) == 0
        np.testing.assert_array_equal(np.asarray(Image.open(out)), np.rint(stylist.segment(large, **how) * 255))


def test_chosen_heads(group: Path, group_pixels: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    out, stylist = group.with_name("hair.png"), HairStylist()
    for options, heads in (((), "auto"), (("--head", "3,1"), [2, 0]), (("--whole",), "whole")):
        assert segment(group, "-o", out, "--no-refine", "--overwrite", *options) == 0
        wanted = stylist.segment(group_pixels, heads=heads)
        np.testing.assert_array_equal(np.asarray(Image.open(out)), np.rint(wanted * 255))
    assert capsys.readouterr().err == ""
    assert segment(group, "-o", out, "--overwrite", "--head", 4) == 0
    assert capsys.readouterr().err == f"ohlora-fast: warning: {group}: no head 4 (heads found: 3); left unchanged\n"
    assert np.asarray(Image.open(out)).max() == 0
