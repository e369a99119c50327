"""What is made of each photo of a set, and with which settings."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ohlora_fast.errors import InputError
from ohlora_fast.media.images import FORMATS, MAX_PIXELS
from ohlora_fast.ombre import Ombre
from ohlora_fast.ranges import OmbreRanges, Range

if TYPE_CHECKING:
    from ohlora_fast.natural import NaturalDye

SAVES = ("dyed", "mask", "overlay")


@dataclass(frozen=True)
class Recipe:
    """What is made of each photo.

    Args:
        color, ombre_height, ombre_grad_height: as of :class:`ohlora_fast.Ombre`; or (low, high): each photo gets a
            number of its own between the two, drawn from `seed` and its name, whatever the order of the photos.
        seed: another one draws other numbers.
        save: any of "dyed", "mask" (grey, 255 where hair is certain) and "overlay" (the mask in green on the photo).
        binary: masks of 0 and 255 only, cut at probability 0.5.
        suffix: format of the dyed photos, such as ".jpg"; None: as each photo's.
        quality: of JPEG and WebP, 1 to 100; None: as the photo's, or 95.
        max_pixels: larger pictures are refused unread.
        column: which one of Parquet and Arrow files holds the photos; None: the first of image, img, photo, picture,
            jpg and png, else the only one of bytes.
        refine: take what is finer than the student's map from the photo; None: of photos whose shorter side has 448
            pixels or more.
        tiles: look again at heads that are small in a photo.
        checkpoint, engine, device: as of :class:`ohlora_fast.HairStylist`.
        method: as of :meth:`ohlora_fast.HairStylist.dye`; where a `NaturalDye` has stops, `color` has no effect.

    Raises:
        InputError: a value is none of these.

    Example:
        >>> recipe = Recipe(color=(0.4, 0.6), seed=7)
        >>> 0.4 <= recipe.settings("anna.jpg").color <= 0.6
        True
        >>> recipe.settings("anna.jpg") == recipe.settings("anna.jpg") != recipe.settings("berta.jpg")
        True
    """

    color: Range = Ombre.color
    ombre_height: Range = Ombre.ombre_height
    ombre_grad_height: Range = Ombre.ombre_grad_height
    seed: int = 0
    save: tuple[str, ...] = ("dyed",)
    binary: bool = False
    suffix: str | None = None
    quality: int | None = None
    max_pixels: int = MAX_PIXELS
    column: str | None = None
    refine: bool | None = False
    tiles: bool = False
    checkpoint: str | None = None
    engine: str = "auto"
    device: str = "auto"
    method: str | NaturalDye = "seed"

    def __post_init__(self) -> None:
        self._ranges()
        if not self.save or set(self.save) - set(SAVES) or len(set(self.save)) < len(self.save):
            raise InputError(f"save: got {self.save!r}, allowed are {', '.join(SAVES)}, each once")
        if self.suffix is not None and self.suffix.lower() not in FORMATS:
            raise InputError(f"suffix: got {self.suffix!r}, allowed are {', '.join(FORMATS)}")
        self._dye()
        if self.quality is not None and not (type(self.quality) is int and 1 <= self.quality <= 100):
            raise InputError(f"quality: got {self.quality!r}, allowed is a whole number from 1 to 100")

    def settings(self, name: str) -> Ombre:
        """The settings of the photo of this name."""
        digest = hashlib.blake2b(f"{self.seed}\0{name}".encode("utf-8", "surrogatepass"), digest_size=24).digest()
        drawn = []
        for number, (low, high) in enumerate(self._ranges().ends):
            share = int.from_bytes(digest[8 * number : 8 * number + 8], "big") / 2**64
            drawn.append(min(low + share * (high - low), high))
        return Ombre(*drawn)

    def digest(self) -> str:
        """Stands for everything but the settings that outputs depend on: what was made by another is made again."""
        weights = "" if self.checkpoint is None else hashlib.blake2b(_content(self.checkpoint)).hexdigest()
        rest = (self.save, self.binary, self.suffix, self.quality, self.max_pixels, self.column)
        run = (weights, self.engine, self.device)
        # Sets that were dyed before there were these settings stay as they are.
        fine = (self.refine, self.tiles) if self.refine is not False or self.tiles else ()
        dye = self._dye()
        method = () if dye is None else (repr(dye),)
        return hashlib.blake2b(json.dumps(rest + run + fine + method).encode(), digest_size=12).hexdigest()

    def _dye(self) -> NaturalDye | None:
        if self.method == "seed":
            return None
        from ohlora_fast.natural import natural_dye

        return natural_dye(self.method)

    def _ranges(self) -> OmbreRanges:
        return OmbreRanges(self.color, self.ombre_height, self.ombre_grad_height)


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"checkpoint {path}: cannot be read ({error.strerror})") from None
