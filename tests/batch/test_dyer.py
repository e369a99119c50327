"""The stages of one photo, and where outputs go."""

from __future__ import annotations

import io
import os
import sqlite3
import warnings
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ohlora_fast import HairStylist
from ohlora_fast.batch import Recipe, dye_set
from ohlora_fast.batch.dyer import Dyer, collecting_warnings, store
from ohlora_fast.batch.outbox import LocalOutbox, open_outbox
from ohlora_fast.batch.run import How
from ohlora_fast.batch.task import Task
from ohlora_fast.errors import InputError
from ohlora_fast.media.images import encode_photo, read_photo
from ohlora_fast.media.overlay import mask_pixels, overlay_pixels

SETTINGS = (0.9, 0.8, 0.2)


def encoded(pixels: np.ndarray, name: str, **options: int) -> io.BytesIO:
    file = io.BytesIO()
    encode_photo(file, pixels, name, **options)  # type: ignore[arg-type]
    return file


def decoded(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.array(image)


def test_all_that_can_be_made(portrait_pixels: np.ndarray) -> None:
    stylist = HairStylist(threads=1)
    made = Dyer(Recipe(save=("overlay", "mask", "dyed"))).make(
        encoded(portrait_pixels, "a.png"), "a.png", None, SETTINGS
    )
    mask = mask_pixels(stylist.segment(portrait_pixels))
    np.testing.assert_array_equal(decoded(made.files[0]), overlay_pixels(portrait_pixels, mask))
    np.testing.assert_array_equal(decoded(made.files[1]), mask)
    np.testing.assert_array_equal(decoded(made.files[2]), stylist.dye(portrait_pixels, *SETTINGS))
    assert made.notes == ()


def test_maps_of_large_jpegs_come_from_small_ones(portrait_pixels: np.ndarray) -> None:
    large = np.array(Image.fromarray(portrait_pixels).resize((1900, 2100), Image.Resampling.BICUBIC))
    file = encoded(large, "a.jpg", quality=95)
    (alone,) = Dyer(Recipe(save=("mask",), heads="whole")).make(file, "a.jpg", None, SETTINGS).files
    beside = Dyer(Recipe(save=("mask", "overlay"), heads="whole")).make(file, "a.jpg", None, SETTINGS).files[0]
    small, whole = decoded(alone) >= 128, decoded(beside) >= 128
    assert small.shape == (2100, 1900)
    assert (small & whole).sum() / (small | whole).sum() > 0.97
    assert alone != beside  # it was decoded smaller


def test_a_turned_jpeg_that_is_decoded_small(portrait_pixels: np.ndarray) -> None:
    large = Image.fromarray(np.rot90(portrait_pixels).copy()).resize((2000, 1800))
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    large.save(file, "JPEG", quality=95, exif=exif)
    (mask,) = Dyer(Recipe(save=("mask",), heads="whole")).make(file, "a.jpg", None, SETTINGS).files
    upright = np.array(Image.fromarray(decoded(mask)).resize((180, 200))) >= 128
    wanted = HairStylist().segment(portrait_pixels) >= 0.5
    assert decoded(mask).shape == (2000, 1800)
    assert (upright & wanted).sum() / (upright | wanted).sum() > 0.9


def test_warnings_become_notes_of_their_own_photo(tmp_path: Path, portrait_pixels: np.ndarray) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for number in range(12):
        if number % 3 == 0:
            Image.new("RGB", (50, 50), (90, 120, 200)).save(source / f"{number:02}.png")
        else:
            alpha = np.full(portrait_pixels.shape[:2], 100 if number % 3 == 1 else 255, np.uint8)
            Image.fromarray(np.dstack([portrait_pixels, alpha])).save(source / f"{number:02}.png")
    dye_set([source], tmp_path / "out", Recipe(suffix=".jpg"), How(workers=4))
    with closing(sqlite3.connect(tmp_path / "out" / ".ohlora-fast" / "manifest.sqlite")) as manifest:
        notes = [row[0] for row in manifest.execute("SELECT notes FROM photos ORDER BY source")]
    white = "JPEG keeps no transparency; the picture is laid on white"
    for number, note in enumerate(notes):
        wanted = ("no hair found; left unchanged", f"{number:02}.jpg: {white}", "")[number % 3]
        assert note == wanted


def test_failures_are_results(tmp_path: Path) -> None:
    dyer, outbox = Dyer(Recipe()), open_outbox(str(tmp_path))
    result = store(dyer.photo(Task(str(tmp_path / "gone.jpg"), "photo", "gone.jpg", ("gone.jpg",), SETTINGS)), outbox)
    assert result.error == "cannot read it: No such file or directory"
    result = store(dyer.photo(Task(str(tmp_path), "photo", "x.jpg", ("x.jpg",), SETTINGS)), outbox)
    assert result.error == "cannot read it: Is a directory"
    assert list(tmp_path.iterdir()) == []


def test_an_outbox_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(InputError, match="x came, which is a file; allowed is a folder"):
        open_outbox(str(tmp_path / "x"))


def test_what_is_not_written_whole_is_not_there(tmp_path: Path) -> None:
    outbox = LocalOutbox(str(tmp_path / "out"))
    outbox.put("a/b.bin", b"old")
    with suppress(ZeroDivisionError), outbox.writing("a/b.bin") as path:
        path.write_bytes(b"new")
        raise ZeroDivisionError
    assert (tmp_path / "out" / "a" / "b.bin").read_bytes() == b"old"
    halves = tmp_path / "out" / ".ohlora-fast" / "tmp"
    for name in ("run/left", "other/of-now", "old/left", "left-by-an-earlier-version"):
        (halves / name).parent.mkdir(exist_ok=True)
        (halves / name).touch()
    for name in ("old/left", "old", "left-by-an-earlier-version"):
        os.utime(halves / name, (0, 0))
    outbox.clear()
    assert [str(path.relative_to(halves)) for path in sorted(halves.rglob("*"))] == ["other", "other/of-now"]


def test_from_url_to_url(tmp_path: Path, portrait: Path, portrait_pixels: np.ndarray) -> None:
    fsspec = pytest.importorskip("fsspec")
    fs = fsspec.filesystem("memory")
    try:
        for name in ("set/a.png", "set/deep/b.png"):
            fs.pipe_file(f"/{name}", portrait.read_bytes())
        with pytest.raises(InputError, match="--manifest: a file on this machine is needed"):
            dye_set(["memory://set"], "memory://made")
        how = How(recursive=True, manifest=str(tmp_path / "m.sqlite"))
        assert dye_set(["memory://set"], "memory://made", how=how).done == 2
        (tmp_path / "b.png").write_bytes(fs.cat_file("/made/deep/b.png"))
        np.testing.assert_array_equal(read_photo(tmp_path / "b.png").pixels, HairStylist().dye(portrait_pixels))
        assert dye_set(["memory://set"], "memory://made", how=how).earlier == 2
        fs.rm_file("/made/a.png")
        assert dye_set(["memory://set"], "memory://made", how=how).done == 1
        assert sorted(fs.find("/made")) == ["/made/a.png", "/made/deep/b.png"]
    finally:
        fs.rm("/set", recursive=True)
        fs.rm("/made", recursive=True)


def test_warnings_elsewhere_are_warnings_still() -> None:
    with pytest.warns(UserWarning, match="mine") as caught, collecting_warnings():
        warnings.warn("mine", UserWarning, stacklevel=1)
    assert len(caught) == 1


def test_refined(portrait_pixels: np.ndarray) -> None:
    stylist, file = HairStylist(threads=1), encoded(portrait_pixels, "a.png")
    mask, dyed = Dyer(Recipe(save=("mask", "dyed"), refine=True)).make(file, "a.png", None, SETTINGS).files
    np.testing.assert_array_equal(decoded(mask), mask_pixels(stylist.segment(portrait_pixels, refine=True)))
    np.testing.assert_array_equal(decoded(dyed), stylist.dye(portrait_pixels, *SETTINGS, refine=True))
    assert len({Recipe(refine=refine).digest() for refine in (False, True, None)}) == 3
