"""The example that watches a small network learn: from one command to a report, and on from there."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("lightning")
pytest.importorskip("matplotlib")

EXAMPLE = Path(__file__).parents[2] / "examples" / "learn_portraits.py"


def learn(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", str(EXAMPLE), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


def test_it_learns_reports_and_goes_on(tmp_path: Path) -> None:
    photos, run = tmp_path / "photos", tmp_path / "run"
    photos.mkdir()
    rng = np.random.default_rng(0)
    for index in range(300):
        pixels = rng.integers(0, 256, (6, 5, 3), np.uint8)
        Image.fromarray(pixels).resize((80, 96)).save(photos / f"{index:03d}.jpg")

    done = learn(photos, "-o", run, "--steps", 1, "--scorer-epochs", 1, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    trained = (run / "scorer" / "fold-1" / "best.safetensors").stat().st_mtime_ns
    done = learn(photos, "-o", run, "--steps", 2, "--scorer-epochs", 1, cwd=tmp_path)
    assert done.returncode == 0, done.stderr

    assert (run / "scorer" / "fold-1" / "best.safetensors").stat().st_mtime_ns == trained
    with (run / "run" / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["idx"] for row in rows] == ["0", "1"]
    assert all(0 <= float(row["mean_quality_score"]) <= 1 for row in rows)
    assert {"report.html", "curves.png", "images.jpg"} <= {path.name for path in (run / "report").iterdir()}


def test_too_few_photos(tmp_path: Path) -> None:
    done = learn(tmp_path, "-o", tmp_path / "run", cwd=tmp_path)
    assert done.returncode == 2
    assert f"{tmp_path}: holds 0 photos (.jpg, .png), needed are 300 or more" in done.stderr
    assert not (tmp_path / "run").exists()
