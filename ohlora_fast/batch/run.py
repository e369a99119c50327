"""Dyeing a set from begin to end: find, enter, do, record, report."""

from __future__ import annotations

import csv
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from ohlora_fast import __version__
from ohlora_fast.batch.dyer import Dyer, collecting_warnings, file_digest
from ohlora_fast.batch.entry import Choice
from ohlora_fast.batch.execute import execute
from ohlora_fast.batch.gate import KILLS, Gate, Journal
from ohlora_fast.batch.manifest import Manifest
from ohlora_fast.batch.outbox import LocalOutbox, Outbox, StopError, is_url, open_outbox
from ohlora_fast.batch.pool import Pool
from ohlora_fast.batch.progress import Progress
from ohlora_fast.batch.recipe import Recipe
from ohlora_fast.batch.sources import entries, find
from ohlora_fast.batch.task import Result, Task
from ohlora_fast.batch.together import TOGETHER
from ohlora_fast.errors import InputError
from ohlora_fast.media.images import FORMATS
from ohlora_fast.runtime import usable_cores

RUNNERS = ("local", "ray")
MANIFEST = "manifest.sqlite"
LARGE_PHOTO = "large.json"
AT_IT = "an earlier run was killed while it worked on it, for want of memory it seems; it comes last now, and alone"
FAILURES = "failed.csv"
COMMIT_S = 1.0
"""Results are recorded at least this often; a killed run makes again what was not."""
SETTLE_S = 1.5
"""How long Ctrl-C waits for photos that are being dyed."""


@dataclass(frozen=True)
class How(Choice):
    """How a set is worked through; the outputs do not depend on it. Beside the fields of `Choice`:

    Attributes:
        recursive: go into the folders of a folder.
        runner: "local", or "ray" for a cluster.
        workers: photos that are worked on at once; None: one more than the CPUs that this process may use, because one
            waits for a disk now and then, and 32 more where a GPU takes many at once; on Ray what the cluster has.
        address: of a Ray cluster; None: what RAY_ADDRESS says, or a new one on this machine.
        gpus: the share of a GPU that a Ray worker takes.
        limit: stop after so many files.
        dry_run: find out what there is to do, and do nothing.
        verify: compare every output of earlier runs with its checksum.
        manifest: the file; None: in the output folder.
    """

    recursive: bool = False
    runner: str = "local"
    workers: int | None = None
    address: str | None = None
    gpus: float = 0.0
    limit: int | None = None
    dry_run: bool = False
    verify: bool = False
    manifest: str | None = None


@dataclass(frozen=True)
class Summary:
    """How a run ended.

    Attributes:
        done: photos that this run dyed.
        failed: photos that failed, in this run or, being the same still, in an earlier one.
        earlier: files that needed no work: done in an earlier run, or kept.
        left: files that still wait, behind a limit or an interruption.
        seconds: how long it took.
        failures: a table of what failed, if anything did.
        unrecorded: results that the manifest could not take, for want of space: they will be made again.
        without_hair: of `done`, photos in which no hair was found: dyeing has left them as they are.
        stopped: why the run stopped before its end, and how to go on: the disk is full, say. What was not done waits.
    """

    done: int
    failed: int
    earlier: int
    left: int
    seconds: float
    failures: Path | None = None
    unrecorded: int = 0
    without_hair: int = 0
    stopped: str | None = None


