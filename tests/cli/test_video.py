"""`video` and `webcam` from the command line."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import av
import cv2
import numpy as np
import pytest

from ohlora_fast import NaturalDye
from ohlora_fast.cli import main
from ohlora_fast.media.video import VideoWriter
from ohlora_fast.video import dye_video


@pytest.fixture
def film(tmp_path: Path, portrait_pixels: np.ndarray) -> Path:
    """A second of the portrait."""
    small = cv2.resize(portrait_pixels, (128, 96), interpolation=cv2.INTER_AREA)
    path = tmp_path / "in.mp4"
    with VideoWriter(path, 25, (96, 128)) as writer:
        for _ in range(25):
            writer.write(small)
    return path


def frames_of(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]


def test_a_video_is_dyed(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = tmp_path / "keys.txt"
    keys.write_text("0: color=red\n0.8: color=blue\n")
    out = tmp_path / "out.mp4"
    options = ["--ombre-height", "1", "--ombre-grad-height", "0", "--crf", "10", "--preset", "ultrafast"]
    assert main(["video", str(film), str(out), "--keyframes", str(keys), *options]) == 0
    assert capsys.readouterr() == (f"{out}: 25 frames\n", "")
    hair = [(now - was)[10:40].mean((0, 1)) for now, was in zip(frames_of(out), frames_of(film), strict=True)]
    assert hair[0][0] > hair[0][2] + 3
    assert hair[-1][2] > hair[-1][0] + 3


@pytest.mark.parametrize(
    ("options", "method"),
    [
        ("--method natural", NaturalDye()),
        ("--color brown --lift 0.8", NaturalDye("brown", lift=0.8)),
        (
            "--palette sunset --direction flow --highlights gold",
            NaturalDye("sunset", direction="flow", highlights="gold"),
        ),
    ],
)
def test_a_video_is_dyed_naturally(film: Path, tmp_path: Path, options: str, method: NaturalDye) -> None:
    out, wanted = tmp_path / "out.mp4", tmp_path / "wanted.mp4"
    assert main(["video", str(film), str(out), *options.split()]) == 0
    dye_video(film, wanted, method=method)
    assert np.array_equal(frames_of(out), frames_of(wanted))


@pytest.fixture
def two(tmp_path: Path, portrait_pixels: np.ndarray) -> Path:
    """A few frames of two heads."""
    pair = np.hstack([portrait_pixels, portrait_pixels[:, ::-1]])
    path = tmp_path / "two.mp4"
    with VideoWriter(path, 25, (200, 360)) as writer:
        for _ in range(3):
            writer.write(pair)
    return path


@pytest.mark.parametrize(
    ("options", "reds"),
    [
        (["--head-colors", "red,blue"], (1, -1)),
        (["--head", "2,1", "--head-colors", "red,blue"], (-1, 1)),
        (["--head", "2", "--color", "red"], (0, 1)),
        (["--head-colors", "red"], (1, 1)),
        (["--head-colors", "red,blue", "--method", "natural", "--keyframes", "0:ombre-height=1"], (1, -1)),
    ],
)
def test_heads_are_picked_and_have_colours(
    two: Path, tmp_path: Path, options: list[str], reds: tuple[int, int]
) -> None:
    """Red is told from blue by what it adds to each; a head that is not picked stays as it is."""
    out = tmp_path / "out.mp4"
    heights = ["--ombre-height", "1", "--ombre-grad-height", "0", "--crf", "5"]
    assert main(["video", str(two), str(out), *heights, *options]) == 0
    change = frames_of(out)[-1] - frames_of(two)[-1]
    for sign, hair in zip(reds, (change[20:90, 60:130], change[20:90, 230:300]), strict=True):
        redder = (hair[..., 0] - hair[..., 2]).mean()
        assert redder * sign > 5 if sign else abs(redder) < 1


def test_a_head_that_is_not_there_is_noted(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["video", str(film), str(tmp_path / "out.mp4"), "--head", "3"]) == 0
    error = capsys.readouterr().err
    assert "in.mp4: head 3 is not in it" in error
    assert "no hair found in 25 of 25 frames" in error


def test_pytorch_is_not_loaded(film: Path, tmp_path: Path) -> None:
    program = (
        "import sys\nfrom ohlora_fast.cli import main\n"
        "assert main(['video', *sys.argv[1:], '--device', 'cpu']) == 0\nassert 'torch' not in sys.modules\n"
    )
    for method in ("seed", "natural"):
        out = str(tmp_path / f"{method}.mp4")
        subprocess.run([sys.executable, "-c", program, str(film), out, "--method", method], check=True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--keyframes", "nowhere.txt"], "--keyframes: cannot read nowhere.txt: No such file"),
        (["--keyframes", "0:size=1"], "keyframes: '0:size=1' came"),
        (["--codec", "nonsense"], "codec: got 'nonsense'"),
        (["--overwrite"], "never overwritten"),
        (["--head-colors", "red", "--keyframes", "0:color=1"], "--head-colors: came with a colour in --keyframes"),
        (["--head-colors", "red", "--palette", "copper"], "--head-colors: came with --palette"),
        (["--method", "seed", "--lift", "0.5"], "--lift: came with --method seed; allowed is --method natural"),
        (["--palette", "copper", "--keyframes", "0:color=1"], "keyframes: color came, but the dye is 'copper'"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    out = film if "--overwrite" in options else tmp_path / "out.mp4"
    assert main(["video", str(film), str(out), *options]) == 1
    _, error = capsys.readouterr()
    assert said in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


@pytest.mark.parametrize(
    ("option", "value"),
    [("--crf", "64"), ("--smooth", "1"), ("--color", "grey"), ("--head", "0"), ("--head-colors", "red,grey")],
)
def test_options_out_of_range_are_refused(capsys: pytest.CaptureFixture[str], option: str, value: str) -> None:
    assert main(["video", "a.mp4", "b.mp4", option, value]) == 2
    assert f"argument {option}:" in capsys.readouterr().err


def test_a_recording_ends_with_the_file(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.mp4"
    assert main(["webcam", "--source", str(film), "--record", str(out)]) == 0
    assert capsys.readouterr().out.startswith("open http://127.0.0.1:")
    assert 1 <= len(frames_of(out)) <= 25


def test_a_camera_s_picture_is_dyed_naturally(film: Path, tmp_path: Path) -> None:
    plain, copper = tmp_path / "plain.mp4", tmp_path / "copper.mp4"
    for out, options in ((plain, []), (copper, ["--palette", "copper", "--lift", "1"])):
        command = ["webcam", "--source", str(film), "--record", str(out), "--ombre-height", "1", *options]
        assert main(command) == 0
    red = [(frames_of(out)[-1][..., 0] - frames_of(out)[-1][..., 2])[10:40].mean() for out in (plain, copper)]
    assert red[1] > red[0] + 10


def test_ctrl_c_ends_a_recording_well(film: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    command = [sys.executable, "-m", "ohlora_fast.cli", "webcam", "--source", str(film), "--record", str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        address = running.stdout.readline().split()[1]
        with urlopen(f"{address}stream", timeout=60) as stream:
            stream.readline()  # the first picture has come
        running.send_signal(signal.SIGINT)
        _, error = running.communicate(timeout=60)
    assert (running.returncode, error) == (0, "")
    assert 1 <= len(frames_of(out)) <= 25
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


def test_a_camera_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["webcam", "--camera", "93"]) == 1
    said = "/dev/video93: No such file" if sys.platform == "linux" else "on Linux alone"
    assert said in capsys.readouterr().err
