"""Scorers: that they learn bright from dark, resume, refuse bad lists; scoring and choosing by the command line."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from filelock import FileLock

from ohlora_fast.cli import main
from ohlora_fast.errors import InputError
from ohlora_fast.student.weights import read_state
from ohlora_fast.stylegan.ensemble import load_ensembles
from ohlora_fast.stylegan.metrics import auroc
from ohlora_fast.stylegan.property_cnn import PROPERTIES
from ohlora_fast.stylegan.scorer import ScorerRun, ScorerSettings
from ohlora_fast.stylegan.scorer_data import load_labelled, make_folds, read_image, read_labels

QUICK = ["--property", "glass", "--folds", "2", "--epochs", "4", "--batch", "4", "--lr", "1e-3"]
SETTINGS = ScorerSettings("glass", folds=2, epochs=4, batch=4, lr=1e-3)
Paint = Callable[[Path, bool, int], Path]


@pytest.fixture(scope="module", autouse=True)
def _small() -> Iterator[None]:
    """Let the network of glasses see a square of 48×48, by which all here is several times quicker."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PROPERTIES, "glass", replace(PROPERTIES["glass"], columns=(104, 152)))
        yield


@pytest.fixture(scope="module")
def labels(paint: Paint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen squares, the bright ones labelled 1."""
    folder = tmp_path_factory.mktemp("labelled")
    rows = ["note,path,label"]
    for index in range(16):
        paint(folder / "squares" / f"{index}.png", index % 2 == 1, index)
        rows.append(f"x,squares/{index}.png,{index % 2}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder / "labels.csv"


@pytest.fixture(scope="module")
def trained(labels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run, by the command line."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert main(["stylegan", "train-scorer", str(labels), "-o", str(folder), *QUICK]) == 0
    return folder


def fold_rows(run: Path, fold: int) -> list[dict[str, str]]:
    with (run / f"fold-{fold}" / "log.csv").open(newline="") as stream:
        return [{**row, "time": ""} for row in csv.DictReader(stream)]


def same_weights(one: Path, other: Path) -> bool:
    ours, theirs = read_state(one)[0], read_state(other)[0]
    return list(ours) == list(theirs) and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_it_learns_bright_from_dark(trained: Path, paint: Paint, tmp_path: Path) -> None:
    for fold in (1, 2):
        log = fold_rows(trained, fold)
        assert [row["epoch"] for row in log] == ["1", "2", "3", "4"]
        assert float(log[-1]["val_loss"]) < 0.8 * float(log[0]["val_loss"])
        result = json.loads((trained / f"fold-{fold}" / "result.json").read_text())
        assert (result["training"], result["validation"]) == (8, 8)
        assert result["auroc"] == 1.0
        assert result["accuracy"] >= 0.75
        assert result["val_loss"] == pytest.approx(min(float(row["val_loss"]) for row in log), abs=1e-6)
    ensemble = load_ensembles([trained / "scorer.safetensors"])["glass"]
    unseen = [read_image(paint(tmp_path / f"{seed}.png", seed % 2 == 1, seed)) for seed in range(100, 108)]
    with torch.inference_mode():
        scores = ensemble(torch.stack(unseen).float() / 255)[:, 0]
    assert scores[1::2].min() > scores[::2].max() + 0.1
    report = (trained / "report.md").read_text()
    assert "# Scorer of glass" in report
    assert [line.split("|")[1].strip() for line in report.splitlines() if line.startswith("|")][2:] == [
        "1", "2", "mean", "standard deviation",
    ]  # fmt: skip


class PowerCut(Exception):
    pass


class CutAfter(pl.Callback):
    """Ends a fold's training when an epoch and its checkpoint are done, and a step of the next."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.current_epoch == 1 and batch_idx == 1:
            raise PowerCut


class BrokenRun(ScorerRun):
    def trainer(self, keeper, checkpoint):
        trainer = super().trainer(keeper, checkpoint)
        trainer.callbacks.insert(0, CutAfter())
        return trainer


def test_a_fold_that_was_cut_ends_as_an_unbroken_one(trained: Path, labels: Path, tmp_path: Path) -> None:
    with pytest.raises(PowerCut):
        BrokenRun(labels, tmp_path / "run", SETTINGS).fit()
    assert len(fold_rows(tmp_path / "run", 1)) == 1
    result = ScorerRun(labels, tmp_path / "run", SETTINGS).fit_fold(1)
    assert result == ScorerRun(labels, trained, SETTINGS).fit_fold(1)
    assert fold_rows(tmp_path / "run", 1) == fold_rows(trained, 1)
    assert same_weights(tmp_path / "run" / "fold-1" / "best.safetensors", trained / "fold-1" / "best.safetensors")


def test_a_finished_run_is_not_trained_again(trained: Path, labels: Path, tmp_path: Path) -> None:
    scorer, report = trained / "scorer.safetensors", (trained / "report.md").read_text()
    before = Path(shutil.copy(scorer, tmp_path))
    stamp = (trained / "fold-2" / "best.safetensors").stat().st_mtime_ns
    assert [result.fold for result in ScorerRun(labels, trained, SETTINGS).fit()] == [1, 2]
    assert same_weights(scorer, before)
    assert read_state(scorer)[1] == read_state(before)[1]  # metadata; in the file their order is the library's whim
    assert (trained / "report.md").read_text() == report
    assert (trained / "fold-2" / "best.safetensors").stat().st_mtime_ns == stamp


def test_a_fold_stops_early(labels: Path, tmp_path: Path) -> None:
    """At a rate that spoils the network the loss does not fall for long."""
    settings = ScorerSettings("glass", folds=2, epochs=40, batch=8, lr=0.1, patience=1)
    run = ScorerRun(labels, tmp_path / "run", settings)
    result = run.fit_fold(1)
    assert result.epochs < 40
    assert result.epochs - result.epoch == 1


def test_another_run_is_refused(trained: Path, labels: Path) -> None:
    with pytest.raises(InputError, match=r"other settings \(seed: 0 there, 1 now\)"):
        ScorerRun(labels, trained, ScorerSettings("glass", folds=2, epochs=4, batch=4, lr=1e-3, seed=1))
    with FileLock(trained / ".lock"), pytest.raises(InputError, match="another process is training"):
        ScorerRun(labels, trained, SETTINGS).fit()


def test_folds_are_stratified() -> None:
    labels = [0] * 23 + [1] * 9
    folds = make_folds(labels, 5, seed=3)
    assert sorted(index for fold in folds for index in fold) == list(range(32))
    assert {sum(labels[index] for index in fold) for fold in folds} == {1, 2}
    assert {len(fold) for fold in folds} == {6, 7}
    assert folds != make_folds(labels, 5, seed=4)


def test_an_unreadable_image_is_named_and_left_out(paint: Paint, tmp_path: Path) -> None:
    paint(tmp_path / "a.png", True, 0)
    (tmp_path / "b.png").write_text("no picture")
    (tmp_path / "list.csv").write_text("path,label\na.png,1\nb.png,0\nc.png,0\n")
    with pytest.warns(UserWarning, match="left out") as caught:
        kept, images = load_labelled(read_labels(tmp_path / "list.csv"))
    assert [one.name for one in kept] == ["a.png"]
    assert images.shape == (1, 3, 256, 256)
    assert [name in str(one.message) for name, one in zip(("b.png", "c.png"), caught, strict=True)] == [True, True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "list.csv: no such file; expected is a CSV file with the columns path and label"),
        ("file,label\na.png,1\n", "lacks the column path; expected are path and label"),
        ("", "lacks the column path and the column label"),
        ("path,label\n", "holds no images, only its header"),
        ("path,label\na.png,1\nb.png,2\n", "row 2, label: got '2', allowed are 0 and 1"),
        ("path,label\na.png,\n", "row 1, label: got '', allowed are 0 and 1"),
        ("path,label\na.png,1\na.png,0\n", "a.png comes 2 times; allowed is once"),
        ("path,label\na.png\n", "row 1 has 1 cells, the header 2"),
        ("path,label\na.png,1\nb.png,1\n", "label 0: 0 images have it, so that some of 2 folds would be without"),
        ("path,label\nx.png,1\n", "of 1 labelled images none can be read"),
    ],
)
def test_bad_lists_are_refused_in_one_line(
    text: str | None, message: str, paint: Paint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.png", "b.png"):
        paint(tmp_path / name, True, 0)
    if text is not None:
        (tmp_path / "list.csv").write_text(text)
    code = main(["stylegan", "train-scorer", str(tmp_path / "list.csv"), "-o", str(tmp_path / "run"), *QUICK])
    lines = capsys.readouterr().err.splitlines()
    assert code == 1
    assert lines[-1].startswith("ohlora-fast: error: ")
    assert message in lines[-1]
    assert all("left out" in line for line in lines[:-1])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"property": "hat"}, "property: got 'hat', allowed are gender, quality, age, glass"),
        ({"folds": 1}, "folds: got 1, allowed are whole numbers from 2 on"),
        ({"lr": 0.0}, "lr: got 0.0, allowed are numbers above 0"),
        ({"weight_decay": float("nan")}, "weight_decay: got nan, allowed are numbers from 0 on"),
    ],
)
def test_bad_settings(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ScorerSettings(**{"property": "glass", **changes})  # type: ignore[arg-type]


def test_auroc_counts_pairs() -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(0, 6, 40) / 5, rng.integers(0, 2, 40)
    ones, zeros = scores[labels == 1], scores[labels == 0]
    pairs = [1.0 if one > zero else 0.5 if one == zero else 0.0 for one in ones for zero in zeros]
    assert auroc(scores, labels) == pytest.approx(np.mean(pairs))
    assert np.isnan(auroc(scores, np.ones(40)))


def test_scoring_and_choosing(
    trained: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "scores.csv"
    score = ["stylegan", "score", str(pictures), "--recursive", "--scorer", str(trained / "scorer.safetensors")]
    assert main([*score, "-o", str(out), "--batch", "2"]) == 1
    said = capsys.readouterr()
    assert "broken.png" in said.err
    assert f"{out}: 4 of 5 scored (glass), 4 of them now" in said.out
    rows = {row["path"]: row for row in csv.DictReader(out.open(newline=""))}
    assert list(rows) == [str(pictures / name) for name in ("a/bright.png", "a/dark.png", "b/bright.png", "b/dull.png")]
    ensemble = load_ensembles([trained / "scorer.safetensors"])["glass"]
    for path, row in rows.items():
        with torch.inference_mode():
            expected = float(ensemble(read_image(path)[None].float() / 255))
        assert float(row["glass"]) == pytest.approx(expected, abs=2e-6)
    dull, bright = (float(rows[str(pictures / "b" / name)]["glass"]) for name in ("dull.png", "bright.png"))
    bound = (dull + bright) / 2
    chosen = [str(pictures / name) for name in ("a/bright.png", "b/bright.png")]
    (pictures / "broken.png").unlink()
    before = out.read_bytes()
    for way, folder in (("--copy", tmp_path / "copies"), ("--link", tmp_path / "links")):
        for _ in range(2):  # the second time all is there
            assert main([*score, "-o", str(out), "--keep", f"glass>={bound:.4f}", way, str(folder)]) == 0
        said = capsys.readouterr()
        assert "4 of 4 scored (glass), 0 of them now" in said.out
        assert f"{tmp_path / 'kept.txt'}: 2 of 4 kept" in said.out
        assert (tmp_path / "kept.txt").read_text().splitlines() == chosen
        placed = sorted(folder.iterdir())
        assert len(placed) == 2
        assert all(path.name.startswith("bright-") and path.is_symlink() == (way == "--link") for path in placed)
        assert {path.read_bytes() for path in placed} == {Path(path).read_bytes() for path in chosen}
    assert out.read_bytes() == before


def test_choosing_needs_conditions(trained: Path, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scorer = ["--scorer", str(trained / "scorer.safetensors")]
    code = main(["stylegan", "score", str(pictures), *scorer, "-o", "s.csv", "--copy", "x"])
    assert code == 1
    assert "came without --keep" in capsys.readouterr().err
    assert not os.path.exists("s.csv")
