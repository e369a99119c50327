"""How much the web page takes, of one visitor and of all."""

from __future__ import annotations

from dataclasses import dataclass, fields

from ohlora_fast.errors import InputError

ROOM = 8
"""Photos of the largest size that may arrive and wait at a time; more of smaller ones."""


@dataclass(frozen=True)
class Limits:
    """Limits of the web page.

    Args:
        megapixels: larger photos are refused by the size that their header states, before they are decoded.
        megabytes: larger files are refused while they come in.
        queue: requests that wait at most; more are told that the page is busy.
        visitors: photos held in memory at most; the one that was used longest ago makes room.
        minutes: a photo that was not used for so long is forgotten, even if its page is still open.

    Raises:
        InputError: one is not above 0.

    >>> Limits(megapixels=12).max_pixels
    12000000
    """

    megapixels: float = 50
    megabytes: float = 30
    queue: int = 32
    visitors: int = 32
    minutes: float = 60

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise InputError(f"{field.name}: got {getattr(self, field.name)}, allowed is a number above 0")

    @property
    def max_pixels(self) -> int:
        return round(self.megapixels * 1_000_000)

    @property
    def max_bytes(self) -> int:
        return round(self.megabytes * 1_000_000)

    @property
    def max_waiting_bytes(self) -> int:
        """Bytes of all photos that arrive or wait to be opened."""
        return ROOM * self.max_bytes
