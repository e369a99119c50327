"""The comparison of GIFs: every way is tried on both animations, and ours is the nearest and smaller than Pillow's."""

from __future__ import annotations

import pytest
from ohlora_fast.benchmarks import gif


def test_it_prints_a_row_for_every_way(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(gif, "FRAMES", 3)
    gif.main()
    _, _, *lines = capsys.readouterr().out.splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [tuple(row[:2]) for row in rows] == [(case, way) for case in ("animate", "pan") for way in gif.WAYS]
    assert all(float(cell) >= 0 for row in rows for cell in row[2:])
    kilobytes = {tuple(row[:2]): float(row[2]) for row in rows}
    moving = {tuple(row[:2]): float(row[4]) for row in rows}
    for case in ("animate", "pan"):
        assert moving[case, "ohlora_fast"] == min(value for (one, _), value in moving.items() if one == case)
    assert kilobytes["animate", "ohlora_fast"] < kilobytes["animate", "Pillow"]
