"""The report on the recorded logs: its numbers, counted once more here, its pictures, and bad logs."""

from __future__ import annotations

import csv
import re
import statistics
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ohlora_fast.cli import main
from ohlora_fast.errors import InputError
from ohlora_fast.stylegan.comparison import TARGETS, compare, findings
from ohlora_fast.stylegan.diagrams import draw, run_panels
from ohlora_fast.stylegan.log import Log, read_log
from ohlora_fast.stylegan.report import find_grids, write_report

pytest.importorskip("matplotlib")

GOLDEN = Path(__file__).parents[1] / "golden"
V9, V8 = GOLDEN / "stylegan_finetune_v9.csv", GOLDEN / "stylegan_finetune_v8.csv"
HEADER = "epoch,idx,d_loss,g_loss,real_fake_auroc,mean_gender_score,mean_age_score"


@pytest.fixture(scope="module")
def logs() -> tuple[Log, Log]:
    return read_log(V9, "v9"), read_log(V8, "v8")


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a report by the command line, v9 beside v8."""
    folder = tmp_path_factory.mktemp("report") / "v9"
    arguments = ["--compare", str(V8), "--name", "v9", "--compare-name", "v8", "-o", str(folder)]
    assert main(["stylegan", "report", str(V9), *arguments]) == 0
    return folder


def recorded_rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def write_log(path: Path, *rows: str, header: str = HEADER) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def small_log(path: Path, epochs: int = 3, gender: float = 0.5) -> Path:
    rows = [f"{epoch},{idx},1.0,0.9,0.8,{gender + 0.1 * epoch},0.2" for epoch in range(epochs) for idx in (0, 5, 10)]
    return write_log(path, *rows)


def test_the_time_of_a_row(logs: tuple[Log, Log]) -> None:
    """In the first epoch rows come oftener; the 13 rows of a later one are evenly spaced up to the next."""
    log = logs[0]
    assert log.time[0] == 0.0
    assert (np.diff(log.time) > 0).all()
    later = log.time[log.epoch > 0]
    np.testing.assert_allclose(np.diff(later), 1 / 13, atol=1e-9)
    assert log.time[-1] == 72.0
    assert log.full_epochs == list(range(72))


def test_the_recorded_finding(logs: tuple[Log, Log]) -> None:
    """All four scores are closer to their targets in v9 over the training and over its last ten epochs; of the last
    epoch alone, and of the last row, that does not hold, and the report says so."""
    differences = compare(*logs)
    by_span: dict[str, list[str]] = {}
    for one in differences:
        by_span.setdefault(one.span, []).extend([one.name] * (one.change < 0))
    assert by_span == {
        "over all 72 epochs": ["gender", "quality", "age", "glass"],
        "over the last 10 epochs": ["gender", "quality", "age", "glass"],
        "in epoch 71 alone": ["quality", "age"],
        "in the last row alone": ["gender"],
    }
    rows = {"v9": recorded_rows(V9), "v8": recorded_rows(V8)}
    for one in differences[:4]:
        means = []
        for name in ("v9", "v8"):
            epochs = [
                [float(row[f"mean_{one.name}_score"]) for row in rows[name] if int(row["epoch"]) == epoch]
                for epoch in range(72)
            ]
            means.append(statistics.fmean(statistics.fmean(each) for each in epochs))
        assert one.scores == pytest.approx(means)
        assert one.distances == pytest.approx([abs(mean - TARGETS[one.name]) for mean in means])
        assert not one.noisy
        assert one.closer_epochs >= 65
    sentences = findings(*logs, differences)
    assert sentences[0].startswith("Over all 72 epochs, v9 is closer to the targets than v8 in all 4 scores: gender")
    assert "gender 0.0173 away instead of 0.0288 (−40 %)" in sentences[0]
    assert sentences[2].startswith("In epoch 71 alone, v9 is closer to the targets than v8 in 2 of 4 scores: quality")
    assert "not gender 0.0132 away instead of 0.0122 (+8 %, within the rows' scatter)" in sentences[2]


def test_turned_round_the_finding_turns(logs: tuple[Log, Log]) -> None:
    there, back = compare(*logs), compare(*reversed(logs))
    assert [one.change for one in there] == [-one.change for one in back]
    assert [one.error for one in there[:12]] == pytest.approx([one.error for one in back[:12]])


def test_the_files_of_a_report(reported: Path) -> None:
    assert sorted(path.name for path in reported.iterdir()) == [
        "comparison.png", "comparison.svg", "curves.png", "curves.svg", "report.html", "report.md",
    ]  # fmt: skip
    page = (reported / "report.html").read_text()
    sources = re.findall(r'(?:src|href)="([^"]{20})', page)
    assert sources == ["data:image/svg+xml;b"] * 2
    assert "http" not in re.sub(r'src="[^"]*"', "", page)
    markdown = (reported / "report.md").read_text()
    for text in ("in all 4 scores", "epoch 72, batch 0", "0.9891", "0.9958", "0.0233", "0.0160", "of 72"):
        assert text in page, text
        assert text in markdown, text
    cells = {
        line.split("|")[1].strip(): line for line in markdown.split("## Where v8 ended")[1].splitlines() if "|" in line
    }
    assert [cell.strip() for cell in cells["d_train_count"].split("|")[2:-1]] == ["–"] * 5  # v8 has no such column
    assert "0.0158" in cells["mean_age_score"]


def test_the_pictures_show_curves_and_targets(reported: Path) -> None:
    for name, panels in (("curves", 4), ("comparison", 4)):
        svg = (reported / f"{name}.svg").read_text()
        assert len(re.findall(r'<g id="axes_\d+">', svg)) == panels
        pixels = np.asarray(Image.open(reported / f"{name}.png").convert("RGB")).astype(int)
        for color in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)):
            assert (np.abs(pixels - color).max(-1) <= 2).sum() > 3000, (name, color)
    assert (reported / "report.html").stat().st_size < 1_000_000


def test_the_panels_of_a_run(logs: tuple[Log, Log]) -> None:
    panels = run_panels(logs[1])
    assert [[curve.label for curve in panel.curves] for panel in panels] == [
        ["generator", "discriminator"],
        ["AUROC"],
        ["gender", "quality"],
        ["age", "glass"],
    ]
    assert [list(panel.levels.values()) for panel in panels] == [[], [0.5], [1.0], [0.0]]


def test_the_same_panels_give_the_same_bytes(logs: tuple[Log, Log]) -> None:
    panels = run_panels(logs[0])[2:3]
    assert draw(panels, 3.0) == draw(panels, 3.0)


def test_a_report_on_one_run_keeps_no_earlier_comparison(tmp_path: Path) -> None:
    for name, gender in (("one", 0.5), ("two", 0.6)):
        (tmp_path / name).mkdir()
        small_log(tmp_path / name / "log.csv", gender=gender)
    one, two = read_log(tmp_path / "one"), read_log(tmp_path / "two")
    assert (one.name, two.name) == ("one", "two")
    write_report(tmp_path / "out", one, two)
    assert "gender 0.4000 away instead of 0.3000 (+33 %)" in (tmp_path / "out" / "report.md").read_text()
    page = write_report(tmp_path / "out", one)
    assert sorted(path.name for path in page.parent.iterdir()) == [
        "curves.png", "curves.svg", "report.html", "report.md",
    ]  # fmt: skip


def test_a_run_tells_how_it_went_and_shows_its_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    (run / "samples").mkdir(parents=True)
    small_log(run / "log.csv", epochs=10)
    for step in range(0, 1000, 100):
        grid = Image.new("RGB", (40, 40), (step // 4, 0, 0))
        grid.save(run / "samples" / f"step-{step:06d}.png")
    (run / "samples" / ".step-001000.png.part").write_bytes(b"half")
    assert [path.stem for path in find_grids(run)] == ["step-000000", "step-000300", "step-000600", "step-000900"]
    assert main(["stylegan", "report", str(run), "-o", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "Score of gender, first to last tenth of the rows: 0.5000 to 1.4000; target 1, closer." in said
    assert "Score of age, first to last tenth of the rows: 0.2000 to 0.2000; target 0, as far." in said
    strip = np.asarray(Image.open(tmp_path / "out" / "images.jpg"))
    row = strip[-24].astype(int)  # through the middle of the pictures
    reds = row[row[:, 1] < 60][:, 0]
    assert len(reds) > 4 * 30
    assert set(range(0, 240, 75)) <= set(np.round(reds / 75).astype(int) * 75)
    assert "images.jpg" in (tmp_path / "out" / "report.md").read_text()
    assert "data:image/jpeg" in (tmp_path / "out" / "report.html").read_text()
    main(["stylegan", "report", str(run / "log.csv"), "-o", str(tmp_path / "out")])
    assert not (tmp_path / "out" / "images.jpg").exists()


def test_names_are_text_wherever_they_come_from(tmp_path: Path) -> None:
    log = read_log(small_log(tmp_path / "a.csv"), "_<b>$x^{|")
    write_report(tmp_path / "out", log, read_log(small_log(tmp_path / "b.csv")))
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<b>" not in page
    assert "_&lt;b&gt;$x^{|" in page


def test_a_log_of_one_row_and_a_property_without_target(tmp_path: Path) -> None:
    file = write_log(
        tmp_path / "a.csv", "0,0,1,1,0.5,0.25", header="epoch,idx,d_loss,g_loss,real_fake_auroc,mean_bright_score"
    )
    log = read_log(file)
    assert log.time.tolist() == [0.0]
    write_report(tmp_path / "out", log)
    assert "| mean_bright_score " in (tmp_path / "out" / "report.md").read_text()
    assert [panel.levels for panel in run_panels(log)][2] == {}


def test_a_column_that_is_empty_counts_as_missing(tmp_path: Path) -> None:
    log = read_log(write_log(tmp_path / "a.csv", "0,0,1,1,0.5,0.7,", "0,5,1,1,0.5,0.8,"))
    assert log.properties == ["gender"]


def test_rows_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    file = write_log(
        tmp_path / "a.csv",
        "0,0,1,1,0.5,0.7,0.1",
        "0,5,nan,1,0.5,0.7,0.1",
        "0,10,1,inf,0.5,0.7,0.1",
        "1,0,1,1,0.5,0.9,0.1",
    )
    with pytest.warns(UserWarning, match=r"a.csv: row 2, d_loss, is empty or not finite; 2 of 4 rows are left out"):
        log = read_log(file)
    assert log.score("gender").tolist() == [0.7, 0.9]


def test_a_last_row_that_was_cut_short(tmp_path: Path) -> None:
    file = write_log(tmp_path / "a.csv", "0,0,1,1,0.5,0.7,0.1", "0,5,1,1")
    with pytest.warns(UserWarning, match="the last row is cut short"):
        assert len(read_log(file).epoch) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file or folder; allowed is a fine-tuning log"),
        ("", "not a fine-tuning log, it lacks the columns epoch, idx, d_loss, g_loss, real_fake_auroc"),
        ("epoch,idx,d_loss\n0,0,1\n", "it lacks the columns g_loss, real_fake_auroc"),
        (f"{HEADER}\n", "holds no rows yet"),
        (f"{HEADER}\n0,0,nan,1,1,1,1\n", "row 1, d_loss, is empty or not finite, and no row is without such a value"),
        (f"{HEADER}\n0,0,one,1,1,1,1\n", "row 1, d_loss: got 'one', expected a number"),
        (f"{HEADER}\n0,0,1\n0,5,1,1,1,1,1\n", "row 1 has 3 cells, the header 7"),
        (f"{HEADER}\n0.5,0,1,1,1,1,1\n", "epoch: got 0.5, allowed for an epoch are whole numbers from 0 on"),
        (f"{HEADER}\n1,0,1,1,1,1,1\n0,5,1,1,1,1,1\n", "epoch 0, idx 5 does not come after the row before it"),
        ("\x00\xff", "lacks the columns"),
    ],
)  # fmt: skip
def test_bad_logs_are_refused_in_one_line(
    text: str | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bad.csv"
    if text is not None:
        file.write_text(text)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert main(["stylegan", "report", str(file), "-o", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert message in said
    assert said.startswith(f"ohlora-fast: error: {file}: ")
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_other_misuse(tmp_path: Path) -> None:
    log = read_log(small_log(tmp_path / "a.csv"))
    with pytest.raises(InputError, match="both runs are called a"):
        write_report(tmp_path / "out", log, log)
    bare = write_log(tmp_path / "b.csv", "0,0,1,1,1", header="epoch,idx,d_loss,g_loss,real_fake_auroc")
    with pytest.raises(InputError, match="a and b have no score in common"):
        write_report(tmp_path / "out", log, read_log(bare))
    later = write_log(tmp_path / "c.csv", "7,0,1,1,1,1,1")
    with pytest.raises(InputError, match="a and c have no epoch in common"):
        write_report(tmp_path / "out", log, read_log(later))
    with pytest.raises(InputError, match="smooth: got 0, allowed are numbers of epochs above 0"):
        write_report(tmp_path / "out", log, smooth=0)
    with pytest.raises(InputError, match=r"holds no log\.csv"):
        read_log(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write"):
        write_report(tmp_path / "file", log)
    assert not (tmp_path / "out").exists()
    assert main(["stylegan", "report", str(tmp_path / "a.csv"), "--smooth", "0", "-o", "out"]) == 2
    assert main(["stylegan", "report", str(tmp_path / "a.csv"), "--compare-name", "x", "-o", "out"]) == 1
