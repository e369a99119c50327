"""Folders full of surprises: nothing stops a run, everything is reported, nothing is written elsewhere."""

from __future__ import annotations

import csv
import os
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ohlora_fast.batch import Recipe, Summary, dye_set
from ohlora_fast.batch.run import How
from ohlora_fast.media.images import read_photo

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="POSIX file systems")


def everything_below(folder: Path) -> dict[str, tuple[int, int]]:
    """Every name below a folder, with what changes when it does."""
    return {
        os.path.join(parent, name): (status.st_mtime_ns, status.st_size)
        for parent, folders, files in os.walk(folder)
        for name in (*folders, *files)
        if (status := os.lstat(os.path.join(parent, name)))
    }


def failures(summary: Summary) -> dict[str, str]:
    """Name of each file that failed → why."""
    assert summary.failures is not None
    with open(summary.failures, encoding="utf-8", errors="surrogateescape", newline="") as file:
        return {os.path.basename(row["source"]): row["error"] for row in csv.DictReader(file)}


@pytest.fixture
def folder(tmp_path: Path, portrait: Path) -> Path:
    """A folder with one good picture."""
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.move(portrait, folder / "good.png")
    return folder


def png_claiming(width: int, height: int) -> bytes:
    """A PNG file of this size, as far as its header tells."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def test_what_is_no_picture(folder: Path, portrait_pixels: np.ndarray) -> None:
    good = Image.fromarray(portrait_pixels)
    good.save(folder / "whole.jpg")
    (folder / "cut.jpg").write_bytes((folder / "whole.jpg").read_bytes()[:3000])
    (folder / "empty.jpg").touch()
    (folder / "text.jpg").write_text("hello")
    (folder / "folder.jpg").mkdir()
    (folder / "huge.png").write_bytes(png_claiming(30_000, 30_000))
    frames = [good, good.transpose(Image.Transpose.ROTATE_180)]
    frames[0].save(folder / "moving.webp", save_all=True, append_images=frames[1:], lossless=True)
    summary = dye_set([folder], folder.parent / "out", how=How(workers=2))
    assert (summary.done, summary.failed) == (3, 4)
    why = failures(summary)
    assert "cut short" in why["cut.jpg"]
    assert "it is empty" in why["empty.jpg"]
    assert "it is no picture" in why["text.jpg"]
    assert "30000×30000 = 900,000,000 pixels" in why["huge.png"]
    made = sorted(path.name for path in (folder.parent / "out").iterdir())
    assert made == [".ohlora-fast", "good.png", "moving.webp", "whole.jpg"]
    with Image.open(folder.parent / "out" / "moving.webp") as first:
        assert getattr(first, "n_frames", 1) == 1


@POSIX
def test_links_pipes_and_loops(folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "up").symlink_to("..")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "gone.jpg").symlink_to("nowhere")
    (folder / "linked.png").symlink_to("good.png")
    os.mkfifo(folder / "pipe.jpg")
    before = everything_below(folder)
    summary = dye_set([folder], folder.parent / "out", how=How(recursive=True))
    assert (summary.done, summary.failed) == (2, 3)
    why = failures(summary)
    assert "oo many" in why["loop.jpg"]
    assert "No such file" in why["gone.jpg"]
    assert "not a regular file" in why["pipe.jpg"]
    assert everything_below(folder) == before


def without_privileges() -> list[str] | None:
    """What to put before a command that is to be held to permissions; None if that cannot be had here."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return [] if hasattr(os, "geteuid") else None
    lost = "-dac_override,-dac_read_search"
    prefix = ["setpriv", f"--bounding-set={lost}", f"--inh-caps={lost}"]
    try:
        return prefix if subprocess.run([*prefix, "true"], capture_output=True).returncode == 0 else None
    except OSError:
        return None


