"""What is made of a visitor's photo."""

import io

import numpy as np
import pytest
from PIL import Image

from ohlora_fast import NaturalDye
from ohlora_fast.errors import InputError
from ohlora_fast.media.overlay import overlay_pixels
from ohlora_fast.web.portrait import (
    CHOICE,
    PREVIEW,
    Look,
    choice_picture,
    encode_full,
    encode_preview,
    open_portrait,
    picture,
)

SETTINGS = Look(height=1.0, grad=0.5)
ALONE = {0: 0.9}
BOTH = {0: 0.9, 1: 0.6}


def opened(stylist, pixels, form="PNG"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return open_portrait(stylist, file.getvalue(), f"a.{form}", 10**7)


def decoded(content):
    return np.asarray(Image.open(io.BytesIO(content)))


def test_what_is_shown_is_what_the_stylist_dyes(stylist, portrait_pixels):
    portrait = opened(stylist, portrait_pixels)
    assert portrait.with_hair == {0}
    dyed = picture(stylist, portrait, SETTINGS, "dyed", ALONE)
    assert (dyed == stylist.dye(portrait_pixels, 0.9, 1.0, 0.5)).all()
    mask = picture(stylist, portrait, SETTINGS, "mask", ALONE)
    assert (mask[..., 0] == np.rint(stylist.segment(portrait_pixels) * 255)).all()
    overlay = picture(stylist, portrait, SETTINGS, "overlay", ALONE)
    assert (overlay == overlay_pixels(portrait_pixels, mask[..., 0])).all()


def test_each_control_is_an_argument_of_dye_and_the_student_runs_once(stylist, portrait_pixels, monkeypatch):
    natural = {"method": "natural", "strength": 0.7, "lift": 0.8}
    wanted = {
        Look(height=1.0, grad=0.5, **natural): {"method": NaturalDye(strength=0.7, lift=0.8)},
        Look(height=1.0, grad=0.5, palette="sunset", **natural): {
            "method": NaturalDye("sunset", strength=0.7, lift=0.8)
        },
        Look(height=1.0, grad=0.5, fine=True): {"refine": True},
        Look(height=1.0, grad=0.5, fine=True, **natural): {
            "refine": True,
            "method": NaturalDye(strength=0.7, lift=0.8),
        },
    }
    wanted = {look: stylist.dye(portrait_pixels, 0.9, 1.0, 0.5, **options) for look, options in wanted.items()}
    calls, predict = [], stylist.engine.predict
    monkeypatch.setattr(stylist.engine, "predict", lambda views: calls.append(1) or predict(views))
    portrait = opened(stylist, portrait_pixels)
    for look, dyed in wanted.items():
        assert (picture(stylist, portrait, look, "dyed", ALONE) == dyed).all()
        assert (decoded(encode_full(stylist, portrait, look, ALONE)[0]) == dyed).all()
    assert calls == [1]


def test_each_head_is_dyed_in_its_colour_and_its_own_rows(stylist, group_pixels):
    portrait = opened(stylist, group_pixels)
    assert portrait.with_hair == {0, 1}
    dyed = picture(stylist, portrait, SETTINGS, "dyed", BOTH)
    assert (dyed == stylist.dye(group_pixels, [0.9, 0.6], 1.0, 0.5)).all()
    right = picture(stylist, portrait, SETTINGS, "dyed", {1: 0.6})
    assert (right == stylist.dye(group_pixels, 0.6, 1.0, 0.5, heads=[1])).all()
    assert (right[:, :180] == group_pixels[:, :180]).all()
    assert (picture(stylist, portrait, SETTINGS, "dyed", {}) == group_pixels).all()
    assert not picture(stylist, portrait, SETTINGS, "mask", {}).any()


def test_the_full_picture_of_a_group_is_what_the_stylist_dyes(stylist, group_pixels):
    large = np.asarray(Image.fromarray(group_pixels).resize((PREVIEW + 160, 800)))
    portrait = opened(stylist, large)
    assert portrait.hair.size == portrait.preview.pixels.shape[:2] != large.shape[:2]
    for fine in (False, True):
        look = Look(height=1.0, grad=0.5, fine=fine)
        wanted = stylist.dye(large, [0.9, 0.6], 1.0, 0.5, refine=fine)
        assert (decoded(encode_full(stylist, portrait, look, BOTH)[0]) == wanted).all()


def test_the_mask_of_a_head_is_fine_too(stylist, group_pixels):
    portrait = opened(stylist, group_pixels)
    for colors in ({0: 0.9}, {1: 0.9}, BOTH):
        coarse = picture(stylist, portrait, Look(), "mask", colors)
        mask = picture(stylist, portrait, Look(fine=True), "mask", colors)
        assert (mask != coarse).any()
        assert np.abs(mask.astype(int) - coarse).mean() < 10
    assert not picture(stylist, portrait, Look(fine=True), "mask", {0: 0.9})[:, 240:].any()


def test_heads_are_numbered_on_a_small_picture_and_found_where_they_are_clicked(stylist, group_pixels):
    large = np.asarray(Image.fromarray(group_pixels).resize((720, 400)))
    portrait = opened(stylist, large)
    marked = decoded(choice_picture(portrait, BOTH)[0]).astype(int)
    assert marked.shape[1::-1] == portrait.choice_size == (CHOICE[0], 267)
    half = decoded(choice_picture(portrait, {0: 0.9})[0]).astype(int)
    changed = np.abs(marked - half).max(2) > 40
    assert not changed[:, :240].any()
    assert changed[:, 240:].any()
    for head, (x0, y0, x1, y1) in enumerate(portrait.hair.heads.boxes):
        assert portrait.head_at((x0 + x1) / 2 / 720, (y0 + y1) / 2 / 400) == head
    assert portrait.head_at(0.999, 0.999) is None
    rows, columns = np.nonzero(portrait.hair.owner == 1)
    outside = [(x, y) for x, y in zip(columns, rows, strict=True) if x > portrait.hair.heads.boxes[1, 2] + 1]
    assert outside
    assert portrait.head_at((outside[0][0] + 0.5) / 720, (outside[0][1] + 0.5) / 400) == 1


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF", "BMP"])
def test_the_full_picture_keeps_format_and_size(stylist, portrait_pixels, form):
    large = np.asarray(Image.fromarray(portrait_pixels).resize((900, PREVIEW + 100)))
    portrait = opened(stylist, large, form)
    assert max(portrait.preview.pixels.shape) == PREVIEW
    content, name = encode_full(stylist, portrait, SETTINGS, ALONE)
    image = Image.open(io.BytesIO(content))
    assert (image.format, image.size) == (form, (900, PREVIEW + 100))
    assert name.startswith("a-dyed.")


def test_transparency_is_shown_and_kept(stylist, portrait_pixels):
    clear = np.dstack([portrait_pixels, np.full(portrait_pixels.shape[:2], 255, np.uint8)])
    assert opened(stylist, clear).preview.pixels.shape[2] == 3
    clear[:20, :, 3] = 0
    portrait = opened(stylist, clear)
    content, suffix = encode_preview(portrait.preview, picture(stylist, portrait, SETTINGS, "dyed", ALONE))
    assert suffix == ".webp"
    assert (decoded(content)[:20, :, 3] == 0).all()
    assert (decoded(encode_full(stylist, portrait, SETTINGS, ALONE)[0])[..., 3] == clear[..., 3]).all()


def test_a_photo_without_hair_stays_as_it_is_without_a_warning(stylist, recwarn):
    flat = np.full((50, 40, 3), 90, np.uint8)
    portrait = opened(stylist, flat)
    assert not portrait.with_hair
    assert len(portrait.hair) == 0
    assert (picture(stylist, portrait, SETTINGS, "dyed", {}) == flat).all()
    assert (decoded(encode_full(stylist, portrait, SETTINGS, {})[0]) == flat).all()
    assert not recwarn.list


def test_too_many_pixels_are_refused(stylist, portrait):
    with pytest.raises(
        InputError, match=r"cannot read me\.png: it has 180×200 = 36,000 pixels; allowed are at most 100"
    ):
        open_portrait(stylist, portrait.read_bytes(), "me.png", 100)
