"""The manifest: an SQLite file that knows every input of a set, what it was made with, and what became of it.

A run first enters what it finds, then takes up what waits. An entry is marked as done after its outputs are in their
places, so that whatever kills a run, at worst an output is made again, over itself. Names are kept as text, or as bytes
where they are no UTF-8.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from ohlora_fast.batch.outbox import Outbox
from ohlora_fast.batch.task import Result, Task
from ohlora_fast.errors import InputError

PAGE = 1000
"""Entries read or written at a time."""
FORM = 1
"""Kept as SQLite's `user_version`: 0 stands for what was dyed before heads were looked for."""

Namings: TypeAlias = Sequence[tuple[str, ...]]

SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    run INTEGER PRIMARY KEY, started TEXT DEFAULT CURRENT_TIMESTAMP, version TEXT, inputs TEXT
);
-- A file to read: a photo, or a container of photos. state: waiting, done, failed, kept (an output stood there already
-- and was to be kept) or exists (the same, and nothing was said about it).
CREATE TABLE IF NOT EXISTS files (
    id INTEGER PRIMARY KEY, source TEXT UNIQUE, kind TEXT, below TEXT, outputs TEXT, fingerprint TEXT, recipe TEXT,
    color REAL, ombre_height REAL, ombre_grad_height REAL, state TEXT, seconds REAL, checksums TEXT, bytes INTEGER,
    error TEXT, notes TEXT, images INTEGER, run INTEGER, here TEXT
);
CREATE INDEX IF NOT EXISTS files_here ON files (here);
-- A photo in a container.
CREATE TABLE IF NOT EXISTS members (
    source TEXT, member TEXT, color REAL, ombre_height REAL, ombre_grad_height REAL, state TEXT, seconds REAL,
    checksums TEXT, bytes INTEGER, error TEXT, notes TEXT, PRIMARY KEY (source, member)
) WITHOUT ROWID;
-- Which input an output belongs to; names in lower case, because on some file systems a.png and A.png are one file.
CREATE TABLE IF NOT EXISTS claims (output TEXT PRIMARY KEY, source TEXT) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS claims_of_source ON claims (source);
-- Outputs that stood there before the run, and that something else must have made.
CREATE TEMP TABLE IF NOT EXISTS standing (here TEXT, source TEXT);
CREATE VIEW IF NOT EXISTS photos AS
    SELECT source, NULL AS member, color, ombre_height, ombre_grad_height, state, seconds, checksums, bytes, error,
        notes, run FROM files WHERE kind = 'photo' OR state = 'failed'
    UNION ALL
    SELECT members.source, member, members.color, members.ombre_height, members.ombre_grad_height, members.state,
        members.seconds, members.checksums, members.bytes, members.error, members.notes, run
    FROM members JOIN files USING (source) WHERE files.state = 'done';
