"""Any picture Pillow can hold → uint8 RGB or RGBA."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ohlora_fast.errors import InputError

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

    - 16 bits a channel: the upper 8 are kept. 1 bit: black and white become 0 and 255.
    - float: values in [0, 1] are scaled by 255; others are an InputError.
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
        return _sixteen_bit_grey(image)
    if image.mode == "F":
        values = np.asarray(image)
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
            raise InputError(f"float values run from {values.min():g} to {values.max():g}; allowed are 0 to 1")
        return Image.fromarray(np.rint(values * 255).astype(np.uint8)), None
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        alpha = np.array(rgba.getchannel("A"), dtype=np.uint8)
        grey = image.mode in ("1", "L", "LA")
        return rgba.convert("RGB").getchannel("R") if grey else rgba.convert("RGB"), alpha
    if image.mode in ("L", "RGB", "CMYK", "LAB"):
        return image, None
    return image.convert("L" if image.mode == "1" else "RGB"), None


def _sixteen_bit_grey(image: Image.Image) -> tuple[Image.Image, Pixels | None]:
    values = np.asarray(image)  # uint16 or int32; a scan is large, so nothing here is wider
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise InputError(f"integer values run from {low} to {high}; allowed are 0 to 65535")
    key = image.info.get("transparency")
    alpha = np.where(values == key, np.uint8(0), np.uint8(255)) if isinstance(key, int) else None
    upper = np.right_shift(values, 8, out=np.empty(values.shape, np.uint8), casting="unsafe")
    return Image.fromarray(upper), alpha
