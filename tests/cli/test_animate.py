"""`ohlora-fast animate`: photos whose hair changes colour."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ohlora_fast import HairStylist, InputError, NaturalDye
from ohlora_fast.animate import dyed_frames
from ohlora_fast.cli import main
from ohlora_fast.media.convert import Pixels

from ..conftest import display_p3, frames_of, in_profile


def animate(*arguments: object) -> int:
    return main(["animate", *map(str, arguments), "--device", "cpu"])


@pytest.fixture
def white(tmp_path: Path) -> Path:
    """A picture without hair."""
    path = tmp_path / "white.png"
    Image.new("RGB", (40, 40), "white").save(path)
    return path


def test_every_setting_moves(portrait: Path, tmp_path: Path, portrait_pixels: Pixels) -> None:
    out = tmp_path / "out"
    swept = ["--color", "0.2:lime:0.6", "--ombre-height", "0.5:1", "--ombre-grad-height", "0:1:0.5"]
    assert animate(portrait, "-o", out, "--frames", 5, *swept) == 0
    assert [path.name for path in out.iterdir()] == ["portrait.gif"]
    stylist = HairStylist(device="cpu")
    lime = 120.5 / 360  # anywhere within the degree
    colors, heights, shares = (0.2, 0.265, lime, 0.465, 0.6), (0.5, 0.625, 0.75, 0.875, 1), (0, 0.5, 1, 0.75, 0.5)
    found = frames_of(out / "portrait.gif")
    for frame, *settings in zip(found, colors, heights, shares, strict=True):
        assert np.abs(frame - stylist.dye(portrait_pixels, *settings).astype(int)).mean() < 4


@pytest.mark.parametrize("out", ["one.webp", "folder"])
def test_photos_with_a_profile_are_shown_in_srgb(portrait_pixels: Pixels, tmp_path: Path, out: str) -> None:
    given = portrait_pixels.copy()
    vivid = np.s_[:40, -20:]
    given[vivid] = (210, 60, 50)
    wide = in_profile(given, display_p3())
    wide.save(tmp_path / "wide.png", icc_profile=display_p3())
    moved = ["--color", "0.4", "--ombre-height", "0.3:1", "--frames", 2, "--format", "webp"]
    assert animate(tmp_path / "wide.png", "-o", tmp_path / out, *moved) == 0
    frame = frames_of(tmp_path / out / "wide.webp" if out == "folder" else tmp_path / out)[0]
    assert np.abs(frame[vivid].mean((0, 1)) - (210, 60, 50)).max() < 4
    assert np.abs(np.asarray(wide)[vivid].mean((0, 1)) - (210, 60, 50)).max() > 10


def test_frames_are_those_of_dye_and_the_student_runs_once(
    portrait_pixels: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    stylist = HairStylist(device="cpu")
    expected = [stylist.dye(portrait_pixels, color, 0.8, 0.5) for color in (0, 0.25, 0.5, 0.75)]
    calls, predict = [], stylist.engine.predict
    monkeypatch.setattr(stylist.engine, "predict", lambda images: calls.append(1) or predict(images))
    made = list(dyed_frames(stylist, portrait_pixels, (0, 1), 0.8, frames=4))
    assert np.array_equal(made, expected)
    assert calls == [1]


def test_natural_dyeing_moves_too(portrait: Path, tmp_path: Path, portrait_pixels: Pixels) -> None:
    out = tmp_path / "out"
    swept = "--color 0.2 --ombre-height 1 --strength 0.2:1 --lift 0:1:0.5 --highlights gold --refine --frames 3"
    assert animate(portrait, "-o", out, *swept.split()) == 0
    stylist = HairStylist(device="cpu")
    for frame, strength, lift in zip(frames_of(out / "portrait.gif"), (0.2, 0.6, 1), (0, 1, 0.5), strict=True):
        method = NaturalDye(strength=strength, lift=lift, highlights="gold")
        wanted = stylist.dye(portrait_pixels, 0.2, 1, 0.5, method=method, refine=True)
        assert np.abs(frame - wanted.astype(int)).mean() < 4


@pytest.mark.parametrize(
    ("options", "method"),
    [
        ({"method": "natural", "lift": (0.2, 0.8)}, [NaturalDye(lift=lift) for lift in (0.2, 0.5, 0.8)]),
        ({"method": NaturalDye("sunset", warmth=0)}, [NaturalDye("sunset", warmth=0)] * 3),
        ({"refine": True}, ["seed"] * 3),
    ],
)
def test_frames_of_any_method_are_those_of_dye(
    portrait_pixels: Pixels, options: dict[str, Any], method: list[str | NaturalDye]
) -> None:
    stylist = HairStylist(device="cpu")
    made = list(dyed_frames(stylist, portrait_pixels, (0.2, 0.4), 0.8, frames=3, **options))
    for frame, color, one in zip(made, (0.2, 0.3, 0.4), method, strict=True):
        wanted = stylist.dye(portrait_pixels, color, 0.8, 0.5, method=one, refine="refine" in options)
        assert np.array_equal(frame, wanted)


def test_an_animation_runs_round_if_lift_comes_back_too(portrait_pixels: Pixels) -> None:
    """The frame that would come twice is left out: so the second of four is not a third of the way, but a quarter."""
    stylist = HairStylist(device="cpu")
    for lift, second in (((0.0, 0.6), 0.2), ((0.0, 0.6, 0.0), 0.3)):
        made = list(dyed_frames(stylist, portrait_pixels, 0.3, 1, frames=4, method="natural", lift=lift))
        assert np.array_equal(made[1], stylist.dye(portrait_pixels, 0.3, 1, method=NaturalDye(lift=second)))


def test_strength_and_lift_are_natural_dyeing_s(portrait_pixels: Pixels) -> None:
    with pytest.raises(InputError, match=r"lift: 0\.5 came with the method 'seed'; allowed are 'natural' and"):
        list(dyed_frames(HairStylist(device="cpu"), portrait_pixels, lift=0.5))


def test_several_photos_in_one_file(portrait: Path, tmp_path: Path) -> None:
    """The second, larger and of another shape, comes into the first one's size."""
    second = tmp_path / "second.png"
    with Image.open(portrait) as image:
        image.resize((900, 500)).save(second)
    out = tmp_path / "out.gif"
    assert animate(portrait, second, "-o", out, "--frames", 3, "--side", 100) == 0
    found = frames_of(out)
    assert [frame.shape for frame in found] == [(100, 90, 3)] * 6
    assert (found[0][:20] < 250).all(-1).any()
    assert (found[3][:20] >= 250).all()


