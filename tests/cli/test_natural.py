"""Natural dyeing on the command line: `dye`'s options, in sets too, and `gallery`."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ohlora_fast import HairStylist, NaturalDye
from ohlora_fast.batch import Recipe
from ohlora_fast.cli import main

from ..conftest import display_p3, in_profile, in_srgb


@pytest.fixture(scope="module")
def portrait(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("skimage")
    from ohlora_fast.cli.demo import portrait

    path = tmp_path_factory.mktemp("photos") / "an <a> & b.png"
    Image.fromarray(portrait()).resize((160, 160)).save(path)
    return path


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


@pytest.mark.parametrize(
    ("options", "method"),
    [
        ("--method natural", NaturalDye()),
        ("--palette rose-to-blue --lift 0.7", NaturalDye("rose-to-blue", lift=0.7)),
        ("--color brown --method natural", NaturalDye("brown")),
        ("--color 0.3 --warmth 1 --strength 0.5", NaturalDye(warmth=1.0, strength=0.5)),
        (
            "--palette #ff0000,0.5 --direction flow --highlights gold --highlight-density 0.4 --undercolor teal",
            NaturalDye("#ff0000,0.5", direction="flow", highlights="gold", highlight_density=0.4, undercolor="teal"),
        ),
    ],
)
def test_options_are_the_settings(portrait: Path, tmp_path: Path, options: str, method: NaturalDye) -> None:
    assert main(["dye", str(portrait), "-o", str(tmp_path / "x.png"), *options.split()]) == 0
    color = 0.3 if "0.3" in options else 0.5
    np.testing.assert_array_equal(pixels(tmp_path / "x.png"), HairStylist().dye(portrait, color, method=method))


def test_what_is_done_is_said(portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dye", str(portrait), "-o", str(tmp_path / "x.png"), "--lift", "0.7"]) == 0
    assert capsys.readouterr().out.startswith("natural, lift 0.7, color 0.5 → hue 180°")


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ("--palette nothing", 2, "argument --palette: got 'nothing', allowed is the name of a palette"),
        ("--highlights sunset", 2, "argument --highlights: got 'sunset', allowed is one colour"),
        ("--lift 2", 2, "argument --lift: '2' came; allowed is a number from 0 to 1"),
        ("--method seed --highlight-density 0.5", 1, "--highlight-density: came with --method seed; allowed is"),
    ],
)
def test_wrong_options_are_one_line(
    portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: str, code: int, message: str
) -> None:
    assert main(["dye", str(portrait), "-o", str(tmp_path / "x.png"), *options.split()]) == code
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_set_is_redone_with_another_dye_and_only_then(
    portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["dye", str(portrait.parent), "-o", str(tmp_path / "out"), "--palette"]
    done = []
    for palette in ("sunset", "sunset", "mermaid"):
        assert main([*command, palette]) == 0
        done.append(re.search(r"(\d+) dyed", capsys.readouterr().out)[1])  # type: ignore[index]
    assert done == ["1", "0", "1"]
    expected = HairStylist(threads=1).dye(portrait, method=NaturalDye("mermaid"))
    np.testing.assert_array_equal(pixels(tmp_path / "out" / portrait.name), expected)


def test_another_method_is_another_recipe() -> None:
    assert len({Recipe(method=one).digest() for one in ("seed", "natural", NaturalDye(lift=0.5))}) == 3
    assert Recipe(method="natural").digest() == Recipe(method=NaturalDye()).digest()


def test_gallery(portrait: Path, tmp_path: Path) -> None:
    out = tmp_path / "page"
    command = ["gallery", str(portrait.parent), "-o", str(out), "--cell", "32"]
    assert main(command) == 0
    page = (out / "index.html").read_text()
    assert "<h2>an &lt;a&gt; &amp; b.png</h2>" in page
    assert 'src="an%20%3Ca%3E%20%26%20b_methods.jpg"' in page
    methods, looks = (pixels(out / f"an <a> & b_{kind}.jpg") for kind in ("methods", "looks"))
    assert methods.shape[0] > 3 * 32
    assert looks.shape[1] > 10 * 32
    assert main(command) == 1
    assert main([*command, "--skip-existing"]) == 0
    assert (out / "index.html").read_text() == page
    assert main(["gallery", str(portrait), "-o", str(tmp_path / "x.jpg")]) == 1


def test_a_colour_is_that_colour_in_a_wide_gamut_photo_too(portrait: Path, tmp_path: Path) -> None:
    wide = in_profile(pixels(portrait), display_p3())
    wide.save(tmp_path / "wide.png", icc_profile=display_p3())
    options = ["--palette", "#ff8800", "--lift", "1", "--ombre-height", "1", "--ombre-grad-height", "0"]
    for source, out in ((portrait, "usual.png"), (tmp_path / "wide.png", "wide-dyed.png")):
        assert main(["dye", str(source), "-o", str(tmp_path / out), *options]) == 0
    usual = pixels(tmp_path / "usual.png").astype(int)
    with Image.open(tmp_path / "wide-dyed.png") as image:
        assert image.info["icc_profile"] == display_p3()
        found, raw = in_srgb(image).astype(int), np.asarray(image).astype(int)
    hair = np.abs(usual - pixels(portrait)).max(-1) > 40
    assert hair.mean() > 0.05
    assert np.abs(found - usual)[hair].mean() < 2.5
    assert np.abs(raw - usual)[hair].mean() > 5
    untouched = (usual == pixels(portrait)).all(-1)
    assert (raw == np.asarray(wide))[untouched].mean() > 0.99


def test_gallery_shows_wide_gamut_photos_in_srgb(portrait: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(pixels(portrait)).save(folder / "usual.png")
    in_profile(pixels(portrait), display_p3()).save(folder / "wide.png", icc_profile=display_p3())
    assert main(["gallery", str(folder), "-o", str(tmp_path / "page"), "--cell", "32"]) == 0
    usual, wide = (pixels(tmp_path / "page" / f"{name}_looks.jpg").astype(int) for name in ("usual", "wide"))
    assert np.abs(usual - wide).mean() < 1
