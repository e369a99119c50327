"""`ohlora-fast dye`, with the bundled student."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from ohlora_fast import HairStylist
from ohlora_fast.cli import main
from ohlora_fast.media.images import read_photo

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def dye(*arguments: object) -> int:
    return main(["dye", *map(str, arguments)])


def names(folder: Path) -> list[str]:
    files = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in files if not name.startswith(".ohlora-fast/"))


def test_one_picture(portrait: Path, portrait_pixels: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    out = portrait.with_name("out.png")
    assert dye(portrait, "-o", out, "--color", "hotpink", "--ombre-height", 0.9, "--ombre-grad-height", 0.25) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out == f"color 0.9167 → hue 330° #ff0080\n[1/1] {portrait} → {out}\n"
    wanted = HairStylist().dye(portrait_pixels, color=330 / 360, ombre_height=0.9, ombre_grad_height=0.25)
    np.testing.assert_array_equal(read_photo(out).pixels, wanted)
    assert (wanted != portrait_pixels).any()


def test_defaults_are_those_of_the_library(portrait: Path, portrait_pixels: np.ndarray) -> None:
    assert dye(portrait, "-o", portrait.with_name("out.png")) == 0
    np.testing.assert_array_equal(read_photo(portrait.with_name("out.png")).pixels, HairStylist().dye(portrait_pixels))


def test_engine_options_are_passed_on(portrait: Path) -> None:
    out = portrait.with_name("out.png")
    assert dye(portrait, "-o", out, "--engine", "torch", "--device", "cpu", "--threads", 1) == 0
    wanted = HairStylist(engine="torch", device="cpu", threads=1).dye(read_photo(portrait).pixels)
    np.testing.assert_array_equal(read_photo(out).pixels, wanted)


@pytest.mark.parametrize(
    ("option", "value"), [("--engine", "steam"), ("--device", "abacus"), ("--checkpoint", "gone.safetensors")]
)
def test_an_engine_that_does_not_exist(
    portrait: Path, option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dye(portrait, "-o", portrait.with_name("out.png"), option, value) == 1
    error = capsys.readouterr().err
    assert error.startswith("ohlora-fast: error: ")
    assert value in error
    assert error.count("\n") == 1
    assert names(portrait.parent) == ["portrait.png"]


def test_jpeg_profile_exif_and_quality_are_kept(tmp_path: Path, portrait_pixels: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    lying = Image.fromarray(np.ascontiguousarray(np.rot90(portrait_pixels)))
    lying.save(tmp_path / "x.jpg", quality=83, subsampling=2, exif=exif, icc_profile=SRGB)
    assert dye(tmp_path / "x.jpg", "-o", tmp_path / "out" / "y.jpg") == 0
    with Image.open(tmp_path / "x.jpg") as before, Image.open(tmp_path / "out" / "y.jpg") as after:
        assert after.size == before.size[::-1]
        assert after.quantization == before.quantization
        assert after.info["icc_profile"] == SRGB
        assert dict(after.getexif()) == {0x010F: "Maker"}


def test_quality_can_be_given(portrait: Path) -> None:
    for quality in (20, 90):
        assert dye(portrait, "-o", portrait.with_name(f"{quality}.jpg"), "--quality", quality) == 0
    assert portrait.with_name("20.jpg").stat().st_size < portrait.with_name("90.jpg").stat().st_size / 2


def test_alpha_passes_through(tmp_path: Path, portrait_pixels: np.ndarray) -> None:
    alpha = np.random.default_rng(0).integers(0, 256, portrait_pixels.shape[:2], dtype=np.uint8)
    Image.fromarray(np.dstack([portrait_pixels, alpha])).save(tmp_path / "x.png")
    assert dye(tmp_path / "x.png", "-o", tmp_path / "y.png") == 0
    dyed = read_photo(tmp_path / "y.png").pixels
    np.testing.assert_array_equal(dyed[..., 3], alpha)
    np.testing.assert_array_equal(dyed[..., :3], HairStylist().dye(portrait_pixels))


def test_transparency_lost_in_a_jpeg_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGBA", (40, 40), (200, 100, 50, 100)).save(tmp_path / "x.png")
    assert dye(tmp_path / "x.png", "-o", tmp_path / "y.jpg") == 0
    error = capsys.readouterr().err
    assert f"ohlora-fast: warning: {tmp_path / 'x.png'}: " in error
    assert "laid on white" in error
    assert all(line.startswith("ohlora-fast: warning: ") for line in error.splitlines())


def test_without_hair_the_picture_stays_with_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (64, 48), (90, 120, 200)).save(tmp_path / "sky.png")
    assert dye(tmp_path / "sky.png", "-o", tmp_path / "out.png") == 0
    error = capsys.readouterr().err
    assert error.startswith(f"ohlora-fast: warning: {tmp_path / 'sky.png'}: ")
    assert "no hair" in error
    assert error.count("\n") == 1
    np.testing.assert_array_equal(read_photo(tmp_path / "out.png").pixels, read_photo(tmp_path / "sky.png").pixels)


def test_notes_on_a_picture_are_printed(
    tmp_path: Path, portrait_pixels: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(portrait_pixels).convert("CMYK").save(tmp_path / "x.tif")
    assert dye(tmp_path / "x.tif", "-o", tmp_path / "out") == 0
    assert f"ohlora-fast: note: {tmp_path / 'x.tif'}: CMYK is converted" in capsys.readouterr().err


@pytest.fixture
def folder(tmp_path: Path, portrait_pixels: np.ndarray) -> Path:
    """Two good pictures, two bad ones, and something else."""
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    Image.fromarray(portrait_pixels).save(folder / "a.png")
    Image.fromarray(portrait_pixels).save(folder / "deep" / "d.jpg")
    (folder / "b.png").write_bytes((folder / "a.png").read_bytes()[:999])
    (folder / "c.jpg").write_bytes(b"no picture at all")
    (folder / "notes.txt").write_text("hello")
    return folder


def test_in_a_folder_the_rest_goes_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder.parent / "out"
    assert dye(folder, "-o", out, "--recursive") == 1
    assert names(out) == ["a.png", "deep/d.jpg"]
    captured = capsys.readouterr()
    todo, done = captured.out.splitlines()[1:]
    assert todo == "4 photos to do"
    assert done.startswith("2 dyed in ")
    first, second, third = captured.err.splitlines()
    assert first.startswith(f"ohlora-fast: error: {folder / 'b.png'}: cannot read it: it is corrupt, cut short")
    assert second.startswith(f"ohlora-fast: error: {folder / 'c.jpg'}: cannot read it: it is no picture")
    table = out / ".ohlora-fast" / "failed.csv"
    assert third == f"ohlora-fast: error: 2 failed; {table} lists them; --retry-failed tries them again"
    assert [row.split(",")[0] for row in table.read_text().splitlines()[1:]] == [
        str(folder / "b.png"), str(folder / "c.jpg")
    ]  # fmt: skip


def test_one_bad_picture_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dye(folder / "c.jpg", "-o", folder / "x.jpg") == 1
    error = capsys.readouterr().err
    assert error.startswith(f"ohlora-fast: error: cannot read {folder / 'c.jpg'}: ")
    assert error.count("\n") == 1


def test_what_stood_there_before_is_not_touched_unasked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder.parent / "out"
    out.mkdir()
    (out / "a.png").write_bytes(b"another's")
    for name in ("b.png", "c.jpg"):
        (folder / name).unlink()
    assert dye(folder, "-o", out, "--recursive") == 1
    assert capsys.readouterr().err.endswith("a.png exists already; give --overwrite or --skip-existing\n")
    assert names(out) == ["a.png"]
    assert dye(folder, "-o", out, "--recursive", "--skip-existing") == 0
    assert names(out) == ["a.png", "deep/d.jpg"]
    assert (out / "a.png").read_bytes() == b"another's"
    assert dye(folder, "-o", out, "--recursive", "--overwrite") == 0
    assert read_photo(out / "a.png").pixels.shape == (200, 180, 3)


def test_the_same_command_again_does_the_rest(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder.parent / "out"
    assert dye(folder / "a.png", "-o", out) == 0
    made = (out / "a.png").stat().st_mtime_ns
    assert dye(folder, "-o", out, "--recursive") == 1
    assert names(out) == ["a.png", "deep/d.jpg"]
    assert (out / "a.png").stat().st_mtime_ns == made
    capsys.readouterr()
    (folder / "b.png").write_bytes((folder / "a.png").read_bytes())  # mended
    (folder / "c.jpg").unlink()
    assert dye(folder, "-o", out, "--recursive", "--dry-run") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "2 done earlier; 1 to do"
    assert dye(folder, "-o", out, "--recursive") == 0
    assert names(out) == ["a.png", "b.png", "deep/d.jpg"]
    assert capsys.readouterr().out.splitlines()[-1].endswith("; 2 done earlier")


def test_pictures_of_one_name_in_several_folders(
    tmp_path: Path, portrait_pixels: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = [tmp_path / folder / "x.png" for folder in ("b", "c", "d")]
    for level, source in enumerate(sources):
        source.parent.mkdir()
        Image.fromarray(portrait_pixels // (level + 1)).save(source)
    out = tmp_path / "out"
    assert dye(*sources, "-o", out) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"ohlora-fast: error: {sources[1]}: x.png would be made of it, and is made of {sources[0]}")
    assert "(1 more like it); give the folder above them with --recursive" in error
    assert error.count("\n") == 1
    assert names(out) == []
    assert dye(tmp_path / "[bcd]" / "*.png", "-o", out) == 0
    assert names(out) == ["b/x.png", "c/x.png", "d/x.png"]
    assert len({(out / name).read_bytes() for name in names(out)}) == 3


def test_settings_drawn_for_each_picture(tmp_path: Path, portrait_pixels: np.ndarray) -> None:
    (tmp_path / "in").mkdir()
    for name in "abc":
        Image.fromarray(portrait_pixels).save(tmp_path / "in" / f"{name}.png")
    for out, seed in (("one", 1), ("again", 1), ("two", 2)):
        arguments = ("--color", "0.1..0.9", "--seed", seed, "--ombre-height", "0.9..1", "--workers", 2)
        assert dye(tmp_path / "in", "-o", tmp_path / out, *arguments) == 0
    made = {out: [(tmp_path / out / f"{name}.png").read_bytes() for name in "abc"] for out in ("one", "again", "two")}
    assert made["one"] == made["again"]
    assert len({*made["one"], *made["two"]}) == 6


def test_masks_and_overlays(portrait: Path, portrait_pixels: np.ndarray) -> None:
    out = portrait.parent / "out"
    assert dye(portrait, "-o", out, "--save", "overlay,mask,dyed", "--format", "webp", "--binary") == 0
    assert names(out) == ["portrait.webp", "portrait_mask.png", "portrait_overlay.webp"]
    with Image.open(out / "portrait_mask.png") as mask:
        hair = HairStylist().segment(portrait_pixels) >= 0.5
        np.testing.assert_array_equal(np.array(mask), np.where(hair, 255, 0))


def test_lines_of_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dye(folder, "-o", folder.parent / "out", "--json") == 1
    captured = capsys.readouterr()
    events = [json.loads(line) for line in captured.out.splitlines()]
    events = [event for event in events if event["event"] != "progress"]
    assert [event["event"] for event in events] == ["begin", "failed", "failed", "end"]
    assert events[0]["total"] == 3
    assert (events[-1]["done"], events[-1]["failed"]) == (1, 2)


def test_quiet(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "b.png").unlink()
    assert dye(folder, "-o", folder.parent / "out", "--quiet") == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 2


def test_overwrite(portrait: Path) -> None:
    out = portrait.with_name("out.png")
    out.write_bytes(b"old")
    assert dye(portrait, "-o", out) == 1
    assert out.read_bytes() == b"old"
    assert dye(portrait, "-o", out, "--overwrite") == 0
    assert read_photo(out).pixels.shape == read_photo(portrait).pixels.shape


@pytest.mark.parametrize("flags", [[], ["--overwrite"], ["--skip-existing"]])
def test_the_input_is_never_overwritten(portrait: Path, flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    before = portrait.read_bytes()
    assert dye(portrait, "-o", portrait.parent, *flags) == 1
    assert dye(portrait, "-o", portrait, *flags) == 1
    table = portrait.parent / ".ohlora-fast" / "failed.csv"
    assert f"would overwrite the input {portrait}" in table.read_text()
    assert "would overwrite the input" in capsys.readouterr().err
    assert portrait.read_bytes() == before


def test_max_pixels(portrait: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dye(portrait, "-o", portrait.with_name("out.png"), "--max-pixels", 1000) == 1
    assert "180×200 = 36,000 pixels; allowed are at most 1,000" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["out.gif", "out.xyz"])
def test_an_unknown_suffix_is_refused_before_any_work(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.png").write_bytes(b"not even read")
    assert dye(tmp_path / "x.png", "-o", tmp_path / name) == 1
    assert "came; allowed are .jpg" in capsys.readouterr().err


def test_a_name_without_a_picture_suffix_becomes_png(tmp_path: Path, portrait_pixels: np.ndarray) -> None:
    Image.fromarray(portrait_pixels).save(tmp_path / "scan.001", format="PNG")
    assert dye(tmp_path / "scan.001", "-o", tmp_path / "out") == 0
    assert names(tmp_path / "out") == ["scan.001.png"]


def test_an_unwritable_folder_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder.parent / "file").touch()
    assert dye(folder / "a.png", "-o", folder.parent / "file" / "x.png") == 1
    error = capsys.readouterr().err
    assert error.startswith(f"ohlora-fast: error: {folder / 'a.png'}: cannot make the folder")
    assert error.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_leaves_whole_files(tmp_path: Path, portrait_pixels: np.ndarray) -> None:
    (tmp_path / "in").mkdir()
    large = Image.fromarray(portrait_pixels).resize((900, 1000))
    large.save(tmp_path / "in" / "000.png")
    for number in range(1, 200):
        (tmp_path / "in" / f"{number:03}.png").hardlink_to(tmp_path / "in" / "000.png")
    command = [sys.executable, "-m", "ohlora_fast.cli", "dye", str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8")
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(2)]
    assert lines[1] == "200 photos to do\n"
    while not list((tmp_path / "out").glob("*.png")):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate()
    assert process.returncode == 130
    made = names(tmp_path / "out")
    assert 1 <= len(made) < 200
    assert error == f"ohlora-fast: interrupted: {len(made)} done; the same command again does the rest\n"
    for name in made:
        assert read_photo(tmp_path / "out" / name).pixels.shape == (1000, 900, 3)
    assert not list((tmp_path / "out" / ".ohlora-fast" / "tmp").iterdir())


def test_refining_one_picture_and_a_set(portrait: Path, portrait_pixels: np.ndarray) -> None:
    wanted = HairStylist().dye(portrait_pixels, refine=True)
    assert dye(portrait, "-o", portrait.with_name("out.png"), "--refine") == 0
    np.testing.assert_array_equal(read_photo(portrait.with_name("out.png")).pixels, wanted)
    folder = portrait.with_name("set")
    for options, pixels in (((), HairStylist().dye(portrait_pixels)), (("--refine",), wanted)):
        assert dye(portrait, "-o", f"{folder}/", "--format", "png", "--threads", 1, *options) == 0
        np.testing.assert_array_equal(read_photo(folder / "portrait.png").pixels, pixels)


@pytest.mark.parametrize("how", ["--quiet", "--json"])
def test_every_failure_is_named(folder: Path, how: str, capsys: pytest.CaptureFixture[str]) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pa.table({"id": [1, 2]}), folder / "none.parquet")
    inputs = ("missing.jpg", "a.png", "c.jpg", "none.parquet", "lost.tar")
    for _ in range(2):  # a failure that counts is named again
        assert dye(*(folder / name for name in inputs), "-o", folder.parent / "out", how) == 1
        captured = capsys.readouterr()
        if how == "--json":
            events = [json.loads(line) for line in captured.out.splitlines()]
            named = {event["source"]: event["error"] for event in events if event["event"] == "failed"}
        else:
            lines = [line.removeprefix("ohlora-fast: error: ") for line in captured.err.splitlines()[:-1]]
            named = {line.partition(": ")[0]: line.partition(": ")[2] for line in lines}
        assert set(named) == {str(folder / name) for name in inputs if name != "a.png"}
        assert named[str(folder / "missing.jpg")] == "cannot read it: No such file or directory"
        assert "which column holds pictures? It has id (int64)" in named[str(folder / "none.parquet")]


def test_what_is_left_out_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "linked").symlink_to("deep", target_is_directory=True)
    table = folder / "t.csv"
    table.write_text("path,color\na.png,0.3\ndeep/d.jpg,0.3\na.png,0.9\ndeep/d.jpg,0.3\n")
    dye(folder, "-o", folder.parent / "one", "--recursive")
    assert f"note: {folder / 'linked'}: it is a link to a folder, which is not followed\n" in capsys.readouterr().err
    assert dye(table, "-o", folder.parent / "two") == 0
    error = capsys.readouterr().err
    assert f"{folder / 'a.png'}: it is named twice, with different settings; the first ones count\n" in error
    assert f"{folder / 'deep/d.jpg'}: it is named twice\n" in error
    dye(table, "-o", folder.parent / "two", "--json")
    notes = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [note["source"] for note in notes if note["event"] == "note"] == [
        str(folder / name) for name in ("a.png", "deep/d.jpg")
    ]