"""


@dataclass(frozen=True)
class Entry:
    """What a run found: a task whose outputs are not settled yet.

    Attributes:
        task: what is to be done.
        fingerprint: changes when the file does.
        namings: outputs it may have, the first that nothing else has claimed.
        here: the file's path on this machine without links in its folders, if it is here.
        images: says how many photos it holds, None if that takes reading it, and why it cannot be read, if so.
        error: why it cannot be taken up at all.
    """

    task: Task
    fingerprint: str
    namings: Namings
    here: str | None = None
    images: Callable[[], tuple[int | None, str | None]] = lambda: (1, None)
    error: str | None = None


@dataclass(frozen=True)
class Choice:
    """What is done about files that have been seen before.

    Attributes:
        retry_failed: make another attempt at what failed.
        overwrite: replace outputs that stood there before the first run.
        skip_existing: keep them.
    """

    retry_failed: bool = False
    overwrite: bool = False
    skip_existing: bool = False


class Manifest:
    """An open manifest, held by this process alone until it is closed.

    Args:
        path: the file; it is made if it is missing. ":memory:" for one that is not kept.
        inputs: what the run was given, for the record.
        version: of this library, for the record.
        scratch: work on a copy that is thrown away.
        anew: go on with one of an earlier form: as recipes are others now, all of its photos will be made again.

    Raises:
        InputError: it cannot be opened, another run holds it, it is something else, or of an earlier form.

    Example:
        >>> import tempfile
        >>> from ohlora_fast.batch.outbox import open_outbox
        >>> manifest = Manifest(":memory:", ["photos"], "1.0")
        >>> task = Task("photos/a.jpg", "photo", "a.jpg", ("a.jpg",), (0.5, 0.6, 0.5))
        >>> manifest.enter([Entry(task, "f", [task.outputs])], "recipe", Choice(), open_outbox(tempfile.mkdtemp()))
        >>> manifest.counts()
        {'waiting': 1}
        >>> manifest.record([Result(waiting.source) for waiting in manifest.waiting()])
        >>> manifest.counts()
        {'done': 1}
    """

    def __init__(
        self, path: str | Path, inputs: Sequence[str], version: str, scratch: bool = False, anew: bool = False
    ) -> None:
        self.path = path
        try:
            if not scratch and str(path) != ":memory:":
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            # "" is a file that SQLite deletes by itself.
            self._db = sqlite3.connect("" if scratch else path, isolation_level=None, timeout=1)
            if scratch and os.path.exists(path):
                with closing(sqlite3.connect(path, timeout=1)) as kept:
                    kept.backup(self._db)
            # Another run would have to wait for this one to end; a killed one lets go.
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute("BEGIN IMMEDIATE")
            self._check_form(anew)
            for statement in SCHEMA.split(";\n"):
                self._db.execute(statement)
            self.run = self._execute(
                "INSERT INTO runs (version, inputs) VALUES (?, ?)", version, json.dumps(list(inputs))
            ).lastrowid
            self._execute("COMMIT")
        except OSError as error:
            raise InputError(f"cannot make the folder of {path}: {os.strerror(error.errno or 0)}") from None
        except sqlite3.Error as error:
            locked = "locked" in str(error)
            raise InputError(f"manifest {path}: {'another run is at work on it' if locked else error}") from None

    def _check_form(self, anew: bool) -> None:
        begun = self._execute("SELECT 1 FROM sqlite_master WHERE name = 'files'").fetchone()
        (form,) = self._execute("PRAGMA user_version").fetchone()
        if begun and form < FORM and not anew:
            self.close()
            raise InputError(
                f"manifest {self.path}: it was begun by a version that did not look for heads; give another output "
                "folder, or --overwrite to make all of its photos again"
            )
        self._execute(f"PRAGMA user_version = {FORM}")

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def enter(self, entries: Iterable[Entry], recipe: str, choice: Choice, outbox: Outbox) -> None:
        """Enter what was found, and decide what is to be done.

        An entry waits if it is new, if its file, settings or recipe have changed, if one of its outputs is gone, or if
        its last attempt was cut short; and if it failed and `choice` says so. One whose output would replace an input
        fails.

        Args:
            entries: what was found; they are entered as they come.
            recipe: digest of what is made of each photo.
            choice: what is done about files that have been seen before.
            outbox: where outputs go.
        """
        self._execute("BEGIN")
        for number, entry in enumerate(entries, 1):
            self._enter(entry, recipe, choice, outbox)
            if number % PAGE == 0:
                self._execute("COMMIT")
                self._execute("BEGIN")
        self._execute(
            "UPDATE files SET state = 'failed', error = 'what is made of it would overwrite the input ' || input "
            "FROM (SELECT standing.source AS source, files.source AS input FROM standing JOIN files USING (here)) AS s "
            "WHERE files.source = s.source"
        )
        self._execute("DELETE FROM standing")
        self._execute("COMMIT")

    def _enter(self, entry: Entry, recipe: str, choice: Choice, outbox: Outbox) -> None:
        task = entry.task
        source = _stored(task.source)
        now = (entry.fingerprint, recipe, *task.settings)
        known = self._execute(
            "SELECT fingerprint, recipe, color, ombre_height, ombre_grad_height, state, outputs, bytes, run FROM files "
            "WHERE source = ?",
            source,
        ).fetchone()
        if known and known[8] == self.run:  # named twice
            return
        fields: Any = known or ("exists", "[]", None, None)
        *same, state, outputs, size, _ = fields
        if tuple(same) != now or state == "exists" or (state == "failed" and choice.retry_failed):
            self._enter_anew(entry, source, now, choice, outbox)
            return
        lost = state == "done" and sum(outbox.size(output) or 0 for output in json.loads(outputs)) != size
        if lost or (state == "kept" and choice.overwrite):
            state = "waiting"
        self._execute("UPDATE files SET run = ?, state = ? WHERE source = ?", self.run, state, source)
        self._forget_members(source, state)

    def _enter_anew(
        self, entry: Entry, source: str | bytes, now: tuple[Any, ...], choice: Choice, outbox: Outbox
    ) -> None:
        task = entry.task
        ours = {row[0] for row in self._execute("SELECT output FROM claims WHERE source = ?", source)}
        images, error = entry.images() if entry.error is None else (None, entry.error)
        outputs: tuple[str, ...] = ()
        if error is None:  # else what an earlier run has made is still its own
            self._execute("DELETE FROM claims WHERE source = ?", source)
            outputs, error = self._claim(source, entry)
        state = "waiting" if error is None else "failed"
        there = [name for name in outputs if _key(name) not in ours and outbox.size(name) is not None]
        for name in there:
            self._execute("INSERT INTO standing VALUES (?, ?)", _stored(outbox.place(name)), source)
        if there and not choice.overwrite:
            state = "kept" if choice.skip_existing else "exists"
        if state == "exists":
            self._execute("DELETE FROM claims WHERE source = ?", source)
        self._execute(
            "INSERT OR REPLACE INTO files (source, kind, below, outputs, fingerprint, recipe, color, ombre_height, "
            "ombre_grad_height, state, error, images, run, here) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            source, task.kind, _stored(task.below), json.dumps(outputs), *now, state, _text(error), images, self.run,
            None if entry.here is None else _stored(entry.here),
        )  # fmt: skip
        self._forget_members(source, state)

    def _forget_members(self, source: str | bytes, state: str) -> None:
        """Drop what is known of the photos in a container that is to be read again."""
        if state == "waiting":
            self._execute("DELETE FROM members WHERE source = ?", source)

    def made(self, output: str) -> bool:
        """Whether a file of the output folder is an output of this set."""
        return self._execute("SELECT 1 FROM claims WHERE output = ?", _key(output)).fetchone() is not None

    def _claim(self, source: str | bytes, entry: Entry) -> tuple[tuple[str, ...], str | None]:
        """Claim the first names that are free."""
        other = None
        for names in entry.namings:
            owners = (self._execute("SELECT source FROM claims WHERE output = ?", _key(name)) for name in names)
            taken = [row[0] for owner in owners for row in owner]
            if not taken:
                self._db.executemany("INSERT INTO claims VALUES (?, ?)", [(_key(name), source) for name in names])
                return names, None
            other = other or _restored(taken[0])
        return (), f"{', '.join(entry.namings[0])} would be made of it, and is made of {other} already"

    def waiting(self) -> Iterator[Task]:
        """Yield what this run has to do, in the order in which it was entered."""
        columns = "source, kind, below, outputs, color, ombre_height, ombre_grad_height"
        for _, source, kind, below, outputs, *settings in self._paged(columns, "waiting"):
            yield Task(
                _restored(source),
                kind,
                _restored(below),
                tuple(json.loads(outputs)),
                (settings[0], settings[1], settings[2]),
            )

    def _paged(self, columns: str, state: str) -> Iterator[tuple[Any, ...]]:
        """Yield id and columns of this run's files in a state, in order; they may be changed meanwhile."""
        last = -1
        while rows := self._execute(
            f"SELECT id, {columns} FROM files WHERE id > ? AND run = ? AND state = ? ORDER BY id LIMIT ?",
            last, self.run, state, PAGE,
        ).fetchall():  # fmt: skip
            yield from rows
            last = rows[-1][0]

    def record(self, results: Sequence[Result]) -> None:
        """Enter what became of photos and containers; all of it or, if the disk is full, nothing.

        Raises:
            sqlite3.OperationalError: it cannot be written.
        """
        self._execute("BEGIN")
        try:
            for result in results:
                self._record(result)
            self._execute("COMMIT")
        except BaseException:  # Ctrl-C, too
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _record(self, result: Result) -> None:
        source = _stored(result.source)
        state = "done" if result.error is None else "failed"
        values = (
            state, result.seconds, " ".join(result.checksums), result.size, _text(result.error),
            _text("\n".join(result.notes)),
        )  # fmt: skip
        if result.member is None:
            self._execute(
                "UPDATE files SET state = ?, seconds = ?, checksums = ?, bytes = ?, error = ?, notes = ?, images = ? "
                "WHERE source = ?",
                *values, result.images, source,
            )  # fmt: skip
            return
        self._execute(
            "INSERT OR REPLACE INTO members (source, member, color, ombre_height, ombre_grad_height, state, seconds, "
            "checksums, bytes, error, notes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            source, _stored(result.member), *(result.settings or (None,) * 3), *values,
        )  # fmt: skip

    def counts(self) -> dict[str, int]:
        """How many files of this run are in which state."""
        rows = self._execute("SELECT state, count(*) FROM files WHERE run = ? GROUP BY state ORDER BY state", self.run)
        return dict(rows.fetchall())

    def to_do(self) -> int | None:
        """How many photos wait, or None if a container among them does not tell."""
        unknown, known = self._execute(
            "SELECT count(*) - count(images), coalesce(sum(images), 0) FROM files WHERE run = ? AND state = 'waiting'",
            self.run,
        ).fetchone()
        return None if unknown else known

    def recheck(self, is_whole: Callable[[tuple[str, ...], tuple[str, ...]], bool]) -> None:
        """Let wait again what is done, but whose outputs, given with their checksums, are not whole."""
        for number, outputs, sums in self._paged("outputs, checksums", "done"):
            if not is_whole(tuple(json.loads(outputs)), tuple(sums.split())):
                self._execute("UPDATE files SET state = 'waiting' WHERE id = ?", number)

    def in_the_way(self) -> tuple[str | None, int]:
        """The first output that stood there before, and how many inputs there are whose outputs did."""
        row = self._execute(
            "SELECT min(id), outputs, count(*) FROM files WHERE run = ? AND state = 'exists'", self.run
        ).fetchone()
        return (json.loads(row[1])[0], row[2]) if row[2] else (None, 0)

    def failures(self) -> Iterator[tuple[str, str | None, str]]:
        """Yield source, member and error of every photo of this run's inputs that failed, now or before."""
        rows = self._execute(
            "SELECT source, member, error FROM photos WHERE state = 'failed' AND run = ? ORDER BY source, member",
            self.run,
        )
        for source, member, error in rows:
            yield _restored(source), None if member is None else _restored(member), error

    def _execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        return self._db.execute(statement, values)


def _stored(name: str) -> str | bytes:
    """As SQLite can keep it."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return os.fsencode(name)
    return name


def _text(words: str | None) -> str | None:
    """As SQLite can keep it, where it is to be read and not to be used."""
    return None if words is None else words.encode("utf-8", "backslashreplace").decode()


def _restored(name: str | bytes) -> str:
    return os.fsdecode(name) if isinstance(name, bytes) else name


def _key(name: str) -> str | bytes:
    return _stored(name.casefold())
