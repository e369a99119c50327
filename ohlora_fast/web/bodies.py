"""Bodies of requests, read within bounds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

from starlette.requests import Request

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

STALL = 30.0
"""Seconds without a byte after which a request is given up."""

LONGEST = 600.0
"""Seconds after which a request is given up that still sends."""


class Refused(Exception):
    """A request that is answered by an HTTP status and one line.

    Attributes:
        status: 400 or above.
        line: the reason.
    """

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status, self.line = status, line


def stated_length(request: Request, default: int) -> int:
    """Return what ``Content-Length`` says, or the default where there is none, as with chunks."""
    text = request.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else default


def bounded(receive: Receive, most: int, line: str) -> Receive:
    """Wrap a channel: it raises `Refused` once more than `most` bytes came (413), or they take too long (408)."""
    came, end = 0, time.monotonic() + LONGEST

    async def counted() -> Message:
        nonlocal came
        try:
            message = await asyncio.wait_for(receive(), min(STALL, end - time.monotonic()))
        except asyncio.TimeoutError:
            raise Refused(408, "the request stalled") from None
        came += len(message.get("body", b""))
        if came > most:
            raise Refused(413, line)
        return message

    return counted


class Body:
    """A request's channel that knows whether its body has ended.

    Args:
        receive: the channel.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._ended = False

    async def __call__(self) -> Message:
        message = await self._receive()
        self._ended = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def drain(self, most: int) -> None:
        """Read and forget up to `most` bytes of what is left: a client that still sends would miss the answer."""
        with suppress(asyncio.TimeoutError):
            while not self._ended and most > 0:
                most -= len((await asyncio.wait_for(self(), STALL)).get("body", b""))
