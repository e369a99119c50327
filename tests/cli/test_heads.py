"""`ohlora-fast heads`, with the bundled head finder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ohlora_fast import HairStylist
from ohlora_fast.cli import main
from ohlora_fast.media.images import read_photo


def heads(*arguments: object) -> int:
    return main(["heads", *map(str, arguments)])


def test_a_line_of_json_a_picture(group: Path, group_pixels: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (64, 48), (90, 120, 200)).save(group.with_name("sky.png"))
    assert heads(group.parent) == 0
    captured = capsys.readouterr()
    first, second = map(json.loads, captured.out.splitlines())
    assert captured.err == ""
    assert (first["file"], first["size"]) == (str(group), [1000, 360])
    assert second == {"file": str(group.with_name("sky.png")), "size": [64, 48], "heads": []}
    assert [head["number"] for head in first["heads"]] == [1, 2, 3]
    found = HairStylist().find_heads(group_pixels)
    assert [head["box"] for head in first["heads"]] == found.boxes.astype(float).round(1).tolist()
    assert [head["score"] for head in first["heads"]] == found.scores.astype(float).round(3).tolist()
    assert sorted(group.parent.iterdir()) == [group, group.with_name("sky.png")]


def test_numbered_boxes_on_a_copy(group: Path, group_pixels: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    out = group.with_name("numbered.png")
    assert heads(group, "-o", out) == 0
    boxes = [head["box"] for head in json.loads(capsys.readouterr().out)["heads"]]
    changed = (read_photo(out).pixels != group_pixels).any(-1)
    inside = np.zeros_like(changed)
    for x0, y0, x1, y1 in np.array(boxes).astype(int):
        assert changed[(y0 + y1) // 2, x0 - 1 : x0 + 4].any()
        assert not changed[(y0 + y1) // 2, x0 + 20 : x1 - 20].any()
        inside[max(0, y0 - 50) : y1 + 4, x0 - 4 : x1 + 4] = True
    assert not (changed & ~inside).any()
    assert heads(group, "-o", out) == 1
    assert "exists already" in capsys.readouterr().err


def test_a_folder_of_copies(group: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.open(group).save(group.with_name("scan.001"), format="PNG")
    out = group.parent.parent / "out"
    assert heads(group, group.with_name("scan.001"), "-o", out) == 0
    assert sorted(path.name for path in out.iterdir()) == ["group.png", "scan.001.png"]
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert heads(group, "-o", out, "--skip-existing") == 0
    assert capsys.readouterr().out == ""


def test_a_picture_that_cannot_be_read_is_one_line(group: Path, capsys: pytest.CaptureFixture[str]) -> None:
    group.with_name("bad.png").write_bytes(b"no picture")
    assert heads(group.parent) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)["file"] == str(group)
    assert f"cannot read {group.with_name('bad.png')}: it is no picture" in captured.err
