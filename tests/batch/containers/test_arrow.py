"""Folders that Hugging Face's datasets saved."""

from __future__ import annotations

import io
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ohlora_fast.batch import Recipe, dye_set
from ohlora_fast.batch.containers import images_in, open_container
from ohlora_fast.batch.run import How, Summary
from ohlora_fast.errors import InputError

pa = pytest.importorskip("pyarrow")
datasets = pytest.importorskip("datasets")


@pytest.fixture
def saved(tmp_path: Path, photos: list[bytes]) -> Path:
    """A folder with two splits, of two files and of one."""
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    rows = {"image": [{"bytes": photo, "path": None} for photo in photos], "label": [0, 1] * 3}
    whole = datasets.Dataset.from_dict(rows, features)
    parts = datasets.DatasetDict({"train": whole.select(range(4)), "test": whole.select(range(4, 6))})
    parts.save_to_disk(str(tmp_path / "saved"), num_shards={"train": 2, "test": 1})
    (tmp_path / "saved" / "train" / "cache-0123.arrow").write_bytes(b"of datasets' own")
    return tmp_path / "saved"


def pixels(file: bytes) -> bytes:
    return Image.open(io.BytesIO(file)).tobytes()


def test_datasets_loads_what_was_written(
    saved: Path, tmp_path: Path, photos: list[bytes], dyed: Callable[..., bytes]
) -> None:
    summary = dye_set([saved], tmp_path / "out")
    assert (summary.done, summary.failed) == (6, 0)
    old, new = datasets.load_from_disk(str(saved)), datasets.load_from_disk(str(tmp_path / "out"))
    assert new.num_rows == {"train": 4, "test": 2}
    assert new["train"].features == old["train"].features
    rows = [*new["train"], *new["test"]]
    assert [row["label"] for row in rows] == [0, 1] * 3
    assert [row["image"].tobytes() for row in rows] == [pixels(dyed(photo)) for photo in photos]
    # datasets find what they have cached by the fingerprint.
    assert new["train"]._fingerprint != old["train"]._fingerprint
    assert dye_set([saved], tmp_path / "out").earlier == 3


def test_masks_are_a_feature(saved: Path, tmp_path: Path) -> None:
    dye_set([saved / "train"], tmp_path / "out", Recipe(save=("mask",)))
    old, new = datasets.load_from_disk(str(saved))["train"], datasets.load_from_disk(str(tmp_path / "out"))
    assert new.features == {**old.features, "mask": datasets.Image()}
    assert new[0]["mask"].size == new[0]["image"].size
    assert new[0]["image"].tobytes() == old[0]["image"].tobytes()


def test_a_photo_that_fails_is_null(
    saved: Path, tmp_path: Path, photos: list[bytes], failures: Callable[[Summary], dict[str, str]]
) -> None:
    rows = {"image": [{"bytes": photos[0], "path": None}, {"bytes": b"?", "path": None}, None]}
    features = datasets.Features({"image": datasets.Image()})
    datasets.Dataset.from_dict(rows, features).save_to_disk(str(tmp_path / "flawed"))
    summary = dye_set([tmp_path / "flawed"], tmp_path / "out")
    assert (summary.done, list(failures(summary))) == (1, ["row 1"])
    new = datasets.load_from_disk(str(tmp_path / "out"))
    assert [row["image"] is None for row in new] == [False, True, True]


def test_the_same_bytes_whoever_makes_them(saved: Path, tmp_path: Path, files_in: Callable[[Path], list[str]]) -> None:
    made = []
    for number, workers in enumerate((1, 2)):
        out = tmp_path / f"out{number}"
        dye_set([saved], out, Recipe(color=(0, 1)), How(workers=workers))
        made.append({name: (out / name).read_bytes() for name in files_in(out)})
    assert made[0] == made[1]
    assert sorted(made[0]) == [
        "dataset_dict.json",
        "test/data-00000-of-00001.arrow",
        "test/dataset_info.json",
        "test/state.json",
        "train/data-00000-of-00002.arrow",
        "train/data-00001-of-00002.arrow",
        "train/dataset_info.json",
        "train/state.json",
    ]
    dye_set([saved], tmp_path / "other", Recipe(color=0.9))
    states = [json.loads((tmp_path / out / "train/state.json").read_text()) for out in ("out0", "other")]
    assert states[0].pop("_fingerprint") != states[1].pop("_fingerprint")
    assert states[0] == states[1]