def test_frames_of_a_folder_are_put_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    for number, color in enumerate(colors):
        Image.new("RGB", (8, 6), color).save(folder / f"{number}.png")
    assert animate(folder, "-o", tmp_path / "out.gif", "--undyed") == 0
    assert capsys.readouterr().out == f"{tmp_path / 'out.gif'}: 3 frames\n"
    assert [tuple(frame[0, 0]) for frame in frames_of(tmp_path / "out.gif")] == colors
    assert animate(folder, "-o", tmp_path / "out", "--undyed") == 1
    assert "allowed is a file such as" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["webp", "mp4"])
def test_other_formats(portrait: Path, tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--frames", 3, "--format", form]
    assert animate(portrait, "-o", tmp_path / "out", *more) == 0
    assert animate(portrait, "-o", tmp_path / f"one.{form}", *more) == 0
    assert capsys.readouterr().out.endswith(f"one.{form}: 3 frames\n")
    one, other = (np.stack(shown(tmp_path / name)) for name in (f"one.{form}", f"out/portrait.{form}"))
    # On a busy machine x264's threads do not always come to the same file.
    assert np.abs(one.astype(int) - other).mean() <= (1 if form == "mp4" else 0)


def shown(path: Path) -> list[Pixels]:
    """The pictures of an animation."""
    if path.suffix != ".mp4":
        return frames_of(path)
    av = pytest.importorskip("av")
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_transparency_is_laid_on_white(portrait: Path, tmp_path: Path) -> None:
    with Image.open(portrait) as image:
        image.putalpha(Image.fromarray(np.repeat(np.uint8([[255], [0]]), (160, 40), 0).repeat(180, 1)))
        image.save(portrait)
    assert animate(portrait, "-o", tmp_path / "out.gif", "--frames", 2) == 0
    assert (frames_of(tmp_path / "out.gif")[0][165:] > 250).all()


def test_a_photo_without_hair_is_named_and_the_others_go_on(
    portrait: Path, white: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert animate(white, portrait, "-o", tmp_path / "out", "--frames", 2) == 1
    assert f"ohlora-fast: error: {white}: no hair found\n" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["portrait.gif"]
    assert animate(portrait, white, "-o", tmp_path / "out.gif", "--frames", 2) == 1
    assert capsys.readouterr().err == f"ohlora-fast: error: {white}: no hair found\n"
    assert not (tmp_path / "out.gif").exists()


def test_what_exists_stays_unless_asked(portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for out, file in ((tmp_path / "out.gif", tmp_path / "out.gif"), (tmp_path / "out", tmp_path / "out/portrait.gif")):
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"old")
        assert animate(portrait, "-o", out) == 1
        assert "exists already" in capsys.readouterr().err
        assert animate(portrait, "-o", out, "--skip-existing") == 0
        assert capsys.readouterr().out == "every output exists already\n"
        assert file.read_bytes() == b"old"
        assert animate(portrait, "-o", out, "--overwrite", "--frames", 2) == 0
        assert len(frames_of(file)) == 2


def test_photos_that_share_a_name(portrait: Path, tmp_path: Path) -> None:
    shutil.copy(portrait, tmp_path / "portrait.jpg")  # told by its content
    assert animate(portrait, tmp_path / "portrait.jpg", "-o", tmp_path / "out", "--frames", 2) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["portrait.jpg.gif", "portrait.png.gif"]


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["-o", "x.avi"], 1, "the suffix '.avi' came; allowed are .gif, .webp, .mp4"),
        (["-o", "x.gif", "--color", "0:2"], 2, "argument --color: 2 came; allowed is a number from 0 to 1"),
        (["-o", "x.gif", "--ombre-height", "0.3:"], 2, "argument --ombre-height: '' came"),
        (["-o", "x.gif", "--lift", "0:2"], 2, "argument --lift: '2' came; allowed is a number from 0 to 1"),
        (["-o", "x.gif", "--method", "seed", "--lift", "0:1"], 1, "--lift: came with --method seed"),
        (["-o", "x.gif", "--frames", "0"], 2, "argument --frames: '0' came"),
        (["-o", "x.gif", "--fps", "0"], 2, "argument --fps: '0' came"),
        (["-o", "x.gif", "--fps", "60"], 1, "fps: 60 came; allowed are numbers above 0 and up to 50"),
        (["-o", "gone/x.gif"], 1, "there is no folder gone"),
    ],
)
def test_wrong_usage(
    portrait: Path, arguments: list[str], code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert animate(portrait, *arguments) == code
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1


def test_each_head_keeps_or_moves_its_own_colour(group: Path, group_pixels: Pixels, tmp_path: Path) -> None:
    stylist, options = HairStylist(device="cpu"), ["--ombre-height", "0.5:1", "--frames", 3, "--side", 1000]
    colors = ["--head-colors", "0.1,0.5", "--no-refine"]
    for moves, way in (([], 0.0), (["--color", "0.2:0.6"], 0.2)):
        assert animate(group, "-o", tmp_path / "out.gif", *options, *colors, *moves, "--overwrite") == 0
        for number, frame in enumerate(frames_of(tmp_path / "out.gif")):
            hues = [hue + number * way for hue in (0.1, 0.5, 0.1)]
            wanted = stylist.dye(group_pixels, hues, 0.5 + 0.25 * number, 0.5)
            assert np.abs(frame - wanted.astype(int)).mean() < 4


def test_chosen_heads(group: Path, group_pixels: Pixels, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--frames", 2, "--side", 1000, "--no-refine", "--color", "0.3", "--ombre-height", 1]
    assert animate(group, "-o", tmp_path / "out.gif", *options, "--head", 2) == 0
    found = frames_of(tmp_path / "out.gif")[0]
    stylist = HairStylist(device="cpu")
    assert np.abs(found - stylist.dye(group_pixels, 0.3, 1, heads=[1]).astype(int)).mean() < 4
    assert np.abs(found - stylist.dye(group_pixels, 0.3, 1).astype(int)).max() > 60
    assert animate(group, "-o", tmp_path / "more.gif", *options, "--head", 4) == 1
    assert capsys.readouterr().err == f"ohlora-fast: error: {group}: no head 4 (heads found: 3)\n"


def test_hair_that_was_found_before_is_not_looked_for_again(
    group_pixels: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    stylist = HairStylist(device="cpu")
    hair = stylist.find_hair(group_pixels, heads=[2, 0])
    wanted = stylist.dye(group_pixels, [0.2, 0.4], 1, heads=[2, 0])
    monkeypatch.setattr(stylist, "find_hair", None)
    (frame,) = dyed_frames(stylist, group_pixels, 0.5, 1, frames=1, hair=hair, head_colors=(0.2, 0.4))
    assert np.array_equal(frame, wanted)


@pytest.mark.parametrize("keys", [(), (0.5, 1.5)])
def test_wrong_keys(portrait_pixels: Pixels, keys: tuple[float, ...]) -> None:
    with pytest.raises(InputError):
        list(dyed_frames(HairStylist(device="cpu"), portrait_pixels, color=keys, frames=3))
