"""Training on blobs: it learns, and a run that was killed ends where an unbroken one does."""

import csv
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import lightning.pytorch as pl
import pytest
import torch
from filelock import FileLock
from torch.optim.swa_utils import AveragedModel

from ohlora_fast.cli import main
from ohlora_fast.distill.runs import AveragedWeights
from ohlora_fast.distill.settings import Settings
from ohlora_fast.distill.train import BEST, CHECKPOINT, LAST, LOG, Run, distill
from ohlora_fast.errors import InputError
from ohlora_fast.student.model import EffiSegNet
from ohlora_fast.student.weights import load_student, read_state, save_student

TINY = Settings(
    start="scratch",
    head_channels=8,
    size=64,
    loss="dice+bce",
    epochs=2,
    batch=4,
    validation=0.2,
    frozen_norms=False,
    augmentation="none",
)


class PowerCut(Exception):
    pass


class CutAfter(pl.Callback):
    """Ends the process's training after a step, when its checkpoint has been written."""

    def __init__(self, step):
        self.step = step

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == self.step:
            raise PowerCut


class BrokenRun(Run):
    """A run whose power is cut after some steps."""

    cut = 0

    def trainer(self, max_steps):
        trainer = super().trainer(max_steps)
        trainer.callbacks.insert(0, CutAfter(self.cut))
        return trainer


def rows(run):
    """The log of a run, without the time."""
    with (run / LOG).open(newline="") as stream:
        return [{**row, "time": ""} for row in csv.DictReader(stream)]


def same_weights(one, other):
    one, other = read_state(one)[0], read_state(other)[0]
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    "settings",
    [
        replace(TINY, augmentation="strong"),
        replace(TINY, frozen_norms=True),
        replace(TINY, schedule="exponential", ema_decay=0.0, loss="soft-bce", balance=False),
    ],
    ids=["batch norms", "frozen norms", "exponential, no averaging"],
)
def test_a_cut_run_resumes_and_ends_as_an_unbroken_one(blobs, tmp_path, settings):
    Run(blobs, tmp_path / "unbroken", settings).fit()
    steps = int(rows(tmp_path / "unbroken")[0]["step"])
    for cut in (2, steps, steps + 1):  # within the first epoch, between the two, within the second
        broken = BrokenRun(blobs, tmp_path / "broken", settings, checkpoint_seconds=0)
        broken.cut = cut
        with pytest.raises(PowerCut):
            broken.fit()
    Run(blobs, tmp_path / "broken", settings).fit()
    assert same_weights(tmp_path / "unbroken" / LAST, tmp_path / "broken" / LAST)
    assert same_weights(tmp_path / "unbroken" / BEST, tmp_path / "broken" / BEST)
    assert rows(tmp_path / "unbroken") == rows(tmp_path / "broken")
    assert [row["epoch"] for row in rows(tmp_path / "broken")] == ["1", "2"]


def test_a_finished_run_is_not_trained_again(blobs, tmp_path):
    Run(blobs, tmp_path / "run", TINY).fit()
    before = (tmp_path / "run" / CHECKPOINT).stat().st_mtime_ns
    Run(blobs, tmp_path / "run", TINY).fit()
    assert (tmp_path / "run" / CHECKPOINT).stat().st_mtime_ns == before
    assert len(rows(tmp_path / "run")) == 2


def test_two_processes_do_not_train_in_one_folder(blobs, tmp_path):
    run = Run(blobs, tmp_path / "run", TINY)
    with FileLock(tmp_path / "run" / ".lock"), pytest.raises(InputError, match=r"run: another process is training"):
        run.fit()
    assert not (tmp_path / "run" / CHECKPOINT).exists()
    run.fit(max_steps=1)