def dye_set(
    inputs: Sequence[str | Path],
    out: str | Path,
    recipe: Recipe | None = None,
    how: How | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Dye a set of photos, or the rest of it, if an earlier run was cut short.

    Args:
        inputs: photos, folders, globs, lists, tables, containers and URLs: see :func:`ohlora_fast.batch.sources.find`.
        out: the output folder, a path or URL. It mirrors the inputs: folders keep their tree, containers their kind.
        recipe: what is made of each photo; dyed sky blue if None.
        how: how the set is worked through.
        progress: is told how it goes; None: nobody is.

    Returns:
        How it ended. Photos that fail stop nothing; they are counted, and listed in `Summary.failures`. What concerns
        them all, such as a full disk, stops the run, condemns none, and is said in `Summary.stopped`.

    Raises:
        InputError: an argument is of no use, there are no photos, outputs stand there that no earlier run has made, two
            photos of one name in different folders would have one output, the manifest is damaged, or the set was begun
            by a version that knew no heads, and `How.overwrite` does not say to make it anew.
        KeyboardInterrupt: Ctrl-C came; what is finished is recorded.

    Example:
        >>> import tempfile, numpy as np
        >>> from ohlora_fast.media.images import write_photo
        >>> folder = Path(tempfile.mkdtemp())
        >>> for name in ("a.png", "b.png"):
        ...     write_photo(folder / name, np.full((60, 40, 3), 90, np.uint8))
        >>> summary = dye_set([folder], folder / "dyed", Recipe(color=0.9))
        >>> summary.done, summary.failed
        (2, 0)
        >>> dye_set([folder], folder / "dyed", Recipe(color=0.9)).earlier
        2
    """
    recipe, how = recipe or Recipe(), how or How()
    if how.runner not in RUNNERS:
        raise InputError(f"runner: got {how.runner!r}, allowed are {', '.join(RUNNERS)}")
    start = time.monotonic()
    names, target = [str(one) for one in inputs], str(out)
    progress = progress or Progress()
    with (
        closing(_open_manifest(names, open_outbox(target), how)) as manifest,
        closing(progress),
        manifest.in_words(),
    ):
        outbox = open_outbox(target, manifest.key)
        if not how.dry_run:
            outbox.clear()
        found = (
            one
            for one in find(names, how.recursive, target, progress.note)
            if not _made_here(one.source, manifest, outbox)
        )
        manifest.enter(progress.scanned(entries(found, recipe)), recipe.digest(), how, outbox, progress.note)
        if not manifest.counts():
            raise InputError(f"no pictures in {', '.join(names)}; looked for {', '.join(FORMATS)}")
        _refuse(manifest, outbox)
        if how.verify:
            manifest.recheck(lambda outputs, sums: _is_whole(outputs, sums, outbox))
        counts = manifest.counts()
        earlier = counts.get("done", 0) + counts.get("kept", 0)
        todo = manifest.to_do()
        progress.begin(todo if how.limit is None or todo is None else min(todo, how.limit), earlier)
        progress.failed_before(Result(source, member, error=error) for source, member, error in manifest.failures())
        record = _Recorder(manifest, progress)
        stopped = None
        if counts.get("waiting") and not how.dry_run:
            try:
                _run(manifest, outbox, recipe, how, record)
                record.flush()
                outbox.check()
            except StopError as error:
                stopped = str(error)
            finally:
                record.flush(last=True)
                outbox.clear()
        failed, path = _list_failures(manifest, how.dry_run)
        left = manifest.counts().get("waiting", 0)
        seconds = time.monotonic() - start
        return Summary(
            record.done, failed, earlier, left, seconds, path, record.unrecorded, record.without_hair, stopped
        )


def _open_manifest(inputs: list[str], outbox: Outbox, how: How) -> Manifest:
    if how.manifest is not None:
        path = Path(how.manifest)
    elif isinstance(outbox, LocalOutbox):
        path = outbox.hidden / MANIFEST
    else:
        raise InputError(f"--manifest: a file on this machine is needed for the output folder {outbox.root}")
    return Manifest(path, inputs, __version__, scratch=how.dry_run, anew=how.overwrite)


def _beside(manifest: Manifest, name: str) -> Path:
    """A file beside the manifest that no other manifest in the folder has."""
    path = Path(manifest.path)
    return path.with_name(name if path.name == MANIFEST else f"{path.name}.{name}")


def _refuse(manifest: Manifest, outbox: Outbox) -> None:
    """Refuse what cannot go well, before any work."""
    first, standing = manifest.in_the_way()
    if standing:
        more = f" and {standing - 1} more" if standing > 1 else ""
        raise InputError(f"{outbox.place(first or '')}{more} exists already; give --overwrite or --skip-existing")
    shared = manifest.shared()
    if shared is not None:
        source, why, count = shared
        more = f" ({count - 1} more like it)" if count > 1 else ""
        raise InputError(
            f"{source}: {why}{more}; give the folder above them with --recursive, a glob in quotes such as "
            "'photos/*/*.jpg', which keeps folders, or each folder an --out of its own"
        )


def _made_here(source: str, manifest: Manifest, outbox: Outbox) -> bool:
    """Whether a file is itself an output of this set: of a folder that is its own output folder, say."""
    if is_url(source) or not isinstance(outbox, LocalOutbox):
        return False
    name = outbox.name_of(source)
    return name is not None and manifest.made(name)


def _is_whole(outputs: Sequence[str], sums: Sequence[str], outbox: Outbox) -> bool:
    try:
        for output, checksum in zip(outputs, sums, strict=True):
            with outbox.read(output) as file:
                if file_digest(file) != checksum:
                    return False
    except (OSError, ValueError):
        return False
    return True


def _run(manifest: Manifest, outbox: Outbox, recipe: Recipe, how: How, record: _Recorder) -> None:
    if how.runner == "ray":
        tasks = _limited(manifest.waiting(), how.limit)
        from ohlora_fast.batch.ray_runner import run_on_ray

        # Closed at once when Ctrl-C comes while a result is recorded: the workers would go on till then.
        with closing(
            run_on_ray(tasks, outbox.root, recipe, how.workers, how.address, how.gpus, manifest.key)
        ) as streamed:
            for result in streamed:
                record(result)
        return
    journal = Journal(_beside(manifest, LARGE_PHOTO), how.retry_failed)
    tasks = _limited(_put_last(manifest, {source for source, _ in journal.killed}), how.limit)
    for (source, member), count in journal.killed.items():
        if count < KILLS:
            record.note(source if member is None else f"{source}, {member}", AT_IT)
    whole = False
    try:
        _run_here(tasks, Dyer(recipe, gate=Gate(journal=journal)), outbox, how, record)
        record.flush()
        whole = True
    finally:
        journal.close(whole)


def _run_here(tasks: Iterator[Task], dyer: Dyer, outbox: Outbox, how: How, record: _Recorder) -> None:
    workers = how.workers or usable_cores() + (1 if dyer.on_cpu else 1 + 2 * TOGETHER)
    with collecting_warnings(), Pool(workers) as pool:
        results = execute(tasks, dyer, outbox, pool.map)
        try:
            for result in results:
                record(result)
        except (KeyboardInterrupt, StopError):
            for result in pool.settle(SETTLE_S):
                if isinstance(result, Result):
                    record.hold(result)
            raise


def _put_last(manifest: Manifest, sources: set[str]) -> Iterator[Task]:
    """Tasks that wait; these come last, so that the others are done should they kill this run, too."""
    last = []
    for task in manifest.waiting():
        if task.source in sources:
            last.append(task)
        else:
            yield task
    yield from last


def _limited(tasks: Iterator[Task], limit: int | None) -> Iterator[Task]:
    for number, task in enumerate(tasks):
        if limit is not None and number >= limit:
            return
        yield task


class _Recorder:
    """Takes results, and enters them into the manifest now and then."""

    def __init__(self, manifest: Manifest, progress: Progress) -> None:
        self.done = 0
        self.without_hair = 0
        self._manifest = manifest
        self._progress = progress
        self._held: list[Result] = []
        self._flushed = time.monotonic()
        self._members: Counter[str] = Counter()
        self._bald_members: Counter[str] = Counter()

    def __call__(self, result: Result) -> None:
        """Take a result.

        Raises:
            StopError: the manifest takes nothing more.
        """
        self.hold(result)
        if time.monotonic() - self._flushed > COMMIT_S:
            self.flush()

    def hold(self, result: Result) -> None:
        """Take a result, and do not enter it yet."""
        self._held.append(result)
        self._count(result)
        self._progress.result(result)

    def note(self, source: str, text: str) -> None:
        """Say something about a photo."""
        self._progress.note(source, text)

    def _count(self, result: Result) -> None:
        if result.container:
            members, bald = self._members.pop(result.source, 0), self._bald_members.pop(result.source, 0)
            self.done += members if result.error is None else 0
            self.without_hair += bald if result.error is None else 0
        elif result.member is None:
            self.done += result.error is None
            self.without_hair += result.without_hair
        else:
            self._members[result.source] += result.error is None
            self._bald_members[result.source] += result.without_hair

    def flush(self, last: bool = False) -> None:
        """Enter what is held; of the last attempt what a full disk refuses is held on.

        Raises:
            StopError: the manifest takes nothing more.
        """
        self._flushed = time.monotonic()
        try:
            self._manifest.record(self._held)
            self._held = []
        except sqlite3.OperationalError as error:
            if not last:
                raise StopError(
                    f"cannot write {self._manifest.path}: {error}; once that is mended, the same command does the rest"
                ) from None

    @property
    def unrecorded(self) -> int:
        """Results that the manifest does not have."""
        return len(self._held)


def _list_failures(manifest: Manifest, dry_run: bool) -> tuple[int, Path | None]:
    """Count what failed, and write a table of it beside the manifest; one of an earlier run goes."""
    path = _beside(manifest, FAILURES)
    failed = 0
    if dry_run:
        return sum(1 for _ in manifest.failures()), None
    try:
        with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            table = csv.writer(file)
            table.writerow(("source", "member", "error"))
            for row in manifest.failures():
                table.writerow(row)
                failed += 1
    except OSError:  # a full disk: they are counted all the same, and no half of a table is left
        with suppress(OSError):
            path.unlink()
        return sum(1 for _ in manifest.failures()), None
    if not failed:
        path.unlink()
    return failed, path if failed else None
