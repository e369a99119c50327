"""WebDataset shards."""

from __future__ import annotations

import gzip
import io
import sqlite3
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ohlora_fast.batch import Recipe, dye_set
from ohlora_fast.batch.containers import Sample, open_container, tar
from ohlora_fast.batch.dyer import Dyer
from ohlora_fast.batch.execute import execute, one_by_one
from ohlora_fast.batch.outbox import open_outbox
from ohlora_fast.batch.run import How, Summary
from ohlora_fast.batch.task import Task

Files = list[tuple[str, bytes]]


def pack(files: Files, **options: int) -> bytes:
    """A tar archive; every file has a time and an owner of its own."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", **options) as archive:  # type: ignore[call-overload]
        for number, (name, data) in enumerate(files):
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.uname, info.mode = len(data), 1000 + number, "anna", 0o640
            archive.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def unpack(path: Path) -> Files:
    with tarfile.open(path) as archive:
        return [(info.name, archive.extractfile(info).read()) for info in archive]  # type: ignore[union-attr]


def samples(data: bytes, recipe: Recipe | None = None) -> list[Sample]:
    return list(open_container(io.BytesIO(data), "tar", "shard.tar", recipe or Recipe()).samples())


@pytest.fixture
def shard(photos: list[bytes]) -> Files:
    return [
        ("deep/0001.jpg", photos[0]),
        ("deep/0001.json", b'{"age": 30}'),
        ("README", b"no sample"),
        ("0002.cls", b"7"),
        ("0002.input.PNG", photos[1]),
        ("0003.txt", b"without a photo"),
        ("0004.mask.png", b"a mask is not taken for the photo"),
        ("0004.png", photos[3]),
    ]


@pytest.mark.parametrize("ending", [".tar", ".tar.gz", ".TGZ"])
def test_the_photos_are_dyed_and_the_rest_is_kept(
    shard: Files, tmp_path: Path, dyed: Callable[..., bytes], ending: str
) -> None:
    source = tmp_path / f"0000{ending}"
    source.write_bytes(pack(shard) if ending == ".tar" else gzip.compress(pack(shard)))
    summary = dye_set([source], tmp_path / "out")
    assert (summary.done, summary.failed) == (3, 0)
    made = tmp_path / "out" / f"0000{ending}"
    pictures = {"deep/0001.jpg", "0002.input.PNG", "0004.png"}
    assert unpack(made) == [(name, dyed(data) if name in pictures else data) for name, data in shard]
    with tarfile.open(made) as new, tarfile.open(source) as old:
        kept = [[(info.mtime, info.uname, info.mode) for info in archive] for archive in (new, old)]
    assert kept[0] == kept[1]
    head = made.read_bytes()[:8]
    assert head == (b"deep/000" if ending == ".tar" else b"\x1f\x8b\x08\0" + bytes(4))  # without a time


def test_the_command_line_takes_a_zipped_shard_for_a_set(shard: Files, tmp_path: Path) -> None:
    from ohlora_fast.cli import main

    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(pack(shard)))
    assert main(["dye", str(tmp_path / "a.tar.gz"), "-o", str(tmp_path / "out.set"), "--quiet"]) == 0
    assert len(unpack(tmp_path / "out.set" / "a.tar.gz")) == len(shard)


def test_webdataset_reads_what_was_written(photos: list[bytes], tmp_path: Path, dyed: Callable[..., bytes]) -> None:
    webdataset = pytest.importorskip("webdataset")
    with webdataset.TarWriter(str(tmp_path / "0000.tar")) as writer:
        for number, photo in enumerate(photos):
            writer.write({"__key__": f"p{number}", "png" if number % 2 else "jpg": photo, "json": {"number": number}})
    dye_set([tmp_path / "0000.tar"], tmp_path / "out", Recipe(save=("dyed", "mask")))
    read = webdataset.WebDataset(str(tmp_path / "out" / "0000.tar"), shardshuffle=False).decode("rgb8")
    count = 0
    for number, sample in enumerate(read):
        expected = Image.open(io.BytesIO(dyed(photos[number]))).convert("RGB")
        assert np.array_equal(sample["png" if number % 2 else "jpg"], np.asarray(expected))
        assert sample["json"] == {"number": number}
        assert sample["mask.png"].shape == (200, 180, 3)
        count += 1
    assert count == len(photos)


def test_masks_and_overlays_stand_beside_the_photo(shard: Files, tmp_path: Path, dyed: Callable[..., bytes]) -> None:
    (tmp_path / "a.tar").write_bytes(pack(shard[:6]))
    recipe = Recipe(save=("dyed", "mask", "overlay"), suffix=".webp")
    assert dye_set([tmp_path / "a.tar"], tmp_path / "out", recipe).done == 2
    made = unpack(tmp_path / "out" / "a.tar")
    assert [name for name, _ in made] == [
        "deep/0001.webp", "deep/0001.mask.png", "deep/0001.overlay.webp", "deep/0001.json", "README",
        "0002.cls", "0002.input.webp", "0002.mask.png", "0002.overlay.webp", "0003.txt",
    ]  # fmt: skip
    assert made[0][1] == dyed(shard[0][1], ".webp")
    assert [Image.open(io.BytesIO(made[number][1])).format for number in (1, 2)] == ["PNG", "WEBP"]
    assert Image.open(io.BytesIO(made[1][1])).mode == "L"


def test_photos_stay_where_only_masks_are_made(shard: Files, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(pack(shard[:2]))
    dye_set([tmp_path / "a.tar"], tmp_path / "out", Recipe(save=("mask",)))
    made = unpack(tmp_path / "out" / "a.tar")
    assert [name for name, _ in made] == ["deep/0001.jpg", "deep/0001.mask.png", "deep/0001.json"]
    assert made[0] == shard[0]


def test_a_photo_that_fails_is_left_out_with_what_belongs_to_it(
    photos: list[bytes], tmp_path: Path, dyed: Callable[..., bytes], failures: Callable[[Summary], dict[str, str]]
) -> None:
    files = [("a.jpg", photos[0]), ("b.jpg", photos[2][:200]), ("b.json", b"{}"), ("c.jpg", b""), ("d.png", photos[1])]
    (tmp_path / "a.tar").write_bytes(pack(files))
    summary = dye_set([tmp_path / "a.tar"], tmp_path / "out")
    assert (summary.done, summary.failed) == (2, 2)
    assert unpack(tmp_path / "out" / "a.tar") == [("a.jpg", dyed(photos[0])), ("d.png", dyed(photos[1]))]
    reasons = failures(summary)
    assert reasons.keys() == {"b.jpg", "c.jpg"}
    assert "empty" in reasons["c.jpg"]
    assert dye_set([tmp_path / "a.tar"], tmp_path / "out").earlier == 1


@pytest.mark.parametrize("name", ["/etc/x.jpg", "../x.jpg", "a/../../x.jpg", "C:\\x.jpg", "..\\x.jpg", "\\x.jpg"])
def test_names_that_lead_elsewhere(photos: list[bytes], tmp_path: Path, name: str) -> None:
    (tmp_path / "a.tar").write_bytes(pack([("a.jpg", photos[0]), (name, photos[0]), ("b..c.jpg", photos[0])]))
    summary = dye_set([tmp_path / "a.tar"], tmp_path / "out")
    assert (summary.done, summary.failed) == (2, 1)
    assert summary.failures is not None
    assert "leads elsewhere" in summary.failures.read_text()
    assert [member for member, _ in unpack(tmp_path / "out" / "a.tar")] == ["a.jpg", "b..c.jpg"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(photos: list[bytes], kind: bytes) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, type_ in (("a.json", tarfile.REGTYPE), ("a.jpg", kind), ("b.jpg", tarfile.REGTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = type_, "/etc/passwd"
            archive.addfile(info)
    link, plain = samples(packed.getvalue())
    assert (link.name, link.data, link.error) == ("a.jpg", None, "'a.jpg' is no regular file")
    assert (plain.name, plain.error) == ("b.jpg", None)


def test_folders_are_left_out() -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, type_ in (("deep", tarfile.DIRTYPE), ("deep/a.jpg", tarfile.REGTYPE)):
            info = tarfile.TarInfo(name)
            info.type = type_
            archive.addfile(info)
    assert [sample.name for sample in samples(packed.getvalue())] == ["deep/a.jpg"]


def test_a_sample_that_is_too_big_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar, "MAX_BYTES", 1500)
    big, small = samples(pack([("a.jpg", bytes(1000)), ("a.json", bytes(501)), ("b.jpg", bytes(1500))]))
    assert big.error == "'a.json' would make it 1,501 bytes long; allowed are 1,500"
    assert small.error is None


def test_names_of_a_sample_stay_apart(photos: list[bytes]) -> None:
    twice = samples(pack([("a.jpg", photos[0]), ("a.jpg", photos[1])]))
    assert [sample.error for sample in twice] == ["it has 'a.jpg' twice"]
    masked = pack([("a.jpg", photos[0]), ("a.mask.png", photos[1]), ("a.png", b"")])
    assert [sample.error for sample in samples(masked)] == [None]
    assert samples(masked, Recipe(save=("mask",)))[0].error == "it has 'a.mask.png' already"
    assert samples(masked, Recipe(suffix=".png"))[0].error == "it has 'a.png' already"


def test_a_second_picture_is_said(shard: Files, photos: list[bytes], tmp_path: Path) -> None:
    (tmp_path / "0.tar").write_bytes(pack([*shard, ("0005.left.jpg", photos[0]), ("0005.right.jpg", photos[1])]))
    summary = dye_set([tmp_path / "0.tar"], tmp_path / "out")
    assert (summary.done, summary.failed) == (4, 0)
    with closing(sqlite3.connect(tmp_path / "out" / ".ohlora-fast" / "manifest.sqlite")) as manifest:
        notes = dict(manifest.execute("SELECT member, notes FROM members WHERE notes LIKE '%another%'").fetchall())
    assert notes["0004.png"].startswith("0004.mask.png is another picture of the sample; it stays as it is")
    assert notes["0005.left.jpg"].startswith("0005.right.jpg is another picture of the sample; it stays as it is")
    assert len(notes) == 2


def test_members_have_names_of_their_own(photos: list[bytes]) -> None:
    names = [sample.name for sample in samples(pack([(name, photos[0]) for name in ("a.jpg", "b.jpg", "a.jpg")]))]
    assert names[:2] == ["a.jpg", "b.jpg"]
    assert names[2].startswith("a.jpg (at byte ")


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_strange_names(photos: list[bytes], tmp_path: Path, dyed: Callable[..., bytes], format: int) -> None:
    stems = ["x" * 300 + "/" + "y" * 200, "Jürgen ☂", "no \udcff utf-8", "./dot"]
    (tmp_path / "a.tar").write_bytes(pack([(f"{stem}.jpg", photos[0]) for stem in stems], format=format))
    summary = dye_set([tmp_path / "a.tar"], tmp_path / "out", Recipe(suffix=".png", save=("dyed", "mask")))
    assert (summary.done, summary.failed) == (4, 0)
    made = unpack(tmp_path / "out" / "a.tar")
    assert [name for name, _ in made] == [f"{stem}{end}" for stem in stems for end in (".png", ".mask.png")]
    assert {data for name, data in made if not name.endswith(".mask.png")} == {dyed(photos[0], ".png")}


@pytest.mark.parametrize("zipped", [False, True])
def test_a_shard_that_is_cut_short_fails_as_a_whole(
    photos: list[bytes], tmp_path: Path, files_in: Callable[[Path], list[str]], zipped: bool
) -> None:
    whole = pack([("a.jpg", photos[0]), ("b.jpg", photos[2])])
    second = 512 + (len(photos[0]) + 511) // 512 * 512
    end = second + 512 + (len(photos[2]) + 511) // 512 * 512
    cuts = [100, 600, second - 1, second, second + 100, second + 600, end - 1, end, end + 100]
    if zipped:
        whole = gzip.compress(whole)
        cuts = [5, 600, len(whole) // 2, len(whole) - 8, len(whole) - 1]
    for cut in cuts:
        (tmp_path / f"{cut}.{'tgz' if zipped else 'tar'}").write_bytes(whole[:cut])
    summary = dye_set([str(path) for path in tmp_path.glob("*.t*")], tmp_path / "out")
    assert (summary.done, summary.left) == (0, 0)
    assert summary.failed == len(cuts)
    assert files_in(tmp_path / "out") == [".ohlora-fast/failed.csv"]
    assert summary.failures is not None
    assert summary.failures.read_text().count("it is no tar archive, corrupt or cut short") == len(cuts)


@pytest.mark.parametrize("content", [b"", b"no tar at all" * 100, bytes(range(256)) * 8])
def test_what_is_no_tar(tmp_path: Path, content: bytes, failures: Callable[[Summary], dict[str, str]]) -> None:
    (tmp_path / "a.tar").write_bytes(content)
    summary = dye_set([tmp_path / "a.tar"], tmp_path / "out")
    assert "it is no tar archive" in failures(summary)[""]


def test_a_header_that_is_damaged_ends_nothing_quietly(photos: list[bytes], tmp_path: Path) -> None:
    whole = bytearray(pack([("a.jpg", photos[0]), ("b.jpg", photos[2])]))
    whole[512 + (len(photos[0]) + 511) // 512 * 512] ^= 1
    (tmp_path / "a.tar").write_bytes(whole)
    assert dye_set([tmp_path / "a.tar"], tmp_path / "out").failed == 1
    assert not (tmp_path / "out" / "a.tar").exists()


def test_an_empty_shard_stays_empty(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(pack([]))
    summary = dye_set([tmp_path / "a.tar"], tmp_path / "out")
    assert (summary.done, summary.failed, summary.left) == (0, 0, 0)
    assert unpack(tmp_path / "out" / "a.tar") == []


@pytest.mark.parametrize("ending", ["tar", "tgz"])
def test_the_same_bytes_whoever_makes_them(shard: Files, tmp_path: Path, ending: str) -> None:
    source = tmp_path / f"a.{ending}"
    source.write_bytes(pack(shard) if ending == "tar" else gzip.compress(pack(shard)))
    made = set()
    for number, workers in enumerate((1, 2, 2)):
        dye_set([source], tmp_path / f"out{number}", Recipe(color=(0, 1)), How(workers=workers))
        made.add((tmp_path / f"out{number}" / source.name).read_bytes())
    assert len(made) == 1


def test_a_second_run_does_nothing(shard: Files, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(pack(shard))
    dye_set([tmp_path / "a.tar"], tmp_path / "out")
    before = (tmp_path / "out" / "a.tar").stat()
    again = dye_set([tmp_path / "a.tar"], tmp_path / "out")
    assert (again.done, again.earlier) == (0, 1)
    assert (tmp_path / "out" / "a.tar").stat().st_ino == before.st_ino
    assert dye_set([tmp_path / "a.tar"], tmp_path / "out", Recipe(color=0.9)).done == 3


def test_a_run_that_breaks_off_leaves_no_half_shard(
    shard: Files, tmp_path: Path, files_in: Callable[[Path], list[str]]
) -> None:
    (tmp_path / "a.tar").write_bytes(pack(shard))
    task = Task(str(tmp_path / "a.tar"), "tar", "a.tar", ("a.tar",), (0.5, 0.6, 0.5))
    results = execute([task], Dyer(Recipe()), open_outbox(str(tmp_path / "out")), one_by_one)
    assert next(results).member == "deep/0001.jpg"
    assert len(files_in(tmp_path / "out")) == 1  # the half one, under a name of its own
    results.close()  # type: ignore[attr-defined]
    assert files_in(tmp_path / "out") == []
