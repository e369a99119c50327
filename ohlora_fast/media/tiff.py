"""Grey TIFF files that Pillow reads otherwise than they are meant: 0 as white, signed, 12 bits, swapped bytes."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from PIL import Image, TiffImagePlugin
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, SAMPLEFORMAT

from ohlora_fast.errors import InputError

WHITE_IS_ZERO, BLACK_IS_ZERO = 0, 1
SIGNED = 2


class TiffFile(TiffImagePlugin.TiffImageFile):
    """A TIFF image as Pillow's, which knows 0 as white only of some kinds of grey: the rest is opened as if 0 were
    black, and `Samples.inverted` says so."""

    white_is_zero = False

    def _setup(self) -> None:
        bits, formats = self.tag_v2.get(BITSPERSAMPLE, (1,)), self.tag_v2.get(SAMPLEFORMAT, (1,))
        grey = self.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == WHITE_IS_ZERO
        self.white_is_zero = grey and (max(bits) > 8 or SIGNED in formats)
        if self.white_is_zero:
            self.tag_v2[PHOTOMETRIC_INTERPRETATION] = BLACK_IS_ZERO
        super()._setup()


@dataclass(frozen=True)
class Samples:
    """The values of a grey picture of one channel, as Pillow gives them.

    Attributes:
        bits: of a value. 32 bits count as 16, which is what Pillow's mode I mostly holds.
        signed: whether one bit is a sign; values below 0 are no colours.
        inverted: whether 0 is white.
        swapped: whether Pillow took the bytes of each value in the wrong order.
    """

    bits: int = 16
    signed: bool = False
    inverted: bool = False
    swapped: bool = False

    @property
    def white(self) -> int:
        """The largest value that is a colour: white, or black where `inverted`."""
        return int(2 ** (self.bits - self.signed) - 1)


def samples_of(image: Image.Image) -> Samples:
    """Tell how the values of a picture (mode L, I, I;16 or F) are meant; one that is no TIFF file has 16 bits, or 8.

    >>> samples_of(Image.new("I;16", (2, 2))).white
    65535
    """
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return Samples(8 if image.mode == "L" else 16)
    tags = image.tag_v2
    bits = tags.get(BITSPERSAMPLE, (1,))[0]
    inverted = getattr(image, "white_is_zero", False)
    # Opened by Pillow alone, 8 bits and fewer are inverted already.
    inverted = inverted or (image.mode not in ("1", "L") and tags.get(PHOTOMETRIC_INTERPRETATION) == WHITE_IS_ZERO)
    # Of compressed files libtiff gives the values in the machine's own order, but Pillow takes them in the file's.
    native = "II" if sys.byteorder == "little" else "MM"
    foreign = tags.prefix != native.encode() and image.info.get("compression") != "raw"
    swapped = foreign and image.mode in ("I", "F")
    signed = SIGNED in tags.get(SAMPLEFORMAT, (1,)) and bits < 32
    return Samples(16 if bits == 32 else bits, signed, inverted, swapped)


def check_planes(image: TiffImagePlugin.TiffImageFile) -> None:
    """Refuse 16-bit planes, which Pillow would take for 8-bit ones.

    Raises:
        InputError: the file holds such.
    """
    planes = image.tag_v2.get(TiffImagePlugin.PLANAR_CONFIGURATION) == 2
    if planes and 16 in image.tag_v2.get(BITSPERSAMPLE, ()):
        raise InputError("it holds 16-bit colour in separate planes; allowed is interleaved colour")
