"""Scores of images: scoring that is taken up again, conditions, and the chosen ones' folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ohlora_fast.errors import InputError
from ohlora_fast.stylegan.property_cnn import PROPERTIES
from ohlora_fast.stylegan.scores import Condition, ScoreFile, parse_keep, place_images, score_files


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
