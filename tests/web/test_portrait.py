"""What is made of a visitor's photo."""

import io

import numpy as np
import pytest
from PIL import Image

from ohlora_fast import NaturalDye
from ohlora_fast.errors import InputError
from ohlora_fast.media.overlay import overlay_pixels
from ohlora_fast.refine import refine_map
from ohlora_fast.web.patches import split_patches
from ohlora_fast.web.portrait import PREVIEW, Look, encode_full, encode_preview, open_portrait, picture

SETTINGS = Look(0.9, 1.0, 0.5)


def opened(stylist, pixels, form="PNG"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return open_portrait(stylist, file.getvalue(), f"a.{form}", 10**7)


def decoded(content):
    return np.asarray(Image.open(io.BytesIO(content)))


def test_what_is_shown_is_what_the_stylist_dyes(stylist, portrait_pixels):
    portrait = opened(stylist, portrait_pixels)
    assert portrait.hair
    dyed = picture(stylist, portrait, SETTINGS, "dyed", None)
    assert (dyed == stylist.dye(portrait_pixels, 0.9, 1.0, 0.5)).all()
    mask = picture(stylist, portrait, SETTINGS, "mask", None)
    assert (mask[..., 0] == np.rint(stylist.segment(portrait_pixels) * 255)).all()
    overlay = picture(stylist, portrait, SETTINGS, "overlay", None)
    assert (overlay == overlay_pixels(portrait_pixels, mask[..., 0])).all()


def test_each_control_is_an_argument_of_dye_and_the_student_runs_once(stylist, portrait_pixels, monkeypatch):
    natural = {"method": "natural", "strength": 0.7, "lift": 0.8}
    wanted = {
        Look(0.9, 1.0, 0.5, **natural): {"method": NaturalDye(strength=0.7, lift=0.8)},
        Look(0.9, 1.0, 0.5, palette="sunset", **natural): {"method": NaturalDye("sunset", strength=0.7, lift=0.8)},
        Look(0.9, 1.0, 0.5, fine=True): {"refine": True},
        Look(0.9, 1.0, 0.5, fine=True, **natural): {"refine": True, "method": NaturalDye(strength=0.7, lift=0.8)},
    }
    wanted = {look: stylist.dye(portrait_pixels, 0.9, 1.0, 0.5, **options) for look, options in wanted.items()}
    calls, predict = [], stylist.engine.predict
    monkeypatch.setattr(stylist.engine, "predict", lambda views: calls.append(1) or predict(views))
    portrait = opened(stylist, portrait_pixels)
    for look, dyed in wanted.items():
        assert (picture(stylist, portrait, look, "dyed", None) == dyed).all()
        assert (decoded(encode_full(stylist, portrait, look, None)[0]) == dyed).all()
    assert calls == [1]


def test_the_mask_of_a_patch_is_fine_too(stylist, portrait_pixels):
    portrait = opened(stylist, np.hstack([portrait_pixels] * 2))
    for patch in (0, 1, None):
        mask = picture(stylist, portrait, Look(fine=True), "mask", patch)
        fine = refine_map(portrait.preview.pixels, portrait.hair_map(patch), 1)
        assert (mask[..., 0] == np.rint(fine * 255)).all()
        assert (mask != picture(stylist, portrait, Look(), "mask", patch)).any()


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF", "BMP"])
def test_the_full_picture_keeps_format_and_size(stylist, portrait_pixels, form):
    large = np.asarray(Image.fromarray(portrait_pixels).resize((900, PREVIEW + 100)))
    portrait = opened(stylist, large, form)
    assert max(portrait.preview.pixels.shape) == PREVIEW
    content, name = encode_full(stylist, portrait, SETTINGS, None)
    image = Image.open(io.BytesIO(content))
    assert (image.format, image.size) == (form, (900, PREVIEW + 100))
    assert name.startswith("a-dyed.")


def test_transparency_is_shown_and_kept(stylist, portrait_pixels):
    clear = np.dstack([portrait_pixels, np.full(portrait_pixels.shape[:2], 255, np.uint8)])
    assert opened(stylist, clear).preview.pixels.shape[2] == 3
    clear[:20, :, 3] = 0
    portrait = opened(stylist, clear)
    content, suffix = encode_preview(portrait.preview, picture(stylist, portrait, SETTINGS, "dyed", None))
    assert suffix == ".webp"
    assert (decoded(content)[:20, :, 3] == 0).all()
    assert (decoded(encode_full(stylist, portrait, SETTINGS, None)[0])[..., 3] == clear[..., 3]).all()


def test_a_photo_without_hair_stays_as_it_is_without_a_warning(stylist, recwarn):
    flat = np.full((50, 40, 3), 90, np.uint8)
    portrait = opened(stylist, flat)
    assert not portrait.hair
    assert (picture(stylist, portrait, SETTINGS, "dyed", None) == flat).all()
    assert (decoded(encode_full(stylist, portrait, SETTINGS, None)[0]) == flat).all()
    assert not recwarn.list


def test_too_many_pixels_are_refused(stylist, portrait):
    with pytest.raises(
        InputError, match=r"cannot read me\.png: it has 180×200 = 36,000 pixels; allowed are at most 100"
    ):
        open_portrait(stylist, portrait.read_bytes(), "me.png", 100)


def test_patches_are_numbered_from_the_left_and_small_ones_go_along():
    prob = np.zeros((100, 100), np.float32)
    prob[10:40, 60:90] = 0.9
    prob[50:80, 10:40] = 0.8
    prob[85:87, 30:32] = 0.7  # a strand: the nearest patch is the left one
    left, right = split_patches(prob)
    assert float(left.max()) == np.float32(0.8)
    assert (left[85:87, 30:32] == np.float32(0.7)).all()
    assert float(right.max()) == np.float32(0.9)
    assert (left + right == prob).all()


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_without_several_patches_the_map_stays_whole(value):
    prob = np.full((20, 30), value, np.float32)
    (only,) = split_patches(prob)
    assert only is prob
