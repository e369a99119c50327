"""Scorers: that they learn bright from dark, resume, refuse bad lists; scores that are taken up again; the choice."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image

from ohlora_fast.cli import main
from ohlora_fast.errors import InputError
from ohlora_fast.student.weights import load_student, read_state, save_student
from ohlora_fast.stylegan.ensemble import Ensemble, fingerprint, load_ensembles, load_models, save_ensemble
from ohlora_fast.stylegan.metrics import auroc
from ohlora_fast.stylegan.property_cnn import PROPERTIES, PropertyCNN
from ohlora_fast.stylegan.scorer import ScorerRun, ScorerSettings
from ohlora_fast.stylegan.scorer_data import load_labelled, make_folds, read_image, read_labels
from ohlora_fast.stylegan.scores import Condition, ScoreFile, parse_keep, place_images, score_files

QUICK = ["--property", "glass", "--folds", "2", "--epochs", "4", "--batch", "4", "--lr", "1e-3"]
SETTINGS = ScorerSettings("glass", folds=2, epochs=4, batch=4, lr=1e-3)


@pytest.fixture(scope="module", autouse=True)
def _small() -> Iterator[None]:
    """Let the network of glasses see a square of 48×48, by which all here is several times quicker."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PROPERTIES, "glass", replace(PROPERTIES["glass"], columns=(104, 152)))
        yield


