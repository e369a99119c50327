"""The Ray runner on a cluster of two nodes, with workers and nodes that die; and datasets of Ray's own."""

from __future__ import annotations

import io
import os
import pickle
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ohlora_fast import HairStylist, __version__
from ohlora_fast.batch import Recipe, dye_set, map_dataset
from ohlora_fast.batch.dyer import checksums
from ohlora_fast.batch.progress import Progress
from ohlora_fast.batch.run import How
from ohlora_fast.batch.task import Result, Task
from ohlora_fast.errors import InputError

pyarrow = pytest.importorskip("pyarrow")
ray = pytest.importorskip("ray")
pytest.importorskip("ray.data")
from ray.cluster_utils import Cluster  # noqa: E402

from ohlora_fast.batch.ray_runner import ATTEMPTS, _Worker, run_on_ray  # noqa: E402

STORE = 100 * 2**20
PHOTOS = 40


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Two nodes with a CPU each, to which this process is connected."""
    # Workers import from the folder that Ray is started in, too: in the source tree that instead of what is installed.
    os.chdir(tmp_path_factory.mktemp("cluster"))
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": STORE})
    nodes.add_node(num_cpus=1, object_store_memory=STORE)
    ray.init(nodes.address, log_to_driver=False, logging_level="ERROR")
    yield nodes
    ray.shutdown()
    nodes.shutdown()


@pytest.fixture
def photos(tmp_path: Path, portrait_pixels: np.ndarray[Any, Any]) -> Path:
    """A folder with pictures that differ; of one the name is no UTF-8, one is cut short, one has no hair."""
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    for number in range(PHOTOS - 3):
        Image.fromarray(np.roll(portrait_pixels, number, axis=1)).save(folder / f"{number:02}.png", compress_level=1)
    data = (folder / "00.png").read_bytes()
    (folder / "deep" / "cut.png").write_bytes(data[:1000])
    Image.new("RGB", (40, 50), "white").save(folder / "deep" / "bald.jpg")
    if sys.platform == "linux":
        Path(os.fsdecode(os.fsencode(folder) + b"/n\xe4me.png")).write_bytes(data)
    else:
        (folder / "name.png").write_bytes(data)
    return folder


def made(out: Path) -> dict[str, bytes]:
    """Every output, and no half of one."""
    files = {str(path.relative_to(out)): path for path in out.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if not name.startswith(".ohlora-fast/manifest")}


def rows(out: Path) -> list[tuple[Any, ...]]:
    """The manifest, but for times and runs."""
    with closing(sqlite3.connect(out / ".ohlora-fast" / "manifest.sqlite")) as manifest:
        return manifest.execute(
            "SELECT source, kind, below, outputs, fingerprint, recipe, color, ombre_height, ombre_grad_height, state, "
            "checksums, bytes, error, notes, images, here FROM files ORDER BY id"
        ).fetchall()


class Each(Progress):
    """Calls a function with the number of each result."""

    def __init__(self, call: Callable[[int], None]) -> None:
        super().__init__()
        self.call = call

    def finished(self, result: Result) -> None:
        self.call(self.done + self.failed)


RECIPE = Recipe(color=(0.0, 1.0), save=("dyed", "mask"))


@pytest.mark.usefixtures("cluster")
def test_same_files_and_manifest_as_the_local_runner(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    photos = Path("in")  # workers were started elsewhere
    here = dye_set([photos], tmp_path / "local", RECIPE, How(recursive=True))
    there = dye_set([photos], tmp_path / "ray", RECIPE, How(recursive=True, runner="ray"))
    assert (here.done, here.failed, here.left) == (there.done, there.failed, there.left) == (PHOTOS - 1, 1, 0)
    assert (here.without_hair, there.without_hair) == (1, 1)
    assert len(made(tmp_path / "ray")) == 2 * (PHOTOS - 1) + 1  # and the table of failures
    assert made(tmp_path / "ray") == made(tmp_path / "local")
    assert rows(tmp_path / "ray") == rows(tmp_path / "local")
    notes = [row[-3] for row in rows(tmp_path / "ray")]
    assert sum(note == "no hair found; left unchanged" for note in notes) == 1
    assert dye_set([photos], tmp_path / "ray", RECIPE, How(recursive=True, runner="ray")).earlier == PHOTOS - 1


@pytest.mark.usefixtures("cluster")
def test_same_files_as_the_local_runner_head_by_head(group: Path, portrait: Path, tmp_path: Path) -> None:
    recipe = Recipe(save=("dyed", "mask"), heads=(1, 0), head_colors=(0.1, 0.6), refine=None)
    here = dye_set([group, portrait], tmp_path / "local", recipe)
    there = dye_set([group, portrait], tmp_path / "ray", recipe, How(runner="ray"))
    assert (here.done, here.without_hair) == (there.done, there.without_hair) == (2, 0)
    assert made(tmp_path / "ray") == made(tmp_path / "local")
    assert rows(tmp_path / "ray") == rows(tmp_path / "local")
    assert [row[-3] for row in rows(tmp_path / "ray")] == ["", "no head 2 (heads found: 1); left unchanged"]


def test_a_node_dies_in_mid_run(cluster: Any, photos: Path, tmp_path: Path) -> None:
    doomed = cluster.add_node(num_cpus=1, object_store_memory=STORE)

    def kill(number: int) -> None:
        if number == 8:
            cluster.remove_node(doomed, allow_graceful=False)

    dye_set([photos], tmp_path / "local", RECIPE)
    summary = dye_set([photos], tmp_path / "ray", RECIPE, How(runner="ray"), Each(kill))
    assert (summary.done, summary.failed, summary.left) == (PHOTOS - 2, 0, 0)
    assert doomed not in cluster.list_all_nodes()
    assert made(tmp_path / "ray") == made(tmp_path / "local")
    assert rows(tmp_path / "ray") == rows(tmp_path / "local")


class Deadly(Task):
    """A task that kills workers that take it up; its kind is ``FILE*TIMES``: where deaths are counted, and how many."""

    def __reduce__(self) -> tuple[Any, ...]:
        code = (
            "__import__('os').kill(__import__('os').getpid(), 9) "
            "if open(deaths, 'ab').write(b'x') and __import__('os').path.getsize(deaths) <= times else task"
        )
        deaths, times = self.kind.split("*")
        names = {"deaths": deaths, "times": int(times), "task": Task(self.source, "photo", *astuple(self)[2:])}
        return eval, (code, names)


@pytest.mark.usefixtures("cluster")
def test_workers_are_killed_in_mid_run(photos: Path, tmp_path: Path) -> None:
    paths = sorted(photos.glob("*.png"))
    tasks = [
        Task(str(path), "photo", path.name, (path.name, f"{path.stem}_mask.png"), (0.5, 0.6, 0.5)) for path in paths
    ]
    for number, deaths in ((10, 1), (20, 10**6)):
        task = tasks[number]
        tasks[number] = Deadly(task.source, f"{tmp_path / task.below}*{deaths}", *astuple(task)[2:])
    out = tmp_path / "out"
    results = list(run_on_ray(tasks, str(out), RECIPE, None, None, 0.0))
    by_source = {result.source: result for result in results}
    assert sorted(result.source for result in results) == [str(path) for path in paths]
    assert by_source.pop(tasks[20].source).error == f"each of the {2 * ATTEMPTS} Ray workers that took it up died"
    assert (tmp_path / tasks[10].below).stat().st_size == 2
    stylist = HairStylist(threads=1)
    files = made(out)
    assert len(files) == 2 * (len(tasks) - 1)
    for task in (*tasks[:20], *tasks[21:]):
        data = [files[name] for name in task.outputs]
        assert by_source[task.source].error is None
        assert by_source[task.source].checksums == checksums(data)
        with Image.open(task.source) as picture, Image.open(io.BytesIO(data[0])) as dyed:
            np.testing.assert_array_equal(np.asarray(dyed), stylist.dye(np.asarray(picture), *task.settings))


@pytest.mark.usefixtures("cluster")
def test_interrupted(photos: Path, tmp_path: Path) -> None:
    def interrupt(number: int) -> None:
        if number == 8:  # while the next results are waited for
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        dye_set([photos], out, RECIPE, How(runner="ray"), Each(interrupt))
    with closing(sqlite3.connect(out / ".ohlora-fast" / "manifest.sqlite")) as manifest:
        done = manifest.execute("SELECT count(*) FROM files WHERE state = 'done'").fetchone()[0]
    assert 8 <= done < PHOTOS - 2
    summary = dye_set([photos], out, RECIPE, How(runner="ray"))
    assert (summary.done, summary.earlier, summary.left) == (PHOTOS - 2 - done, done, 0)


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize(
    ("workers", "gpus", "device", "message"),
    [
        (0, 0.0, "auto", "workers: got 0, allowed is a number from 1"),
        (None, 1.5, "auto", "gpus: got 1.5, allowed is a share from 0 to 1, or a whole number"),
        (None, 0.5, "auto", "gpus: got 0.5, but the Ray cluster has 0 GPUs"),
        (None, 0.0, "mps", "Ray worker on .*: device: .*"),
    ],
)
def test_what_no_worker_can_do(tmp_path: Path, workers: int, gpus: float, device: str, message: str) -> None:
    tasks = [Task("a.png", "photo", "a.png", ("a.png",), (0.5, 0.6, 0.5))]
    with pytest.raises(InputError, match=f"^{message}"):
        list(run_on_ray(tasks, str(tmp_path), Recipe(device=device), workers, None, gpus))


@pytest.mark.parametrize(
    ("digest", "version", "message"),
    [
        (RECIPE.digest(), "0.0.1", f"ohlora-fast is {__version__} there and 0.0.1 here; allowed is one version"),
        ("0", __version__, "checkpoint: the bundled student or the head finder is another file there"),
    ],
)
def test_a_node_with_another_student(tmp_path: Path, digest: str, version: str, message: str) -> None:
    worker = _Worker(str(tmp_path), "run", RECIPE, 0.0, ".", digest, version)
    (packed,) = worker({"object": []})["object"]
    problem = pickle.loads(packed.as_py())
    assert isinstance(problem, InputError)
    assert str(problem).endswith(message)


def encoded(pixels: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.mark.usefixtures("cluster")
def test_a_dataset_of_files(portrait_pixels: np.ndarray[Any, Any]) -> None:
    pictures = [np.roll(portrait_pixels, number, axis=1) for number in range(6)]
    rows: list[dict[str, Any]] = [
        {"key": number, "photo": {"bytes": encoded(pixels), "path": None}, "color": 0.9 if number == 3 else None}
        for number, pixels in enumerate(pictures)
    ]
    rows.append({"key": 6, "photo": {"bytes": b"none", "path": None}, "color": None})
    rows.append({"key": 7, "photo": {"bytes": None, "path": None}, "color": None})
    recipe = Recipe(color=(0.0, 1.0), save=("dyed", "mask"))

    photo = pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})
    schema = pyarrow.schema({"key": pyarrow.int64(), "photo": photo, "color": pyarrow.float64()})

    def dyed(rows: list[dict[str, Any]], name_column: str | None) -> dict[int, dict[str, Any]]:
        table = pyarrow.Table.from_pylist(rows, schema)
        dataset = map_dataset(ray.data.from_arrow(table), "photo", recipe, 1, name_column=name_column)
        return {row["key"]: row for row in dataset.take_all()}

    there = dyed(rows, "key")
    stylist = HairStylist(threads=1)
    for number, pixels in enumerate(pictures):
        color = 0.9 if number == 3 else recipe.settings(str(number)).color
        with Image.open(io.BytesIO(there[number]["dyed"])) as picture:
            np.testing.assert_array_equal(np.asarray(picture), stylist.dye(pixels, color))
        with Image.open(io.BytesIO(there[number]["mask"])) as mask:
            assert (mask.mode, mask.size) == ("L", (180, 200))
        assert there[number]["error"] is None
        assert there[number]["photo"]["bytes"] == rows[number]["photo"]["bytes"]
    assert (there[6]["dyed"], there[6]["mask"]) == (None, None)
    assert there[6]["error"].startswith("cannot read it: ")
    assert there[7]["error"] == "there is no photo in it"
    assert dyed(rows[:6], None) == dyed(rows[5::-1], None) != {key: there[key] for key in range(6)}


@pytest.mark.usefixtures("cluster")
def test_a_dataset_of_arrays(portrait_pixels: np.ndarray[Any, Any]) -> None:
    pictures = [portrait_pixels[: 100 + 20 * number] for number in range(4)]
    rows = [{"image": pixels, "ombre_height": 0.2 * number} for number, pixels in enumerate(pictures)]
    recipe = Recipe(color=0.1, save=("overlay", "dyed"))
    there = map_dataset(ray.data.from_items(rows), recipe=recipe, concurrency=1).take_all()
    stylist = HairStylist(threads=1)
    for number, pixels in enumerate(pictures):
        (row,) = [row for row in there if row["image"].shape == pixels.shape]
        np.testing.assert_array_equal(row["dyed"], stylist.dye(pixels, 0.1, 0.2 * number))
        assert row["overlay"].shape == pixels.shape
        assert row["error"] is None


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"image": "abc"}, "column: 'image' holds str, allowed are bytes and arrays"),
        ({"image": np.zeros((6, 4), np.float32)}, "image: got "),
    ],
)
def test_a_dataset_without_photos(row: dict[str, Any], message: str) -> None:
    with pytest.raises(Exception, match=message):
        map_dataset(ray.data.from_items([row]), concurrency=1).take_all()
