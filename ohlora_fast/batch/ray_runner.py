"""The same stages on a cluster, on Ray Data: actors hold the student, results stream back to the driver.

The driver hands tasks out in windows, so that its memory is flat however large the set is, and each window in blocks: a
block is what an actor takes at a time. A dead actor's block is done again by another; outputs appear whole under names
that are settled beforehand, so it is made over itself.
"""

from __future__ import annotations

import hashlib
import math
import os
import pickle
import platform
import warnings
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from ohlora_fast import __version__
from ohlora_fast.batch.dyer import Dyer, collecting_warnings, reason
from ohlora_fast.batch.execute import execute
from ohlora_fast.batch.outbox import StopError, open_outbox
from ohlora_fast.batch.pool import Pool
from ohlora_fast.batch.ray_cluster import connected, quiet
from ohlora_fast.batch.recipe import Recipe
from ohlora_fast.batch.task import Result, Task
from ohlora_fast.errors import InputError
from ohlora_fast.media.images import Photo
from ohlora_fast.ombre import NAMES

if TYPE_CHECKING:
    import pyarrow as pa
    from ray.data import Dataset

WINDOW = 2**17
"""Tasks that the driver holds at once, about a kilobyte each. Between two windows actors start anew, in seconds."""
BLOCK = 32
"""Photos that an actor takes at a time, at most; a container is a block of its own. What is lost with an actor is one
block, and handing it out takes a few milliseconds of the driver."""
BLOCKS_A_WORKER = 8
"""At least so many, if there are enough photos: no worker is idle for long when the last ones are done."""
ATTEMPTS = 2
"""How often a block is begun before its photos are tried one by one, and a photo before it is given up."""
BATCH = 16
"""Rows of a user's dataset that an actor takes at a time."""
PHOTO = "photo"
"""Stands in messages for a photo without a name."""


def run_on_ray(
    tasks: Iterable[Task],
    out: str,
    recipe: Recipe,
    workers: int | None,
    address: str | None,
    gpus: float,
    key: str = "run",
) -> Generator[Result, None, None]:
    """Do tasks on a Ray cluster and yield their results as they come, in any order.

    The members of a container come before the container itself.

    Args:
        tasks: taken a window at a time.
        out: the output folder, a path that every node sees, or a URL.
        recipe: what is made of each photo; its checkpoint is a file that every node sees.
        workers: actors, with a CPU each; None: as many as the cluster has room for, and more if it grows.
        address: of the cluster, "auto" for the one that this machine belongs to; None: what the environment variable
            RAY_ADDRESS says, or a new one on this machine. If `ray.init` has been called already, its cluster is used.
        gpus: the share of a GPU that an actor takes; 0: the student runs on CPUs, unless the recipe names a device.
        key: of the output folder, as of `open_outbox`.

    Raises:
        InputError: Ray is missing or does not answer, an argument is of no use, or a node cannot run the recipe.
        StopError: the output folder takes nothing more.
    """
    tasks = iter(tasks)
    with connected(address), quiet():
        room = _room(workers, gpus)
        while window := {task.source: task for task in islice(tasks, WINDOW)}:
            fair = math.ceil(len(window) / (BLOCKS_A_WORKER * room))
            # What is left after the first turn has lost its worker each time, maybe to a photo of its block or of one
            # that waited for the same worker. In the second turn each photo loses its own worker alone.
            for rows, in_flight in ((min(BLOCK, fair), None), (1, 1)):
                blocks = list(_blocks(window.values(), rows))
                if not blocks:
                    break
                actors = _actors(gpus, min(room, len(blocks)), workers, in_flight)
                for result in _run(blocks, out, key, recipe, gpus, actors):
                    if result.member is None:
                        del window[result.source]
                    yield result
            for source in window:
                yield Result(source, error=f"each of the {2 * ATTEMPTS} Ray workers that took it up died")


def _run(
    blocks: list[pa.Table], out: str, key: str, recipe: Recipe, gpus: float, actors: dict[str, Any]
) -> Iterator[Result]:
    """Do blocks of tasks; one whose workers died `ATTEMPTS` times gives no results."""
    import ray.data

    # Unlike from_arrow, this sends no task into the cluster for each block, to count its rows.
    dataset = ray.data.from_blocks(blocks)
    with warnings.catch_warnings():
        # Up to Ray 2.63 this is how retries are limited; else a photo that kills its worker would do so for ever.
        warnings.simplefilter("ignore", DeprecationWarning)
        results = dataset.map_batches(
            _Worker,
            fn_constructor_args=(out, key, recipe, gpus, os.getcwd(), recipe.digest(), __version__),
            batch_size=1,
            batch_format="pyarrow",
            ray_remote_args_fn=lambda: {"max_task_retries": ATTEMPTS - 1},
            **actors,
        )
    for batch in results.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        for packed in batch["object"]:
            result = pickle.loads(packed.as_py())
            if isinstance(result, InputError):
                raise result
            yield result


