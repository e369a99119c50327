"""The page as somebody uses it, in a browser without a window."""

import io
import os
import re
import time
import zlib
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio", reason="pip install 'ohlora-fast[web]'")

from ohlora_fast import NaturalDye
from ohlora_fast.colors import PALETTE
from ohlora_fast.web import Limits, serve

LIMITS = Limits(megapixels=3, megabytes=0.5)


@pytest.fixture(scope="module")
def served(stylist):
    """The page's address and the folder of its files."""
    with serve(port=0, stylist=stylist, limits=LIMITS) as url:
        folder = Path(os.environ["GRADIO_TEMP_DIR"])
        yield url, folder
    assert not folder.exists()


@pytest.fixture(scope="module")
def window(chromium):
    """A browser's window; its tabs share what is cached of the page's scripts."""
    with chromium.new_context(permissions=["camera"]) as context:
        context.set_default_timeout(60_000)  # many other things may run on the machine
        yield context


@pytest.fixture
def tab(window, served):
    """A tab with the page. No request of it goes elsewhere or is refused; when it is closed, none of its files is left.

    Gradio asks for a photo that it just uploaded, too, and does not get it.
    """
    url, folder = served
    page = window.new_page()
    hosts, refused = set(), []
    page.on("response", lambda answer: refused.append(answer.url) if answer.status >= 400 else None)
    page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    page.goto(url)
    page.wait_for_selector("#photo input[type=file]", state="attached")
    yield page
    page.close()
    assert hosts - {""} == {urlsplit(url).netloc}  # "" is data: and blob:
    assert not [address for address in refused if f"file={folder}/uploads/" not in address]
    eventually(lambda: not files_in(folder))


