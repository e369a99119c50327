"""Photos that were sent and wait to be opened: received within bounds, each a file until it is read."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from gradio_client.utils import strip_invalid_filename_characters
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from ohlora_fast.errors import InputError
from ohlora_fast.web.bodies import Refused, bounded, stated_length
from ohlora_fast.web.limits import Limits

ENVELOPE = 10_000
"""Bytes of a form around the file that it holds."""

WAITING = "uploads"
"""The folder in which they wait, within the server's."""

MOST_WAITING = 200
"""Uploads that wait at once, however small."""

PATIENCE = 600.0
"""Seconds that an upload waits to be opened before it is deleted."""


class Uploads:
    """Receives photos, keeps them as files, and gives each to the one who opens it.

    Args:
        folder: the server's folder.
        limits: bytes of one, and of all that arrive or wait.
        clock: tells the time in seconds.
    """

    def __init__(self, folder: Path, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder.resolve() / WAITING
        self._most = limits.max_bytes
        self._most_waiting = limits.max_waiting_bytes
        self._too_large = f"the file is larger than {limits.megabytes:g} MB, the maximum allowed size"
        self._clock = clock
        self._waiting: dict[Path, tuple[int, float]] = {}  # size, and when it came
        self._arriving = 0

    async def receive(self, request: Request) -> Path:
        """Write the file of a form, streamed; return where it lies.

        Raises:
            Refused: it is too large (413), there is no room at the moment (503), or it is no form with one file (400).
        """
        most = self._most + ENVELOPE
        length = stated_length(request, most)
        if length > most:
            raise Refused(413, self._too_large)
        with self._room_for(length):
            stream = bounded(request.receive, most, self._too_large)
            try:
                async with Request(request.scope, stream).form(max_files=1, max_fields=0) as form:
                    return await self._keep(form.get("files"))
            except (MultiPartException, KeyError, ValueError) as error:
                raise Refused(400, f"expected a form with one file, got another: {error}") from None

    async def _keep(self, file: object) -> Path:
        if not isinstance(file, UploadFile):
            raise Refused(400, "expected a form with one file, got none")
        if (file.size or 0) > self._most:
            raise Refused(413, self._too_large)
        name = strip_invalid_filename_characters(Path(file.filename or "").name)
        path = self._folder / uuid4().hex / (name if name.strip(".") else "photo")
        path.parent.mkdir(parents=True)
        try:
            with path.open("wb") as copy:
                await run_in_threadpool(shutil.copyfileobj, file.file, copy)
        except BaseException:
            shutil.rmtree(path.parent, ignore_errors=True)
            raise
        self._waiting[path] = (file.size or 0, self._clock())
        return path

    @contextmanager
    def _room_for(self, size: int) -> Iterator[None]:
        """Reserve bytes while a file arrives."""
        waiting = sum(one for one, _ in list(self._waiting.values()))
        if waiting + self._arriving + size > self._most_waiting or len(self._waiting) >= MOST_WAITING:
            raise Refused(503, "too many photos are arriving at the moment; please try again later")
        self._arriving += size
        try:
            yield
        finally:
            self._arriving -= size

    def holds(self, path: object) -> bool:
        """Tell whether this is where an upload lies."""
        return isinstance(path, str) and Path(path) in self._waiting

    def take(self, path: str) -> tuple[bytes, str]:
        """Read an upload and delete its file; return its content and name.

        Raises:
            InputError: it is not there, or was no upload.
        """
        place = Path(path)
        gone = InputError(f"cannot read {place.name}: the upload is gone; please drop it again")
        if self._waiting.pop(place, None) is None:
            raise gone
        try:
            return place.read_bytes(), place.name
        except OSError:
            raise gone from None
        finally:
            shutil.rmtree(place.parent, ignore_errors=True)

    def sweep(self) -> None:
        """Delete what nobody opened in time."""
        oldest = self._clock() - PATIENCE
        for path in [path for path, (_, came) in list(self._waiting.items()) if came < oldest]:
            self._waiting.pop(path, None)
            shutil.rmtree(path.parent, ignore_errors=True)
