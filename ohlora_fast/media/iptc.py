"""IPTC, captions and keywords of the press, and the Photoshop resources in which JPEG files keep it."""

from __future__ import annotations

import struct
from collections.abc import Iterator

HEADER = b"Photoshop 3.0\0"
IPTC = 0x0404
PATHS = range(0x07D0, 0x0BB8)
PREVIEW = ((2, 200), (2, 201), (2, 202))
LAYOUT = (2, 131)


def resources(block: bytes) -> dict[int, bytes]:
    """The Photoshop resources of a block, by number; those before a fault, if there is one.

    >>> resources(photoshop(b"caption"))
    {1028: b'caption'}
    """
    found: dict[int, bytes] = {}
    position = len(HEADER) if block.startswith(HEADER) else 0
    while block[position : position + 4] == b"8BIM" and position + 12 <= len(block):
        (number,) = struct.unpack_from(">H", block, position + 4)
        position += 6 + (block[position + 6] + 2) // 2 * 2
        if position + 4 > len(block):
            break
        (length,) = struct.unpack_from(">I", block, position)
        found[number] = block[position + 4 : position + 4 + length]
        position += 4 + (length + 1) // 2 * 2
    return found


def photoshop(iptc: bytes) -> bytes:
    """The block of a JPEG's APP13 segment that holds IPTC and nothing else."""
    return HEADER + b"8BIM" + struct.pack(">HHI", IPTC, 0, len(iptc)) + iptc + bytes(len(iptc) % 2)


def tidied(iptc: bytes, turned: bool) -> bytes | None:
    """IPTC without the preview of the picture as it was, and, if it was turned, without its layout; None if empty.

    >>> tidied(bytes((0x1C, 2, 200, 0, 1, 7, 0x1C, 2, 120, 0, 2)) + b"hi", turned=False)
    b'\\x1c\\x02x\\x00\\x02hi'
    """
    kept = b"".join(whole for kind, whole in _datasets(iptc) if kind not in PREVIEW and not (turned and kind == LAYOUT))
    return kept or None


def _datasets(iptc: bytes) -> Iterator[tuple[tuple[int, int], bytes]]:
    position = 0
    while iptc[position : position + 1] == b"\x1c" and position + 5 <= len(iptc):
        start, (record, number, length) = position, struct.unpack_from(">BBH", iptc, position + 1)
        position += 5
        if length & 0x8000:  # so many bytes tell the length
            digits = length & 0x7FFF
            length = int.from_bytes(iptc[position : position + digits], "big")
            position += digits
        position += length
        if position > len(iptc):
            return
        yield (record, number), iptc[start:position]