def test_from_a_url_to_a_url(
    saved: Path, tmp_path: Path, photos: list[bytes], dyed: Callable[..., bytes], memory: Any
) -> None:
    memory.put(str(saved), "/containers/saved", recursive=True)
    how = How(manifest=str(tmp_path / "manifest.sqlite"))
    summary = dye_set(["memory://containers/saved"], "memory://containers/made", how=how)
    assert (summary.done, summary.failed) == (6, 0)
    memory.get("/containers/made", str(tmp_path / "made"), recursive=True)
    new = datasets.load_from_disk(str(tmp_path / "made"))
    assert new["test"][1]["image"].tobytes() == pixels(dyed(photos[5]))


def test_photos_are_counted_beforehand(saved: Path) -> None:
    assert images_in(str(saved / "train" / "data-00000-of-00002.arrow"), "arrow", Recipe()) == (2, None)


def stream(photos: list[bytes]) -> tuple[bytes, int]:
    """A stream of two batches, and where the second begins."""
    made = io.BytesIO()
    batch = pa.record_batch({"image": pa.array(photos[:2], pa.binary()), "name": ["a", "b"]})
    with pa.ipc.new_stream(made, batch.schema) as writer:
        writer.write_batch(batch)
        second = made.tell()
        writer.write_batch(batch)
    return made.getvalue(), second


def test_what_is_cut_short_fails_as_a_whole(photos: list[bytes], tmp_path: Path) -> None:
    whole, second = stream(photos)
    cuts = [0, 3, 100, second - 1, second, second + 10, second + 2000, len(whole) - 8, len(whole) - 1]
    for cut in cuts:
        (tmp_path / f"{cut}.arrow").write_bytes(whole[:cut])
    summary = dye_set([str(path) for path in tmp_path.glob("*.arrow")], tmp_path / "out")
    assert (summary.done, summary.failed, summary.left) == (0, len(cuts), 0)
    assert not list((tmp_path / "out").glob("*.arrow"))
    assert summary.failures is not None
    assert summary.failures.read_text().count("it is no Arrow file, corrupt or cut short") == len(cuts)


def test_damage_is_found_before_it_can_do_harm(photos: list[bytes]) -> None:
    whole, _ = stream(photos)
    begin = whole.index(photos[0]) - 64  # the offsets of the photos
    refused = 0
    chance = random.Random(0)
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(4):
            damaged[begin + chance.randrange(64)] = chance.randrange(256)
        try:
            list(open_container(io.BytesIO(damaged), "arrow", "a.arrow", Recipe()).samples())
        except InputError:
            refused += 1
    assert refused > 30


def test_files_of_arrow_are_no_streams(photos: list[bytes]) -> None:
    made = io.BytesIO()
    batch = pa.record_batch({"image": pa.array(photos[:2], pa.binary())})
    with pa.ipc.new_file(made, batch.schema) as writer:
        writer.write_batch(batch)
    made.seek(0)
    with pytest.raises(InputError, match=r"a\.arrow: it is Arrow's file format; allowed is its stream format"):
        open_container(made, "arrow", "a.arrow", Recipe())


def test_a_split_whose_file_fails_does_not_pass_for_whole(saved: Path, tmp_path: Path) -> None:
    broken = saved / "train" / "data-00001-of-00002.arrow"
    broken.write_bytes(broken.read_bytes()[:-100])
    shutil.rmtree(saved / "test")
    summary = dye_set([saved], tmp_path / "out")
    assert (summary.done, summary.failed) == (2, 1)
    with pytest.raises(FileNotFoundError):
        datasets.load_from_disk(str(tmp_path / "out" / "train"))
