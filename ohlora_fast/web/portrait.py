"""One visitor's photo, and the pictures that the page makes of it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ohlora_fast.media.convert import Pixels
from ohlora_fast.media.images import FORMATS, Photo, decode_photo, encode_photo
from ohlora_fast.media.overlay import mask_pixels, overlay_pixels
from ohlora_fast.natural import NaturalDye
from ohlora_fast.ombre import Ombre, has_hair
from ohlora_fast.refine import refine_map
from ohlora_fast.student.preprocess import unsquash
from ohlora_fast.web.patches import split_patches

if TYPE_CHECKING:
    from ohlora_fast.stylist import HairStylist

View = Literal["dyed", "overlay", "mask"]

PREVIEW = 1280
"""Longest side of what the page shows; a download has the photo's own size."""

PREVIEW_QUALITY = 90

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
    """A photo as the page keeps it in memory: its file, a preview, and where its hair is.

    Attributes:
        name: of the file.
        content: the file.
        max_pixels: what it may decode to.
        preview: the photo, `PREVIEW` pixels long or shorter.
        whole: the student's map of all hair.
        patches: that map taken apart, a map a patch of hair.
        hair: whether there is any.
    """

    name: str
    content: bytes
    max_pixels: int
    preview: Photo
    whole: NDArray[np.float32]
    patches: tuple[NDArray[np.float32], ...]
    hair: bool

    def hair_map(self, patch: int | None) -> NDArray[np.float32]:
        """The map of one patch, or of all hair."""
        return self.whole if patch is None else self.patches[patch]


def open_portrait(stylist: HairStylist, content: bytes, name: str, max_pixels: int) -> Portrait:
    """Decode a photo and find its hair: the student runs here, and not again.

    Raises:
        InputError: it is no photo that can be read, or has more than `max_pixels`, by the size its header states.
    """
    photo = decode_photo(io.BytesIO(content), name, max_pixels)
    opaque = photo.pixels.shape[2] == 4 and bool((photo.pixels[..., 3] == 255).all())  # as from the camera
    image = Image.fromarray(np.ascontiguousarray(photo.pixels[..., :3]) if opaque else photo.pixels)
    image.thumbnail((PREVIEW, PREVIEW), Image.Resampling.LANCZOS)
    preview = Photo(np.asarray(image), icc_profile=photo.icc_profile)
    whole = stylist.segment_map(photo.pixels)
    hair = bool(has_hair(whole, photo.pixels.shape[:2], stylist.threads)[0])
    return Portrait(name, content, max_pixels, preview, whole, tuple(split_patches(whole)), hair)


def picture(stylist: HairStylist, portrait: Portrait, look: Look, view: View, patch: int | None) -> Pixels:
    """Make what the page shows beside the preview: dyed, with the mask in green over it, or the mask in grey."""
    pixels = portrait.preview.pixels
    prob = portrait.hair_map(patch)
    if view == "dyed":
        return _dyed(stylist, pixels, prob, look)
    if look.fine:
        prob = refine_map(pixels, prob, stylist.threads)
    else:
        height, width = pixels.shape[:2]
        prob = unsquash(prob, height, width, stylist.threads)
    mask = mask_pixels(prob)
    return overlay_pixels(pixels, mask) if view == "overlay" else np.repeat(mask[..., None], 3, axis=2)


def _dyed(stylist: HairStylist, pixels: Pixels, prob: NDArray[np.float32], look: Look) -> Pixels:
    """Dye by a map; without hair the photo stays as it is, and nobody is warned at every move of a slider."""
    if not has_hair(prob, pixels.shape[:2], stylist.threads)[0]:
        return pixels
    settings = look.color, look.height, look.grad
    dyed: Pixels = stylist.dye_by_map(pixels, prob, *settings, method=look.dye, refine=look.fine)
    return dyed


def encode_preview(preview: Photo, pixels: Pixels) -> tuple[bytes, str]:
    """Encode what the page shows, in the preview's colour profile; return the file and its suffix."""
    suffix = ".jpg" if pixels.shape[2] == 3 else ".webp"  # JPEG keeps no transparency
    file = io.BytesIO()
    encode_photo(file, pixels, f"preview{suffix}", like=preview, quality=PREVIEW_QUALITY)
    return file.getvalue(), suffix


def encode_full(stylist: HairStylist, portrait: Portrait, look: Look, patch: int | None) -> tuple[bytes, str]:
    """Dye the photo in its own size; return it as a file of its own format, and that file's name."""
    photo = decode_photo(io.BytesIO(portrait.content), portrait.name, portrait.max_pixels)
    dyed = _dyed(stylist, photo.pixels, portrait.hair_map(patch), look)
    suffix = next(suffix for suffix, form in FORMATS.items() if form == photo.format)
    name = f"{Path(portrait.name).stem}-dyed{suffix}"
    file = io.BytesIO()
    encode_photo(file, dyed, name, like=photo)
    return file.getvalue(), name