def test_it_learns_the_blobs_and_reports(blobs, tmp_path):
    settings = replace(TINY, start="bundled", frozen_norms=True, epochs=5, ema_decay=0.5)
    report = distill(blobs, tmp_path / "run", settings)
    log = rows(tmp_path / "run")
    assert float(log[-1]["train_loss"]) < 0.8 * float(log[0]["train_loss"])
    assert float(log[-1]["iou"]) > max(0.5, float(log[0]["iou"]))
    assert float(log[-1]["iou"]) == pytest.approx((float(log[-1]["iou_a"]) + float(log[-1]["iou_b"])) / 2, abs=1e-5)
    best = max(float(row["iou"]) for row in log)
    text = report.with_suffix(".md").read_text()
    assert "dice+bce" in text
    assert load_student(tmp_path / "run" / BEST).head_channels == 64
    assert best >= float(log[-1]["iou"])
    assert (report.parent / "curves.png").is_file()
    assert any((tmp_path / "run" / "tensorboard").iterdir())


def test_weights_are_averaged(blobs, tmp_path):
    """In six steps an average is too young for its decay to matter, if it is above 6/15."""
    for decay in (0.0, 0.5, 0.999):
        Run(blobs, tmp_path / str(decay), replace(TINY, ema_decay=decay)).fit(max_steps=6)
    assert same_weights(tmp_path / "0.5" / LAST, tmp_path / "0.999" / LAST)
    assert not same_weights(tmp_path / "0.0" / LAST, tmp_path / "0.5" / LAST)


@pytest.mark.parametrize("decay", [0.3, 0.999])
def test_a_young_average_forgets_sooner(decay):
    """The decay grows to what was asked for; norms' statistics are averaged too, and counts stay integers."""
    model = torch.nn.BatchNorm1d(1)
    averaged = AveragedModel(model, multi_avg_fn=AveragedWeights(decay).average, use_buffers=True)
    expected = 0.0
    for step, value in enumerate([5.0, -2.0, 1.0, 7.0, 3.0]):
        model.weight.data.fill_(value)
        model.running_mean.fill_(-value)
        averaged.update_parameters(model)
        share = min(decay, (1 + step) / (10 + step)) if step else 0.0
        expected = share * expected + (1 - share) * value
    assert averaged.module.weight.item() == pytest.approx(expected)
    assert averaged.module.running_mean.item() == pytest.approx(-expected)
    assert averaged.module.num_batches_tracked.dtype == torch.int64


def test_frozen_norms_keep_their_statistics(blobs, tmp_path):
    start = tmp_path / "start.safetensors"
    torch.manual_seed(0)
    student = EffiSegNet(head_channels=8)
    save_student(student, start)
    Run(blobs, tmp_path / "run", replace(TINY, frozen_norms=True, start=str(start), ema_decay=0.0)).fit()
    before, after = read_state(start)[0], read_state(tmp_path / "run" / LAST)[0]
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    for name in before:
        assert torch.equal(before[name], after[name]) == name.endswith(statistics), name


def test_early_stopping(blobs, tmp_path):
    """Rates so small that no epoch is better than the first."""
    settings = replace(TINY, epochs=9, patience=2, encoder_lr=1e-12, head_lr=1e-12, schedule="exponential")
    Run(blobs, tmp_path / "run", replace(settings, ema_decay=0.0, frozen_norms=True)).fit()
    assert len(rows(tmp_path / "run")) < 9


@pytest.mark.parametrize("steps", [3, 4], ids=["within an epoch", "at its end"])
def test_max_steps_may_be_raised(blobs, tmp_path, steps):
    distill(blobs, tmp_path / "run", TINY, max_steps=steps, checkpoint_seconds=0)
    assert [(row["epoch"], row["step"]) for row in rows(tmp_path / "run")] == [("1", str(steps))]
    distill(blobs, tmp_path / "run", TINY)
    Run(blobs, tmp_path / "unbroken", TINY).fit()
    assert rows(tmp_path / "run") == rows(tmp_path / "unbroken")
    assert same_weights(tmp_path / "run" / LAST, tmp_path / "unbroken" / LAST)


