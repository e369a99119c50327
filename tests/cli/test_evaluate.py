"""Scoring from the command line: what is printed, what is written, and what is refused."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from dataclasses import astuple, fields
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ohlora_fast.cli import main
from ohlora_fast.cli.evaluate import short_names
from ohlora_fast.distill.data import find_pairs
from ohlora_fast.distill.metrics import Counts, Scores, pair_counts, summarise
from ohlora_fast.errors import InputError
from ohlora_fast.media.images import read_photo
from ohlora_fast.student import bundled
from ohlora_fast.stylist import HairStylist

pytest.importorskip("matplotlib")

REPORT = ["curves.png", "curves.svg", "report.html", "report.md"]


def save(folder: Path, name: str, image: np.ndarray, mask: np.ndarray) -> None:
    for part, pixels in (("images", image), ("masks", mask)):
        (folder / part).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / part / f"{name}.png")


@pytest.fixture
def data(tmp_path: Path, portrait_pixels: np.ndarray) -> Path:
    """A portrait whose mask is about right, one whose mask is wrong, and a flat blue photo without hair."""
    folder = tmp_path / "data"
    mask = np.zeros(portrait_pixels.shape[:2], np.uint8)
    mask[20:90, 50:140] = 255
    save(folder, "a_right", portrait_pixels, mask)
    save(folder, "a_wrong", portrait_pixels[:150], mask[::-1][:150])
    save(folder, "b_none", np.full((40, 30, 3), (0, 0, 250), np.uint8), np.zeros((40, 30), np.uint8))
    return folder


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """The bundled student as a checkpoint."""
    path = tmp_path / "again.onnx"
    path.write_bytes(bundled("default.onnx").read_bytes())
    return path


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_the_bundled_student_is_scored_by_source(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(data)]) == 0
    pairs = find_pairs(data)
    summary = summarise(pairs, list(pair_counts(HairStylist().segment, pairs)))
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        f"a: mean IoU {summary['a'].mean.iou:.4f} over 2 photos",
        "b: mean IoU 1.0000 over 1 photos",
        f"all photos: mean IoU {summary['all photos'].mean.iou:.4f} over 3 photos",
    ]
    assert 0.1 < summary["a"].mean.iou < 0.9
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[4:]]
    assert cells[0][4:] == ["MSE", "IoU", "Dice", "recall", "precision", "boundary IoU"]
    for row, scores in ((2, summary["a"].mean), (3, summary["a"].pooled), (7, summary["all photos"].pooled)):
        assert [float(cell) for cell in cells[row][4:]] == pytest.approx(list(astuple(scores)), abs=5e-5)


def test_an_evaluation_is_written_whole(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "deep" / "made"
    assert main(["evaluate", str(data), "-o", str(out), "--csv", str(tmp_path / "more.csv")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(out / "report" / "report.html")
    names = ["a_right", "a_wrong", "b_none"]
    assert files(out) == [
        *(f"photos/overlays/{name}.png" for name in names),
        "photos/worst.jpg",
        *(f"report/{name}" for name in REPORT),
        "scores.csv",
    ]
    assert (tmp_path / "more.csv").read_bytes() == (out / "scores.csv").read_bytes()
    rows = list(csv.DictReader((out / "scores.csv").open()))
    assert [(row["student"], row["name"], row["source"]) for row in rows] == [
        ("bundled", "a_right", "a"),
        ("bundled", "a_wrong", "a"),
        ("bundled", "b_none", "b"),
    ]
    assert list(rows[0])[3:] == [field.name for kind in (Scores, Counts) for field in fields(kind)]
    for row, counts in zip(rows, pair_counts(HairStylist().segment, find_pairs(data)), strict=True):
        expected = (*astuple(counts.scores()), *astuple(counts))
        assert [float(cell) for cell in list(row.values())[3:]] == pytest.approx(expected, abs=1e-5)


def test_overlays_show_both_masks(data: Path, tmp_path: Path) -> None:
    assert main(["evaluate", str(data), "-o", str(tmp_path / "made")]) == 0
    image, mask = find_pairs(data)[0].load()
    shown = read_photo(tmp_path / "made" / "photos" / "overlays" / "a_right.png").pixels
    ours, truth = HairStylist().segment(image) > 0.5, mask >= 128
    assert 0 < (ours & ~truth).sum() < (ours & truth).sum()
    base = image.astype(int) * 55
    np.testing.assert_array_equal(shown[..., 0], base[..., 0] // 100)
    np.testing.assert_array_equal(shown[..., 1], (base[..., 1] + 45 * 255 * ours) // 100)
    np.testing.assert_array_equal(shown[..., 2], (base[..., 2] + 45 * 255 * truth) // 100)


def test_the_sheet_begins_with_the_worst(tmp_path: Path) -> None:
    """30 flat photos whose masks are empty or not: 24 come on the sheet, and those without a fault come last."""
    for index in range(30):
        mask = np.full((20, 20), 255 if index >= 20 else 0, np.uint8)
        save(tmp_path / "data", f"a_{index:02d}", np.full((20, 20, 3), (0, 0, 250), np.uint8), mask)
    assert main(["evaluate", str(tmp_path / "data"), "-o", str(tmp_path / "made")]) == 0
    with Image.open(tmp_path / "made" / "photos" / "worst.jpg") as image:
        sheet = np.asarray(image).astype(int)
    # A photo's blue is taken down by 0.55 in its overlay, and a mask that is all hair takes it up again.
    photo, wrong, right = ((np.abs(sheet - (0, 0, blue)).max(-1) < 12) for blue in (250, 137 + 115, 137))
    area = 20 * 20
    assert photo.sum() == pytest.approx((24 + 10) * area, rel=0.1)
    assert wrong.sum() == pytest.approx((24 + 10) * area, rel=0.1)
    assert right.sum() == pytest.approx(14 * area, rel=0.1)
    assert right[:, : sheet.shape[1] // 3].sum() == 0, "the first column of eight holds wrong ones alone"


def test_students_stand_side_by_side(
    data: Path, graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, other = tmp_path / "runs" / "first", tmp_path / "other.onnx"
    run.mkdir(parents=True)
    (run / "settings.json").write_text('{"loss": "soft_bce", "seed": 0}')
    (run / "log.csv").write_text("epoch,train_loss,iou_a\n1,0.5,0.5\n2,0.4,0.6\n")
    from ohlora_fast.student.weights import load_student, save_student

    save_student(load_student(), run / "best.safetensors")
    other.write_bytes(graph.read_bytes())
    out = tmp_path / "made"
    options = ["--checkpoint", str(graph), "--checkpoint", str(other), "--run", str(run)]
    assert main(["evaluate", str(data), *options, "-o", str(out)]) == 0
    names = ["first", "again.onnx", "other.onnx"]
    lines = capsys.readouterr().out.splitlines()
    assert [lines[place] for place in (0, 4, 8)] == [f"{name}:" for name in names]
    assert lines[5:8] == lines[9:12]
    assert sorted(path.name for path in (out / "photos").iterdir()) == sorted(names)
    assert sorted(path.name for path in (out / "report").iterdir()) == REPORT
    assert files(out / "photos" / "first") == [
        *(f"overlays/{name}.png" for name in ("a_right", "a_wrong", "b_none")),
        "worst.jpg",
    ]
    text = (out / "report" / "report.md").read_text()
    assert "# 3 students compared" in text
    assert re.search(r"\| first +\| soft_bce +\|", text)
    assert re.search(r"\| checkpoint +\| +– \| +again.onnx \| +other.onnx \|", text)
    assert str(tmp_path) not in text, "a report that is passed on tells nothing of the disk it was made on"
    assert len(list(csv.DictReader((out / "scores.csv").open()))) == 9


def test_an_earlier_evaluation_is_replaced(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "made"
    out.mkdir()
    assert main(["evaluate", str(data), "-o", str(out)]) == 0
    before = (out / "scores.csv").read_bytes()
    for part in ("images", "masks"):
        (data / part / "a_wrong.png").unlink()
    assert main(["evaluate", str(data), "-o", str(out)]) == 0
    assert (out / "scores.csv").read_bytes() != before
    assert not (out / "photos" / "overlays" / "a_wrong.png").exists()
    assert sorted(path.name for path in out.iterdir()) == ["photos", "report", "scores.csv"]


@pytest.mark.parametrize("name", ["notes.txt", "report/notes.txt", "photos/mine.png", "scores.csv"])
def test_a_folder_with_other_things_is_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    out = tmp_path / "made"
    if name != "scores.csv":
        assert main(["evaluate", str(data), "-o", str(out)]) == 0
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    (out / name).write_text("mine")
    before = files(out)
    capsys.readouterr()
    assert main(["evaluate", str(data), "-o", str(out)]) == 1
    error = capsys.readouterr().err
    assert f"made holds {name}, which no evaluation wrote there" in error
    assert error.count("\n") == 1
    assert files(out) == before
    assert (out / name).read_text() == "mine"


def test_pairs_that_cannot_be_read_are_named_and_left_out(
    data: Path, graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = tmp_path / "alone"
    shutil.copytree(data, alone)
    for name in ("a_wrong", "b_none"):
        for part in ("images", "masks"):
            (alone / part / f"{name}.png").unlink()
    students = ["--checkpoint", str(graph), "--checkpoint", str(bundled("default.onnx"))]
    assert main(["evaluate", str(alone), *students, "--csv", str(tmp_path / "y.csv")]) == 0
    expected = capsys.readouterr().out
    (data / "images" / "b_none.png").write_bytes(b"")
    Image.new("L", (5, 5)).save(data / "masks" / "a_wrong.png")
    made = ["-o", str(tmp_path / "made"), "--csv", str(tmp_path / "x.csv")]
    assert main(["evaluate", str(data), *students, *made]) == 1
    said = capsys.readouterr()
    first, second = said.err.splitlines()
    assert first.startswith(f"ohlora-fast: error: left out: {data / 'masks' / 'a_wrong.png'}: is 5×5")
    assert second == f"ohlora-fast: error: left out: {data / 'images' / 'b_none.png'}: not a readable image"
    assert said.out.startswith(expected)
    assert (tmp_path / "x.csv").read_bytes() == (tmp_path / "y.csv").read_bytes()


def test_without_a_pair_that_can_be_read_nothing_is_left(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (data / "images").iterdir():
        path.write_bytes(b"")
    assert main(["evaluate", str(data), "-o", str(tmp_path / "made"), "--csv", str(tmp_path / "x.csv")]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "ohlora-fast: error: photos: none of 3 can be read"
    assert not (tmp_path / "made").exists()
    assert not (tmp_path / "x.csv").exists()


def test_scenes_that_cannot_be_read_are_named_and_left_out(scenes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (scenes / "nothing/val/broken.jpg").write_bytes(b"\xff\xd8no")
    assert main(["evaluate", str(scenes)]) == 1
    said = capsys.readouterr()
    assert said.err == f"ohlora-fast: error: left out: {scenes / 'nothing/val/broken.jpg'}: not a readable image\n"
    assert said.out.splitlines()[-1] == "nothing/val: hair in 0.0% of 1 photos"
    (scenes / "nothing/val/c.jpg").unlink()
    assert main(["evaluate", str(scenes)]) == 1
    assert "nothing: none of 1 photos can be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--run", "nowhere"], "nowhere: not a run's folder"),
        (["--run", "begun"], "--run: begun has no best.safetensors yet"),
        (["--checkpoint", "missing.onnx"], "checkpoint missing.onnx: no such file"),
        (["--checkpoint", "x.onnx", "--checkpoint", "./x.onnx"], "x.onnx, x.onnx came, two of which are the same"),
        (["-o", "file"], "--out: file came, which is a file"),
    ],
)
def test_what_cannot_be_scored_is_named(
    data: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    Path("begun").mkdir()
    Path("begun", "settings.json").write_text("{}")
    Path("file").touch()
    assert main(["evaluate", str(data), *options]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_names_are_as_short_as_they_can_be(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    assert short_names([a / "x" / "best.pth", b / "last.pth"]) == ["best.pth", "last.pth"]
    assert short_names([a / "x" / "1.pth", b / "x" / "1.pth"]) == ["a/x/1.pth", "b/x/1.pth"]
    assert short_names([]) == []
    with pytest.raises(InputError, match="two of which are the same"):
        short_names([a, b, a / ".." / "a"])


def test_one_checkpoint_is_still_what_dye_and_segment_take() -> None:
    from ohlora_fast.cli import build_parser

    args = build_parser().parse_args(["segment", "x.png", "-o", "y", "--checkpoint", "a", "--checkpoint", "b"])
    assert args.checkpoint == "b"
    assert build_parser().parse_args(["dye", "x.png", "-o", "y"]).checkpoint is None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals, and no SIGINT for one process")
@pytest.mark.parametrize("earlier", [False, True])
def test_a_bar_on_a_terminal_and_a_clean_ctrl_c(data: Path, tmp_path: Path, earlier: bool) -> None:
    out = tmp_path / "made"
    if earlier:
        assert main(["evaluate", str(data), "-o", str(out)]) == 0
    before = {name: (out / name).read_bytes() for name in files(out)} if earlier else None
    for index in range(400):
        for part in ("images", "masks"):
            os.link(data / part / "b_none.png", data / part / f"c_{index:03d}.png")
    import fcntl
    import termios

    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    command = [sys.executable, "-m", "ohlora_fast.cli", "evaluate", str(data), "-o", str(out), "--threads", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, text=True) as process:
        os.close(theirs)
        shown, deadline = "", time.monotonic() + 120
        while not re.search(r"[1-9]\d*/403 ", shown) and time.monotonic() < deadline:
            shown += (chunk := read_some(ours))
            assert chunk, shown
        process.send_signal(signal.SIGINT)
        while chunk := read_some(ours):
            shown += chunk
        assert process.wait(60) == 130, shown
    os.close(ours)
    assert "photo/s" in shown
    assert "Traceback" not in shown
    assert shown.rstrip().endswith("ohlora-fast: interrupted: nothing was left half-written")
    if before is None:
        assert not out.exists()
    else:
        assert {path.name for path in out.iterdir()} == {"photos", "report", "scores.csv"}
        assert {name: (out / name).read_bytes() for name in files(out)} == before


def read_some(terminal: int) -> str:
    """What comes next from a pseudo-terminal; nothing once its other end is closed, which Linux calls an error."""
    try:
        return os.read(terminal, 4096).decode()
    except OSError:
        return ""


def test_refined_masks_are_scored(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tables = []
    for options in ((), ("--refine",)):
        assert main(["evaluate", str(data), *options]) == 0
        tables.append(capsys.readouterr().out)
    assert tables[0] != tables[1]


@pytest.fixture
def scenes(tmp_path: Path, group_pixels: np.ndarray) -> Path:
    """Photos that are no portraits: one of one head, a group, and a wall; masks are the student's own."""
    folder, stylist = tmp_path / "scenes", HairStylist()
    one = group_pixels.copy()
    one[:, 340:] = one[0, 0]
    for part in ("ccp/val/images", "ccp/val/hair", "people", "nothing/val"):
        (folder / part).mkdir(parents=True)
    Image.fromarray(one).save(folder / "ccp/val/images/a.jpg", quality=95)
    seen = read_photo(folder / "ccp/val/images/a.jpg").pixels
    Image.fromarray(np.where(stylist.segment(seen) > 0.5, 255, 0).astype(np.uint8)).save(folder / "ccp/val/hair/a.png")
    Image.fromarray(group_pixels).save(folder / "people/b.jpg", quality=95)
    boxes = stylist.find_heads(group_pixels).boxes
    faces = [[x0 + 20, y0 + 60, x1 - 20, y1, 1.0] for x0, y0, x1, y1 in boxes.tolist()]
    (folder / "people/faces.json").write_text(json.dumps({"b.jpg": faces}))
    Image.new("RGB", (300, 200), (120, 140, 150)).save(folder / "nothing/val/c.jpg")
    return folder