@pytest.mark.skipif(without_privileges() is None, reason="nothing is unreadable to this user")
def test_unreadable(folder: Path) -> None:
    for name in ("secret.png", "locked/inside.png", "open/inside.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(folder / "good.png", folder / name)
    (folder / "secret.png").chmod(0)
    (folder / "locked").chmod(0)
    out = folder.parent / "out"
    command = [sys.executable, "-m", "ohlora_fast.cli", "dye", str(folder), "-o", str(out), "--recursive", "--json"]
    ran = subprocess.run([*(without_privileges() or []), *command], capture_output=True, text=True)
    (folder / "locked").chmod(0o700)
    assert ran.returncode == 1, ran.stderr
    assert {str(path.relative_to(out)) for path in out.rglob("*.png")} == {"good.png", "open/inside.png"}
    with open(out / ".ohlora-fast" / "failed.csv", newline="") as file:
        why = {row["source"]: row["error"] for row in csv.DictReader(file)}
    assert why == {
        str(folder / "locked"): "cannot read it: Permission denied",
        str(folder / "secret.png"): "cannot read it: Permission denied",
    }


@POSIX
def test_names_that_are_no_utf8(folder: Path) -> None:
    name = os.fsdecode(b"\xff\xfe caf\xe9.png")
    try:
        shutil.copy(folder / "good.png", folder / name)
    except OSError:
        pytest.skip("this file system refuses such names")
    (folder / os.fsdecode(b"bad\xe9.jpg")).touch()
    (folder / "a\nb, 'c'.png").write_bytes((folder / "good.png").read_bytes())
    out = folder.parent / "out"
    for earlier in (0, 3):
        summary = dye_set([folder], out, Recipe(color=(0.1, 0.9)))
        assert (summary.done, summary.failed, summary.earlier) == (3 - earlier, 1, earlier)
        assert list(failures(summary)) == [os.fsdecode(b"bad\xe9.jpg")]
    assert read_photo(out / name).pixels.shape == (200, 180, 3)


def test_names_that_meet(folder: Path) -> None:
    for name in ("a.png", "A.png", "a.PNG", "a.webp", "a.webp.png"):
        Image.open(folder / "good.png").save(folder / name)
    count = len(list(folder.iterdir()))  # some of them are one file where capitals do not count
    out = folder.parent / "out"
    summary = dye_set([folder], out, Recipe(save=("dyed", "mask"), suffix=".png"))
    made = [path.name for path in out.iterdir() if path.suffix == ".png"]
    assert summary.done == count - summary.failed
    assert len(made) == 2 * summary.done
    assert len({name.casefold() for name in made}) == len(made)
    if summary.failed:
        assert all("is made of" in error for error in failures(summary).values())


@POSIX
def test_nothing_is_written_outside(folder: Path, tmp_path: Path) -> None:
    outside, out = tmp_path / "outside", tmp_path / "out"
    outside.mkdir()
    out.mkdir()
    (outside / "target.png").write_bytes(b"precious")
    (out / "deep").symlink_to(outside)
    (out / "good.png").symlink_to(outside / "target.png")
    (folder / "deep" / "deeper").mkdir(parents=True)
    for name in ("deep/target.png", "deep/deeper/x.png"):
        shutil.copy(folder / "good.png", folder / name)
    before = everything_below(outside)
    summary = dye_set([folder], out, how=How(recursive=True, overwrite=True))
    assert (summary.done, summary.failed) == (1, 2)
    assert all("a link in it leads out of" in error for error in failures(summary).values())
    assert everything_below(outside) == before
    assert not (out / "good.png").is_symlink()  # replaced, not followed


def test_lists_that_climb(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    names = tmp_path / "lists" / "names.txt"
    names.write_text(f"../in/good.png\n\n{folder / 'good.png'}\n../in/./gone.png\n")
    summary = dye_set([names], tmp_path / "out")
    assert (summary.done, summary.failed) == (2, 1)
    made = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.png")}
    assert made == {"in/good.png", str(folder / "good.png").lstrip("/")}


def test_many_files_in_one_folder(folder: Path) -> None:
    for number in range(10_000):
        try:
            (folder / f"{number}.png").hardlink_to(folder / "good.png")
        except OSError:  # more links than the file system allows
            (folder / f"{number}.png").write_bytes((folder / "good.png").read_bytes())
    out = folder.parent / "out"
    summary = dye_set([folder], out, how=How(dry_run=True))
    assert (summary.left, summary.done) == (10_001, 0)
    assert not out.exists()
    assert dye_set([folder], out, how=How(limit=20)).left == 9_981
    summary = dye_set([folder], out, how=How(limit=5))
    assert (summary.done, summary.earlier, summary.left) == (5, 20, 9_976)


def has_namespaces() -> bool:
    """Whether a disk of one's own can be mounted for a test."""
    try:
        return subprocess.run(["unshare", "-Urm", "true"], capture_output=True).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(not has_namespaces(), reason="no disk of one's own can be mounted here")
def test_a_disk_that_fills_up(folder: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    for number in range(30):
        Image.fromarray(noise).save(folder / f"{number:02}.png")  # 120 KB each
    (tmp_path / "disk").mkdir()
    dye = f"{sys.executable} -m ohlora_fast.cli dye {folder} -o disk/out --quiet"
    script = f"""
        mount -t tmpfs -o size=2m tmpfs disk
        {dye}; echo "code $?"
        ls disk/out > listed; cp disk/out/*.png kept/
        mount -o remount,size=20m disk
        {dye} --retry-failed; echo "code $?"
        cp -r disk/out all
    """
    (tmp_path / "kept").mkdir()
    ran = subprocess.run(["unshare", "-Urm", "sh", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert ran.stdout.split("\n")[:2] == ["code 1", "code 0"], ran.stderr
    assert "No space left on device" in ran.stderr
    assert "Traceback" not in ran.stderr
    kept = list((tmp_path / "kept").iterdir())
    assert 5 <= len(kept) < 30
    for path in kept:  # none is torn
        assert read_photo(path).pixels.shape[2] == 3
    assert len(list((tmp_path / "all").glob("*.png"))) == 31
