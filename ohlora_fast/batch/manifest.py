"""The manifest: an SQLite file that knows every input of a set, what it was made with, and what became of it.

A run first enters what it finds, then takes up what waits. An entry is marked as done after its outputs are in their
places, so that whatever kills a run, at worst an output is made again, over itself. Names are kept as text, or as bytes
where they are no UTF-8.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from ohlora_fast.batch.entry import Choice, Entry
from ohlora_fast.batch.outbox import Outbox, StopError
from ohlora_fast.batch.schema import FORM, SCHEMA, output_key, output_names, restored, stored, text
from ohlora_fast.batch.task import Result, Task
from ohlora_fast.errors import InputError

PAGE = 1000
"""Entries read or written at a time."""


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
        self._db: sqlite3.Connection
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
            self.key = self._key()
            self._execute("COMMIT")
        except OSError as error:
            raise InputError(f"cannot make the folder of {path}: {os.strerror(error.errno or 0)}") from None
        except sqlite3.Error as error:
            if hasattr(self, "_db"):
                self._db.close()
            raise self._problem(error) from None

    def _problem(self, error: sqlite3.Error) -> InputError:
        if "full" in str(error):
            return StopError(f"manifest {self.path}: {error}; make room, and the same command does the rest")
        if "locked" in str(error):
            return InputError(f"manifest {self.path}: another run is at work on it")
        if isinstance(error, sqlite3.OperationalError) and "decode" not in str(error):
            return InputError(f"manifest {self.path}: {error}")
        return InputError(
            f"manifest {self.path}: it is damaged ({error}); move it away, and give --skip-existing to keep what "
            "stands in the output folder, or --overwrite to make it again"
        )

    @contextmanager
    def in_words(self) -> Iterator[None]:
        """Raise what SQLite has to say, of a full disk or a damaged file, as an `InputError`."""
        try:
            yield
        except sqlite3.Error as error:
            raise self._problem(error) from None

    def _key(self) -> str:
        """A name of this manifest's own, which a copy in another place does not share."""
        self._execute("INSERT INTO keys SELECT ? WHERE NOT EXISTS (SELECT * FROM keys)", secrets.token_hex(8))
        (key,) = self._execute("SELECT key FROM keys").fetchone()
        return hashlib.blake2b(os.fsencode(f"{key} {os.path.realpath(self.path)}"), digest_size=8).hexdigest()

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

    def enter(
        self,
        entries: Iterable[Entry],
        recipe: str,
        choice: Choice,
        outbox: Outbox,
        note: Callable[[str, str], None] | None = None,
    ) -> None:
        """Enter what was found, and decide what is to be done.

        An entry waits if it is new, if its file, settings or recipe have changed, if one of its outputs is gone, or if
        its last attempt was cut short; and if it failed and `choice` says so. One whose output would replace an input
        fails.

        Args:
            entries: what was found; they are entered as they come.
            recipe: digest of what is made of each photo.
            choice: what is done about files that have been seen before.
            outbox: where outputs go.
            note: is told of what is named twice: its name, and a phrase.
        """
        self._execute("BEGIN")
        for number, entry in enumerate(entries, 1):
            again = self._enter(entry, recipe, choice, outbox)
            if again is not None and note is not None:
                note(entry.task.source, again)
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

    def _enter(self, entry: Entry, recipe: str, choice: Choice, outbox: Outbox) -> str | None:
        """Enter a file; say so if it has been entered in this run already."""
        task = entry.task
        source = stored(task.source)
        now = (entry.fingerprint, recipe, *task.settings)
        known = self._execute(
            "SELECT fingerprint, recipe, color, ombre_height, ombre_grad_height, state, outputs, bytes, run, below "
            "FROM files WHERE source = ?",
            source,
        ).fetchone()
        if known is None and self._renamed(entry, source):
            return self._enter(entry, recipe, choice, outbox)
        if known and known[8] == self.run:
            if known[2:5] != task.settings:
                return "it is named twice, with different settings; the first ones count"
            return "it is named twice" if entry.listed else None
        fields: Any = known or ("exists", "[]", None, None, None)
        *same, state, outputs, size, _, below = fields
        moved = state == "waiting" and below != stored(task.below)  # it is found by another way than before
        again = state in ("exists", "shared") or (state == "failed" and choice.retry_failed)
        if tuple(same) != now or moved or again:
            self._enter_anew(entry, source, now, choice, outbox)
            return None
        lost = state == "done" and sum(outbox.size(output) or 0 for output in output_names(outputs)) != size
        if lost or (state == "kept" and choice.overwrite):
            state = "waiting"
        self._execute("UPDATE files SET run = ?, state = ? WHERE source = ?", self.run, state, source)
        self._forget_members(source, state)
        return None

    def _renamed(self, entry: Entry, source: str | bytes) -> bool:
        """Say whether this file has been entered under another name, as "./a.jpg" for "a.jpg"; it gets the new one."""
        if entry.here is None:
            return False
        row = self._execute(
            "SELECT source FROM files WHERE here = ? AND below = ?", stored(entry.here), stored(entry.task.below)
        ).fetchone()
        if row:
            for table in ("files", "claims", "members"):
                self._execute(f"UPDATE {table} SET source = ? WHERE source = ?", source, row[0])
        return bool(row)

    def _enter_anew(
        self, entry: Entry, source: str | bytes, now: tuple[Any, ...], choice: Choice, outbox: Outbox
    ) -> None:
        task = entry.task
        ours = {row[0] for row in self._execute("SELECT output FROM claims WHERE source = ?", source)}
        images, error = entry.images() if entry.error is None else (None, entry.error)
        outputs: tuple[str, ...] = ()
        shared = False
        if error is None:  # else what an earlier run has made is still its own
            self._execute("DELETE FROM claims WHERE source = ?", source)
            outputs, error, shared = self._claim(source, entry)
        state = "waiting" if error is None else "shared" if shared else "failed"
        there = [name for name in outputs if output_key(name) not in ours and outbox.size(name) is not None]
        for name in there:
            self._execute("INSERT INTO standing VALUES (?, ?)", stored(outbox.place(name)), source)
        if there and not choice.overwrite:
            state = "kept" if choice.skip_existing else "exists"
        if state == "exists":
            self._execute("DELETE FROM claims WHERE source = ?", source)
        self._execute(
            "INSERT OR REPLACE INTO files (source, kind, below, outputs, fingerprint, recipe, color, ombre_height, "
            "ombre_grad_height, state, error, images, run, here) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            source, task.kind, stored(task.below), json.dumps(outputs), *now, state, text(error), images, self.run,
            None if entry.here is None else stored(entry.here),
        )  # fmt: skip
        self._forget_members(source, state)

    def _forget_members(self, source: str | bytes, state: str) -> None:
        """Drop what is known of the photos in a container that is to be read again."""
        if state == "waiting":
            self._execute("DELETE FROM members WHERE source = ?", source)

    def made(self, output: str) -> bool:
        """Whether a file of the output folder is an output of this set."""
        return self._execute("SELECT 1 FROM claims WHERE output = ?", output_key(output)).fetchone() is not None

    def _claim(self, source: str | bytes, entry: Entry) -> tuple[tuple[str, ...], str | None, bool]:
        """Claim the first names that are free.

        Returns:
            The names; why there are none; and whether that is because a file of the same name in another folder, not
            one beside it with another suffix, has them.
        """
        error = None
        for names in entry.namings:
            taken = [
                row
                for name in names
                for row in self._execute(
                    "SELECT source, below FROM claims LEFT JOIN files USING (source) WHERE output = ?", output_key(name)
                )
            ]
            if not taken:
                self._db.executemany("INSERT INTO claims VALUES (?, ?)", [(output_key(name), source) for name in names])
                return names, None, False
            other, below = taken[0]
            error = error or (
                f"{', '.join(entry.namings[0])} would be made of it, and is made of {restored(other)} already"
            )
            if below == stored(entry.task.below):
                return (), error, True
        return (), error, False

    def waiting(self) -> Iterator[Task]:
        """Yield what this run has to do, in the order in which it was entered."""
        columns = "source, kind, below, outputs, color, ombre_height, ombre_grad_height"
        for _, source, kind, below, outputs, *settings in self._paged(columns, "waiting"):
            yield Task(
                restored(source),
                kind,
                restored(below),
                output_names(outputs),
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
        source = stored(result.source)
        state = "done" if result.error is None else "failed"
        values = (
            state, result.seconds, " ".join(result.checksums), result.size, text(result.error),
            text("\n".join(result.notes)),
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
            source, stored(result.member), *(result.settings or (None,) * 3), *values,
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
            if not is_whole(output_names(outputs), tuple(sums.split())):
                self._execute("UPDATE files SET state = 'waiting' WHERE id = ?", number)

    def in_the_way(self) -> tuple[str | None, int]:
        """The first output that stood there before, and how many inputs there are whose outputs did."""
        row = self._execute(
            "SELECT min(id), outputs, count(*) FROM files WHERE run = ? AND state = 'exists'", self.run
        ).fetchone()
        return (next(iter(output_names(row[1])), ""), row[2]) if row[2] else (None, 0)

    def shared(self) -> tuple[str, str, int] | None:
        """The first file whose outputs a file of the same name has, why so, and how many such there are."""
        row = self._execute(
            "SELECT min(id), source, error, count(*) FROM files WHERE run = ? AND state = 'shared'", self.run
        ).fetchone()
        return (restored(row[1]), row[2], row[3]) if row[3] else None

    def failures(self) -> Iterator[tuple[str, str | None, str]]:
        """Yield source, member and error of every photo of this run's inputs that failed, now or before."""
        rows = self._execute(
            "SELECT source, member, error FROM photos WHERE state = 'failed' AND run = ? ORDER BY source, member",
            self.run,
        )
        for source, member, error in rows:
            yield restored(source), None if member is None else restored(member), error

    def _execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        return self._db.execute(statement, values)
