"""Heads by their numbers, as the command line and sets choose them: one that is not there is told of, not raised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ohlora_fast.heads.hair import Hair, nobody

if TYPE_CHECKING:
    from ohlora_fast.stylist import HairStylist


def find_chosen(
    stylist: HairStylist, photo: Any, heads: str | tuple[int, ...], refine: bool = False
) -> tuple[Hair, str | None]:
    """Find the hair of a photo's heads, and say which of them are not there, if some others are.

    Args:
        stylist: finds it.
        photo: one photo, uint8 (H, W, 3 or 4).
        heads: "auto", "whole" or indices from 0.
        refine: as of `HairStylist.find_hair`.

    Returns:
        The hair of these heads, and None; where one of them is not there, nobody's, and a phrase that names it by its
        number from 1. A photo without any head is no such case.

    >>> import numpy as np
    >>> from ohlora_fast import HairStylist
    >>> hair, missing = find_chosen(HairStylist(), np.full((60, 40, 3), 90, np.uint8), (1,))
    >>> len(hair), missing
    (0, None)
    """
    hair: Hair = stylist.find_hair(photo, heads=heads if isinstance(heads, str) else "auto", refine=refine)
    if isinstance(heads, str) or not len(hair):
        return hair, None
    missing = [str(index + 1) for index in heads if index >= len(hair)]
    if missing:
        return nobody(hair.size), f"no head {', '.join(missing)} (heads found: {len(hair)})"
    return hair.only(heads), None
