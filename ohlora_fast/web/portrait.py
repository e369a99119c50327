"""One visitor's photo, and the pictures that the page makes of it."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image

from ohlora_fast.heads.dyeing import prob_of
from ohlora_fast.heads.hair import Hair
from ohlora_fast.media.convert import Pixels
from ohlora_fast.media.gamut import changed_like, srgb_pixels
from ohlora_fast.media.images import FORMATS, Photo, decode_photo, encode_photo
from ohlora_fast.media.numbered import number_heads
from ohlora_fast.media.overlay import mask_pixels, overlay_pixels
from ohlora_fast.natural import NaturalDye
from ohlora_fast.ombre import Ombre, has_hair

if TYPE_CHECKING:
    from ohlora_fast.stylist import HairStylist

View = Literal["dyed", "overlay", "mask"]

PREVIEW = 1280
"""Longest side of what the page shows; a download has the photo's own size."""

PREVIEW_QUALITY = 90

CHOICE = (480, 320)
"""Longest width and height of the small picture on which heads are chosen."""

BY_COLOR = "by colour slider"
"""The palette that is none: natural dyeing takes the colour slider's hue."""


@dataclass(frozen=True)
class Look:
    """What the page's controls ask for.

    Attributes:
        color, height, grad: the ombre.
        method: "seed" or "natural".
        palette: of natural dyeing, a palette's name or `BY_COLOR`.
        strength, lift: of natural dyeing.
        fine: whether the map is refined.

    >>> Look(method="natural", palette="sunset").dye.stops
    'sunset'
    """

    color: float = Ombre.color
    height: float = Ombre.ombre_height
    grad: float = Ombre.ombre_grad_height
    method: str = "seed"
    palette: str = BY_COLOR
    strength: float = NaturalDye.strength
    lift: float = NaturalDye.lift
    fine: bool = False

    @property
    def dye(self) -> str | NaturalDye:
        """What `HairStylist.dye` takes as `method`."""
        if self.method != "natural":
            return self.method
        stops = None if self.palette == BY_COLOR else self.palette
        return NaturalDye(stops, strength=self.strength, lift=self.lift)


@dataclass(frozen=True, eq=False)
class Portrait:
    """A photo as the page keeps it in memory: its file, a preview, and the hair of its heads.

    Attributes:
        name: of the file.
        content: the file.
        max_pixels: what it may decode to.
        preview: the photo, `PREVIEW` pixels long or shorter.
        hair: of the preview. At 6 bytes a pixel that is 10 MB at most, however large the photo is; a download finds the
            hair anew in full size. Where one head fills the photo, the student's map is all, and serves for both.
        with_hair: which heads have a row of hair, so that something of them is dyed.
    """

    name: str
    content: bytes
    max_pixels: int
    preview: Photo
    hair: Hair
    with_hair: frozenset[int]

    @property
    def choice_size(self) -> tuple[int, int]:
        """Width and height of the small picture on which heads are chosen."""
        height, width = self.hair.size
        scale = min(1, CHOICE[0] / width, CHOICE[1] / height)
        return max(1, round(width * scale)), max(1, round(height * scale))

    def head_at(self, x: float, y: float) -> int | None:
        """The head at a place, x and y in [0, 1] of width and height: by the smallest box there, else by the hair."""
        height, width = self.hair.size
        column, row = x * width, y * height
        boxes = self.hair.heads.boxes
        over = [i for i, (x0, y0, x1, y1) in enumerate(boxes) if x0 <= column <= x1 and y0 <= row <= y1]
        if over:
            return min(over, key=lambda i: float(np.prod(boxes[i, 2:] - boxes[i, :2])))
        if self.hair.owner is None:
            return None
        owner = int(self.hair.owner[min(int(row), height - 1), min(int(column), width - 1)])
        return owner if owner >= 0 else None


