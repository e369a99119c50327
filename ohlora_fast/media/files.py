"""Writing files whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ohlora_fast.errors import InputError
from ohlora_fast.media.unfinished import unfinished


@contextmanager
def written_whole(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Give a binary file that takes the name `path` only when the block ends well.

    The bytes go to a hidden file in the same folder, which is renamed at the end; after an exception,
    Ctrl-C included, it is removed and whatever stood at `path` is untouched. A link is followed, so that
    the file it points to is replaced and the link stays.

    Raises:
        InputError: the folder is missing or cannot be written, or the disk is full.

    >>> import tempfile
    >>> name = os.path.join(tempfile.mkdtemp(), "x.bin")
    >>> with written_whole(name) as file:
    ...     _ = file.write(b"abc")
    >>> open(name, "rb").read()
    b'abc'
    """
    target = Path(os.path.realpath(path))
    beside = target.parent / f".ohlora-{secrets.token_hex(6)}.tmp"
    try:
        with unfinished(beside):
            # "x" gives the permissions that the user's umask asks for, which tempfile would not.
            with open(beside, "xb+") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, target)
    except OSError as error:
        if error.errno is None:
            raise
        raise InputError(f"cannot write {path}: {os.strerror(error.errno)}") from error


def check_target(path: Path, source: Path | None = None, overwrite: bool = False) -> None:
    """Check that a file may be written, before the work for it begins.

    Args:
        path: the file to write.
        source: the file that it is made from, which is never overwritten.
        overwrite: whether an existing file may be replaced.

    Raises:
        InputError: something stands there that may not be replaced.

    >>> check_target(Path("no-such-file.png"))
    """
    try:
        if source is not None and path.exists() and path.samefile(source):
            raise InputError(f"cannot write {path}: it is the input {source}, which is never overwritten")
        if path.exists() and not path.is_file():
            raise InputError(f"cannot write {path}: a folder or a special file stands there")
        if path.exists() and not overwrite:
            raise InputError(f"cannot write {path}: it exists already, and overwriting was not asked for")
    except OSError as error:
        raise InputError(f"cannot write {path}: {os.strerror(error.errno or 0)}") from error
