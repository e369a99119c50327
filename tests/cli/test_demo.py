"""The demo's five pictures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ohlora_fast.cli import main
from ohlora_fast.cli.demo import head_window
from ohlora_fast.media.images import read_photo
from ohlora_fast.media.sheet import contact_sheet


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("skimage")
    folder = tmp_path_factory.mktemp("demo") / "deep" / "made"
    assert main(["demo", "-o", str(folder), "--color", "hotpink", "--ombre-height", "1"]) == 0
    return folder


def test_five_pictures(made: Path) -> None:
    assert sorted(path.name for path in made.iterdir()) == [
        "after.png",
        "before.png",
        "mask.png",
        "overlay.png",
        "sheet.png",
    ]


def test_hair_and_only_hair_is_dyed(made: Path) -> None:
    before, after, mask = (read_photo(made / f"{name}.png").pixels.astype(int) for name in ("before", "after", "mask"))
    change = np.abs(after - before).max(-1)
    hair = mask[..., 0] >= 230
    assert 0.05 < hair.mean() < 0.12, "the hair takes up some 8 % of the portrait"
    assert change[hair].mean() > 20
    # 128 / 255 is well below the 0.75 from which the ombre dyes.
    assert change[mask[..., 0] < 128].max() == 0
    head = np.zeros_like(hair)
    head[0:170, 80:255] = True
    assert change[~head].max() == 0, "something was dyed that is not on the head"
    pink = (after - before)[hair].mean(0)
    assert pink[0] > pink[1]


def test_a_second_time_replaces_them(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = (made / "after.png").read_bytes()
    assert main(["demo", "-o", str(made), "--color", "0.3"]) == 0
    assert (made / "after.png").read_bytes() != old
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "color 0.3 → hue 108° #33ff00"
    assert out[1:] == [str(made / f"{name}.png") for name in ("before", "mask", "overlay", "after", "sheet")]


def test_threads_reach_the_ombre(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("skimage")
    seen = set()

    def dyed(image: np.ndarray, *_: Any, threads: int | None = None, **_more: Any) -> np.ndarray:
        seen.add(threads)
        return image

    monkeypatch.setattr("ohlora_fast.heads.dyeing.apply_ombre", dyed)
    assert main(["demo", "-o", str(tmp_path), "--threads", "1"]) == 0
    assert seen == {1}


def test_a_file_stands_where_the_folder_should(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("skimage")
    (tmp_path / "x").touch()
    assert main(["demo", "-o", str(tmp_path / "x")]) == 1
    assert capsys.readouterr().err.startswith("ohlora-fast: error: --out: cannot make the folder")


def test_without_scikit_image_the_pip_command_is_named() -> None:
    """None in `sys.modules` is how Python marks a module that cannot be imported."""
    code = "import sys; sys.modules['skimage'] = None; from ohlora_fast.cli import main; sys.exit(main(['demo']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "pip install 'ohlora-fast[demo]'" in done.stderr


def test_the_window_around_the_head() -> None:
    mask = np.zeros((100, 90), np.uint8)
    mask[20:40, 50:81] = 192
    mask[90, 5] = 191
    assert head_window(mask) == (slice(10, 50), slice(35, 96))
    assert head_window(np.zeros_like(mask)) == (slice(None), slice(None))


@pytest.mark.parametrize("cell", [40, 96])
def test_sheet_places_every_picture(cell: int) -> None:
    colours = np.arange(1, 7, dtype=np.uint8).reshape(2, 3) * 40
    # Red, which the grey edges of letters never are.
    rows = [[np.full((30, 20, 3), (value, 0, 0), np.uint8) for value in row] for row in colours]
    sheet = contact_sheet(rows, ["a", "b\nb", "c"], ["first", "second"], cell=cell)
    for row in colours:
        places = [np.argwhere((sheet == (value, 0, 0)).all(-1)) for value in row]
        assert [len(place) for place in places] == [30 * 20] * 3
        tops, lefts = zip(*(place.min(0) for place in places), strict=True)
        assert len(set(tops)) == 1
        assert sorted(lefts) == list(lefts)
    assert (sheet[:4] == 255).all()
