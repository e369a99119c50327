"""The output folder, on this machine or behind a URL. Nothing is ever written beside it, and no file in it is half."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Protocol

from ohlora_fast.errors import InputError

HIDDEN = ".ohlora-fast"
"""The folder in the output folder for what is no output: the manifest, and files that are being written."""
STALE_S = 24 * 3600
"""Half-written files that nobody has touched for so long are nobody's."""
FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
NO_MORE = FULL | {
    getattr(errno, name)
    for name in ("EROFS", "EIO", "ESTALE", "ENODEV", "ENXIO", "ENOTCONN", "EMFILE", "ENFILE", "ENOMEM")
    if hasattr(errno, name)
}
"""Errors that keep every output from being written, whichever photo it is made of."""


class StopError(InputError):
    """Something that would make every further photo fail: a full disk, say. The run stops, and the rest waits."""


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
        """Write a file; it appears whole or not at all, in place of one that stood there.

        Raises:
            InputError: it cannot be written.
            StopError: nothing can be written any more.
        """

    def clear(self) -> None:
        """Delete what this run, or a killed one with the same key, left half-written."""

    def check(self) -> None:
        """Check that what was written is still there.

        Raises:
            StopError: the folder was deleted meanwhile.
        """

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Give a path for a local file that becomes `name` when the block ends well."""
        yield Path()


def open_outbox(out: str, key: str = "run") -> Outbox:
    """Return the output folder that a path or URL names.

    Args:
        out: the path or URL.
        key: a name for the half-written files of this run, which others leave alone.

    Raises:
        InputError: something else than a folder stands there, or nothing reads such URLs.

    Example:
        >>> import tempfile
        >>> outbox = open_outbox(tempfile.mkdtemp())
        >>> outbox.put("deep/a.txt", b"abc")
        >>> outbox.size("deep/a.txt"), outbox.size("b.txt")
        (3, None)
    """
    return RemoteOutbox(out, key) if is_url(out) else LocalOutbox(out, key)


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

    def __init__(self, out: str, key: str = "run") -> None:
        self.root = os.path.abspath(out)
        if os.path.lexists(self.root) and not os.path.isdir(self.root):
            raise InputError(f"--out: {out} came, which is a file; allowed is a folder")
        self._real = os.path.realpath(self.root)
        self._halves = self.hidden / "tmp" / key
        # Both are made once: a folder that is deleted during the run is not to come back with the next photo.
        self._make_halves = lru_cache(maxsize=1)(lambda: self._halves.mkdir(parents=True, exist_ok=True))
        self._folder = lru_cache(maxsize=4096)(self._make_folder)

    @property
    def hidden(self) -> Path:
        """The folder for what is no output."""
        return Path(self.root, HIDDEN)

    def clear(self) -> None:
        shutil.rmtree(self._halves, ignore_errors=True)
        with suppress(OSError):
            for other in self._halves.parent.iterdir():
                if time.time() - max(map(_touched, (other, *other.rglob("*")))) > STALE_S:
                    shutil.rmtree(other) if other.is_dir() else other.unlink()

    def check(self) -> None:
        if self._make_halves.cache_info().currsize and not self._halves.is_dir():
            raise self._gone()

    def _gone(self) -> StopError:
        if os.path.isdir(self.root):
            return StopError(
                f"{self.hidden} was deleted during the run; give the same command with --skip-existing or --overwrite"
            )
        return StopError(f"the output folder {self.root} was deleted during the run; the same command makes it anew")

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
        half = self._halves / secrets.token_hex(8)
        for_all = True  # whether what goes wrong now would go wrong with every other file, too
        try:
            self._make_halves()
            for_all = False
            self._folder(os.path.dirname(target))
            for_all = True
            yield half
            with open(half, "rb+") as file:  # the manifest says "done" of what is on the disk, should power fail
                os.fsync(file.fileno())
            for_all = False
            self._place(half, target)
        except BaseException as error:
            with suppress(OSError):
                half.unlink()
            if isinstance(error, OSError):
                self.check()
                if error.errno in NO_MORE or (for_all and error.errno not in (None, errno.EFBIG)):
                    raise stop_for(self.root, error.errno) from error
                raise InputError(f"cannot write {target}: {os_reason(error)}") from error
            raise

    def _place(self, half: Path, target: str) -> None:
        """Give a file its name. A link of that name is replaced, not followed."""
        try:
            os.replace(half, target)
        except FileNotFoundError:  # its folder was deleted since the last photo
            self.check()
            self._folder.cache_clear()
            self._folder(os.path.dirname(target))
            os.replace(half, target)

    def _make_folder(self, folder: str) -> None:
        self.check()
        if os.path.lexists(self.root):
            # First the part that exists: a link in it may lead outside, where not even a folder may be made.
            existing = folder
            while not os.path.lexists(existing):
                existing = os.path.dirname(existing)
            real = os.path.realpath(existing)
            if real != self._real and not real.startswith(os.path.join(self._real, "")):
                raise InputError(f"cannot write into {folder}: a link in it leads out of {self.root}")
        os.makedirs(folder, exist_ok=True)


def _touched(path: Path) -> float:
    return path.lstat().st_mtime


def stop_for(place: str, number: int | None) -> StopError:
    """The error of a place that takes nothing more.

    Example:
        >>> print(stop_for("dyed", errno.ENOSPC))
        cannot write into dyed: No space left on device; make room, and the same command does the rest
    """
    way = "make room, and" if number in FULL else "once that is mended,"
    return StopError(f"cannot write into {place}: {os.strerror(number or 0)}; {way} the same command does the rest")


class RemoteOutbox:
    """A folder behind a URL that fsspec knows."""

    def __init__(self, out: str, key: str = "run") -> None:
        self.root = out.rstrip("/")
        self.fs, self._base = filesystem(self.root)
        self._halves = f"{self._base}/{HIDDEN}/tmp/{key}"

    def clear(self) -> None:
        with suppress(Exception):  # what opens URLs raises what it likes, also where there is nothing to delete
            self.fs.rm(self._halves, recursive=True)

    def check(self) -> None:
        """Stores have no folders that could be missing."""

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
            try:
                yield half
            except OSError as error:
                if error.errno in NO_MORE:
                    raise stop_for(folder, error.errno) from error
                raise
            self._store(name, lambda path: self.fs.put_file(str(half), path))

    def _store(self, name: str, store: Any) -> None:
        """Object stores show a file when it is whole; on others it takes its name when it is."""
        target = f"{self._base}/{name}"
        protocol = self.fs.protocol if isinstance(self.fs.protocol, str) else self.fs.protocol[0]
        try:
            if protocol in WHOLE_AT_ONCE:
                store(target)
                return
            half = f"{self._halves}/{secrets.token_hex(8)}"
            for path in (half, target):
                self.fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            store(half)
            self.fs.mv(half, target)
        except Exception as error:  # what opens URLs raises what it likes
            if getattr(error, "errno", None) in NO_MORE:
                raise stop_for(self.root, getattr(error, "errno", None)) from error
            if isinstance(error, ConnectionError | TimeoutError | PermissionError):
                text = f"cannot write into {self.root}: {os_reason(error)}"
                raise StopError(f"{text}; once that is mended, the same command does the rest") from error
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
