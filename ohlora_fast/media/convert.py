"""Any picture Pillow can hold → uint8 RGB or RGBA."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ohlora_fast.errors import InputError
from ohlora_fast.media.tiff import samples_of

Pixels = NDArray[np.uint8]


def profile_space(icc: bytes) -> str:
    """Return the colour space an ICC profile describes, such as RGB, CMYK, GRAY or LAB; "" if unreadable."""
    from PIL import ImageCms

    try:
        profile: Any = ImageCms.ImageCmsProfile(io.BytesIO(icc)).profile
        return str(profile.xcolor_space).strip()
    except (OSError, ImageCms.PyCMSError):
        return ""


def to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image | None:
    """Return `image` (L, RGB, CMYK or LAB) in sRGB, or None if its profile cannot do that.

    Without a profile a LAB picture is taken as D50.
    """
    from PIL import ImageCms

    try:
        source: Any = ImageCms.ImageCmsProfile(io.BytesIO(icc)) if icc else ImageCms.createProfile("LAB")
        return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (OSError, ImageCms.PyCMSError):
        return None


def to_pixels(image: Image.Image) -> tuple[Pixels, bytes | None, tuple[str, ...]]:
    """Return `(pixels, icc_profile, notes)`: uint8 (H, W, 3 or 4), the profile that still holds for them
    or None, and what was done that loses something.

    - 16 bits a channel, or 12 of grey: the upper 8 are kept; of signed values, the upper 8 below the sign, and values
      below 0, which is black, are an InputError. 1 bit: black and white become 0 and 255.
    - float: values in [0, 1] are scaled by 255; others are an InputError.
    - grey whose 0 is white is inverted.
    - grey becomes RGB, grey with alpha RGBA; a palette or colour key with transparency gives RGBA.
    - CMYK, and grey with a grey profile, go through their profile to sRGB, and the profile is dropped; CMYK
      without one is converted by the plain formula. LAB becomes sRGB.
    """
    icc = image.info.get("icc_profile") or None
    notes: list[str] = []
    image, alpha = _eight_bits(image)
    space = profile_space(icc) if icc else ""
    rgb = None
    if image.mode == "LAB":
        rgb, icc = to_srgb(image, None), None
        notes.append("LAB is converted to sRGB")
    elif (image.mode, space) in (("CMYK", "CMYK"), ("L", "GRAY")):
        rgb = to_srgb(image, icc)
        if rgb is not None:
            icc = None
            if image.mode == "CMYK":
                notes.append("CMYK is converted to sRGB through its colour profile")
    if rgb is None:
        rgb = image.convert("RGB")
        if image.mode == "CMYK":
            notes.append("CMYK is converted to RGB by the plain formula, without a colour profile")
        if icc and (space != "RGB" or image.mode == "CMYK"):
            notes.append(f"its {space or 'unreadable'} colour profile does not fit and is dropped")
            icc = None
    pixels = np.array(rgb, dtype=np.uint8)
    if alpha is not None:
        pixels = np.dstack([pixels, alpha])
    return pixels, icc, tuple(notes)


def _eight_bits(image: Image.Image) -> tuple[Image.Image, Pixels | None]:
    """Split off alpha, and bring the rest to L, RGB, CMYK or LAB."""
    if image.mode == "La":  # premultiplied, which Pillow turns into LA alone
        image = image.convert("LA")
    if image.mode.startswith("I;16") or image.mode == "I":
        return _many_bit_grey(image)
    if image.mode == "F":
        return _float_grey(image), None
    if image.mode == "L" and samples_of(image).signed:
        return _signed_bytes(image), None
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        alpha = np.array(rgba.getchannel("A"), dtype=np.uint8)
        grey = image.mode in ("1", "L", "LA")
        return rgba.convert("RGB").getchannel("R") if grey else rgba.convert("RGB"), alpha
    if image.mode in ("L", "RGB", "CMYK", "LAB"):
        return image, None
    return image.convert("L" if image.mode == "1" else "RGB"), None


def _float_grey(image: Image.Image) -> Image.Image:
    values, samples = np.asarray(image), samples_of(image)
    if samples.swapped:
        values = values.byteswap()
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
        raise InputError(f"float values run from {values.min():g} to {values.max():g}; allowed are 0 to 1")
    return Image.fromarray(np.rint((1 - values if samples.inverted else values) * 255).astype(np.uint8))


def _many_bit_grey(image: Image.Image) -> tuple[Image.Image, Pixels | None]:
    values, samples = np.asarray(image), samples_of(image)  # a scan is large, so nothing here is wider
    if samples.swapped:
        values = values.astype(np.int16).byteswap() if samples.signed else values.byteswap()
    _check_range(values, samples.white)
    key = image.info.get("transparency")
    alpha = np.where(values == key, np.uint8(0), np.uint8(255)) if isinstance(key, int) else None
    shift = samples.bits - samples.signed - 8
    upper = np.right_shift(values, shift, out=np.empty(values.shape, np.uint8), casting="unsafe")
    return Image.fromarray(255 - upper if samples.inverted else upper), alpha


def _signed_bytes(image: Image.Image) -> Image.Image:
    values, samples = np.asarray(image).view(np.int8), samples_of(image)
    _check_range(values, samples.white)
    full = (values.astype(np.uint8) << 1) | (values.view(np.uint8) >> 6)
    return Image.fromarray(255 - full if samples.inverted else full)


def _check_range(values: NDArray[Any], white: int) -> None:
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > white:
        raise InputError(f"integer values run from {low} to {high}; allowed are 0 to {white}")