def eventually(true, seconds=60):
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def files_in(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def drop(page, name, content, kind="image/png"):
    page.set_input_files("#photo input[type=file]", {"name": name, "mimeType": kind, "buffer": content})


def shown(page):
    """The pictures of the before/after slider, as pixels."""
    page.wait_for_function("[...document.querySelectorAll('#pair img')].filter(i => i.naturalWidth).length == 2")
    sources = page.eval_on_selector_all("#pair img", "all => all.map(i => i.src)")
    return sources, [np.asarray(Image.open(io.BytesIO(page.request.get(source).body()))) for source in sources]


def shown_after(page, act):
    """The pictures once `act` has changed the second."""
    (_, old), _ = shown(page)
    act()
    page.wait_for_function("old => document.querySelectorAll('#pair img')[1].src != old", arg=old)
    return shown(page)[1]


def encoded(pixels, form, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **options)
    return file.getvalue()


def png_of_size(width, height):
    """A PNG file that states a size, and holds next to nothing."""

    def chunk(kind, data):
        crc = zlib.crc32(kind + data)
        return len(data).to_bytes(4, "big") + kind + data + crc.to_bytes(4, "big")

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    body = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_a_photo_is_dyed_redyed_and_downloaded_in_full_size(tab, portrait_pixels, stylist):
    drop(tab, "ein bild.png", encoded(portrait_pixels, "PNG"))
    before, after = shown(tab)[1]
    assert np.abs(before.astype(int) - portrait_pixels).mean() < 3  # but for JPEG's loss
    assert np.abs(before.astype(int) - after).max() > 40
    pink = shown_after(tab, lambda: tab.click("#swatch-pink"))[1]
    assert np.abs(pink.astype(int) - after).max() > 40
    higher = shown_after(tab, lambda: tab.fill("#height input[type=range]", "1"))[1]
    assert np.abs(higher.astype(int) - pink).max() > 20
    mask = shown_after(tab, lambda: tab.get_by_label("mask").check())[1]
    assert (mask[..., 0] == mask[..., 1]).mean() > 0.99
    assert mask.max() > 250 > 5 > mask.min()
    with tab.expect_download() as download:
        tab.click("#get")
    assert download.value.suggested_filename == "ein bild-dyed.png"
    pixels = np.asarray(Image.open(download.value.path()))
    assert (pixels == stylist.dye(portrait_pixels, 0.9, 1.0, 0.5)).all()


def test_natural_dyeing_has_controls_of_its_own(tab, portrait_pixels, stylist):
    drop(tab, "one.png", encoded(portrait_pixels, "PNG"))
    shown(tab)
    assert not tab.is_visible("#lift")
    shown_after(tab, lambda: tab.get_by_label("natural", exact=True).check())
    tab.wait_for_selector("#lift")
    tab.fill("#lift input[type=range]", "1")
    tab.get_by_label("Fine strands").check()
    with tab.expect_download() as download:
        tab.click("#get")
    pixels = np.asarray(Image.open(download.value.path()))
    assert (pixels == stylist.dye(portrait_pixels, method=NaturalDye(lift=1.0), refine=True)).all()
    tab.get_by_label("seed", exact=True).check()
    tab.wait_for_selector("#lift", state="hidden")


def test_a_large_jpeg_is_shown_smaller_and_given_back_whole(tab, portrait_pixels):
    large = Image.fromarray(portrait_pixels).resize((640, 1500))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned
    file = io.BytesIO()
    large.save(file, "JPEG", quality=80, exif=exif)
    drop(tab, "large.jpg", file.getvalue(), "image/jpeg")
    assert shown(tab)[1][0].shape == (546, 1280, 3)
    with tab.expect_download() as download:
        tab.click("#get")
    opened = Image.open(download.value.path())
    assert (opened.format, opened.size) == ("JPEG", (1500, 640))


HOSTILE = {
    "text.jpg": (b"I am no photo", "no picture"),
    "drawing.svg": (b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', "an SVG drawing"),
    "huge.png": (png_of_size(30_000, 30_000), "30000×30000 = 900,000,000 pixels; allowed are at most 3,000,000"),
    "short.png": (png_of_size(300, 300)[:60], "corrupt"),
    "empty.png": (b"", "empty"),
    "<b onclick=x>.png": (b"\x89PNG", "no picture"),
}


def test_what_is_no_photo_is_refused_in_a_line_and_another_taken(tab, portrait_pixels):
    for name, (content, said) in HOSTILE.items():
        drop(tab, name, content)
        message = tab.get_by_role("alert").filter(has_text=said)
        message.wait_for()
        assert message.inner_text().startswith(f"cannot read {re.sub('[<>]', '', name)}: ")
        assert not tab.query_selector("#message b")
    drop(tab, "good.png", encoded(portrait_pixels, "PNG"))
    shown(tab)
    assert not tab.query_selector("#message [role=alert]")


def test_a_file_that_is_too_large_is_refused_while_it_comes_in(tab, portrait_pixels):
    drop(tab, "noise.png", bytes(LIMITS.max_bytes + 100_000))
    tab.get_by_text("maximum allowed size").first.wait_for()
    drop(tab, "good.png", encoded(portrait_pixels, "PNG"))
    shown(tab)


def test_a_photo_without_hair_says_so(tab):
    drop(tab, "flat.png", encoded(np.full((80, 60, 3), 120, np.uint8), "PNG"))
    assert "No hair" in tab.get_by_role("alert").filter(has_text="hair").inner_text()
    before, after = shown(tab)[1]
    assert (before == after).all()


def test_it_is_clicked_who_is_dyed_and_each_head_keeps_its_colour(tab, group_pixels, stylist):
    drop(tab, "two.png", encoded(group_pixels, "PNG"))
    before, both = shown(tab)[1]
    width = group_pixels.shape[1] // 2
    assert changed(before, both)[:, :width].any()
    assert changed(before, both)[:, width:].any()
    tab.get_by_label("Colour of").click()
    tab.get_by_role("option", name="2", exact=True).click()
    blue = shown_after(tab, lambda: tab.click("#swatch-blue"))[1]
    assert not changed(both, blue)[:, : width - 10].any()
    assert changed(both, blue)[:, width:].any()

    picture = tab.locator("#heads img")
    picture.wait_for()
    place = picture.bounding_box()
    off = {"x": 0.25 * place["width"], "y": 0.5 * place["height"]}
    right = shown_after(tab, lambda: picture.click(position=off))[1]
    assert not changed(before, right)[:, : width - 10].any()
    assert not changed(blue, right)[:, width + 10 :].any()
    assert not tab.get_by_label("1", exact=True).is_checked()
    again = shown_after(tab, lambda: tab.get_by_label("1", exact=True).check())[1]
    assert not changed(again, blue).any()
    with tab.expect_download() as download:
        tab.click("#get")
    pixels = np.asarray(Image.open(download.value.path()))
    assert (pixels == stylist.dye(group_pixels, [0.5, PALETTE["blue"]])).all()


def test_one_head_is_not_to_be_chosen(tab, portrait_pixels):
    drop(tab, "one.png", encoded(portrait_pixels, "PNG"))
    shown(tab)
    assert not tab.is_visible("#heads")
    assert not tab.is_visible("#chosen")


def changed(before, after):
    return np.abs(before.astype(int) - after).max(2) > 30


def test_another_photo_forgets_the_first(tab, served, portrait_pixels):
    drop(tab, "one.png", encoded(portrait_pixels, "PNG"))
    shown(tab)
    tab.click("#other")
    tab.wait_for_selector("#photo")
    eventually(lambda: not files_in(served[1]))
    drop(tab, "two.png", encoded(portrait_pixels[:100], "PNG"))
    assert shown(tab)[1][0].shape == (100, 180, 3)


def test_the_camera_takes_a_photo(tab):
    """Chromium's made-up camera shows no hair, but a photo from it goes the way of all others."""
    tab.get_by_label("Capture from camera").click()
    tab.get_by_title("grant webcam access").click()
    button = tab.get_by_label("capture photo")
    button.wait_for()

    def captured():  # the button is there before the camera is
        if button.is_visible():
            button.click()
        tab.wait_for_timeout(1000)
        return tab.is_visible("#pair")

    eventually(captured)
    assert shown(tab)[1][0].ndim == 3