def _blocks(tasks: Iterable[Task], rows: int) -> Iterator[pa.Table]:
    block = []
    for task in tasks:
        if task.kind != "photo":
            yield _packed([task])
            continue
        block.append(task)
        if len(block) == rows:
            yield _packed(block)
            block = []
    if block:
        yield _packed(block)


def _packed(objects: Iterable[Any]) -> pa.Table:
    """A table with a row an object. Pickles carry names that are no UTF-8, which Arrow's text does not."""
    import pyarrow as pa

    return pa.table({"object": pa.array([pickle.dumps(one) for one in objects], pa.binary())})


class _Worker:
    """What an actor does; it holds the student."""

    def __init__(self, out: str, key: str, recipe: Recipe, gpus: float, folder: str, digest: str, version: str) -> None:
        self.failure: InputError | None = None
        with suppress(OSError):  # relative paths are the driver's
            os.chdir(folder)
        try:
            if version != __version__:
                raise InputError(f"ohlora-fast is {__version__} there and {version} here; allowed is one version")
            if recipe.digest() != digest:
                student = recipe.checkpoint or "the bundled student"
                raise InputError(f"checkpoint: {student} or the head finder is another file there")
            self.dyer = Dyer(_placed(recipe, gpus), threads=1)
            self.outbox = open_outbox(out, key)
        except InputError as error:  # raised here, it would come out as a long story of Ray's
            self.failure = InputError(f"Ray worker on {platform.node()}: {error}")

    def __call__(self, batch: pa.Table) -> pa.Table:
        if self.failure is not None:
            return _packed([self.failure])
        tasks = (pickle.loads(packed.as_py()) for packed in batch["object"])
        done: list[Result | InputError] = []
        with collecting_warnings(), Pool(1) as pool:
            try:
                for result in execute(tasks, self.dyer, self.outbox, pool.map):
                    done.append(result)
            except StopError as error:
                done.append(StopError(f"Ray worker on {platform.node()}: {error}"))
        return _packed(done)


def _placed(recipe: Recipe, gpus: float) -> Recipe:
    """A recipe that takes a GPU only if the actor has a share of one: Ray may not hide the others'."""
    return replace(recipe, device="cpu") if recipe.device == "auto" and not gpus else recipe


def _room(workers: int | None, gpus: float) -> int:
    """How many actors there shall be, or as many of them as the cluster has room for as it is now.

    Raises:
        InputError: a number is out of its range, or there is no GPU for an actor.
    """
    import ray

    if workers is not None and workers < 1:
        raise InputError(f"workers: got {workers}, allowed is a number from 1")
    if not (0 <= gpus <= 1 or (gpus > 1 and gpus == int(gpus))):
        raise InputError(f"gpus: got {gpus:g}, allowed is a share from 0 to 1, or a whole number")
    resources = ray.cluster_resources()
    there = resources.get("GPU", 0.0)
    if gpus > there:
        raise InputError(f"gpus: got {gpus:g}, but the Ray cluster has {there:g} GPUs")
    room = max(1, int(there / gpus + 1e-6 if gpus else resources.get("CPU", 1.0)))
    return room if workers is None else min(room, workers)


def _actors(gpus: float, fewest: int, most: int | None, in_flight: int | None = None) -> dict[str, Any]:
    """Options of `map_batches` for a pool of actors, each with so many blocks that run or wait there.

    With a smaller minimum Ray would take actors away while the first ones still wait for work, and start them again.
    """
    from ray.data import ActorPoolStrategy

    pool = ActorPoolStrategy(min_size=fewest, max_size=most, max_tasks_in_flight_per_actor=in_flight)
    return {"compute": pool, "num_cpus": 1, "num_gpus": gpus or None}


