"""The end of the program: signals leave nothing half-written and abort nothing, and closed streams stop nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ohlora_fast.cli.ending import INTERRUPTED
from ohlora_fast.cli.streams import CONTROL, plain

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
COMMAND = [sys.executable, "-m", "ohlora_fast.cli"]


def half_written(folder: Path) -> list[Path]:
    return [*folder.rglob(".ohlora-*.tmp")]


def started(arguments: list[str], folder: Path) -> subprocess.Popen[str]:
    """The program, once it has begun to write in the folder."""
    process = subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    end = time.monotonic() + 100
    while not half_written(folder) and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()[0]
    assert half_written(folder)
    return process


@pytest.fixture
def long_work(request, tmp_path, portrait_pixels) -> list[str]:
    """Arguments for work that takes long and writes one output."""
    photo = tmp_path / "photo.png"
    Image.fromarray(portrait_pixels).save(photo)
    if request.param == "video":
        av = pytest.importorskip("av")
        with av.open(str(tmp_path / "in.mp4"), "w") as container:
            stream = container.add_stream("libx264", 25)
            stream.width, stream.height, stream.pix_fmt = 160, 200, "yuv420p"
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(portrait_pixels[:, :160]))
            for _ in range(2000):
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return ["video", str(tmp_path / "in.mp4"), str(tmp_path / "out.mp4")]
    return ["animate", str(photo), "-o", str(tmp_path / request.param), "--frames", "100000"]


@pytest.mark.parametrize(
    ("number", "long_work"),
    [(signal.SIGTERM, "video"), (signal.SIGHUP, "out.gif"), (signal.SIGTERM, "out.webm"), (signal.SIGINT, "out.mp4")],
    indirect=["long_work"],
)
def test_a_signal_leaves_nothing_half_written(number, long_work, tmp_path):
    before = sorted(tmp_path.iterdir())
    process = started(long_work, tmp_path)
    process.send_signal(number)
    output, _ = process.communicate(timeout=100)
    assert process.returncode == INTERRUPTED, output
    assert output.splitlines()[-1].startswith("ohlora-fast: interrupted: ")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("long_work", ["video"], indirect=True)
def test_a_second_signal_ends_the_program_at_once_and_as_cleanly(long_work, tmp_path):
    before = sorted(tmp_path.iterdir())
    process = started(long_work, tmp_path)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=100)
    assert process.returncode == INTERRUPTED, output
    assert "Traceback" not in output
    assert sorted(tmp_path.iterdir()) == before


SLOW_END = """
import os, signal, sys, threading, time
from ohlora_fast import cli
from ohlora_fast.cli import info
from ohlora_fast.media.files import written_whole

def work():
    with written_whole("out.bin") as file:
        file.write(b"half")
        begun.set()
        time.sleep(100)

def run(args):
    threading.Thread(target=work, daemon=True).start()
    begun.wait()
    try:
        print(len(os.listdir(".")), "file begun", flush=True)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(100)
    finally:  # what takes longer than the user has patience
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(100)

begun = threading.Event()
info.run = run
sys.argv = ["ohlora-fast", "info"]
sys.exit(cli.main())
"""


def test_a_second_signal_while_things_are_put_in_order():
    done = subprocess.run([sys.executable, "-c", SLOW_END], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (INTERRUPTED, "1 file begun\n"), done.stderr
    assert os.listdir(".") == []


def test_streams_that_are_closed(tmp_path, portrait):
    out = tmp_path / "mask.png"
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        command = f'"{sys.executable}" -m ohlora_fast.cli segment "{portrait}" -o "{out}" --overwrite {closed}'
        done = subprocess.run(command, shell=True, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        with Image.open(out) as mask:
            assert mask.size == (180, 200)
        out.unlink()


def test_a_full_stdout_is_one_line(tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full on this system")
    done = subprocess.run(f'"{sys.executable}" -m ohlora_fast.cli info >/dev/full', shell=True, capture_output=True)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


NAME = "a\x1b[2J\x1b]0;title\x07\x9b31m\u202e\r\nb.png"


@pytest.mark.parametrize(
    "arguments",
    [["segment", "{}", "-o", "{out}.png"], ["heads", "{}"], ["dye", "{}", "-o", "{out}.png"],
     ["segment", "{}", "--checkpoint", "{}", "-o", "{out}.png"], ["evaluate", "{}"], ["info", "{}"]],
)  # fmt: skip
def test_names_do_not_reach_the_terminal(arguments, tmp_path, portrait):
    photo = tmp_path / NAME
    photo.write_bytes(portrait.read_bytes())
    filled = [one.format(photo, out=tmp_path / "out") for one in arguments]
    done = subprocess.run([*COMMAND, *filled], capture_output=True)
    for stream in (done.stdout, done.stderr):
        assert not CONTROL.search(stream.decode("utf-8")), stream
    assert b"a\\u001b[2J" in done.stdout + done.stderr


def test_lines_of_json_stay_json(tmp_path, portrait):
    photo = tmp_path / NAME
    photo.write_bytes(portrait.read_bytes())
    done = subprocess.run([*COMMAND, "heads", photo], capture_output=True, text=True)
    assert json.loads(done.stdout)["file"] == str(photo), done.stderr


def test_progress_bars_keep_their_moves():
    for text in ("\r 50%|##  | 1/2", "\n\x1b[A", "\r      \r", "plain\tcolumns\n"):
        assert plain(text) == text
    assert plain("\r50%\rname\x1b[A") == "\r50%\\u000dname\\u001b[A"
