"""Tables of the manifest, and how names and words are kept in them."""

from __future__ import annotations

import json
import os
import sqlite3

FORM = 1
"""Kept as SQLite's `user_version`: 0 stands for what was dyed before heads were looked for."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    run INTEGER PRIMARY KEY, started TEXT DEFAULT CURRENT_TIMESTAMP, version TEXT, inputs TEXT
);
-- What half-written files of this manifest's runs are kept under, apart from those of other manifests.
CREATE TABLE IF NOT EXISTS keys (key TEXT);
-- A file to read: a photo, or a container of photos. state: waiting, done, failed, kept (an output stood there already
-- and was to be kept), exists (the same, and nothing was said about it) or shared (another file of the same name has
-- its outputs).
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


def stored(name: str) -> str | bytes:
    """A name as SQLite can keep it: text, or bytes where it is no UTF-8.

    Example:
        >>> stored("a.jpg"), stored("caf\\udce9.jpg")
        ('a.jpg', b'caf\\xe9.jpg')
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        return os.fsencode(name)
    return name


def restored(name: str | bytes) -> str:
    """A name that was `stored`."""
    return os.fsdecode(name) if isinstance(name, bytes) else name


def text(words: str | None) -> str | None:
    """Words as SQLite can keep them, which are to be read and not to be used."""
    return None if words is None else words.encode("utf-8", "backslashreplace").decode()


def output_key(name: str) -> str | bytes:
    """An output's name as a key of the table of claims."""
    return stored(name.casefold())


def output_names(kept: str) -> tuple[str, ...]:
    """Names that were kept as JSON.

    Raises:
        sqlite3.DatabaseError: they were not: something has changed them.

    Example:
        >>> output_names('["a.jpg", "a_mask.png"]')
        ('a.jpg', 'a_mask.png')
    """
    try:
        names = json.loads(kept)
        return tuple(name for name in names if isinstance(name, str))
    except (TypeError, ValueError):
        raise sqlite3.DatabaseError("names of outputs are unreadable") from None
