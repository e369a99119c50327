"""The report: what stands in it, that it needs nothing else, and which run folders are refused."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from ohlora_fast.distill.curves import draw_curves
from ohlora_fast.distill.metrics import OVERALL, Scores, Summary
from ohlora_fast.distill.report import Run, read_run, write_report
from ohlora_fast.errors import InputError

pytest.importorskip("matplotlib")

MEAN = Scores(0.0011, 0.9123, 0.9234, 0.9345, 0.9456, 0.6789)
POOLED = Scores(0.00074, 0.9678, 0.9789, 0.989, 0.9901, 0.7012)
SCORES = {"celeb": Summary(3, MEAN, POOLED), OVERALL: Summary(3, MEAN, POOLED)}


def log(epochs: int, **columns: float) -> list[dict[str, str]]:
    return [
        {"epoch": str(epoch), "step": "7", "time": "12:00"} | {name: str(x / epoch) for name, x in columns.items()}
        for epoch in range(1, epochs + 1)
    ]


def run(name: str, epochs: int = 3, **settings: object) -> Run:
    return Run(name, settings, log(epochs, train_loss=0.5, val_loss=0.4, lr=1e-4, iou_celeb=0.9), SCORES)


class Page(HTMLParser):
    """The tables of a page, and everything in it that could be fetched."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("th", "td"):
            self.tables[-1][-1].append("")
            self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag not in ("th", "td")

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.tables[-1][-1][-1] += data


