"""Whose photo is remembered, and for how long."""

import io

import pytest
from PIL import Image

from ohlora_fast.errors import InputError
from ohlora_fast.web.limits import Limits
from ohlora_fast.web.portrait import open_portrait
from ohlora_fast.web.visitors import ABSENT, Visitors


@pytest.fixture
def photo(stylist, portrait):
    return open_portrait(stylist, portrait.read_bytes(), "portrait.png", 10**6)


def folders(root):
    return len(list(root.glob("shown/*")))


def test_a_visit_lasts_until_it_ends(tmp_path, photo):
    visitors = Visitors(tmp_path, most=2, idle=60)
    visit = visitors.put("a", photo, 0.5)
    assert visitors.get("a") is visit
    assert visitors.get("b") is None
    assert visit.before.is_file()
    visitors.end("a")
    visitors.end("a")
    assert visitors.get("a") is None
    assert folders(tmp_path) == 0


def test_a_second_photo_replaces_the_first(tmp_path, photo):
    visitors = Visitors(tmp_path, most=2, idle=60)
    visitors.put("a", photo, 0.5)
    second = visitors.put("a", photo, 0.5)
    assert visitors.get("a") is second
    assert folders(tmp_path) == 1


def test_the_one_used_longest_ago_makes_room(tmp_path, photo):
    visitors = Visitors(tmp_path, most=2, idle=60)
    for key in "ab":
        visitors.put(key, photo, 0.5)
    visitors.get("a")
    visitors.put("c", photo, 0.5)
    assert [visitors.get(key) is not None for key in "abc"] == [True, False, True]
    assert folders(tmp_path) == 2


def test_who_was_idle_is_forgotten_when_another_comes(tmp_path, photo):
    now = [0.0]
    visitors = Visitors(tmp_path, most=9, idle=60, clock=lambda: now[0])
    for key in "ab":
        visitors.put(key, photo, 0.5)
    now[0] = 50
    visitors.get("a")
    now[0] = 100
    visitors.put("c", photo, 0.5)
    assert [visitors.get(key) is not None for key in "abc"] == [True, False, True]


def test_who_is_absent_or_idle_is_swept_away(tmp_path, photo):
    now = [0.0]
    visitors = Visitors(tmp_path, most=9, idle=3600, clock=lambda: now[0])
    for key in ("here", "gone", "idle"):
        visitors.put(key, photo, 0.5)
    visitors.sweep(present={"here"})
    assert folders(tmp_path) == 3  # a tab may open a photo before its connection is counted
    now[0] = ABSENT + 1
    visitors.sweep(present={"here", "idle"})
    assert [visitors.get(key) is not None for key in ("here", "gone")] == [True, False]
    now[0] = 3601 + ABSENT / 2
    visitors.sweep(present={"here", "idle"})
    assert [visitors.get(key) is not None for key in ("here", "idle")] == [True, False]
    assert folders(tmp_path) == 1


def test_only_the_last_pictures_shown_are_kept(tmp_path, photo):
    visit = Visitors(tmp_path, most=2, idle=60).put("a", photo, 0.5)
    paths = [visit.keep_shown(bytes([n]), ".jpg") for n in range(5)]
    assert [path.exists() for path in paths] == [False, False, False, True, True]
    assert visit.before.exists()
    assert visit.keep_shown(b"", ".jpg", "heads").exists()
    assert paths[-1].exists()


def test_heads_keep_the_colour_they_were_given(tmp_path, stylist, group_pixels):
    file = io.BytesIO()
    Image.fromarray(group_pixels).save(file, "PNG")
    visit = Visitors(tmp_path, most=2, idle=60).put("a", open_portrait(stylist, file.getvalue(), "a.png", 10**6), 0.5)
    assert visit.colors == [0.5, 0.5]
    visit.paint(0.9, 1)
    visit.paint(0.9, 0)  # the slider stayed where it was
    assert visit.colors == [0.5, 0.9]
    visit.paint(0.1, None)
    assert visit.colors == [0.1, 0.1]


def test_a_limit_that_is_none_is_refused():
    with pytest.raises(InputError, match="megapixels: got 0, allowed is a number above 0"):
        Limits(megapixels=0)
