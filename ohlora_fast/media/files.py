"""Writing files whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from ohlora_fast.errors import InputError


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
        # "x" gives the permissions that the user's umask asks for, which tempfile would not.
        with open(beside, "xb+") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)
    except BaseException as error:
        with suppress(OSError):
            beside.unlink()
        if isinstance(error, OSError) and error.errno is not None:
            raise InputError(f"cannot write {path}: {os.strerror(error.errno)}") from error
        raise
