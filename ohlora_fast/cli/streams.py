"""Standard streams that always exist, and on which no text moves the cursor or changes the terminal."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Control characters but tabs and line feeds; separators of lines and marks that turn the direction of text."""
BARS = re.compile(r"(?:\x1b\[A|[\r\n])*")
"""Control sequences by which progress bars move the cursor, in writes of their own."""


def plain(text: str) -> str:
    r"""Write control characters as JSON does; a carriage return stays at either end, where progress bars put it.

    >>> plain("photo\x1b[2J.jpg\n")
    'photo\\u001b[2J.jpg\n'
    >>> plain("\r 5 %")
    '\r 5 %'
    """
    if not CONTROL.search(text) or BARS.fullmatch(text):
        return text
    inner = text.strip("\r\n")
    start = text.index(inner)
    return text[:start] + CONTROL.sub(escaped, inner) + text[start + len(inner) :]


def in_line(name: object) -> str:
    r"""A name as a part of one line.

    >>> in_line("two\nlines")
    'two\\u000alines'
    """
    return re.sub(CONTROL.pattern + "|[\t\n]", escaped, str(name))


def escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


class PlainStream:
    """A text stream that writes `plain` text, and is the stream itself otherwise."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(plain(text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def plain_streams() -> Iterator[None]:
    """Write plain text to stdout and stderr within the block; to nowhere, if they were closed."""
    before = sys.stdout, sys.stderr
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        streams = [nowhere if stream is None else stream for stream in before]
        for stream in streams:
            if hasattr(stream, "reconfigure"):  # a file name may hold what the terminal cannot print
                stream.reconfigure(errors="backslashreplace")
        sys.stdout, sys.stderr = map(PlainStream, streams)
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before


def open_missing() -> None:
    """Open closed standard streams to nowhere, so that no other file takes their numbers."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            with suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
