"""Fine-tuning: it resumes exactly, keeps to the recipe, stops at what is no number, and trains in several processes."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from filelock import FileLock
from lightning.pytorch.plugins.precision import MixedPrecision
from PIL import Image
from torch import Tensor

from ohlora_fast.cli import main
from ohlora_fast.distill.runs import WholeCheckpoints
from ohlora_fast.errors import InputError
from ohlora_fast.student.weights import read_state
from ohlora_fast.stylegan import adversarial, finetune
from ohlora_fast.stylegan.discriminator import Discriminator
from ohlora_fast.stylegan.ensemble import save_ensemble
from ohlora_fast.stylegan.finetune import CHECKPOINT, DISCRIMINATOR, GENERATOR, LOG, FinetuneRun
from ohlora_fast.stylegan.finetune_settings import FinetuneSettings
from ohlora_fast.stylegan.generator import Generator
from ohlora_fast.stylegan.log import COLUMNS, read_log
from ohlora_fast.stylegan.property_cnn import PROPERTIES, PropertyCNN
from ohlora_fast.stylegan.weights import load_discriminator, load_generator, save_weights, trained_parameters

TINY = FinetuneSettings(
    "new", version="v1", resolution=16, base=128, width=8, train="all", batch=4, epochs=2, first_tests=2, test_every=3
)
OPTIONS = [
    "--from", "new", "--version", "v1", "--resolution", "16", "--base", "128", "--width", "8", "--train", "all",
    "--batch", "4",
]  # fmt: skip


def images(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.png"))


def rows(run: Path) -> list[dict[str, str]]:
    with (run / LOG).open(newline="") as stream:
        return list(csv.DictReader(stream))


def places(run: Path) -> list[tuple[int, int]]:
    return [(int(row["epoch"]), int(row["idx"])) for row in rows(run)]


def same_weights(one: Path, other: Path) -> bool:
    mine, its = read_state(one)[0], read_state(other)[0]
    return mine.keys() == its.keys() and all(torch.equal(mine[name], its[name]) for name in mine)


def same_runs(one: Path, other: Path) -> bool:
    return all(same_weights(one / name, other / name) for name in (GENERATOR, DISCRIMINATOR)) and (
        (one / LOG).read_text() == (other / LOG).read_text()
    )


class PowerCut(Exception):
    pass


class BrokenRun(FinetuneRun):
    """A run whose power is cut before a step, and after its test if it has one."""

    def cut_before(self, step: int) -> None:
        self.cut = step
        with pytest.raises(PowerCut):
            self.fit()

    def trainer(self, max_steps: int | None) -> pl.Trainer:
        run, trainer = self, super().trainer(max_steps)

        class Cut(pl.Callback):
            def on_train_batch_start(self, *_: Any) -> None:
                if run.module.step == run.cut:
                    raise PowerCut

        trainer.callbacks.insert(0, Cut())  # type: ignore[attr-defined]
        return trainer


@pytest.mark.parametrize(
    "settings",
    [
        TINY,
        replace(TINY, ema_decay=0.9, cosine_epochs=1, mirror=True, noise="fresh", r1_every=2, auroc_images=9),
        replace(TINY, precision="bf16", g_factor=0.1, d_factor=0.1),
    ],
    ids=["as recorded", "with all else", "half precision, more iterations"],
)
def test_a_cut_run_resumes_and_ends_as_an_unbroken_one(disks: Path, tmp_path: Path, settings: FinetuneSettings) -> None:
    FinetuneRun(images(disks), tmp_path / "unbroken", settings).fit()
    for cut, seconds in ((2, 0), (5, 0), (7, 99)):  # 5 batches an epoch; the tests store, too
        BrokenRun(images(disks), tmp_path / "broken", settings, checkpoint_seconds=seconds).cut_before(cut)
    FinetuneRun(images(disks), tmp_path / "broken", settings).fit()
    assert places(tmp_path / "broken") == [(0, 0), (0, 1), (0, 3), (1, 0), (1, 3)]
    assert same_runs(tmp_path / "unbroken", tmp_path / "broken")


def test_rows_after_the_checkpoint_are_written_again(disks: Path, tmp_path: Path) -> None:
    """As after a kill between a row and the checkpoint that follows on it."""
    FinetuneRun(images(disks), tmp_path / "unbroken", TINY).fit()
    FinetuneRun(images(disks), tmp_path / "killed", TINY).fit(max_steps=3)
    with (tmp_path / "killed" / LOG).open("a") as stream:
        stream.write("0,3,1.0000,1.0000,1,1,0.1,0.2,0.5\n1,0,1.2345,0.9")
    FinetuneRun(images(disks), tmp_path / "killed", TINY).fit()
    assert same_runs(tmp_path / "unbroken", tmp_path / "killed")


def test_max_steps_may_be_raised(disks: Path, tmp_path: Path) -> None:
    FinetuneRun(images(disks), tmp_path / "unbroken", TINY).fit()
    for steps in (2, 5, 6, None):  # within an epoch, at its end, right after it
        FinetuneRun(images(disks), tmp_path / "run", TINY).fit(steps)
        step = steps or 10
        assert read_state(tmp_path / "run" / GENERATOR)[1]["step"] == str(step)
        assert (tmp_path / "run" / "samples" / f"step-{step:06d}.jpg").is_file()
    assert same_runs(tmp_path / "unbroken", tmp_path / "run")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGINT], ids=["SIGKILL", "SIGINT"])
def test_command_line_goes_on_after_a_signal(
    disks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], signal_number: int
) -> None:
    command = ["stylegan", "finetune", str(disks), *OPTIONS, "--epochs", "5"]
    killed = tmp_path / "killed"
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}  # as here, where other tests may have set them
    process = subprocess.Popen(
        [sys.executable, "-m", "ohlora_fast.cli", *command, "-o", str(killed), "--checkpoint-seconds", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | threads,
    )  # fmt: skip
    for _ in range(2400):
        if (killed / CHECKPOINT).is_file() or process.poll() is not None:
            break
        time.sleep(0.05)
    os.kill(process.pid, signal_number)
    _, errors = process.communicate(timeout=120)
    assert "Traceback" not in errors
    step = torch.load(killed / CHECKPOINT, weights_only=True)["callbacks"]["Keeper"]["step"]
    assert 0 < step < 25
    if signal_number == signal.SIGINT:
        assert process.returncode == 130
        assert "the same command goes on from the last checkpoint" in errors.splitlines()[-1]
        return
    assert main([*command, "-o", str(killed)]) == 0
    said = capsys.readouterr().out
    assert f"resuming {killed} at step {step}" in said
    assert said.splitlines()[-1] == f"generator: {killed / GENERATOR}"
    assert main([*command, "-o", str(killed)]) == 0
    assert capsys.readouterr().out == f"generator: {killed / GENERATOR}\n"  # it was finished
    assert main([*command, "-o", str(tmp_path / "unbroken")]) == 0
    assert same_runs(tmp_path / "unbroken", killed)


def test_the_recorded_recipe_trains_what_is_recorded(disks: Path, tmp_path: Path) -> None:
    """A v9 that starts from a v1, of 32×32, of which the layers at 32×32 stay as they are."""
    torch.manual_seed(0)
    old, judge = Generator("v1", 32, 128, 8), Discriminator(32, 128, 8)
    save_weights(old, tmp_path / "v1.safetensors")
    save_weights(judge, tmp_path / "d.safetensors")
    start, discriminator = str(tmp_path / "v1.safetensors"), str(tmp_path / "d.safetensors")
    settings = FinetuneSettings(start, discriminator, batch=4, epochs=1, resize=True, test_images=2)
    FinetuneRun(images(disks), tmp_path / "run", settings).fit(max_steps=2)
    made = load_generator(tmp_path / "run" / GENERATOR, "v9")
    judged = load_discriminator(tmp_path / "run" / DISCRIMINATOR)
    for before, after, moving in ((old, made, "synthesis.layer5.weight"), (judge, judged, "layer7.weight")):
        trained, now = trained_parameters(after), dict(after.named_parameters())  # type: ignore[arg-type]
        for name, value in before.named_parameters():
            assert name in trained or torch.equal(value, now[name]), name
        assert not torch.equal(dict(before.named_parameters())[moving], now[moving])
    assert made.truncation.w_avg.abs().sum() > 0
    again = FinetuneSettings(str(tmp_path / "run" / GENERATOR), discriminator, batch=4, epochs=1, resize=True)
    again_run = FinetuneRun(images(disks), tmp_path / "again", again)
    assert torch.equal(again_run.module.generator.mapping.dense_new0.weight, made.mapping.dense_new0.weight)


def test_iterations_adapt_to_the_losses(disks: Path, tmp_path: Path) -> None:
    few = replace(TINY, d_factor=1e9, g_factor=1e9)
    many = replace(TINY, d_factor=1e-9, g_factor=1e-9, d_most=3, g_most=2)
    for name, settings, first, later in (("few", few, (1, 1), (1, 1)), ("many", many, (1, 2), (3, 2))):
        FinetuneRun(images(disks), tmp_path / name, settings).fit(max_steps=2)
        counts = [(int(row["d_train_count"]), int(row["g_train_count"])) for row in rows(tmp_path / name)]
        assert counts == [first, later]  # the first step knows no loss of the generator yet


def test_the_average_is_what_is_kept(disks: Path, tmp_path: Path) -> None:
    run = FinetuneRun(images(disks), tmp_path / "run", replace(TINY, ema_decay=0.999999))
    start = {name: value.clone() for name, value in run.module.generator.named_parameters()}
    run.fit(max_steps=5)
    kept = load_generator(tmp_path / "run" / GENERATOR)
    for name, value in kept.named_parameters():
        torch.testing.assert_close(value, start[name], rtol=0, atol=1e-5)
    assert not torch.allclose(run.module.generator.mapping.dense0.bias, start["mapping.dense0.bias"], atol=1e-4)
    assert torch.equal(kept.truncation.w_avg, run.module.generator.truncation.w_avg)


class Linear(torch.nn.Module):
    """Scores whose gradient is known: weights times the image, as a convolution, which autocast would do in halves."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(1, 3, 8, 8))

    def forward(self, x: Tensor) -> Tensor:
        return torch.nn.functional.conv2d(x, self.weight)[:, :, 0, 0]


