"""Parquet files with a column of pictures."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ohlora_fast.batch import Recipe, dye_set
from ohlora_fast.batch.containers import images_in, is_table_of_paths
from ohlora_fast.batch.dyer import Dyer
from ohlora_fast.batch.execute import execute, one_by_one
from ohlora_fast.batch.outbox import open_outbox
from ohlora_fast.batch.run import How, Summary
from ohlora_fast.batch.task import Task
from ohlora_fast.errors import InputError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

BINARY = pa.binary()
HF_IMAGE = pa.struct({"bytes": BINARY, "path": pa.string()})


@pytest.fixture
def table(photos: list[bytes]) -> Any:
    """Six photos as Hugging Face's datasets keep them, among columns of all sorts."""
    features = {"image": {"mode": "RGB", "_type": "Image"}, "label": {"dtype": "int64", "_type": "Value"}}
    return pa.table(
        {
            "label": pa.array(range(6)),
            "image": pa.array([{"bytes": photo, "path": f"{n}.jpg"} for n, photo in enumerate(photos)], HF_IMAGE),
            "faces": pa.array([[{"box": [1.0, 2.0], "name": "anna"}], [], None, [], [], []]),
            "kind": pa.array(["a", "b", None, "b", "a", "a"]).dictionary_encode(),
        }
    ).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}}), "owner": "berta"})


def run(source: Path, *recipe: Any, **options: Any) -> tuple[Summary, Path]:
    out = source.parent / "out"
    return dye_set([source], out, Recipe(*recipe, **options)), out / source.name


def test_the_photos_are_dyed_and_the_rest_is_kept(
    table: Any, photos: list[bytes], tmp_path: Path, dyed: Callable[..., bytes]
) -> None:
    source = tmp_path / "a.parquet"
    pq.write_table(table, source, row_group_size=4, compression={"image": "none", "label": "zstd"})
    summary, made = run(source)
    assert (summary.done, summary.failed) == (6, 0)
    new = pq.read_table(made)
    old = pq.read_table(source)
    assert new.schema.equals(old.schema, check_metadata=True)
    assert new.drop_columns("image").equals(old.drop_columns("image"))
    expected = [{"bytes": dyed(photo), "path": f"{number}.jpg"} for number, photo in enumerate(photos)]
    assert new["image"].to_pylist() == expected
    was, now = pq.read_metadata(source), pq.read_metadata(made)
    assert [now.row_group(n).num_rows for n in range(now.num_row_groups)] == [4, 2]
    for number in range(was.num_columns):
        columns = [metadata.row_group(0).column(number) for metadata in (was, now)]
        assert len({(column.path_in_schema, column.compression) for column in columns}) == 1


