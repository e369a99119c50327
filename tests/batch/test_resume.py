"""Runs that are killed, and what the next run makes of it."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ohlora_fast import HairStylist
from ohlora_fast.batch import Recipe, dye_set
from ohlora_fast.batch.dyer import checksums
from ohlora_fast.batch.run import How
from ohlora_fast.errors import InputError
from ohlora_fast.media.images import read_photo


@pytest.fixture
def photos(tmp_path: Path, portrait_pixels: np.ndarray) -> Path:
    """A folder with 60 pictures that differ."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(60):
        Image.fromarray(np.roll(portrait_pixels, number, axis=1)).save(folder / f"{number:02}.png", compress_level=1)
    return folder


def rows(out: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(out / ".ohlora-fast" / "manifest.sqlite")) as manifest:
        return manifest.execute(query).fetchall()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_killed_at_any_moment(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "ohlora_fast.cli",
        "dye",
        str(photos),
        "-o",
        str(out),
        "--quiet",
        "--color",
        "0..1",
    ]
    chance, codes = random.Random(), []
    for attempt in range(8):
        # The first two within the start; the others while more pictures come, however long that takes.
        wanted = len(list(out.glob("*.png"))) + chance.randrange(1, 6) if attempt > 1 else 0
        process = subprocess.Popen(command)
        while len(list(out.glob("*.png"))) < wanted and process.poll() is None:
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.2 if attempt > 1 else 0.5))
        process.kill()
        codes.append(process.wait())
        for path in out.glob("*.png"):  # whatever stands there is whole
            read_photo(path)
    assert set(codes) <= {-signal.SIGKILL, 0}
    assert codes.count(-signal.SIGKILL) >= 2
    assert subprocess.run(command, check=False).returncode == 0
    assert sorted(path.name for path in out.glob("*")) == [
        ".ohlora-fast",
        *(f"{number:02}.png" for number in range(60)),
    ]
    assert not list((out / ".ohlora-fast" / "tmp").glob("*"))
    stylist, recipe = HairStylist(threads=1), Recipe(color=(0.0, 1.0))
    for path in sorted(photos.iterdir()):
        wanted = stylist.dye(read_photo(path).pixels, recipe.settings(path.name).color)
        np.testing.assert_array_equal(read_photo(out / path.name).pixels, wanted)
    recorded = rows(out, "SELECT source, state, checksums, bytes FROM photos ORDER BY source")
    assert recorded == [
        (str(path), "done", *checksums([(out / path.name).read_bytes()]), (out / path.name).stat().st_size)
        for path in sorted(photos.iterdir())
    ]


