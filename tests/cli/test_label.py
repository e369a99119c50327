"""`ohlora-fast label`, with the bundled student's graph as the teacher."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ohlora_fast.cli import main
from ohlora_fast.student import bundled
from ohlora_fast.teacher.soft_labels import read_ledger

TEACHER = ("--teacher", str(bundled("default.onnx")), "--device", "cpu")
COUNT = 40


def label(*arguments: object) -> int:
    return main(["label", *map(str, arguments), *TEACHER])


def started(*arguments: object, **options) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ohlora_fast.cli", "label", *map(str, arguments), *TEACHER],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8", **options,
    )  # fmt: skip


def labels(folder: Path) -> list[Path]:
    return sorted(folder.glob("parsing_hair_label_*.png"))


def wait_for(process: subprocess.Popen[str], folder: Path, count: int) -> None:
    """Return when so many labels are there, or the process has ended."""
    deadline = time.monotonic() + 100
    while process.poll() is None and len(labels(folder)) < count and time.monotonic() < deadline:
        time.sleep(0.002)


@pytest.fixture
def many(tmp_path: Path, portrait: Path) -> Path:
    """A folder of pictures."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(COUNT):
        (folder / f"set{number % 3}_{number:03}.png").hardlink_to(portrait)
    return folder


@pytest.fixture
def expected(tmp_path: Path, portrait: Path) -> tuple[bytes, bytes]:
    """The two files that the picture becomes."""
    assert label(portrait, "-o", tmp_path / "expected") == 0
    names = ("face_000000.png", "parsing_hair_label_000000.png")
    face, grey = ((tmp_path / "expected" / name).read_bytes() for name in names)
    return face, grey


