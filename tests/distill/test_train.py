"""Training on a toy: it learns, and a run that was killed ends where an unbroken one does."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from ohlora_fast.cli import main
from ohlora_fast.distill.train import Settings, Trainer
from ohlora_fast.errors import InputError
from ohlora_fast.student.weights import load_student, read_state

TINY = Settings(head_channels=8, epochs=2, batch=4, held_out=0.2, pretrained=False, repeat={})


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Photos of a bright blob, the hair, before a dark ground."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for part in ("images", "masks"):
        (folder / part).mkdir()
    for index in range(12):
        mask = np.zeros((64, 64), np.uint8)
        cv2.circle(mask, tuple(int(v) for v in rng.integers(20, 44, 2)), int(rng.integers(10, 20)), 255, -1)
        image = np.where(mask[..., None] > 0, 220, 30) + rng.integers(0, 30, (64, 64, 3))
        cv2.imwrite(str(folder / "images" / f"toy_{index:02d}.png"), image.astype(np.uint8))
        cv2.imwrite(str(folder / "masks" / f"toy_{index:02d}.png"), mask)
    return folder


class Killed(Exception):
    """Stands for a power cut."""


def test_a_killed_run_resumes_and_ends_as_an_unbroken_one(data, tmp_path, monkeypatch):
    Trainer(data, tmp_path / "unbroken", TINY).fit(checkpoint_every=1)

    broken = Trainer(data, tmp_path / "broken", TINY)
    train_step = broken.train_step

    def until_third(images, masks):
        if broken.step == 3:
            raise Killed
        return train_step(images, masks)

    broken.train_step = until_third
    with pytest.raises(Killed):
        broken.fit(checkpoint_every=1)
    resumed = Trainer(data, tmp_path / "broken", TINY)
    resumed.fit(checkpoint_every=1)

    one, _ = read_state(tmp_path / "unbroken" / "last.safetensors")
    other, _ = read_state(tmp_path / "broken" / "last.safetensors")
    assert all(torch.equal(one[name], other[name]) for name in one)
    rows = [[row for row in csv.DictReader((tmp_path / run / "log.csv").open())] for run in ("unbroken", "broken")]
    for unbroken, broken_row in zip(*rows, strict=True):
        assert {**unbroken, "time": ""} == {**broken_row, "time": ""}
    assert [row["epoch"] for row in rows[1]] == ["1", "2"]


def test_it_learns_the_toy(data, tmp_path):
    settings = replace(TINY, epochs=12)
    best = Trainer(data, tmp_path / "run", settings).fit()
    rows = list(csv.DictReader((tmp_path / "run" / "log.csv").open()))
    assert float(rows[-1]["loss"]) < 0.8 * float(rows[0]["loss"])
    assert all(0 <= float(row["iou_toy"]) <= 1 for row in rows)
    assert load_student(best).head_channels == 8


def test_another_runs_folder_is_refused(data, tmp_path):
    Trainer(data, tmp_path / "run", TINY)
    other = Settings(head_channels=8, epochs=3, batch=4, held_out=0.2, pretrained=False, repeat={}, seed=1)
    with pytest.raises(InputError, match=r"run: holds a run with other settings \(epochs, seed\)"):
        Trainer(data, tmp_path / "run", other)
    shutil.copytree(data, tmp_path / "more")
    for part in ("images", "masks"):
        shutil.copy(data / part / "toy_00.png", tmp_path / "more" / part / "toy_99.png")
    with pytest.raises(InputError, match=r"other settings \(data\)"):
        Trainer(tmp_path / "more", tmp_path / "run", TINY)


@pytest.mark.parametrize("wrong", [{"head_stride": 3}, {"batch": 500}, {"encoder": "vgg"}])
def test_a_refused_run_leaves_nothing_behind(data, tmp_path, wrong):
    with pytest.raises(InputError):
        Trainer(data, tmp_path / "run", replace(TINY, **wrong))
    with pytest.raises(InputError, match="device: 'gpu'"):
        Trainer(data, tmp_path / "run", TINY, device="gpu")
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_command_line_trains_is_interrupted_and_goes_on(data, tmp_path, capsys):
    command = ["distill", str(data), "-o", str(tmp_path / "run"), "--epochs", "8", "--batch", "4", "--from-scratch"]
    process = subprocess.Popen(
        [sys.executable, "-m", "ohlora_fast.cli", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for _ in range(1200):
        if (tmp_path / "run" / "checkpoint.pt").is_file() or process.poll() is not None:
            break
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert "Traceback" not in errors
    assert process.returncode == 130
    assert "goes on from" in errors.splitlines()[-1]
    step = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["step"]
    assert step > 0
    assert main(command) == 0
    captured = capsys.readouterr()
    assert "best student:" in captured.out
    assert f"at step {step} of " in captured.out + captured.err
    assert load_student(tmp_path / "run" / "best.safetensors").encoder_name == "efficientnet-lite0"
    assert main(["evaluate", str(data), "--checkpoint", str(tmp_path / "run" / "best.safetensors")]) == 0
    assert "toy: mean IoU 0." in capsys.readouterr().out


def test_command_line_names_bad_data(tmp_path, capsys):
    assert main(["distill", str(tmp_path / "nowhere"), "-o", str(tmp_path / "run")]) == 1
    errors = capsys.readouterr().err
    assert "nowhere: no such folder" in errors
    assert errors.count("\n") == 1
    assert not (tmp_path / "run").exists()
