"""Walks pass the pictures they are to pass, at even steps; what is dyed on the way is hair."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ohlora_fast import HairStylist
from ohlora_fast.cli import main
from ohlora_fast.media.convert import Pixels
from ohlora_fast.stylegan.drawing import Labels, latents
from ohlora_fast.stylegan.painter import Painter
from ohlora_fast.stylegan.walk import SPACES, arc, dyed, straight, walk
from ohlora_fast.sweep import frame_times, values_at

from ..conftest import frames_of


def run(command: str, generator: Path, *arguments: object) -> int:
    return main(["stylegan", command, str(generator), "--device", "cpu", *map(str, arguments)])


@pytest.mark.parametrize("space", SPACES)
def test_it_passes_the_pictures_of_generate(tiny_generator: Path, space: str) -> None:
    painter, labels, stops = Painter(tiny_generator, "cpu"), Labels("random"), [4, 9, 0]
    expected = painter.paint(painter.latent(latents(7, stops), labels.of(7, stops)))
    for batch in (1, 3, 8):
        batches = list(walk(painter, 7, stops, frame_times(7), labels, space, batch))
        assert [len(some) for some in batches] == [min(batch, 7 - first) for first in range(0, 7, batch)]
        frames = np.concatenate(batches).astype(int)
        assert np.abs(frames[[0, 3, 6]] - expected).max() <= 1
        assert all(np.abs(one - other).mean() > 0.5 for one, other in itertools.pairwise(frames))


def test_arcs_keep_lengths_and_even_steps() -> None:
    stops, times = latents(0, [0, 1, 2]), frame_times(21)
    points = arc(stops, times)
    lengths = values_at(stops.norm(dim=1).tolist(), times)
    assert torch.allclose(points.norm(dim=1), torch.from_numpy(lengths).float(), rtol=1e-5)
    assert torch.allclose(points[[0, 10, 20]], stops, atol=1e-5)
    ways = torch.nn.functional.normalize(points)
    steps = torch.arccos((ways[1:] * ways[:-1]).sum(1).clamp(-1, 1))
    assert steps[:10].std() < 1e-3
    assert straight(stops, times).norm(dim=1).min() < 0.8 * points.norm(dim=1).min()


def test_an_arc_between_a_stop_and_itself_stands_still() -> None:
    stops = latents(0, [3, 3])
    assert torch.allclose(arc(stops, frame_times(4)), stops[:1].expand(4, -1))


def test_a_walk_returns_unless_it_must_not(tiny_generator: Path, tmp_path: Path) -> None:
    size = ["--frames", 6, "--index", 0, 1, 2]
    assert run("walk", tiny_generator, "-o", tmp_path / "round", *size) == 0
    assert run("walk", tiny_generator, "-o", tmp_path / "on", "--no-loop", *size) == 0
    assert run("generate", tiny_generator, "-n", 3, "-o", tmp_path / "stops") == 0
    stops, round_, on = (
        [np.asarray(Image.open(path), int) for path in sorted((tmp_path / name).glob("*.png"))]
        for name in ("stops", "round", "on")
    )
    assert len(round_) == len(on) == 6
    assert np.abs(np.array(round_[::2]) - stops).max() <= 1
    assert np.abs(np.array([on[0], on[-1]]) - np.array([stops[0], stops[2]])).max() <= 1


def test_files_of_walks(tiny_generator: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for suffix in ("gif", "webp"):
        out = tmp_path / f"walk.{suffix}"
        assert run("walk", tiny_generator, "-o", out, "--frames", 5) == 0
        assert capsys.readouterr().out == f"{out}: 5 frames\n"
        assert len(frames_of(out)) == 5
    assert run("walk", tiny_generator, "-o", tmp_path / "walk.gif", "--frames", 5) == 1
    assert "exists already" in capsys.readouterr().err
    assert run("walk", tiny_generator, "-o", tmp_path / "walk.avi") == 1
    assert "the suffix '.avi' came" in capsys.readouterr().err
    assert run("walk", tiny_generator, "-o", tmp_path / "x.gif", "--fps", 51) == 1
    assert "fps: 51 came; allowed are numbers above 0 and up to 50" in capsys.readouterr().err


@pytest.fixture
def portraits(monkeypatch: pytest.MonkeyPatch, portrait_pixels: Pixels) -> Pixels:
    """What every generator paints here: a portrait."""
    monkeypatch.setattr(Painter, "paint", lambda self, w: np.repeat(portrait_pixels[None], len(w), 0))
    return portrait_pixels


def test_frames_are_dyed_each_with_its_own_settings(
    tiny_generator: Path, tmp_path: Path, portraits: Pixels, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "dyed"
    options = [
        "--frames",
        5,
        "--batch",
        2,
        "--color",
        "0.2:0.6",
        "--ombre-height",
        "0.5:1:0.5",
        "--ombre-grad-height",
        0.3,
    ]
    assert run("dye", tiny_generator, "-o", out, *options) == 0
    assert capsys.readouterr().err == ""
    stylist = HairStylist(device="cpu")
    colors, heights = (0.2, 0.3, 0.4, 0.5, 0.6), (0.5, 0.75, 1, 0.75, 0.5)
    for number, (color, height) in enumerate(zip(colors, heights, strict=True)):
        expected = stylist.dye(portraits, color, height, 0.3, heads="whole")
        assert np.array_equal(np.asarray(Image.open(out / f"00000{number}.png")), expected)


def test_once_round_no_frame_comes_twice(tiny_generator: Path, tmp_path: Path, portraits: Pixels) -> None:
    assert run("dye", tiny_generator, "-o", tmp_path / "dyed.gif", "--frames", 4, "--ombre-height", 1) == 0
    stylist = HairStylist(device="cpu")
    for frame, color in zip(frames_of(tmp_path / "dyed.gif"), (0, 0.25, 0.5, 0.75), strict=True):
        assert np.abs(frame - stylist.dye(portraits, color, 1, 0.5, heads="whole").astype(int)).mean() < 4


def test_the_student_runs_once_a_batch(portrait_pixels: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    stylist = HairStylist(device="cpu")
    sizes, predict = [], stylist.engine.predict
    monkeypatch.setattr(stylist.engine, "predict", lambda images: sizes.append(len(images)) or predict(images))
    batches = [np.repeat(portrait_pixels[None], count, 0) for count in (3, 3, 1)]
    assert [bald for _, bald in dyed(batches, stylist, [np.full(7, 0.5)] * 3)] == [0, 0, 0]
    assert sizes == [3, 3, 1]


def test_frames_without_hair_are_counted(
    tiny_generator: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Painter, "paint", lambda self, w: np.full((len(w), 32, 32, 3), 255, np.uint8))
    assert run("dye", tiny_generator, "-o", tmp_path / "dyed.gif", "--frames", 3) == 0
    assert "warning: no hair found in 3 of 3 frames; they are left undyed\n" in capsys.readouterr().err
