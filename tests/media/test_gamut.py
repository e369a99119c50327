"""Photos with the profile of a wide gamut: into sRGB, and changes back from there."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageCms

from ohlora_fast.media.gamut import changed_like, srgb_pixels

from ..conftest import display_p3, in_profile, in_srgb

P3 = display_p3()
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PIXELS = np.random.default_rng(2).integers(40, 216, (20, 30, 3), dtype=np.uint8)


@pytest.mark.parametrize("icc", [None, SRGB, b"no profile"])
def test_srgb_stays_untouched(icc: bytes | None) -> None:
    assert srgb_pixels(PIXELS, icc) is PIXELS
    changed = PIXELS + 1
    assert changed_like(PIXELS, icc, PIXELS, changed) is changed


@pytest.mark.parametrize("alpha", [False, True])
def test_there_and_back(alpha: bool) -> None:
    wide = np.asarray(in_profile(PIXELS, P3))
    opacity = np.arange(600, dtype=np.uint16).reshape(20, 30).astype(np.uint8)
    given = np.dstack([wide, opacity]) if alpha else wide
    before = srgb_pixels(given, P3)
    assert np.abs(before[..., :3].astype(int) - PIXELS).max() <= 2
    after = before.copy()
    after[:5, :, :3] = (255, 136, 0)
    after[5:, 0, 0] ^= 1
    changed = changed_like(given, P3, before, after)
    np.testing.assert_array_equal(changed[5:, 1:], given[5:, 1:])
    if alpha:
        np.testing.assert_array_equal(changed[..., 3], opacity)
    image = Image.fromarray(changed[..., :3])
    image.info["icc_profile"] = P3
    assert np.abs(in_srgb(image)[:5].astype(int) - (255, 136, 0)).max() <= 4


def test_colours_outside_srgb_stay_where_nothing_changes() -> None:
    red = np.full((4, 4, 3), (255, 0, 0), np.uint8)  # of Display P3
    before = srgb_pixels(red, P3)
    assert changed_like(red, P3, before, before.copy()) is red
    after = before.copy()
    after[0, 0, 2] += 2
    assert np.abs(changed_like(red, P3, before, after)[0, 0].astype(int) - red[0, 0]).max() <= 3