def test_photos_that_are_no_portraits(
    scenes: Path, graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(scenes)]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines() == [
        "ccp/val: mean IoU 1.0000, below 0.3 0.0% of 1 photos",
        "people: heads found 100.00%, spill 0.00000 over 1 photos",
        "nothing/val: hair in 0.0% of 1 photos",
    ]
    several = ["--checkpoint", str(graph), "--checkpoint", str(bundled("default.onnx"))]
    assert main(["evaluate", str(scenes), "--whole", *several]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert (lines[0], lines[4], lines[1:4]) == ("again.onnx:", "default.onnx:", lines[5:])
    assert float(re.search("IoU ([0-9.]+)", lines[1])[1]) < 1  # type: ignore[index]
    for option in ("-o", "--csv"):
        assert main(["evaluate", str(scenes), option, str(tmp_path / "x")]) == 1
        assert f"--out, --csv: one came for {scenes}, whose scores are printed alone" in capsys.readouterr().err


def test_maps_of_whole_photos_are_scored(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(data), "--whole", "--tiles"]) == 0
    pairs = find_pairs(data)
    stylist = HairStylist()
    summary = summarise(pairs, list(pair_counts(lambda photo: stylist.segment(photo, heads="whole"), pairs)))
    assert capsys.readouterr().out.startswith(f"a: mean IoU {summary['a'].mean.iou:.4f} over 2 photos\n")