def open_portrait(stylist: HairStylist, content: bytes, name: str, max_pixels: int) -> Portrait:
    """Decode a photo and find its hair, head by head.

    Raises:
        InputError: it is no photo that can be read, or has more than `max_pixels`, by the size its header states.
    """
    photo = decode_photo(io.BytesIO(content), name, max_pixels)
    opaque = photo.pixels.shape[2] == 4 and bool((photo.pixels[..., 3] == 255).all())  # as from the camera
    image = Image.fromarray(np.ascontiguousarray(photo.pixels[..., :3]) if opaque else photo.pixels)
    image.thumbnail((PREVIEW, PREVIEW), Image.Resampling.LANCZOS)
    preview = Photo(np.asarray(image), icc_profile=photo.icc_profile)
    hair = stylist.find_hair(photo.pixels).resized(image.height, image.width)
    with_hair = [i for i in range(len(hair)) if has_hair(hair.of_head(i), hair.size, stylist.threads)[0]]
    return Portrait(name, content, max_pixels, preview, hair, frozenset(with_hair))


def picture(stylist: HairStylist, portrait: Portrait, look: Look, view: View, colors: Mapping[int, float]) -> Pixels:
    """Make what the page shows beside the preview: dyed, with the mask in green over it, or the mask in grey.

    Args:
        stylist: dyes the hair.
        portrait: the photo.
        look: the settings, but for the colours.
        view: which of the three.
        colors: the heads that are dyed, by index, and the colour of each.
    """
    pixels = portrait.preview.pixels
    if view == "dyed":
        return _dyed(stylist, pixels, portrait.hair, portrait, look, colors)
    mask = mask_pixels(prob_of(pixels, portrait.hair.only(list(colors)), look.fine, stylist.threads))
    return overlay_pixels(pixels, mask) if view == "overlay" else np.repeat(mask[..., None], 3, axis=2)


def _dyed(
    stylist: HairStylist, pixels: Pixels, hair: Hair, portrait: Portrait, look: Look, colors: Mapping[int, float]
) -> Pixels:
    """Dye heads, each in its colour; without hair the photo stays as it is, and nobody is warned at every move."""
    dyed = [index for index in colors if index in portrait.with_hair]
    if not dyed:
        return pixels
    icc = portrait.preview.icc_profile
    before = pixels if look.dye == "seed" else srgb_pixels(pixels, icc)  # natural dyeing's colours are sRGB's
    done: Pixels = stylist.dye_by_map(
        before, hair.only(dyed), [colors[index] for index in dyed], look.height, look.grad,
        method=look.dye, refine=look.fine,
    )  # fmt: skip
    return changed_like(pixels, icc, before, done)


def choice_picture(portrait: Portrait, colors: Collection[int]) -> tuple[bytes, str]:
    """Draw the photo small with its heads numbered, those that are not dyed in grey; return the file and its suffix."""
    width, height = portrait.choice_size
    small = Image.fromarray(portrait.preview.pixels).resize((width, height), Image.Resampling.LANCZOS)
    hair = portrait.hair.resized(height, width)
    off = set(range(len(hair))).difference(colors)
    return encode_preview(portrait.preview, number_heads(np.asarray(small), hair.heads.boxes, off))


def encode_preview(preview: Photo, pixels: Pixels) -> tuple[bytes, str]:
    """Encode what the page shows, in the preview's colour profile; return the file and its suffix."""
    suffix = ".jpg" if pixels.shape[2] == 3 else ".webp"  # JPEG keeps no transparency
    file = io.BytesIO()
    encode_photo(file, pixels, f"preview{suffix}", like=preview, quality=PREVIEW_QUALITY)
    return file.getvalue(), suffix


def encode_full(stylist: HairStylist, portrait: Portrait, look: Look, colors: Mapping[int, float]) -> tuple[bytes, str]:
    """Dye the photo in its own size; return it as a file of its own format, and that file's name."""
    photo = decode_photo(io.BytesIO(portrait.content), portrait.name, portrait.max_pixels)
    if portrait.hair.whole:
        hair = portrait.hair.resized(*photo.pixels.shape[:2])
    else:
        hair = stylist.find_hair(photo.pixels, refine=look.fine)
    dyed = _dyed(stylist, photo.pixels, hair, portrait, look, colors)
    suffix = next(suffix for suffix, form in FORMATS.items() if form == photo.format)
    name = f"{Path(portrait.name).stem}-dyed{suffix}"
    file = io.BytesIO()
    encode_photo(file, dyed, name, like=photo)
    return file.getvalue(), name
