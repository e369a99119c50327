"""Photos whose hair changes colour: the frames of an animation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from ohlora_fast.errors import InputError
from ohlora_fast.heads.settings import dealt
from ohlora_fast.media.convert import Pixels
from ohlora_fast.natural import natural_dye
from ohlora_fast.ombre import Ombre, has_hair
from ohlora_fast.sweep import DIGITS, ombre_sweep

if TYPE_CHECKING:
    from ohlora_fast.heads.hair import Hair
    from ohlora_fast.natural import NaturalDye
    from ohlora_fast.stylist import HairStylist

Keys = float | Sequence[float]


def dyed_frames(
    stylist: HairStylist,
    photo: Pixels,
    color: Keys = (0.0, 1.0),
    ombre_height: Keys = (0.3, 1.0, 0.3),
    ombre_grad_height: Keys = Ombre.ombre_grad_height,
    frames: int = 48,
    *,
    method: str | NaturalDye = "seed",
    strength: Keys | None = None,
    lift: Keys | None = None,
    refine: bool = False,
    tiles: bool = False,
    hair: Hair | None = None,
    head_colors: Sequence[float] | None = None,
) -> Iterator[Pixels]:
    """Dye a photo over and over with settings that move, each head in its own rows. The hair is looked for once.

    Args:
        stylist: finds the hair and dyes it.
        photo: uint8 RGB (H, W, 3).
        color, ombre_height, ombre_grad_height: a number, or several that are reached one after the other at even times,
            0 to 1, see `HairStylist.dye`. If all end where they begin (color 1 is 0 again), the frame that would
            come twice is left out, and the animation can run round.
        frames: how many.
        method: "seed", "natural" or a :class:`ohlora_fast.NaturalDye`, see `HairStylist.dye`.
        strength, lift: of natural dyeing, a number or several, as the three above; None: as `method` has them.
        refine, tiles: how the hair is found, see `HairStylist.segment`.
        hair: whose hair is dyed, as `HairStylist.find_hair` found it before; None: that of all heads.
        head_colors: hues of the heads, dealt out over and over; all of them move round the circle of hues as `color`
            does from its first key on. None: `color` for all.

    Returns:
        The frames, as the photo.

    Raises:
        InputError: no hair is found, a setting is out of its range, or strength or lift came with the method "seed".

    >>> from ohlora_fast import HairStylist
    >>> from ohlora_fast.cli.demo import portrait
    >>> made = list(dyed_frames(HairStylist(), portrait(), color=(0.4, 0.6), frames=3))
    >>> len(made), made[0].shape
    (3, (320, 320, 3))
    """
    dye = None if method == "seed" else natural_dye(method)
    moving = {name: keys for name, keys in (("strength", strength), ("lift", lift)) if keys is not None}
    if moving and dye is None:
        name, value = next(iter(moving.items()))
        raise InputError(f"{name}: {value!r} came with the method 'seed'; allowed are 'natural' and a NaturalDye")
    swept = (color, ombre_height, ombre_grad_height, *moving.values())
    keys = [tuple(np.atleast_1d(value).tolist()) for value in swept]
    if frames < 1 or not all(keys):
        raise InputError(f"frames, settings: {frames} and {keys} came; allowed are one and more of each")
    _, settings = ombre_sweep(keys, frames)
    if hair is None:
        hair = stylist.find_hair(photo, refine=refine)
    if not has_hair(hair.prob, hair.size, stylist.threads).all():
        raise InputError("no hair found")
    for color_now, height_now, grad_now, *of_dye in zip(*settings, strict=True):
        now = "seed" if dye is None else replace(dye, **dict(zip(moving, of_dye, strict=True)))
        hues = moved(head_colors, color_now - keys[0][0], len(hair)) if head_colors else color_now
        yield stylist.dye_by_map(photo, hair, hues, height_now, grad_now, method=now, refine=refine)


def moved(hues: Sequence[float], way: float, count: int) -> list[float]:
    """Hues of so many heads, moved along the circle.

    >>> moved((0.25, 0.75), 0.5, 3)
    [0.75, 0.25, 0.75]
    """
    return [round((hue + way) % 1, DIGITS) for hue in dealt(hues, count)]


def prepared(pixels: Pixels, side: int, size: tuple[int, int] | None = None) -> Pixels:
    """A photo as it is animated: RGB, transparency laid on white, shrunk to fit.

    Args:
        pixels: uint8 (H, W, 3 or 4).
        side: the longer side at most.
        size: height and width, of a photo that must have this size whatever its own: it is scaled to fit, on white.

    >>> prepared(np.zeros((40, 20, 4), np.uint8), side=10).shape
    (10, 5, 3)
    >>> prepared(np.zeros((40, 20, 3), np.uint8), side=10, size=(8, 8))[0, :, 0].tolist()
    [255, 255, 0, 0, 0, 0, 255, 255]
    """
    image = Image.fromarray(pixels)
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    if size is not None:
        return np.asarray(ImageOps.pad(image, size[::-1], Image.Resampling.LANCZOS, "white"))
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.asarray(image)
