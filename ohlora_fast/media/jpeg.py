"""JPEG files as bytes: their segments, what lies behind the picture, and files that lack their end marker."""

from __future__ import annotations

import io
import random
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from PIL import JpegImagePlugin

START, END, SCAN, APP0, COMMENT = 0xD8, 0xD9, 0xDA, 0xE0, 0xFE
APP1, APP2, APP11, APP13, APP14 = APP0 + 1, APP0 + 2, APP0 + 11, APP0 + 13, APP0 + 14
FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
LONGEST = 65_533
"""Bytes that a segment holds."""

HEADER = 1 << 18
"""Bytes at the begin of a file that name its further pictures, if there are any."""

MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])", re.DOTALL)
END_MARKER = bytes((0xFF, END))
NOISE, TRIES = 1 << 14, 4
"""Bytes of noise put behind a picture that may be cut short, and how many kinds of it."""
FEW = 16
"""Zeros that may be of the picture; more were put behind it."""


@dataclass(frozen=True)
class Segment:
    """A marker, the bytes that it holds, and where it ends in the file."""

    marker: int
    body: bytes
    end: int


def segments(data: bytes) -> Iterator[Segment]:
    """The segments of a file up to its end marker, or to where it breaks off.

    >>> from PIL import Image
    >>> file = io.BytesIO()
    >>> Image.new("RGB", (8, 8)).save(file, "JPEG", comment=b"hello")
    >>> [one.body for one in segments(file.getvalue()) if one.marker == COMMENT]
    [b'hello']
    """
    position = 2
    while found := MARKER.search(data, position):
        marker, position = found[1][0], found.end()
        if marker == END:
            yield Segment(marker, b"", position)
            return
        length = int.from_bytes(data[position : position + 2], "big")
        if length < 2 or position + length > len(data):
            return
        yield Segment(marker, data[position + 2 : position + length], position + length)
        position += length


def segment(marker: int, body: bytes) -> bytes:
    """A segment as it stands in a file.

    >>> segment(COMMENT, b"hi").hex(" ")
    'ff fe 00 04 68 69'
    """
    return bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body


def with_end(file: IO[bytes]) -> IO[bytes] | None:
    """Give a file that lacks its end marker, and nothing of the picture, with one.

    A decoder fills what is missing: with grey, or with whatever bytes follow. So the picture is whole if it is the same
    with noise behind it as without.

    Args:
        file: a JPEG at whose end the decoder asked for more.

    Returns:
        The mended file, or None if parts of the picture are missing, too.
    """
    file.seek(0)
    for data in _without_padding(file.read()):
        with suppress(OSError, SyntaxError):  # the decoder gives it up
            if _has_all_scans(data) and _is_whole(data):
                return io.BytesIO(data + END_MARKER)
    return None


def behind(file: IO[bytes]) -> list[str] | None:
    """Notes on what a JPEG file holds behind its picture but for further pictures; None if it has no end marker."""
    file.seek(-2, io.SEEK_END)
    if file.read() == END_MARKER:  # of the picture, or of a further one
        file.seek(0)
        if b"MPF\0" not in file.read(HEADER):
            return []
    file.seek(0)
    data = file.read()
    scan = end = 0
    for one in segments(data):
        scan = one.end if one.marker == SCAN else scan
        end = one.end if one.marker == END else end
    if not end:  # it is missing, or hidden by a damaged segment that decoders pass over
        return None if data.find(END_MARKER, scan) < 0 else []
    if data.find(b"ftyp", end) >= 0:
        return ["the video of its motion photo is dropped"]
    rest = data[end:].strip(b"\0\r\n\xff")
    pictures = rest.startswith(b"\xd8")  # the first byte of a JPEG was taken for filling
    return [f"{len(rest):,} bytes behind the picture are dropped"] if rest and not pictures else []


def _is_whole(data: bytes) -> bool:
    plain = _pixels(data + END_MARKER)
    for seed in range(TRIES):  # some noise reads as: nothing follows
        noise = random.Random(seed).randbytes(NOISE).replace(b"\xff", b"\x55")
        # Where the picture has restart markers, the decoder looks for the next one of eight; just before it, it skips.
        restarts = b"".join(noise + bytes((0xFF, 0xD0 + (2 * seed + number) % 8)) for number in range(8))
        if _pixels(data + restarts + noise + END_MARKER) != plain:
            return False
    return True


def _pixels(data: bytes) -> bytes:
    with JpegImagePlugin.JpegImageFile(io.BytesIO(data)) as image:
        return image.tobytes()


def _without_padding(data: bytes) -> Iterator[bytes]:
    """The file without zeros that follow the picture, or half an end marker. A few zeros may be of the picture."""
    bare = data.rstrip(b"\0")
    zeros = len(data) - len(bare)
    if not zeros:
        yield data.rstrip(b"\xff")
        return
    yield bare + bytes(bare.endswith(b"\xff"))  # FF 00 is a byte of the picture
    if zeros <= FEW:
        yield data


def _has_all_scans(data: bytes) -> bool:
    """Whether there is a scan for every coefficient of every component, to the last bit."""
    components: list[int] = []
    exact: set[tuple[int, int]] = set()
    for one in segments(data):
        if one.marker in FRAMES:
            components = list(one.body[6::3])
        elif one.marker == SCAN and one.body:
            names = one.body[1 : 1 + 2 * one.body[0] : 2]
            first, last, bits = one.body[-3:]
            if bits & 15 == 0:
                exact |= {(name, number) for name in names for number in range(first, last + 1)}
    return bool(components) and all((name, number) in exact for name in components for number in range(64))
