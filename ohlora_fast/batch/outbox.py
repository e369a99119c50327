"""The output folder, on this machine or behind a URL. Nothing is ever written beside it, and no file in it is half."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Protocol

from ohlora_fast.errors import InputError

HIDDEN = ".ohlora-fast"
"""The folder in the output folder for what is no output: the manifest, and files that are being written."""


class Outbox(Protocol):
    """A folder for outputs. Names are relative, with slashes."""

    root: str

    def size(self, name: str) -> int | None:
        """Bytes of a file, or None if there is none."""

    def place(self, name: str) -> str:
        """Its path, without links in its folders, or its URL."""

    def read(self, name: str) -> IO[bytes]:
        """Open a file."""

    def put(self, name: str, data: bytes) -> None:
        """Write a file; it appears whole or not at all, in place of one that stood there."""

    def clear(self) -> None:
        """Delete what a killed run left half-written."""

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Give a path for a local file that becomes `name` when the block ends well."""
        yield Path()


def open_outbox(out: str) -> Outbox:
    """Return the output folder that a path or URL names.

    Raises:
        InputError: something else than a folder stands there, or nothing reads such URLs.

    Example:
        >>> import tempfile
        >>> outbox = open_outbox(tempfile.mkdtemp())
        >>> outbox.put("deep/a.txt", b"abc")
        >>> outbox.size("deep/a.txt"), outbox.size("b.txt")
        (3, None)
    """
    return RemoteOutbox(out) if is_url(out) else LocalOutbox(out)


def is_url(path: str) -> bool:
    """Whether a path names a place that fsspec opens.

    Example:
        >>> is_url("s3://bucket/photos"), is_url("photos"), is_url("C:/photos")
        (True, False, False)
    """
    scheme, separator, _ = path.partition("://")
    return bool(separator) and scheme.replace("+", "").isalnum() and "/" not in scheme


def place_of(path: str) -> str:
    """A file's own path, without links in its folders: what is written there replaces this file and no other."""
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


class LocalOutbox:
    """A folder of this machine's file system; it is made when something is first written."""

    def __init__(self, out: str) -> None:
        self.root = os.path.abspath(out)
        if os.path.lexists(self.root) and not os.path.isdir(self.root):
            raise InputError(f"--out: {out} came, which is a file; allowed is a folder")
        self._real = os.path.realpath(self.root)
        self._folder = lru_cache(maxsize=4096)(self._make_folder)

    @property
    def hidden(self) -> Path:
        """The folder for what is no output."""
        return Path(self.root, HIDDEN)

    def clear(self) -> None:
        shutil.rmtree(self.hidden / "tmp", ignore_errors=True)

    def name_of(self, path: str) -> str | None:
        """What a file of this machine is called in the folder, or None if it is not in it."""
        place = place_of(path)
        inside = place.startswith(os.path.join(self._real, ""))
        return os.path.relpath(place, self._real).replace(os.sep, "/") if inside else None

    def size(self, name: str) -> int | None:
        try:
            status = os.lstat(os.path.join(self.root, name))
        except OSError:
            return None
        return status.st_size

    def place(self, name: str) -> str:
        return place_of(os.path.join(self.root, name))

    def read(self, name: str) -> IO[bytes]:
        return open(os.path.join(self.root, name), "rb")

    def put(self, name: str, data: bytes) -> None:
        with self.writing(name) as path:
            path.write_bytes(data)

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        target = os.path.join(self.root, name)
        half = self.hidden / "tmp" / secrets.token_hex(8)
        try:
            half.parent.mkdir(parents=True, exist_ok=True)
            self._folder(os.path.dirname(target))
            yield half
            with open(half, "rb+") as file:  # the manifest says "done" of what is on the disk, should power fail
                os.fsync(file.fileno())
            # A link is replaced, not followed.
            os.replace(half, target)
        except BaseException as error:
            with suppress(OSError):
                half.unlink()
            if isinstance(error, OSError):
                raise InputError(f"cannot write {target}: {os.strerror(error.errno or 0)}") from error
            raise

    def _make_folder(self, folder: str) -> None:
        if os.path.lexists(self.root):
            # First the part that exists: a link in it may lead outside, where not even a folder may be made.
            existing = folder
            while not os.path.lexists(existing):
                existing = os.path.dirname(existing)
            real = os.path.realpath(existing)
            if real != self._real and not real.startswith(os.path.join(self._real, "")):
                raise InputError(f"cannot write into {folder}: a link in it leads out of {self.root}")
        os.makedirs(folder, exist_ok=True)


class RemoteOutbox:
    """A folder behind a URL that fsspec knows."""

    def __init__(self, out: str) -> None:
        self.root = out.rstrip("/")
        self.fs, self._base = filesystem(self.root)

    def clear(self) -> None:
        with suppress(Exception):  # what opens URLs raises what it likes, also where there is nothing to delete
            self.fs.rm(f"{self._base}/{HIDDEN}/tmp", recursive=True)

    def size(self, name: str) -> int | None:
        try:
            return int(self.fs.size(f"{self._base}/{name}") or 0)
        except (OSError, ValueError):
            return None

    def place(self, name: str) -> str:
        return f"{self.root}/{name}"

    def read(self, name: str) -> IO[bytes]:
        file: IO[bytes] = self.fs.open(f"{self._base}/{name}", "rb")
        return file

    def put(self, name: str, data: bytes) -> None:
        self._store(name, lambda path: self.fs.pipe_file(path, data))

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            half = Path(folder, "half")
            yield half
            self._store(name, lambda path: self.fs.put_file(str(half), path))

    def _store(self, name: str, store: Any) -> None:
        """Object stores show a file when it is whole; on others it takes its name when it is."""
        target = f"{self._base}/{name}"
        protocol = self.fs.protocol if isinstance(self.fs.protocol, str) else self.fs.protocol[0]
        try:
            if protocol in WHOLE_AT_ONCE:
                store(target)
                return
            half = f"{self._base}/{HIDDEN}/tmp/{secrets.token_hex(8)}"
            for path in (half, target):
                self.fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            store(half)
            self.fs.mv(half, target)
        except Exception as error:  # what opens URLs raises what it likes
            raise InputError(f"cannot write {self.root}/{name}: {os_reason(error)}") from error


def os_reason(error: Exception) -> str:
    """Why something could not be opened.

    Example:
        >>> os_reason(FileNotFoundError("/x")), os_reason(KeyError("token"))
        ('No such file or directory', "KeyError: 'token'")
    """
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    if isinstance(error, FileNotFoundError):
        return "No such file or directory"
    return f"{type(error).__name__}: {error}"


WHOLE_AT_ONCE = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "hf", "oss", "r2")


def filesystem(url: str) -> tuple[Any, str]:
    """Return fsspec's file system for a URL, and the path in it.

    Raises:
        InputError: fsspec, or what it needs for such URLs, is not installed, or it knows none such.
    """
    try:
        import fsspec
    except ImportError:
        raise InputError(f"{url}: URLs need fsspec; install ohlora-fast[batch]") from None
    try:
        fs, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise InputError(f"{url}: cannot be opened ({error})") from None
    return fs, str(path).rstrip("/")
