"""Scores on photos that are no portraits, worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ohlora_fast.distill.scenes import find_scenes, score_scenes
from ohlora_fast.errors import InputError

SURE, UNSURE, SMALL = [40, 40, 60, 60, 0.95], [40, 40, 60, 60, 0.94], [40, 40, 60, 53, 1.0]
FACES = {"all.jpg": [SURE], "none.jpg": [SURE, UNSURE, SMALL], "empty.jpg": []}


def save(path: Path, hair: slice) -> None:
    """A photo of 100×100 whose hair, these rows, is white on black; as PNG, its mask."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((100, 100) if path.suffix == ".png" else (100, 100, 3), np.uint8)
    pixels[hair] = 255
    Image.fromarray(pixels).save(path, quality=95)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    figures = tmp_path / "ccp" / "val"
    for name, found, truth in (("a", slice(0, 40), slice(0, 40)), ("b", slice(0, 16), slice(0, 80))):
        save(figures / "images" / f"{name}.jpg", found)
        save(figures / "hair" / f"{name}.png", truth)
    for name, found in (("all", slice(0, 100)), ("none", slice(0, 0)), ("empty", slice(0, 100))):
        save(tmp_path / "people" / f"{name}.jpg", found)
    (tmp_path / "people" / "faces.json").write_text(json.dumps(FACES))
    for name, found in (("a", slice(0, 100)), ("b", slice(0, 0)), ("c", slice(0, 0)), ("d", slice(0, 0))):
        save(tmp_path / "nothing" / "val" / f"{name}.jpg", found)
    return tmp_path


def test_the_measures(folder: Path) -> None:
    scenes = find_scenes(folder)
    assert scenes is not None
    scores = score_scenes(lambda photo: photo[..., 0] / 255, scenes)
    assert (scores.iou, scores.lost) == (pytest.approx((1 + 0.2) / 2), 0.5)
    # One of two heads of photos with a face; around that face 84 of 100 rows and columns are not counted.
    assert (scores.heads, scores.spill) == (0.5, pytest.approx((1 - 0.84**2) / 2))
    assert scores.nothing == 0.25


def test_the_tenth_with_the_most_is_left_out(folder: Path) -> None:
    names = [f"{number}.jpg" for number in range(9)]
    for name in names:
        save(folder / "people" / name, slice(0, 0))
    (folder / "people" / "faces.json").write_text(json.dumps({name: [SURE] for name in ("all.jpg", *names)}))
    scenes = find_scenes(folder)
    assert scenes is not None
    scores = score_scenes(lambda photo: photo[..., 0] / 255, scenes)
    assert (scores.heads, scores.spill) == (0.1, 0)


@pytest.mark.parametrize("part", ["ccp/val/images", "people/faces.json", "nothing/val"])
def test_another_layout_is_none(folder: Path, part: str) -> None:
    (folder / part).rename(folder / "away")
    assert find_scenes(folder) is None


def test_what_is_damaged_is_named(folder: Path) -> None:
    faces = folder / "people" / "faces.json"
    for text in ("{", "[]", '{"a.jpg": [[1, 2]]}', '{"a.jpg": [["x", 1, 1, 1, 1]]}'):
        faces.write_text(text)
        with pytest.raises(InputError, match=r"faces\.json: expected photo → "):
            find_scenes(folder)
    faces.write_text(json.dumps({"a.jpg": [UNSURE, SMALL]}))
    with pytest.raises(InputError, match=r"faces\.json: holds no face of a confidence of 0\.95 and 14 pixels"):
        find_scenes(folder)
    faces.write_text(json.dumps({"gone.jpg": [SURE]}))
    scenes = find_scenes(folder)
    assert scenes is not None
    with pytest.raises(InputError, match=r"gone\.jpg: not a readable image"):
        score_scenes(lambda photo: photo[..., 0], scenes)
    for path in (folder / "nothing" / "val").iterdir():
        path.unlink()
    faces.write_text(json.dumps(FACES))
    with pytest.raises(InputError, match=r"val: holds no photos NAME\.jpg"):
        find_scenes(folder)
    (folder / "ccp" / "val" / "hair" / "a.png").unlink()
    with pytest.raises(InputError, match="a"):
        find_scenes(folder)