def test_masks_and_overlays_are_columns(
    table: Any, photos: list[bytes], tmp_path: Path, dyed: Callable[..., bytes]
) -> None:
    pq.write_table(table, tmp_path / "a.parquet")
    _, made = run(tmp_path / "a.parquet", save=("dyed", "mask", "overlay"), suffix=".png")
    new = pq.read_table(made)
    assert new.column_names == ["label", "image", "faces", "kind", "mask", "overlay"]
    assert {new.schema.field(name).type for name in ("image", "mask", "overlay")} == {HF_IMAGE}
    assert new["image"][0].as_py() == {"bytes": dyed(photos[0], ".png"), "path": "0.png"}
    mask, overlay = new["mask"][0].as_py(), new["overlay"][0].as_py()
    assert (mask["path"], overlay["path"]) == ("0_mask.png", "0_overlay.png")
    assert Image.open(io.BytesIO(mask["bytes"])).mode == "L"
    features = json.loads(new.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["mask"] == features["overlay"] == {"_type": "Image"}
    assert new.schema.metadata[b"owner"] == b"berta"


def test_datasets_loads_what_was_written(
    photos: list[bytes], tmp_path: Path, dyed: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"photo": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    rows = {"photo": [{"bytes": photo, "path": None} for photo in photos], "label": [0, 1] * 3}
    datasets.Dataset.from_dict(rows, features).to_parquet(str(tmp_path / "a.parquet"))
    _, made = run(tmp_path / "a.parquet", save=("dyed", "mask"))
    new = datasets.Dataset.from_parquet(str(made), cache_dir=str(tmp_path / "cache"))
    assert new.features == {**features, "mask": datasets.Image()}
    assert new[1]["photo"].tobytes() == Image.open(io.BytesIO(dyed(photos[1]))).tobytes()
    assert new[1]["mask"].size == (180, 200)


@pytest.mark.parametrize("type_", [BINARY, pa.large_binary()])
def test_a_column_of_bytes(photos: list[bytes], tmp_path: Path, dyed: Callable[..., bytes], type_: Any) -> None:
    schema = pa.schema([pa.field("id", pa.int8()), pa.field("jpg", type_, nullable=False)])
    pq.write_table(pa.table([[1, 2], photos[:2]], schema), tmp_path / "a.parquet")
    _, made = run(tmp_path / "a.parquet", save=("mask",))
    new = pq.read_table(made)
    assert new.schema.types == [pa.int8(), type_, type_]
    assert new["jpg"].to_pylist() == photos[:2]
    assert not new.schema.field("jpg").nullable
    (tmp_path / "out").rename(tmp_path / "masks")
    _, made = run(tmp_path / "a.parquet")
    assert pq.read_table(made)["jpg"].to_pylist() == [dyed(photo) for photo in photos[:2]]


def test_rows_without_a_photo_and_rows_that_fail(
    photos: list[bytes], tmp_path: Path, dyed: Callable[..., bytes], failures: Callable[[Summary], dict[str, str]]
) -> None:
    cells = [
        {"bytes": photos[0], "path": "0.jpg"},
        None,
        {"bytes": None, "path": None},
        {"bytes": None, "path": "far/away.jpg"},
        {"bytes": b"no picture", "path": "4.jpg"},
        {"bytes": photos[1], "path": None},
    ]
    table = pa.table({"image": pa.array(cells, HF_IMAGE), "label": pa.array(range(6))})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=2)
    summary, made = run(tmp_path / "a.parquet", save=("dyed", "mask", "overlay"))
    assert (summary.done, summary.failed) == (2, 2)
    reasons = failures(summary)
    assert reasons.keys() == {"row 3", "row 4"}
    assert reasons["row 3"] == "its bytes are not in the file, only the path 'far/away.jpg'"
    new = pq.read_table(made)
    assert new["label"].to_pylist() == list(range(6))
    for name in ("image", "mask", "overlay"):
        assert [cell is not None for cell in new[name].to_pylist()] == [True, False, False, False, False, True]
    assert new["image"][5].as_py() == {"bytes": dyed(photos[1]), "path": None}
    (tmp_path / "out").rename(tmp_path / "first")
    _, made = run(tmp_path / "a.parquet", save=("mask",))
    assert pq.read_table(made)["image"].to_pylist() == cells


def test_which_column_holds_the_photos(
    photos: list[bytes], tmp_path: Path, dyed: Callable[..., bytes], failures: Callable[[Summary], dict[str, str]]
) -> None:
    def changed(names: list[str], **options: Any) -> list[str] | str:
        source = Path(tempfile.mkdtemp(dir=tmp_path), "a.parquet")
        pq.write_table(pa.table({name: photos[:1] for name in names} | {"image": ["a text"]}), source)
        summary, made = run(source, **options)
        if summary.failed:
            return failures(summary)[""]
        table = pq.read_table(made)
        return [name for name in names if table[name].to_pylist() != photos[:1]]

    assert changed(["jpg", "photo"]) == ["photo"]
    assert changed(["embedding", "png"]) == ["png"]
    assert changed(["scan"]) == ["scan"]
    assert changed(["photo", "scan"], column="scan") == ["scan"]
    columns = "left (binary), right (binary), image (string)"
    assert f"which column holds pictures? It has {columns};" in changed(["left", "right"])
    assert "column: got 'image', allowed is one of pictures" in changed(["scan"], column="image")
    assert "column: got 'nose', allowed is one of pictures" in changed(["scan"], column="nose")
    assert "it has a column named mask already" in changed(["photo", "mask"], save=("dyed", "mask"))
    assert changed(["photo", "mask"], save=("dyed", "overlay")) == ["photo"]


def test_another_column_is_another_recipe() -> None:
    assert Recipe(column="scan").digest() != Recipe().digest()


def test_the_command_line_chooses_a_column(photos: list[bytes], tmp_path: Path, dyed: Callable[..., bytes]) -> None:
    from ohlora_fast.cli import main

    pq.write_table(pa.table({"left": photos[:1], "right": photos[1:2]}), tmp_path / "a.parquet")
    out = tmp_path / "out.set"  # a folder, in spite of its suffix
    assert main(["dye", str(tmp_path / "a.parquet"), "-o", str(out), "--column", "right", "--quiet"]) == 0
    assert pq.read_table(out / "a.parquet").to_pylist() == [{"left": photos[0], "right": dyed(photos[1])}]


def test_large_groups_of_rows_are_written_in_parts(table: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ohlora_fast.batch.containers import parquet

    monkeypatch.setattr(parquet, "GROUP_BYTES", 1)
    monkeypatch.setattr(parquet, "ROWS", 4)
    pq.write_table(table, tmp_path / "a.parquet")
    _, made = run(tmp_path / "a.parquet")
    metadata = pq.read_metadata(made)
    assert [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)] == [4, 2]
    assert pq.read_table(made)["label"].to_pylist() == list(range(6))


@pytest.mark.parametrize("change", ["empty", "text", "short", "head", "middle"])
def test_what_is_damaged_fails_as_a_whole(
    table: Any, tmp_path: Path, failures: Callable[[Summary], dict[str, str]], change: str
) -> None:
    source = tmp_path / "a.parquet"
    pq.write_table(table, source, compression="snappy", use_dictionary=False)
    whole = source.read_bytes()
    first_page = pq.read_metadata(source).row_group(0).column(1).data_page_offset
    source.write_bytes(
        {
            "empty": b"",
            "text": b"no table" * 100,
            "short": whole[: len(whole) // 2],
            "head": whole[:-200],
            "middle": whole[:first_page] + bytes(2000) + whole[first_page + 2000 :],
        }[change]
    )
    summary, made = run(source)
    assert (summary.done, summary.failed) == (0, 1)
    assert "it is no Parquet file, corrupt or cut short" in failures(summary)[""]
    assert not made.exists()


def test_a_table_without_rows(tmp_path: Path) -> None:
    pq.write_table(pa.schema({"image": HF_IMAGE}).empty_table(), tmp_path / "a.parquet")
    summary, made = run(tmp_path / "a.parquet", save=("mask",))
    assert (summary.done, summary.failed, summary.left) == (0, 0, 0)
    assert pq.read_table(made).column_names == ["image", "mask"]


def test_the_same_bytes_whoever_makes_them(table: Any, tmp_path: Path) -> None:
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=4)
    made = set()
    for number, workers in enumerate((1, 2, 2)):
        recipe = Recipe(color=(0, 1), save=("dyed", "mask"))
        dye_set([tmp_path / "a.parquet"], tmp_path / f"out{number}", recipe, How(workers=workers))
        made.add((tmp_path / f"out{number}" / "a.parquet").read_bytes())
    assert len(made) == 1
    assert dye_set([tmp_path / "a.parquet"], tmp_path / "out0", Recipe(color=(0, 1), save=("dyed", "mask"))).done == 0


def test_a_run_that_breaks_off_leaves_no_half_table(
    table: Any, tmp_path: Path, files_in: Callable[[Path], list[str]]
) -> None:
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=1)
    task = Task(str(tmp_path / "a.parquet"), "parquet", "a.parquet", ("a.parquet",), (0.5, 0.6, 0.5))
    results = execute([task], Dyer(Recipe()), open_outbox(str(tmp_path / "out")), one_by_one)
    assert [next(results).member for _ in range(3)] == ["row 0", "row 1", "row 2"]
    assert len(files_in(tmp_path / "out")) == 1
    results.close()  # type: ignore[attr-defined]
    assert files_in(tmp_path / "out") == []


