"""Photos at once, as memory allows; and large photos that killed a run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ohlora_fast.batch import dye_set
from ohlora_fast.batch.dyer import Dyer
from ohlora_fast.batch.gate import BYTES_A_PIXEL, SHARE, Gate, Journal
from ohlora_fast.batch.pool import Pool
from ohlora_fast.batch.progress import Progress
from ohlora_fast.batch.recipe import Recipe
from ohlora_fast.batch.task import Task
from ohlora_fast.errors import InputError


def memory_for(pixels: float) -> int:
    """Free memory of which photos of so many pixels have room at once."""
    return round(pixels * BYTES_A_PIXEL / SHARE)


class Watched(Gate):
    """A gate that keeps in mind how many pixels and photos were within at once."""

    def __init__(self, memory: int) -> None:
        super().__init__(memory)
        self.most = 0
        self.largest = 0
        self._lock = threading.Lock()

    def _enter(self, name: tuple[str, str | None], pixels: int) -> tuple[int, bool]:
        entered = super()._enter(name, pixels)
        with self._lock:
            self.most = max(self.most, self.pixels)
            self.largest = max(self.largest, self._large)
        return entered


@pytest.mark.filterwarnings("ignore::ohlora_fast.errors.NoHairWarning")
@pytest.mark.parametrize(
    ("sides", "room"), [((100, 90, 80, 70) * 3, 9_000), ((100,) * 8, 50_000), ((30,) * 20, 40_000)]
)
def test_pixels_at_once(tmp_path: Path, sides: tuple[int, ...], room: int) -> None:
    gate = Watched(memory_for(room))
    dyer = Dyer(Recipe(heads="whole"), gate=gate)
    tasks = []
    for number, side in enumerate(sides):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (side, side), (90, 60, number)).save(path)
        tasks.append(Task(str(path), "photo", path.name, (path.name,), (0.5, 0.6, 0.5)))
    with Pool(6) as pool:
        finished = list(pool.map(dyer.photo, tasks, lambda one: one))
    assert [one.result.error for one in finished] == [None] * len(sides)
    assert max(sides) ** 2 <= gate.most <= room or gate.most == room
    assert gate.largest <= 1  # photos of which four have no room together go one at a time
    assert gate.pixels == 0


def test_a_refused_photo_takes_no_room(tmp_path: Path) -> None:
    (tmp_path / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    gate = Gate(memory_for(10**6))
    finished = Dyer(Recipe(), gate=gate).photo(
        Task(str(tmp_path / "cut.png"), "photo", "x.png", ("x.png",), (0.5, 0.6, 0.5))
    )
    assert "cannot read it" in (finished.result.error or "")
    assert gate.pixels == 0


class Told(Progress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        super().__init__(lambda kind, text: self.lines.append(f"{kind}: {text}"))


KILLED = """
import os, signal, sys
from ohlora_fast.batch import dye_set, dyer, gate
from ohlora_fast.batch.progress import Progress
from ohlora_fast.batch.run import How
gate.usable_memory = lambda: int(sys.argv[3])
gate._kills = lambda: [None, None]  # a system that does not say what it killed
decode = dyer.decode_photo
def fatal(file, name, max_pixels, side, admit):
    def at_it(pixels):
        admit(pixels)
        if "huge" in name:
            os.kill(os.getpid(), signal.SIGKILL)
    return decode(file, name, max_pixels, side, at_it)
dyer.decode_photo = fatal
told = Progress(lambda kind, text: print(text, file=sys.stderr, flush=True))
dye_set([sys.argv[1]], sys.argv[2], how=How(workers=2), progress=told)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_photo_that_kills_runs(tmp_path: Path, portrait_pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    Image.new("RGB", (400, 400), "white").save(folder / "huge.png")
    for number in range(5):
        Image.fromarray(portrait_pixels[:60, :60]).save(folder / f"{number}.png")
    memory = memory_for(200_000)

    def killed() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", KILLED, str(folder), str(out), str(memory)]
        return subprocess.run(command, capture_output=True, text=True)

    assert killed().returncode == -signal.SIGKILL
    kept = json.loads((out / ".ohlora-fast" / "large.json").read_text())
    assert kept["at"] == [str(folder / "huge.png"), None]
    ran = killed()
    assert ran.returncode == -signal.SIGKILL
    assert f"{folder / 'huge.png'}: an earlier run was killed while it worked on it" in ran.stderr

    monkeypatch.setattr("ohlora_fast.batch.gate._kills", lambda: [None, None])
    told = Told()
    summary = dye_set([folder], out, progress=told)
    assert (summary.failed, summary.left) == (1, 0)
    assert {path.name for path in out.glob("*.png")} == {f"{number}.png" for number in range(5)}
    (error,) = [line for line in told.lines if line.startswith("error")]
    assert error.startswith(f"error: {folder / 'huge.png'}: cannot read it: 2 runs were killed")
    assert not (out / ".ohlora-fast" / "large.json").exists()


@pytest.mark.parametrize(
    ("now", "counted"),
    [(["boot", 5], {}), (["boot", 6], {("a.jpg", "row 3"): 1}), (["another", 5], {("a.jpg", "row 3"): 1})],
)
def test_what_the_system_says_it_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now: list[object], counted: dict[object, int]
) -> None:
    monkeypatch.setattr("ohlora_fast.batch.gate._kills", lambda: ["boot", 5])
    Journal(tmp_path / "large.json").begin(("a.jpg", "row 3"))
    monkeypatch.setattr("ohlora_fast.batch.gate._kills", lambda: now)
    assert Journal(tmp_path / "large.json").killed == counted


def test_a_journal_that_is_damaged(tmp_path: Path) -> None:
    for text in ("", "{", "[]", '{"at": 3, "kills": [], "killed": {"a": 1}}'):
        (tmp_path / "large.json").write_text(text)
        assert Journal(tmp_path / "large.json").killed == {}


def test_given_up_and_tried_again(tmp_path: Path) -> None:
    path, name = tmp_path / "large.json", (os.fsdecode(b"caf\xe9.jpg"), None)
    path.write_text(json.dumps({"at": None, "kills": [None, None], "killed": [[*name, 2]]}))
    with pytest.raises(InputError, match="2 runs were killed while they worked on it"):
        Journal(path).asked(name)
    assert not Journal(path, forget=True).asked(name)
