"""The browser demo in headless Chromium: it dyes as the library does, and nothing leaves the page."""

import base64
import functools
import os
import re
import shutil
import subprocess
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ohlora_fast import HairStylist
from ohlora_fast.export.pipeline import PipelineSettings
from ohlora_fast.export.write import write_export
from ohlora_fast.ops.ombre_op import hue_colors
from ohlora_fast.student.weights import load_student

DEMO = Path(__file__).parents[2] / "examples" / "browser"
NPM = shutil.which("npm")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def missing():
    """What these tests lack here, or None."""
    if CHROMIUM is None:
        return "no Chromium (on Debian: apt-get install chromium)"
    if NPM is None:
        return "no npm (on Debian: apt-get install npm)"
    return None


pytestmark = pytest.mark.skipif(missing() is not None and "OHLORA_BROWSER" not in os.environ, reason=str(missing()))


class Quiet(SimpleHTTPRequestHandler):
    """A static server that prints nothing."""

    def log_message(self, format, *args):
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The demo, set up as its README says, on a static server: its address."""
    folder = tmp_path_factory.mktemp("site") / "browser"
    shutil.copytree(DEMO, folder, ignore=shutil.ignore_patterns("node_modules", "hair.onnx"))
    subprocess.run([NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, check=True, timeout=300)
    write_export(load_student(), folder / "hair.onnx", PipelineSettings("alpha"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/index.html"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield started
        started.close()


@pytest.fixture
def page(browser, site):
    """The demo, loaded and ready; `requests` are those made since, `problems` the errors it meets."""
    page = browser.new_page()
    page.set_default_timeout(120_000)
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("console", lambda message: page.problems.append(message.text) if message.type == "error" else None)
    page.goto(site)
    said(page, "Ready.")
    page.requests = []
    page.on("request", lambda request: page.requests.append(request.url))
    yield page
    page.close()
    assert page.problems == []


def said(page, text):
    """Wait until the page says this; its policy forbids the evaluation that Playwright's own waiting needs."""
    page.locator("#status", has_text=re.compile(f"^{re.escape(text)}")).wait_for()


def pick(page, pixels, status="Hair found"):
    """Give the page a photo, and wait for what it says."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    page.set_input_files("#photo", {"name": "portrait.png", "mimeType": "image/png", "buffer": file.getvalue()})
    said(page, status)


def shown(page):
    """The canvas as uint8 (H, W, 3)."""
    width, height, values = page.evaluate(
        """() => {
            const canvas = document.getElementById("picture");
            const image = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            let text = "";
            for (let at = 0; at < image.data.length; at++) text += String.fromCharCode(image.data[at]);
            return [canvas.width, canvas.height, btoa(text)];
        }"""
    )
    return np.frombuffer(base64.b64decode(values), np.uint8).reshape(height, width, 4)[..., :3]


def slide(page, **values):
    for name, value in values.items():
        page.locator(f"#{name}").fill(str(value))


@pytest.fixture(scope="module")
def stylist():
    return HairStylist(engine="onnx")


def test_it_dyes_as_the_library_does_and_nothing_leaves_the_page(page, stylist, portrait_pixels):
    pick(page, portrait_pixels)
    first = shown(page)
    wanted = stylist.dye(portrait_pixels, 0.5, 0.6, 0.5)
    assert np.abs(first.astype(int) - wanted).mean() < 0.02
    assert np.abs(first.astype(int) - wanted).max() <= 8
    changed = (first != portrait_pixels).any(axis=2)
    assert changed.mean() > 0.02
    assert not changed[stylist.segment(portrait_pixels) < 0.7].any()

    slide(page, color=0.9, height=1, gradient=0.2)
    second = shown(page)
    assert (second != first).any(axis=2).mean() > 0.05
    assert np.abs(second.astype(int) - stylist.dye(portrait_pixels, 0.9, 1.0, 0.2)).mean() < 0.02

    page.click("#palette button[title=orange]")
    assert np.abs(shown(page).astype(int) - stylist.dye(portrait_pixels, 0.1, 1.0, 0.2)).mean() < 0.02

    slide(page, split=0.5)
    left, right = np.hsplit(shown(page), 2)
    assert np.array_equal(left, portrait_pixels[:, :90])
    assert (right != portrait_pixels[:, 90:]).any()
    assert page.requests == []


def test_the_policy_forbids_other_servers(page):
    refused = page.evaluate("fetch('https://example.org/').then(() => 'sent', error => error.name)")
    assert refused == "TypeError"
    assert "connect-src 'self'" in page.problems[0]
    page.problems.clear()


def test_saving_gives_what_is_shown(page, portrait_pixels):
    pick(page, portrait_pixels)
    if folder := os.environ.get("OHLORA_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / "browser.png", full_page=True)
    with page.expect_download() as download:
        page.click("#save")
    assert np.array_equal(np.asarray(Image.open(download.value.path()))[..., :3], shown(page))


def test_photos_without_hair_and_other_files_are_told(page, portrait_pixels):
    pick(page, np.full((50, 60, 3), 200, np.uint8), status="No hair found.")
    assert page.locator("#color").is_disabled()
    page.set_input_files("#photo", {"name": "a.png", "mimeType": "image/png", "buffer": b"<svg onload=alert(1)>"})
    said(page, "This file cannot be used")
    pick(page, portrait_pixels)
    assert page.locator("#color").is_enabled()


def test_hues_are_the_librarys(page):
    degrees = (np.arange(360) + 0.5) / 360
    colors = [*degrees.tolist(), 0.7, 1.0]
    found = page.evaluate("async colors => colors.map((await import('./ombre.js')).hueColor)", colors)
    assert found == hue_colors(np.array(colors)).tolist()
