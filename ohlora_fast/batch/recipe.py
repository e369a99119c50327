"""What is made of each photo of a set, and with which settings."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ohlora_fast.arguments import shown
from ohlora_fast.errors import InputError
from ohlora_fast.heads.finder import bundled_heads
from ohlora_fast.media.images import FORMATS, MAX_PIXELS, output_format
from ohlora_fast.ombre import Ombre
from ohlora_fast.ranges import OmbreRanges, Range
from ohlora_fast.student import bundled
from ohlora_fast.student.session import read_graph

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
        quality: of JPEG, WebP, AVIF and HEIC, 1 to 100; None: as the photo's, or 95, or 90 of the last two.
        max_pixels: larger pictures are refused unread.
        column: which one of Parquet and Arrow files holds the photos; None: the first of image, img, photo, picture,
            jpg and png, else the only one of bytes.
        refine: take what is finer than the student's map from the photo; None: of photos whose shorter side has 448
            pixels or more.
        tiles: has no effect any more.
        checkpoint, engine, device: as of :class:`ohlora_fast.HairStylist`.
        method: as of :meth:`ohlora_fast.HairStylist.dye`; where a `NaturalDye` has stops, `color` has no effect.
        heads: "auto", "whole" or indices from 0, as of :meth:`ohlora_fast.HairStylist.segment`. A photo in which one of
            the indices is not there stays as it is.
        head_colors: in place of `color`, one for each head that is dyed, over and over; None: `color` for all.

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
    heads: str | tuple[int, ...] = "auto"
    head_colors: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        self._ranges()
        if not self.save or set(self.save) - set(SAVES) or len(set(self.save)) < len(self.save):
            raise InputError(f"save: got {self.save!r}, allowed are {', '.join(SAVES)}, each once")
        if self.suffix is not None and self.suffix.lower() not in FORMATS:
            raise InputError(f"suffix: got {self.suffix!r}, allowed are {', '.join(FORMATS)}")
        if self.suffix is not None:
            output_format(f"x{self.suffix}")  # raises where what writes it is not installed
        self._dye()
        if self.quality is not None and not (type(self.quality) is int and 1 <= self.quality <= 100):
            raise InputError(f"quality: got {self.quality!r}, allowed is a whole number from 1 to 100")
        if self.heads not in ("auto", "whole") and not _is_indices(self.heads):
            raise InputError(
                f"heads: got {shown(self.heads)}, allowed are 'auto', 'whole' and a tuple of indices from 0, each once"
            )
        if self.head_colors is not None and not _is_hues(self.head_colors):
            raise InputError(
                f"head_colors: got {shown(self.head_colors)}, allowed is a tuple of one or more numbers from 0 to 1"
            )

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
        files = (self.save, self.binary, self.suffix, self.quality, self.max_pixels, self.column)
        run = (weights_digest(self.checkpoint), self.engine, self.device)
        how = (self.refine, repr(self._dye()), self.heads, self.head_colors)
        return hashlib.blake2b(json.dumps(files + run + how).encode(), digest_size=12).hexdigest()

    def _dye(self) -> NaturalDye | None:
        if self.method == "seed":
            return None
        from ohlora_fast.natural import natural_dye

        return natural_dye(self.method)

    def _ranges(self) -> OmbreRanges:
        return OmbreRanges(self.color, self.ombre_height, self.ombre_grad_height)


def weights_digest(checkpoint: str | None) -> str:
    """Stands for the weights in use: the head finder's, and a checkpoint's or, of the bundled student, every form of
    them, so that machines agree on it whichever engine they choose.

    Raises:
        InputError: the checkpoint cannot be read.

    Example:
        >>> len(weights_digest(None))
        32
    """
    student = sorted(bundled("").glob("default*")) if checkpoint is None else [Path(checkpoint)]
    digest = hashlib.blake2b(digest_size=16)
    for path in (*student, *sorted(bundled_heads().parent.glob("*.onnx"))):
        digest.update(hashlib.blake2b(read_graph(path, f"checkpoint {path}")).digest())
    return digest.hexdigest()


def _is_indices(heads: Any) -> bool:
    if not isinstance(heads, tuple) or not heads:
        return False
    return all(type(one) is int and one >= 0 for one in heads) and len(set(heads)) == len(heads)


def _is_hues(colors: Any) -> bool:
    if not isinstance(colors, tuple) or not colors:
        return False
    return all(isinstance(one, int | float) and 0 <= one <= 1 for one in colors)