def map_dataset(
    dataset: Dataset,
    column: str = "image",
    recipe: Recipe | None = None,
    concurrency: int | None = None,
    num_gpus: float = 0.0,
    name_column: str | None = None,
) -> Dataset:
    """Dye the photos in a Ray dataset; lazy, as every transform of Ray Data.

    Args:
        dataset: has the photos in a column: encoded (bytes, or ``{"bytes": …}`` as Hugging Face keeps them), or as
            uint8 arrays (H, W, 3) or (H, W, 4), whose sizes may differ. Columns ``color``, ``ombre_height`` and
            ``ombre_grad_height``, if there are any, hold settings for a row, null for the recipe's.
        column: the photos'.
        recipe: what is made of each photo; dyed sky blue if None.
        concurrency: actors, with a CPU each; None: as many as the cluster has room for, and more if it grows.
        num_gpus: the share of a GPU that an actor takes; 0: the student runs on CPUs, unless the recipe names a device.
        name_column: what random settings are drawn from, beside the recipe's seed; None: the photo's bytes. Either way
            they do not depend on the order of the rows.

    Returns:
        The dataset with the columns that `Recipe.save` names, ``dyed``, ``mask`` or ``overlay``, in place of any of
        these names: bytes of image files for encoded photos, arrays for arrays, (H, W) for masks; and ``error``, why
        nothing was made of a photo, or null. Arrays are not files that may be broken: another dtype or shape ends the
        run.

    Raises:
        InputError: Ray is missing, or an argument is of no use; while the dataset is worked through, Ray's own error
            around it: there is no such column, it holds no photos, or a node cannot run the recipe.

    Example:
        >>> import pytest; ray = pytest.importorskip("ray")
        >>> import numpy as np, ray.data
        >>> from ohlora_fast.batch import Recipe, map_dataset
        >>> context = ray.init("local", num_cpus=1, log_to_driver=False)
        >>> photos = ray.data.from_items([{"image": np.full((60, 40, 3), 90, np.uint8), "color": 0.9}])
        >>> dyed = map_dataset(photos, recipe=Recipe(save=("dyed", "mask")))
        >>> row = dyed.take_all()[0]
        >>> row["dyed"].shape, row["mask"].shape, row["error"]
        ((60, 40, 3), (60, 40), None)
        >>> ray.shutdown()
    """
    recipe = recipe or Recipe()
    return dataset.map_batches(
        _Mapper,
        fn_constructor_args=(column, recipe, num_gpus, name_column),
        batch_size=BATCH,
        batch_format="pyarrow",
        **_actors(num_gpus, _room(concurrency, num_gpus), concurrency),
    )


class _Mapper:
    """What an actor of `map_dataset` does; it holds the student."""

    def __init__(self, column: str, recipe: Recipe, gpus: float, name_column: str | None) -> None:
        self.column = column
        self.recipe = recipe
        self.name_column = name_column
        self.dyer = Dyer(_placed(recipe, gpus), threads=1)

    def __call__(self, batch: pa.Table) -> pa.Table:
        import pyarrow as pa
        from ray.data.extensions import ArrowTensorArray

        photos = [self._photo(value) for value in _column(batch, self.column)]
        names = [None] * len(photos) if self.name_column is None else _column(batch, self.name_column)
        columns = (_column(batch, name) if name in batch.column_names else [None] * len(photos) for name in NAMES)
        as_arrays = any(isinstance(photo, np.ndarray) for photo in photos)
        made: list[Sequence[Any]] = []
        errors: list[str | None] = []
        for photo, name, *given in zip(photos, names, *columns, strict=True):
            error = None
            try:
                made.append(self._make(photo, name, given))
            except InputError as problem:
                if as_arrays:
                    raise
                made.append([None] * len(self.recipe.save))
                error = reason(problem, PHOTO)
            errors.append(error)
        for number, kind in enumerate(self.recipe.save):
            values = [one[number] for one in made]
            array = ArrowTensorArray.from_numpy(values) if as_arrays else pa.array(values, pa.binary())
            batch = _with_column(batch, kind, array)
        return _with_column(batch, "error", pa.array(errors, pa.string()))

    def _photo(self, value: Any) -> bytes | np.ndarray[Any, Any] | None:
        photo = value.get("bytes") if isinstance(value, dict) else value
        if isinstance(photo, bytes | np.ndarray | None):
            return photo
        raise InputError(f"column: {self.column!r} holds {type(photo).__name__}, allowed are bytes and arrays")

    def _make(
        self, photo: bytes | np.ndarray[Any, Any] | None, name: Any, given: Sequence[float | None]
    ) -> Sequence[Any]:
        """What the recipe asks for of one photo, as files or arrays."""
        if photo is None:
            raise InputError("there is no photo in it")
        data = photo if isinstance(photo, bytes) else photo.tobytes()
        drawn = self.recipe.settings(hashlib.blake2b(data).hexdigest() if name is None else str(name))
        values = (getattr(drawn, field) if value is None else value for field, value in zip(NAMES, given, strict=True))
        color, height, grad_height = values
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # no hair, no room for alpha: said for no one to hear
            if isinstance(photo, np.ndarray):
                pictures = self.dyer.pictures(Photo(photo), (color, height, grad_height))
                return [pixels for pixels, _ in pictures]
            return self.dyer.make(BytesIO(photo), PHOTO, None, (color, height, grad_height)).files


def _column(batch: pa.Table, name: str) -> list[Any]:
    if name not in batch.column_names:
        raise InputError(f"column: got {name!r}, allowed are {', '.join(batch.column_names)}")
    values: list[Any] = batch.column(name).to_pylist()
    return values


def _with_column(batch: pa.Table, name: str, values: Any) -> pa.Table:
    """The table with a column more, or another in place of one of this name."""
    place = batch.schema.get_field_index(name)
    return batch.append_column(name, values) if place < 0 else batch.set_column(place, name, values)