def paint(path: Path, bright: bool, seed: int) -> Path:
    """A noisy square, bright or dark."""
    noise = np.random.default_rng(seed).normal(200 if bright else 60, 30, (48, 40, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(path)
    return path


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
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


def test_it_learns_bright_from_dark(trained: Path, tmp_path: Path) -> None:
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


def test_an_unreadable_image_is_named_and_left_out(labels: Path, tmp_path: Path) -> None:
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
    text: str | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
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


def bare(name: str, seed: int) -> PropertyCNN:
    torch.manual_seed(seed)
    return PropertyCNN(name).eval()


def test_an_ensemble_is_the_mean_of_its_networks_however_they_are_stored(tmp_path: Path) -> None:
    models = [bare("glass", seed) for seed in range(3)]
    save_ensemble(models[:2], tmp_path / "two.safetensors")
    torch.save(models[2].state_dict(), tmp_path / "one.pth")  # as the reference stores a network
    ensembles = load_ensembles([tmp_path / "two.safetensors", tmp_path / "one.pth"])
    images = torch.rand(2, 3, 256, 256)
    with torch.inference_mode():
        expected = sum(model(images) for model in models) / 3
        torch.testing.assert_close(ensembles["glass"](images), expected)
        assert (models[0](images) - models[1](images)).abs().max() > 1e-5


@pytest.mark.parametrize("name", PROPERTIES)
def test_a_network_tells_its_property(name: str, tmp_path: Path) -> None:
    save_ensemble([bare(name, 0)], tmp_path / "x.safetensors")
    assert [model.name for model in load_models(tmp_path / "x.safetensors")] == [name]


def test_scorers_are_told_apart_by_their_weights_alone(tmp_path: Path) -> None:
    one, same, other = (tmp_path / f"{name}.safetensors" for name in ("one", "same", "other"))
    save_ensemble([bare("glass", 0)], one, folds="a")
    save_ensemble([bare("glass", 0)], same, folds="b")
    save_ensemble([bare("glass", 1)], other)
    assert one.read_bytes() != same.read_bytes()
    assert fingerprint([one, other]) == fingerprint([other, same])
    assert len({fingerprint([one]), fingerprint([other]), fingerprint([one, other])}) == 3


def test_other_files_are_no_scorers(tmp_path: Path) -> None:
    save_student(load_student(), tmp_path / "student.safetensors")
    with pytest.raises(InputError, match=r"student.safetensors: not a property's network"):
        load_models(tmp_path / "student.safetensors")
    state = bare("glass", 0).state_dict()
    del state["conv3.0.bias"]
    torch.save(state, tmp_path / "less.pth")
    with pytest.raises(InputError, match=r"less.pth: 1 missing \(conv3.0.bias\)"):
        load_models(tmp_path / "less.pth")
    with pytest.raises(InputError, match="no such file"):
        load_ensembles([tmp_path / "none.pth"])


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Four squares, of which the bright ones share a name, and a file that is no picture."""
    for index, name in enumerate(("a/dark.png", "a/bright.png", "b/dull.png", "b/bright.png")):
        paint(tmp_path / "in" / name, index % 2 == 1, 50 + index)
    (tmp_path / "in" / "broken.png").write_text("no picture")
    return tmp_path / "in"


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


class Brightness(torch.nn.Module):
    """A scorer that is quick: the mean of all values. It counts its images."""

    seen = 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen += len(images)
        return images.mean((1, 2, 3))[:, None]


def test_scoring_that_was_cut_goes_on(pictures: Path, tmp_path: Path) -> None:
    paths = [str(path) for path in sorted(pictures.glob("*/*.png"))]
    model, out = Brightness(), tmp_path / "scores.csv"
    outcomes = score_files(paths, {"age": model}, ScoreFile(out, ["age"], "abc"), batch=1)
    assert next(outcomes) == paths[0]
    outcomes.close()  # as Ctrl-C does
    assert model.seen == 1
    file = ScoreFile(out, ["age"], "abc")
    assert list(file.scores) == paths[:1]
    assert list(score_files(paths, {"age": model}, file, batch=3)) == paths[1:]
    assert model.seen == 4
    assert list(ScoreFile(out, ["age"], "abc").scores) == paths
    with pytest.raises(InputError, match="row 1 is by the scorers abc, not by abd; give another file"):
        ScoreFile(out, ["age"], "abd")
    with pytest.raises(InputError, match="exists with the columns path, age, scorers, not with path, gender, scorers"):
        ScoreFile(out, ["gender"], "abc")
    out.write_text("path,age,scorers\nx,much,abc\n")
    with pytest.raises(InputError, match="row 1 is damaged"):
        ScoreFile(out, ["age"], "abc")
    with pytest.raises(InputError, match="its folder does not exist"):
        ScoreFile(tmp_path / "none" / "scores.csv", ["age"], "abc")


def test_a_scorer_that_gives_no_numbers_is_named(pictures: Path, tmp_path: Path) -> None:
    class Broken(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.full((len(images), 1), torch.nan)

    paths = [str(pictures / "a" / "dark.png")]
    with pytest.raises(InputError, match=r"scorer of age: gives what is no number for .*dark.png"):
        list(score_files(paths, {"age": Broken()}, ScoreFile(tmp_path / "s.csv", ["age"], "abc")))


def test_conditions() -> None:
    text = "gender>=0.9, quality >= 0.9,age<=0.1,glass<0.1"
    conditions = parse_keep(text, list(PROPERTIES))
    assert conditions == [
        Condition("gender", ">=", 0.9),
        Condition("quality", ">=", 0.9),
        Condition("age", "<=", 0.1),
        Condition("glass", "<", 0.1),
    ]
    good = {"gender": 0.9, "quality": 1.0, "age": 0.1, "glass": 0.0}
    assert all(one.holds(good) for one in conditions)
    for name, value in (("gender", 0.89), ("quality", 0.0), ("age", 0.11), ("glass", 0.1)):
        assert [one.property for one in conditions if not one.holds({**good, name: value})] == [name]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gender=0.9", r"keep: got 'gender=0.9', expected is PROPERTY>=BOUND"),
        ("gender>=2", r"keep: gender: got the bound '2', allowed are numbers from 0 to 1"),
        ("gender>=high", r"keep: gender: got the bound 'high'"),
        ("hat>=0.5", r"keep: got 'hat', which no scorer scores; allowed are gender"),
        ("", r"keep: got ''"),
    ],
)
def test_bad_conditions(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_keep(text, ["gender"])


def test_a_file_in_the_way_is_not_replaced(pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "chosen"
    folder.mkdir()
    (folder / "dark.png").write_text("mine")
    for link in (False, True):
        with pytest.raises(InputError, match=r"dark.png: exists, and is not a (copy of|link to) .*give another folder"):
            place_images([str(pictures / "a" / "dark.png")], folder, link)
    assert (folder / "dark.png").read_text() == "mine"


def test_choosing_needs_conditions(trained: Path, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scorer = ["--scorer", str(trained / "scorer.safetensors")]
    code = main(["stylegan", "score", str(pictures), *scorer, "-o", "s.csv", "--copy", "x"])
    assert code == 1
    assert "came without --keep" in capsys.readouterr().err
    assert not os.path.exists("s.csv")


def test_ensembles_of_one_network_are_that_network() -> None:
    model = bare("quality", 1)
    images = torch.rand(1, 3, 256, 256)
    with torch.inference_mode():
        torch.testing.assert_close(Ensemble([model])(images), model(images))