def test_what_changes_is_made_again(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert dye_set([photos], out).done == 60
    made = {path.name: path.stat().st_mtime_ns for path in out.glob("*.png")}

    def changed() -> set[str]:
        now = {path.name: path.stat().st_mtime_ns for path in out.glob("*.png")}
        different = {name for name, time_ns in now.items() if made.get(name) != time_ns}
        made.update(now)
        return different

    Image.open(photos / "03.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(photos / "03.png")
    (out / "07.png").unlink()
    (out / "09.png").write_bytes(b"cut")
    assert dye_set([photos], out).done == 3
    assert changed() == {"03.png", "07.png", "09.png"}

    data = bytearray((out / "11.png").read_bytes())
    data[-20] ^= 1  # the size stays
    (out / "11.png").write_bytes(data)
    changed()
    assert dye_set([photos], out).done == 0
    assert dye_set([photos], out, how=How(verify=True)).done == 1
    assert changed() == {"11.png"}

    table = tmp_path / "in" / "settings.csv"
    table.write_text("path,color\n" + "".join(f"{number:02}.png,0.9\n" for number in range(5)))
    assert dye_set([table], out).done == 5
    assert changed() == {f"{number:02}.png" for number in range(5)}
    assert dye_set([table], out, Recipe(ombre_height=1.0)).done == 5
    assert dye_set([photos], out, Recipe(engine="onnx")).done == 60
    assert dye_set([photos], out, Recipe(engine="onnx"), How(workers=1)).done == 0


def test_failures_are_kept_in_mind(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (photos / "bad.png").write_bytes(b"no picture")
    first = dye_set([photos], out)
    again = dye_set([photos], out)
    assert (first.done, first.failed, again.done, again.failed) == (60, 1, 0, 1)
    (attempt,) = rows(out, "SELECT run, seconds, error FROM photos WHERE state = 'failed'")
    tried = dye_set([photos], out, how=How(retry_failed=True))
    assert (tried.done, tried.failed) == (0, 1)
    (later,) = rows(out, "SELECT run, seconds, error FROM photos WHERE state = 'failed'")
    assert later[1] != attempt[1]
    assert later[2] == attempt[2]
    wanted = "cannot read it: it is no picture (it begins with the bytes 6e 6f 20 70); allowed are JPEG, "
    assert str(later[2]).startswith(wanted)
    shutil.copy(photos / "00.png", photos / "bad.png")
    assert dye_set([photos], out).done == 1
    assert not (out / ".ohlora-fast" / "failed.csv").exists()


def test_one_run_at_a_time(photos: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from ohlora_fast.batch.manifest import Manifest; "
        "held = Manifest(sys.argv[1], [], '0'); print('held', flush=True); sys.stdin.read()"
    )
    path = tmp_path / "out" / ".ohlora-fast" / "manifest.sqlite"
    holder = subprocess.Popen([sys.executable, "-c", script, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(InputError, match="another run is at work on it"):
        dye_set([photos], tmp_path / "out")
    holder.kill()
    holder.wait()
    holder.stdin.close()
    holder.stdout.close()
    assert dye_set([photos], tmp_path / "out").done == 60


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(photos: Path, tmp_path: Path, sent: signal.Signals) -> None:
    out = tmp_path / "out"
    for number in range(60, 1500):
        os.link(photos / "00.png", photos / f"{number}.png")
    command = [sys.executable, "-m", "ohlora_fast.cli", "dye", str(photos), "-o", str(out), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not list(out.glob("*.png")):
        time.sleep(0.01)
    process.send_signal(sent)
    _, error = process.communicate()
    assert process.returncode == 130
    assert error.startswith("ohlora-fast: interrupted: ")
    made = len(list(out.glob("*.png")))
    assert made < 1000  # what was under way ends, and no more
    assert rows(out, "SELECT count(*) FROM photos WHERE state = 'done'") == [(made,)]
    assert not list((out / ".ohlora-fast" / "tmp").glob("*"))


def test_what_was_unreadable_for_a_while(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert dye_set([photos], out, how=How(limit=3)).done == 3
    (photos / "00.png").rename(tmp_path / "away.png")
    (photos / "00.png").symlink_to("nowhere")
    assert dye_set([photos / "00.png"], out).failed == 1
    assert dye_set([photos / "00.png"], out, how=How(retry_failed=True)).failed == 1
    (photos / "00.png").unlink()
    (tmp_path / "away.png").rename(photos / "00.png")
    assert dye_set([photos / "00.png"], out).done == 1  # its output of the first run is its own still


def test_a_name_that_is_taken(photos: Path, tmp_path: Path, portrait_pixels: np.ndarray) -> None:
    other = tmp_path / "b" / "00.png"
    other.parent.mkdir()
    Image.fromarray(portrait_pixels).save(other)
    out = tmp_path / "out"
    for _ in range(2):
        with pytest.raises(
            InputError, match=r"00\.png would be made of it, and is made of .* already; give the folder"
        ):
            dye_set([photos / "00.png", other], out)
    assert not list(out.glob("*.png"))
    assert dye_set([photos / "00.png"], out).done == 1
    with pytest.raises(InputError, match=f"{other}: 00.png would be made of it"):
        dye_set([other], out)


def test_one_photo_under_two_names(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert dye_set([photos / "00.png", f"{photos}/./00.png"], tmp_path / "out").done == 1
    monkeypatch.chdir(photos)
    again = dye_set(["00.png"], tmp_path / "out")  # the same photo, seen from another folder
    assert (again.done, again.earlier) == (0, 1)
    assert rows(tmp_path / "out", "SELECT source FROM photos") == [("00.png",)]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX file systems")
def test_words_about_names_that_are_no_utf8(photos: Path, tmp_path: Path, portrait_pixels: np.ndarray) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    alpha = np.full(portrait_pixels.shape[:2], 9, np.uint8)
    Image.fromarray(np.dstack([portrait_pixels, alpha])).save(photos / f"{name}.png")
    (photos / name).write_bytes(b"no picture")
    assert dye_set([photos], tmp_path / "out", Recipe(suffix=".jpg")).failed == 1
    (note,) = [row[0] for row in rows(tmp_path / "out", "SELECT notes FROM photos WHERE notes > ''")]
    assert note == r"caf\udce9.jpg.jpg: JPEG keeps no transparency; the picture is laid on white"