def test_the_penalty_is_that_of_the_scores_in_any_precision() -> None:
    torch.manual_seed(0)
    linear, model = Linear(), Discriminator(16, 128, 8)
    x = torch.randn(4, 3, 16, 16)
    scores, penalty = adversarial.r1_penalty(linear, x[..., :8, :8])
    torch.testing.assert_close(penalty, linear.weight.square().sum())
    torch.testing.assert_close(scores, linear(x[..., :8, :8]))
    _, expected = adversarial.r1_penalty(model, x)
    for dtype in (torch.bfloat16, torch.float16):
        with torch.autocast("cpu", dtype):
            scores, found = adversarial.r1_penalty(model, x)
            assert model(x).dtype == dtype
        assert found.dtype == scores.dtype == torch.float32
        assert torch.equal(found, expected)
    (found_gradient,) = torch.autograd.grad(found, model.get_submodule("layer0").weight)  # type: ignore[arg-type]
    assert found_gradient.abs().sum() > 0


def test_scaled_losses_leave_the_penalty_alone(disks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """fp16 as on a GPU, by a scale that is too large at first: steps are left out until it fits."""
    found: list[list[float]] = []
    real, trainer = adversarial.r1_penalty, finetune.pl.Trainer

    def noting(model: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        scores, penalty = real(model, x)
        found[-1].append(float(penalty.detach()))
        return scores, penalty

    monkeypatch.setattr(adversarial, "r1_penalty", noting)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**20)
    halves = {"precision": None, "plugins": [MixedPrecision("16-mixed", "cpu", scaler), WholeCheckpoints()]}
    for name in ("full", "half"):
        found.append([])
        run = FinetuneRun(images(disks), tmp_path / name, TINY)
        if name == "half":
            monkeypatch.setattr(finetune.pl, "Trainer", lambda **options: trainer(**{**options, **halves}))
        run.fit(max_steps=6)
    assert found[0][0] == found[1][0]
    assert scaler.get_scale() < 2**20
    steps = int(run.module.optimizers()[0].optimizer.state_dict()["state"][0]["step"])  # type: ignore[index,union-attr]
    assert 0 < steps < 6
    run.module.check_weights()


def test_the_penalty_comes_as_often_as_asked(
    disks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    asked: list[int] = []
    real = adversarial.r1_penalty

    def counting(model: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        asked.append(len(asked))
        return real(model, x)

    monkeypatch.setattr(adversarial, "r1_penalty", counting)
    for every, gamma, expected in ((1, 10.0, 5), (2, 10.0, 3), (1, 0.0, 0)):
        asked.clear()
        settings = replace(TINY, r1_every=every, gamma=gamma, d_factor=1e9)
        FinetuneRun(images(disks), tmp_path / f"{every}-{gamma}", settings).fit(max_steps=5)
        assert len(asked) == expected


def test_what_is_no_number_ends_the_run(disks: Path, tmp_path: Path) -> None:
    """The discriminator's scores are spoilt in the second step: in its own iterations, or in the generator's."""
    for name, its_own in (("d_loss", True), ("g_loss", False)):
        folder = tmp_path / name
        run = FinetuneRun(images(disks), folder, TINY, checkpoint_seconds=0)
        module = run.module

        def spoil(model: Any, _: Any, scores: Tensor, module: Any = module, its_own: bool = its_own) -> Tensor:
            trained = next(model.parameters()).requires_grad
            return scores * torch.nan if module.step == 1 and trained == its_own else scores

        module.discriminator.register_forward_hook(spoil)
        with pytest.raises(InputError, match=f"{name} is nan at step 2; the last checkpoint is kept"):
            run.fit()
        stored = torch.load(folder / CHECKPOINT, weights_only=True)
        assert stored["callbacks"]["Keeper"]["step"] == 1
        assert all(value.isfinite().all() for value in stored["state_dict"].values())
        assert places(folder) == [(0, 0)]
    with pytest.raises(InputError, match="the R1 penalty is inf at step 1; the last checkpoint is kept"):
        FinetuneRun(images(disks), tmp_path / "penalty", replace(TINY, gamma=1e300)).fit()


def test_weights_that_are_no_numbers_are_not_stored(disks: Path, tmp_path: Path) -> None:
    run = FinetuneRun(images(disks), tmp_path / "run", TINY)
    run.fit(max_steps=1)
    with torch.no_grad():
        run.module.generator.mapping.dense0.bias[0] = torch.inf
    with pytest.raises(InputError, match="the generator's weights are no numbers after step 1; the last checkpoint"):
        run.module.check_weights()


@pytest.fixture
def scorer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two networks of glasses that see a square of 48×48, by which they are several times quicker."""
    monkeypatch.setitem(PROPERTIES, "glass", replace(PROPERTIES["glass"], columns=(104, 152)))
    torch.manual_seed(0)
    save_ensemble([PropertyCNN("glass") for _ in range(2)], tmp_path / "glass.safetensors")
    return tmp_path / "glass.safetensors"


def test_command_line_logs_scores_and_draws(
    disks: Path, tmp_path: Path, scorer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    options = ["--epochs", "2", "--test-images", "3", "--sample-every", "4", "--pictures", "png", "--auroc-images", "8"]
    command = ["stylegan", "finetune", str(disks), *OPTIONS, "--scorer", str(scorer), "-o", str(run), *options]
    assert main(command) == 0
    assert "mean_glass_score 0." in capsys.readouterr().out
    header = (run / LOG).read_text().splitlines()[0]
    assert header == ",".join([*COLUMNS, "mean_glass_score"])
    log = read_log(run)
    assert log.properties == ["glass"]
    assert ((log.score("glass") > 0) & (log.score("glass") < 1)).all()
    sixtyfourths = log.columns["real_fake_auroc"] * 64  # of 8 real and 8 fake images
    assert abs(sixtyfourths - sixtyfourths.round()).max() < 0.01
    assert places(run) == [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (1, 0)]
    for folder, steps in (("samples", (0, 4, 8, 10)), ("real-fake", (4, 8, 10))):
        assert sorted(path.name for path in (run / folder).iterdir()) == [f"step-{step:06d}.png" for step in steps]
    with (
        Image.open(run / "samples" / "step-000000.png") as before,
        Image.open(run / "samples" / "step-000010.png") as now,
    ):
        assert before.size == now.size == (4 * 128 + 6, 4 * 128 + 6)
        assert before.tobytes() != now.tobytes()
    assert main(["stylegan", "report", str(run), "-o", str(tmp_path / "report")]) == 0
    assert (tmp_path / "report" / "report.html").is_file()
    assert main([*command, "--seed", "1"]) == 1
    assert "run: holds a run with other settings (seed: 0 there, 1 now)" in capsys.readouterr().err


def test_two_runs_do_not_share_a_folder(disks: Path, tmp_path: Path) -> None:
    run = FinetuneRun(images(disks), tmp_path / "run", TINY)
    with FileLock(tmp_path / "run" / ".lock"), pytest.raises(InputError, match="run: another process is training"):
        run.fit()
    (tmp_path / "run" / CHECKPOINT).write_bytes(b"no checkpoint")
    with pytest.raises(InputError, match=r"checkpoint.ckpt: not a readable checkpoint .* remove it to train anew"):
        run.fit()


TOGETHER = """
import os, sys
from pathlib import Path
import torch
from ohlora_fast.stylegan.finetune import FinetuneRun
from ohlora_fast.stylegan.finetune_settings import FinetuneSettings

settings = FinetuneSettings(
    "new", resolution=16, base=128, width=8, train="all", batch=4, epochs=2, ema_decay=0.9, g_factor=0.4, d_factor=1.3
)
run = FinetuneRun(sorted(Path(sys.argv[1]).glob("*.png")), sys.argv[2], settings, devices=2, checkpoint_seconds=0)
try:
    run.fit()
except SystemExit:  # the second process
    pass
state = {name: value for name, value in run.module.state_dict().items()}
last = run.module.last
state |= {"counts": torch.tensor([last.d_count, last.g_count]), "real": last.real}
torch.save(state, f"{sys.argv[2]}/process{os.environ.get('LOCAL_RANK', '0')}.pt")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a second process over gloo, tried on Linux")
def test_two_processes_train_together(disks: Path, tmp_path: Path) -> None:
    script = tmp_path / "together.py"
    script.write_text(TOGETHER)
    command = [sys.executable, str(script), str(disks), str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    one, other = (torch.load(tmp_path / "run" / f"process{rank}.pt", weights_only=True) for rank in (0, 1))
    assert not torch.equal(one.pop("real"), other.pop("real"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert len(rows(tmp_path / "run")) == 3  # 2 batches an epoch, both tested in the first one