def test_hair_is_labelled(portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.v2"  # a folder all the same
    assert label(portrait, "-o", out) == 0
    assert capsys.readouterr().out == f"{out}: 1 of 1 labelled by default.onnx, 1 of them now\n"
    assert sorted(os.listdir(out)) == ["face_000000.png", "labels.csv", "parsing_hair_label_000000.png"]
    with Image.open(out / "parsing_hair_label_000000.png") as image:
        grey = np.asarray(image)
    assert grey.min() < 50
    assert grey.max() > 200
    assert label(portrait, "-o", out) == 0
    assert capsys.readouterr().out == f"{out}: 1 of 1 labelled by default.onnx, 0 of them now\n"


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_killed_at_any_moment_it_goes_on(many: Path, tmp_path: Path, expected: tuple[bytes, bytes]) -> None:
    out = tmp_path / "out"
    for number in sorted(random.sample(range(1, COUNT // 2), 2)):
        process = started(many, "-o", out, "--batch", 3)
        wait_for(process, out, number)
        time.sleep(random.uniform(0, 0.01))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert number <= len(labels(out)) < COUNT
        assert all(path.read_bytes() == expected[1] for path in labels(out))
        assert all(path.read_bytes() == expected[0] for path in out.glob("face_*.png"))
        assert len(read_ledger(out)) == COUNT
    finished = {path.name: path.stat().st_ino for path in labels(out)}
    rows = read_ledger(out)
    assert label(many, "-o", out, "--batch", 3) == 0
    assert {name: (out / name).stat().st_ino for name in finished} == finished
    assert read_ledger(out) == rows
    assert [(row.index, Path(row.path), row.source) for row in rows] == [
        (index, path, path.name[:4]) for index, path in enumerate(sorted(many.iterdir()))
    ]
    assert sorted(os.listdir(out)) == sorted(["labels.csv", *(file.name for row in rows for file in row.files(out))])
    assert all(path.read_bytes() == expected[1] for path in labels(out))


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_says_how_to_go_on(many: Path, tmp_path: Path, expected: tuple[bytes, bytes]) -> None:
    out = tmp_path / "out"
    process = started(many, "-o", out, "--batch", 1)
    wait_for(process, out, 3)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate()
    assert process.returncode == 130
    done = len(labels(out))
    assert 3 <= done < COUNT
    assert error.endswith(f" of {COUNT} labelled; their files are whole, and the same command goes on from there\n")
    assert error.count("\n") == 1
    assert error.startswith("ohlora-fast: interrupted: ")
    assert not list(out.glob(".*"))
    assert all(path.read_bytes() == expected[1] for path in labels(out))


def test_failures_are_named_and_the_rest_goes_on(
    many: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = sorted(many.iterdir())[7]
    broken.unlink()
    broken.write_bytes(b"no picture")
    assert label(many, many / "gone.png", "-o", tmp_path / "out") == 1
    captured = capsys.readouterr()
    first, second = captured.err.splitlines()
    assert first.startswith(f"ohlora-fast: error: cannot read {broken}: it is no picture")
    assert second == f"ohlora-fast: error: cannot read {many / 'gone.png'}: No such file or directory"
    assert f"{COUNT - 1} of {COUNT + 1} labelled" in captured.out
    assert len(labels(tmp_path / "out")) == COUNT - 1


def test_another_teacher_is_one_line(portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert label(portrait, "-o", tmp_path / "out") == 0
    other = ("--teacher", str(bundled("default.safetensors")), "--device", "cpu")
    assert main(["label", str(portrait), "-o", str(tmp_path / "out"), *other]) == 1
    error = capsys.readouterr().err
    assert "labels.csv: is by the teacher default.onnx (" in error
    assert error.count("\n") == 1


def test_the_channel_of_hair_goes_by_index_or_name(portrait: Path, tmp_path: Path, pixelwise) -> None:
    path = pixelwise([[9, 0, 0], [0, 0, 0], [0, 0, 3]], names={"classes": "skin,hat,hair"})

    def labelled(*arguments: str) -> tuple[bytes, str]:
        out = tmp_path / "-".join(["out", *arguments])
        assert (
            main(["label", str(portrait), "-o", str(out), "--teacher", str(path), "--device", "cpu", *arguments]) == 0
        )
        (row,) = read_ledger(out)
        return labels(out)[0].read_bytes(), row.settings

    hair = labelled("--hair-channel", "2")
    assert hair[1] == "hair-channel=2 input-range=imagenet activation=softmax"
    assert labelled("--hair-channel", "Hair") == labelled() == hair
    assert labelled("--hair-channel", "skin") == labelled("--hair-channel", "0")
    assert labelled("--hair-channel", "0")[0] != hair[0]
    assert labelled("--activation", "sigmoid", "--input-range", "unit")[0] != hair[0]


def test_folders_are_gone_into_only_if_asked(many: Path, tmp_path: Path, portrait: Path) -> None:
    (many / "deep").mkdir()
    (many / "deep" / "a.png").hardlink_to(portrait)
    out = many / "labels"  # within the input: what was labelled is no input
    assert label(many, "-o", out, "--recursive") == 0
    assert len(labels(out)) == COUNT + 1
    assert label(many, "-o", out, "--recursive") == 0
    assert label(many, "-o", out) == 0
    assert len(labels(out)) == COUNT + 1


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_a_disk_that_takes_no_more_ends_it(many: Path, tmp_path: Path) -> None:
    import resource

    process = started(  # a face has more bytes, the ledger has fewer
        many, "-o", tmp_path / "out",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, resource.RLIM_INFINITY)),
    )  # fmt: skip
    _, error = process.communicate()
    assert process.returncode == 1
    face = tmp_path / "out" / "face_000000.png"
    assert error == (
        f"ohlora-fast: error: cannot write {face}: File too large; 0 of {COUNT} labelled, the same command goes on "
        "from there\n"
    )
    assert os.listdir(tmp_path / "out") == ["labels.csv"]


def test_the_published_teacher_without_a_network(hub, portrait: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ohlora_fast.cli", "label", str(portrait), "-o", str(tmp_path / "out")],
        env=hub.environment | {"HF_ENDPOINT": "http://127.0.0.1:9"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith(
        "ohlora-fast: error: facexformer (kartiknarayan/facexformer, ckpts/model.pt): not in "
    )
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--hair-channel", "beard"], 1, "hair channel: got 'beard', allowed for teacher"),
        (["--activation", "softmax"], 1, "activation: got softmax, but teacher"),
        (["--input-range", "unit"], 1, "input range: got 'unit', allowed for teacher"),
        (["--input-range", "bytes"], 2, "invalid choice: 'bytes'"),
        (["--batch", "0"], 2, "'0' came; allowed is a whole number from 1 on"),
    ],
)
def test_wrong_options(
    arguments: list[str], code: int, message: str, portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert label(portrait, "-o", tmp_path / "out", *arguments) == code
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