@pytest.fixture
def hours(monkeypatch):
    """A clock that shows an hour more whenever it is looked at."""
    now = iter(range(0, 10**9, 3600))
    monkeypatch.setattr("ohlora_fast.distill.runs.monotonic", lambda: float(next(now)))


def clocked(log):
    """Steps and rates of a run's validations."""
    return [(int(row["step"]), float(row["lr"])) for row in log]


def test_a_run_of_minutes_ends_its_schedule_when_the_time_is_up(hours, blobs, tmp_path):
    Run(blobs, tmp_path / "run", replace(TINY, epochs=1, minutes=40 * 60)).fit()
    (first, early), *_, (last, late) = clocked(rows(tmp_path / "run"))
    assert first < last <= 40  # epochs go on until the time is up, and each step looks at the clock
    assert early > 1e-4
    assert late < 1e-2 * early
    before = (tmp_path / "run" / CHECKPOINT).stat().st_mtime_ns
    Run(blobs, tmp_path / "run", replace(TINY, epochs=1, minutes=40 * 60)).fit()
    assert (tmp_path / "run" / CHECKPOINT).stat().st_mtime_ns == before


def test_time_spent_before_an_interruption_counts(hours, blobs, tmp_path):
    settings = replace(TINY, minutes=40 * 60)
    Run(blobs, tmp_path / "unbroken", settings).fit()
    [*_, (unbroken, _)] = clocked(rows(tmp_path / "unbroken"))
    broken = BrokenRun(blobs, tmp_path / "broken", settings, checkpoint_seconds=0)
    broken.cut = unbroken // 2
    with pytest.raises(PowerCut):
        broken.fit()
    Run(blobs, tmp_path / "broken", settings, checkpoint_seconds=0).fit()
    [(_, early), *_, (resumed, late)] = clocked(rows(tmp_path / "broken"))
    assert broken.cut < resumed < unbroken + broken.cut - 1  # anew, it would be `unbroken` steps from the cut on
    assert late < 1e-2 * early


def test_losses_are_compared(blobs, tmp_path):
    report = distill(blobs, tmp_path / "runs", TINY, ("mse", "soft-bce", "kl"), max_steps=1)
    text = report.with_suffix(".md").read_text()
    for loss in ("mse", "soft-bce", "kl"):
        assert json.loads((tmp_path / "runs" / loss / "settings.json").read_text())["loss"] == loss
        assert loss in text


def test_another_runs_folder_is_refused(blobs, tmp_path):
    Run(blobs, tmp_path / "run", TINY)
    with pytest.raises(InputError, match=r"run: holds a run with other settings \(epochs: 2 there, 3 now; seed: 0 th"):
        Run(blobs, tmp_path / "run", replace(TINY, epochs=3, seed=1))
    more = shutil.copytree(blobs, tmp_path / "more")
    for part in ("images", "masks"):
        shutil.copy(more / part / "a_01.png", more / part / "a_99.png")
    with pytest.raises(InputError, match=r"other settings \(data: '24 pairs"):
        Run(more, tmp_path / "run", TINY)
    (tmp_path / "run" / "settings.json").write_text("{")
    with pytest.raises(InputError, match=r"settings.json: damaged"):
        Run(blobs, tmp_path / "run", TINY)


def test_a_damaged_checkpoint_is_named(blobs, tmp_path):
    run = Run(blobs, tmp_path / "run", TINY)
    (tmp_path / "run" / CHECKPOINT).write_bytes(b"no checkpoint")
    with pytest.raises(InputError, match=r"checkpoint.ckpt: not a readable checkpoint .* remove it to train anew"):
        run.fit()


