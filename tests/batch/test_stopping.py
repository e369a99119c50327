"""What concerns every photo stops a run, condemns none, and is said in one line; runs side by side; slow disks."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ohlora_fast.batch import dye_set
from ohlora_fast.batch.outbox import LocalOutbox, StopError, open_outbox
from ohlora_fast.batch.pool import STORING, Pool
from ohlora_fast.batch.progress import Progress
from ohlora_fast.batch.run import How
from ohlora_fast.batch.task import Result
from ohlora_fast.cli import main
from ohlora_fast.errors import InputError

PHOTOS = 24


@pytest.fixture
def photos(tmp_path: Path, portrait_pixels: np.ndarray) -> Path:
    """A folder with pictures that differ, in two folders."""
    for number in range(PHOTOS):
        path = tmp_path / "in" / f"{number % 2}" / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.roll(portrait_pixels[:90, :90], number, axis=1)).save(path, compress_level=1)
    return tmp_path / "in"


def states(manifest: Path) -> dict[str, int]:
    """How many photos are in which state."""
    with closing(sqlite3.connect(manifest)) as opened:
        return dict(opened.execute("SELECT state, count(*) FROM files GROUP BY state").fetchall())


class Then(Progress):
    """Does something after some photos."""

    def __init__(self, count: int, act: Any) -> None:
        super().__init__()
        self.count, self.act = count, act

    def finished(self, result: Result) -> None:
        if self.done + self.failed == self.count:
            self.act()


def delete(folder: Path) -> None:
    """Delete a folder in one stroke: one by one, files would come after."""
    folder.rename(folder.with_name("deleted"))
    shutil.rmtree(folder.with_name("deleted"))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_disk_that_takes_nothing_more(
    photos: Path, tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    fsync, synced = os.fsync, iter(range(10**6))

    def full(descriptor: int) -> None:
        if next(synced) >= 7:
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    summary = dye_set([photos], out, how=How(recursive=True, workers=2))
    way = "make room, and" if number == errno.ENOSPC else "once that is mended,"
    assert summary.stopped == (f"cannot write into {out}: {os.strerror(number)}; {way} the same command does the rest")
    assert (summary.failed, summary.done + summary.left) == (0, PHOTOS)
    assert 0 < summary.done <= 7
    assert not list((out / ".ohlora-fast" / "tmp").iterdir())
    assert states(out / ".ohlora-fast" / "manifest.sqlite") == {"done": summary.done, "waiting": summary.left}
    monkeypatch.setattr(os, "fsync", fsync)
    again = dye_set([photos], out, how=How(recursive=True))
    assert (again.done, again.earlier, again.stopped) == (PHOTOS - summary.done, summary.done, None)


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_a_file_that_is_too_large_for_the_disk_is_the_photos_own(tmp_path: Path) -> None:
    script = """
import resource, signal, sys
from ohlora_fast.batch.outbox import StopError, open_outbox
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
outbox = open_outbox(sys.argv[1])
for name, size in (("large.bin", 5000), ("small.bin", 500)):
    try:
        outbox.put(name, bytes(size))
    except ValueError as error:
        print(type(error).__name__, error)