def test_photos_are_counted_beforehand(table: Any, tmp_path: Path, memory: Any) -> None:
    pq.write_table(table, tmp_path / "a.parquet")
    memory.pipe_file("/containers/a.parquet", (tmp_path / "a.parquet").read_bytes())
    for source in (str(tmp_path / "a.parquet"), "memory://containers/a.parquet"):
        assert images_in(source, "parquet", Recipe()) == (6, None)
    (tmp_path / "b.parquet").write_bytes(b"PAR1")
    count, error = images_in(str(tmp_path / "b.parquet"), "parquet", Recipe())
    assert count is None
    assert error is not None
    assert "it is no Parquet file" in error


def test_tables_of_paths_are_told_apart(table: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "a.parquet")
    for columns, expected in (
        ({"path": ["a.jpg"], "label": [1]}, True),
        ({"path": ["a.jpg"], "image": [b""]}, False),
        ({"path": [b"a.jpg"]}, False),
        ({"name": ["a.jpg"]}, False),
    ):
        pq.write_table(pa.table(columns), path)
        assert is_table_of_paths(path) is expected
    Path(path).write_bytes(b"PAR1")
    assert not is_table_of_paths(path)


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.parquet").touch()
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"a\.parquet: it takes pyarrow; install ohlora-fast\[batch\]"):
        dye_set([tmp_path / "a.parquet"], tmp_path / "out")