@pytest.mark.parametrize(
    "wrong",
    [{"head_stride": 3}, {"batch": 500}, {"encoder": "vgg"}, {"start": "nowhere.pth"}, {"teacher": ["none.pth"]}],
)
def test_a_refused_run_leaves_nothing_behind(blobs, tmp_path, wrong):
    with pytest.raises(InputError):
        Run(blobs, tmp_path / "run", replace(TINY, **wrong))
    with pytest.raises(InputError, match="device: 'gpu'"):
        Run(blobs, tmp_path / "run", TINY, device="gpu")
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_not_finite_ends_the_run_and_keeps_the_checkpoint(blobs, tmp_path):
    Run(blobs, tmp_path / "run", TINY).fit(max_steps=1)
    run = Run(blobs, tmp_path / "spoilt", TINY, checkpoint_seconds=0)
    run.module.loss = lambda logits, target: logits.mean() * (math.nan if run.module.global_step == 2 else 1)
    with pytest.raises(InputError, match="spoilt: the loss is nan at step 3; the last checkpoint is kept"):
        run.fit()
    stored = torch.load(tmp_path / "spoilt" / CHECKPOINT, weights_only=True)
    assert stored["global_step"] == 2
    assert all(value.isfinite().all() for value in stored["state_dict"].values())


def command_line(data, run, *options):
    student = "--start scratch --head-channels 8 --size 64 --no-frozen-norms"
    training = "--batch 4 --validation 0.2 --augmentation none"
    return ["distill", str(data), "-o", str(run), *student.split(), *training.split(), *options]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGINT], ids=["SIGKILL", "SIGINT"])
def test_command_line_goes_on_after_a_signal(blobs, tmp_path, capsys, signal_number):
    command = command_line(blobs, tmp_path / "run", "--epochs", "9", "--checkpoint-seconds", "0")
    process = subprocess.Popen(
        [sys.executable, "-m", "ohlora_fast.cli", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for _ in range(1200):
        if (tmp_path / "run" / CHECKPOINT).is_file() or process.poll() is not None:
            break
        time.sleep(0.1)
    os.kill(process.pid, signal_number)
    _, errors = process.communicate(timeout=120)
    assert "Traceback" not in errors
    if signal_number == signal.SIGINT:
        assert process.returncode == 130, errors
        assert "the same command goes on from the last checkpoint" in errors.splitlines()[-1]
    step = torch.load(tmp_path / "run" / CHECKPOINT, weights_only=True)["global_step"]
    assert 0 < step < 36
    assert main([*command, "--max-steps", str(step + 2)]) == 0
    captured = capsys.readouterr()
    assert f"at step {step}" in captured.out
    assert "report.html" in captured.out
    assert (tmp_path / "run" / "report" / "report.html").is_file()


def test_command_line_names_bad_input(blobs, tmp_path, capsys):
    for arguments, message in (
        ([str(tmp_path / "nowhere")], "nowhere: no such folder"),
        ([str(blobs), "--preset", "best"], "preset: got 'best'"),
        ([str(blobs), "--loss", "focal"], "loss: got 'focal'"),
    ):
        assert main(["distill", *arguments, "-o", str(tmp_path / "run")]) == 1
        errors = capsys.readouterr().err
        assert message in errors
        assert errors.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a second process over gloo, tried on Linux")
@pytest.mark.parametrize("limit", [("--epochs", "1"), ("--minutes", "0.01")], ids=["an epoch", "0.6 seconds"])
def test_two_processes_train_together(blobs, tmp_path, limit):
    command = command_line(blobs, tmp_path / "run", "--batch", "2", "--devices", "2", *limit)
    done = subprocess.run(
        [sys.executable, "-m", "ohlora_fast.cli", *command], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    epochs = [int(row["epoch"]) for row in rows(tmp_path / "run")]
    assert len(epochs) == 1 if "--epochs" in limit else len(epochs) >= 1  # a quick machine does more in 0.6 seconds
    assert epochs == list(range(1, len(epochs) + 1))
    assert done.stdout.count("report.html") == 1