"""
    ran = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert ran.stdout == f"InputError cannot write {tmp_path / 'large.bin'}: File too large\n"
    assert (tmp_path / "small.bin").stat().st_size == 500


@pytest.mark.skipif(sys.platform == "win32", reason="files in use stay there")
def test_an_output_folder_that_is_deleted(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    progress = Then(5, lambda: delete(out))
    summary = dye_set([photos], out, how=How(recursive=True, workers=1), progress=progress)
    assert summary.stopped == f"the output folder {out} was deleted during the run; the same command makes it anew"
    assert summary.failed == 0
    assert not out.exists()
    assert dye_set([photos], out, how=How(recursive=True)).done == PHOTOS

    manifest = tmp_path / "m.sqlite"
    how = How(recursive=True, workers=1, manifest=str(manifest), overwrite=True)
    summary = dye_set([photos], out, how=how, progress=Then(PHOTOS, lambda: delete(out)))
    assert "was deleted during the run" in (summary.stopped or "")  # after the last photo, too
    assert dye_set([photos], out, how=how).done == PHOTOS


@pytest.mark.skipif(sys.platform == "win32", reason="files in use stay there")
def test_a_folder_in_it_that_is_deleted(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    summary = dye_set([photos], out, how=How(recursive=True, workers=1), progress=Then(3, lambda: delete(out / "0")))
    assert (summary.done, summary.failed, summary.stopped) == (PHOTOS, 0, None)
    again = dye_set([photos], out, how=How(recursive=True))
    assert again.done + again.earlier == PHOTOS
    assert 1 <= again.done <= PHOTOS // 2


def test_a_manifest_that_is_damaged(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    manifest = out / ".ohlora-fast" / "manifest.sqlite"
    arguments = ["dye", str(photos), "-o", str(out), "--recursive"]
    assert main(arguments) == 0
    whole = manifest.read_bytes()
    torn = bytearray(whole)
    torn[4096:] = os.urandom(len(torn) - 4096)
    for data in (b"no manifest" * 500, whole[:5000], bytes(torn)):
        manifest.write_bytes(data)
        capsys.readouterr()
        assert main(arguments) == 1
        error = capsys.readouterr().err
        assert error.startswith(f"ohlora-fast: error: manifest {manifest}: it is damaged (")
        assert "move it away, and give --skip-existing to keep what stands in the output folder" in error
        assert error.count("\n") == 1
    with closing(sqlite3.connect(manifest)) as opened:
        pass
    manifest.write_bytes(whole)
    with closing(sqlite3.connect(manifest)) as opened, opened:
        opened.execute("UPDATE files SET outputs = '[\"a' WHERE id = 3")
    assert main(arguments) == 1
    assert "it is damaged (names of outputs are unreadable)" in capsys.readouterr().err
    manifest.unlink()
    assert main([*arguments, "--skip-existing"]) == 0


def test_two_manifests_in_one_folder(photos: Path, tmp_path: Path) -> None:
    out, others = tmp_path / "out", []
    (photos / "0" / "bad.png").write_bytes(b"no picture")
    (photos / "1" / "bad2.png").write_bytes(b"no picture")

    def other_run() -> None:
        how = How(manifest=str(tmp_path / "second.sqlite"))
        others.append(dye_set([photos / "1"], f"{out}/1", how=how))
        others.append(dye_set([photos / "1"], out, how=how))

    how = How(recursive=True, manifest=str(tmp_path / "first.sqlite"))
    with LocalOutbox(str(out), "a third run's").writing("x.bin") as half:
        half.write_bytes(b"half")
        summary = dye_set([photos / "0"], out, how=how, progress=Then(4, other_run))
        assert half.read_bytes() == b"half"
    assert (summary.done, summary.failed) == (PHOTOS // 2, 1)
    assert [other.failed for other in others] == [1, 1]
    for run, name in ((summary, "bad.png"), (others[1], "bad2.png")):
        assert run.failures is not None
        assert name in run.failures.read_text()
    assert {path.name for path in tmp_path.glob("*.csv")} == {"first.sqlite.failed.csv", "second.sqlite.failed.csv"}


def test_storing_keeps_no_worker_from_working() -> None:
    all_there, stuck = threading.Barrier(STORING), threading.Event()
    worked: list[int] = []

    def work(number: int) -> int:
        worked.append(number)
        return number

    def store(number: int) -> int:
        if number < STORING:
            all_there.wait(60)  # so many wait at once, of one worker
        elif number == STORING:
            stuck.wait(60)
        return number

    with Pool(1) as pool:
        results = pool.map(work, iter(range(3 * STORING)), store)
        assert [next(results) for _ in range(STORING)] == list(range(STORING))
        while len(worked) < 3 * STORING - 1:  # the one at the slow disk holds up none
            threading.Event().wait(0.001)
        stuck.set()
        assert list(results) == list(range(STORING, 3 * STORING))


def test_what_is_raised_while_storing_is_raised(tmp_path: Path) -> None:
    def store(number: int) -> int:
        if number == 5:
            raise StopError("full")
        return number

    with Pool(2) as pool:
        got = []
        with pytest.raises(StopError, match="full"):
            got.extend(iter_into(got, pool.map(int, range(40), store)))
        assert got == [0, 1, 2, 3, 4]


def iter_into(got: list[int], results: Iterator[int]) -> Iterator[int]:
    """Keep results as they come."""
    for result in results:
        got.append(result)
    yield from ()


def test_names_that_no_file_can_have(tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    contents = {
        "nul.txt": (b"0/00.png\n0/\0.png\n", "line 2: the path has a NUL character"),
        "utf16.txt": ("0/00.png\n".encode("utf-16"), "line 1: the path has a NUL character"),
        "nul.csv": (b"path\n0/00.png\n0/\0.png\n", "line 3: "),
        "long.txt": (b"0/00.png\n" + b"x" * 200_000, "line 2: the path has 8,19"),
        "long.csv": (b"path,note\n0/00.png," + b"x" * 200_000 + b"\n", "line 2: cannot be read as CSV (field larger"),
    }
    for name, (data, message) in contents.items():
        (photos / name).write_bytes(data)
        assert main(["dye", str(photos / name), "-o", str(tmp_path / "out")]) == 1
        error = capsys.readouterr().err
        assert error.startswith(f"ohlora-fast: error: {photos / name}, {message}")
        assert error.count("\n") == 1
        assert len(error) < 500
    with pytest.raises(InputError, match="came as an input, which no file can be called"):
        dye_set(["a\0/b.jpg"], tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.png"))


def test_a_worker_that_is_out_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photos: Path) -> None:
    def none_left(*_: Any) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("ohlora_fast.batch.dyer.os.open", none_left)
    summary = dye_set([photos / "0"], tmp_path / "out", how=How(workers=1))
    assert (summary.failed, summary.left) == (0, PHOTOS // 2)
    assert "Too many open files; fewer --workers need fewer" in (summary.stopped or "")


def test_stores_that_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec = pytest.importorskip("fsspec")
    outbox = open_outbox("memory://refused")

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError("token expired")

    monkeypatch.setattr(fsspec.implementations.memory.MemoryFileSystem, "pipe_file", refuse)
    with pytest.raises(StopError, match="once that is mended, the same command does the rest"):
        outbox.put("a.jpg", b"abc")