def markdown_tables(text: str) -> list[list[list[str]]]:
    blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    return [
        [
            [cell.strip().replace("\\", "") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for line in (rows[0], *rows[2:])
        ]
        for rows in blocks
    ]


def test_a_report_has_four_files_and_no_photos(tmp_path: Path) -> None:
    page = write_report(tmp_path / "deep" / "report", [run("a", loss="mse"), run("b", loss="kl")])
    assert page == tmp_path / "deep" / "report" / "report.html"
    assert sorted(path.name for path in page.parent.iterdir()) == [
        "curves.png",
        "curves.svg",
        "report.html",
        "report.md",
    ]


def test_both_pages_hold_the_same_tables(tmp_path: Path) -> None:
    runs = [run("a", loss="mse", seed=0, batch=16), run("b", loss="soft_bce", seed=0, preset="recorded")]
    page = write_report(tmp_path, runs)
    tables = Page(page.read_text()).tables
    assert markdown_tables((tmp_path / "report.md").read_text()) == tables
    scores, recorded, settings = tables
    assert scores[0][:4] == ["source", "over", "student", "photos"]
    mean = ["0.001100", "0.9123", "0.9234", "0.9345", "0.9456", "0.6789"]
    pooled = ["0.000740", "0.9678", "0.9789", "0.9890", "0.9901", "0.7012"]
    assert scores[1:5] == [
        ["celeb", "photos", "a", "3", *mean],
        ["celeb", "photos", "b", "3", *mean],
        ["celeb", "pixels", "a", "3", *pooled],
        ["celeb", "pixels", "b", "3", *pooled],
    ]
    assert recorded == [
        ["student", "loss", "MSE", "IoU", "Dice", "recall", "precision"],
        ["a", "mse", *pooled[:5]],
        ["b", "soft_bce", *pooled[:5]],
        ["Oh-LoRA v4, recorded", "MSE", "0.000794", "0.9680", "0.9838", "0.9833", "0.9842"],
        ["Oh-LoRA v4, recorded", "Soft BCE (kept)", "0.000738", "0.9681", "0.9838", "0.9836", "0.9840"],
        ["Oh-LoRA v4, recorded", "KL divergence", "0.076325", "0.5673", "0.7239", "1.0000", "0.5673"],
    ]
    assert settings == [
        ["setting", "a", "b"],
        ["loss", "mse", "soft_bce"],
        ["batch", "16", "–"],
        ["preset", "–", "recorded"],
    ]


def test_the_page_fetches_nothing(tmp_path: Path) -> None:
    text = write_report(tmp_path, [run("a")]).read_text()
    page = Page(text)
    assert len(page.links) == 1
    assert page.links[0].startswith("data:image/svg+xml;base64,")
    assert not page.tags & {"link", "script", "iframe", "object", "embed"}
    assert not re.search(r"https?:|url\(|@import", text)


def test_names_are_text_wherever_they_come_from(tmp_path: Path) -> None:
    names = ["<script>x</script>", "a|b", "_hidden", "$\\frac{$ & co"]
    write_report(tmp_path, [run(name, loss=name) for name in names])
    text = (tmp_path / "report.html").read_text()
    page = Page(text)
    assert "script" not in page.tags
    assert page.tables[2] == [["setting", *names], ["loss", *names]]
    header = (tmp_path / "report.md").read_text().split("## Settings that differ")[1].split("\n\n")[1].splitlines()[0]
    assert re.split(r"(?<!\\)\|", header)[3].strip() == "a\\|b"


def test_equal_settings_are_left_out_and_a_single_run_shows_all(tmp_path: Path) -> None:
    same = Page(write_report(tmp_path, [run("a", seed=0), run("b", seed=0)]).read_text())
    assert same.tables[2][1:] == [["none", "", ""]]
    alone = Page(write_report(tmp_path, [run("a", seed=0, start=None, repeat={"figaro": 2})]).read_text())
    assert alone.tables[2] == [["setting", "a"], ["seed", "0"], ["start", "null"], ["repeat", '{"figaro": 2}']]


def png(folder: Path) -> np.ndarray:
    pixels = cv2.imread(str(folder / "curves.png"))
    assert pixels is not None
    return pixels


def count_color(pixels: np.ndarray, red: int, green: int, blue: int) -> int:
    return int((pixels == (blue, green, red)).all(-1).sum())


def test_curves_show_each_run_in_its_colour(tmp_path: Path) -> None:
    write_report(tmp_path / "one", [run("a", epochs=9)])
    write_report(tmp_path / "two", [run("a", epochs=9), run("b", epochs=9)])
    one, two = png(tmp_path / "one"), png(tmp_path / "two")
    assert count_color(one, 0x00, 0x72, 0xB2) > 500
    assert count_color(one, 0xD5, 0x5E, 0x00) == 0
    assert count_color(two, 0xD5, 0x5E, 0x00) > 500


@pytest.mark.parametrize(
    ("bare", "panels"),
    [
        (Run("a", {}, [], SCORES), 1),
        (run("a", epochs=1), 5),
        (Run("a", {}, [{"epoch": "1", "val_loss": "", "lr": "0.1", "time": "now"}], {}), 1),
    ],
    ids=["checkpoint", "one epoch", "empty cells"],
)
def test_runs_of_little(tmp_path: Path, bare: Run, panels: int) -> None:
    """Two panels stand in a row; a point alone is drawn as a dot."""
    page = write_report(tmp_path, [bare])
    pixels = png(page.parent)
    assert count_color(pixels, 0x00, 0x72, 0xB2) > 50
    assert pixels.shape[1] == 728 * min(panels, 2)
    svg = (tmp_path / "curves.svg").read_text()
    assert len(re.findall(r'id="axes_\d+"', svg)) == panels


def test_nothing_to_draw_leaves_no_earlier_curves(tmp_path: Path) -> None:
    write_report(tmp_path, [run("a")])
    page = write_report(tmp_path, [Run("a", {}, [], {})])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.md"]
    assert Page(page.read_text()).links == []
    assert "curves.png" not in (tmp_path / "report.md").read_text()


def test_the_same_runs_give_the_same_bytes() -> None:
    assert draw_curves([run("a"), run("b")]) == draw_curves([run("a"), run("b")])


@pytest.mark.parametrize("names", [(), ("a", "b", "a")])
def test_runs_need_names_of_their_own(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=r"runs: got .*allowed are one or more, each with a name of its own"):
        write_report(tmp_path / "report", [run(name) for name in names])
    assert not (tmp_path / "report").exists()


def test_a_file_stands_where_the_folder_should(tmp_path: Path) -> None:
    (tmp_path / "report").touch()
    with pytest.raises(InputError, match=r"cannot write .*report"):
        write_report(tmp_path / "report", [run("a")])


def test_without_matplotlib_the_pip_command_is_named() -> None:
    """None in `sys.modules` is how Python marks a module that cannot be imported."""
    code = (
        "import sys; sys.modules['matplotlib.figure'] = None\n"
        "from ohlora_fast.distill.report import Run, write_report\n"
        "write_report('report', [Run('a', {}, [], {})])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert 'pip install "ohlora_fast[train]"' in done.stderr.splitlines()[-1]
    assert not Path("report").exists()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "settings.json").write_text('{"loss": "mse", "seed": 0}')
    (tmp_path / "log.csv").write_text("epoch,time,val_loss,iou_a\n1,10:00,0.5,0.7\n2,10:01,,0.8\n")
    return tmp_path


def test_a_run_is_read(folder: Path) -> None:
    settings, rows = read_run(folder)
    assert settings == {"loss": "mse", "seed": 0}
    assert rows == [
        {"epoch": "1", "time": "10:00", "val_loss": "0.5", "iou_a": "0.7"},
        {"epoch": "2", "time": "10:01", "val_loss": "", "iou_a": "0.8"},
    ]
    (folder / "log.csv").unlink()
    assert read_run(folder)[1] == []


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("settings.json", None, "not a run's folder, it has no settings.json"),
        ("settings.json", b'{"loss": ', r"settings.json: not readable as JSON \(.+\)"),
        ("settings.json", b"\xff\xfe\x00", "settings.json: not readable as JSON"),
        ("settings.json", b"[1]", "settings.json: holds a list, expected an object"),
        ("log.csv", b"", "log.csv: has no column epoch; found nothing"),
        ("log.csv", b"time,loss\n1,2\n", "log.csv: has no column epoch; found time, loss"),
        ("log.csv", b"epoch,lr\n1,0.1\n2\n", "log.csv: row 2 has 1 cells, the header 2"),
        ("log.csv", b"epoch,lr\n1,0.1,5\n", "log.csv: row 1 has 3 cells, the header 2"),
        ("log.csv", b"epoch,iou_a\n1,0.9\n2,good\n", "log.csv: row 2, iou_a: got 'good', expected a number"),
        ("log.csv", b"epoch,lr\n,0.1\n", "log.csv: row 1, epoch: got '', expected a number"),
        ("log.csv", b'epoch,lr\n1,"0.1\n', "log.csv: not readable as CSV"),
        ("log.csv", b"epoch,lr\n1,\xff\n", "log.csv: not readable as CSV"),
    ],
)
def test_what_is_no_run_is_named_in_one_line(folder: Path, file: str, content: bytes | None, message: str) -> None:
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_run(folder)
    assert str(caught.value).startswith(str(folder))
    assert "\n" not in str(caught.value)
