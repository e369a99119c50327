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
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

import ohlora_fast.heads
from ohlora_fast import HairStylist
from ohlora_fast.export.pipeline import PipelineSettings
from ohlora_fast.export.write import write_export
from ohlora_fast.heads.boxes import Heads
from ohlora_fast.heads.finder import HeadFinder, distinct
from ohlora_fast.heads.look import Plan, hair_of_heads
from ohlora_fast.ops.ombre_op import hue_colors
from ohlora_fast.student.maps import Student
from ohlora_fast.student.weights import load_student

DEMO = Path(__file__).parents[2] / "examples" / "browser"
FINDER = Path(ohlora_fast.heads.__path__[0], "bundled", "heads.onnx")
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
    shutil.copytree(DEMO, folder, ignore=shutil.ignore_patterns("node_modules", "*.onnx"))
    subprocess.run([NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, check=True, timeout=300)
    write_export(load_student(), folder / "hair.onnx", PipelineSettings("prob"))
    shutil.copy(FINDER, folder / "heads.onnx")
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


def pick(page, pixels, status="Hair of 1 head found"):
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


@pytest.fixture(scope="module")
def group_pixels():
    """Three people, far apart and near each other, one of them small; uint8 (420, 900, 3)."""
    astronaut = pytest.importorskip("skimage.data").astronaut()[:320, 60:380]
    canvas = Image.new("RGB", (900, 420), (90, 120, 140))
    for side, place in ((320, (20, 60)), (150, (480, 200)), (300, (600, 90))):
        canvas.paste(Image.fromarray(astronaut).resize((side, side)), place)
    return np.asarray(canvas)


def test_each_head_of_a_group_is_dyed_on_its_own(page, stylist, group_pixels):
    heads = HeadFinder(FINDER).find(group_pixels)
    assert len(heads) == 3
    pick(page, group_pixels, status="Hair of 3 heads found")
    slide(page, color=0.9, height=1, gradient=0.8)
    if folder := os.environ.get("OHLORA_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / "browser-group.png", full_page=True)
    found, wanted = shown(page), stylist.dye(group_pixels, 0.9, 1.0, 0.8, heads=heads)
    difference = np.abs(found.astype(int) - wanted)
    assert difference.mean() < 0.02
    assert difference.max() <= 16
    as_one = np.abs(found.astype(int) - stylist.dye(group_pixels, 0.9, 1.0, 0.8, heads="whole"))
    assert as_one.mean() > 10 * difference.mean()


@pytest.mark.parametrize("size", [(420, 900), (1500, 800), (80, 60)])
def test_heads_are_found_where_the_library_finds_them(page, group_pixels, size):
    pixels = np.asarray(
        Image.fromarray(group_pixels[:, 560:] if size[0] > size[1] else group_pixels).resize(size[::-1])
    )
    heads = HeadFinder(FINDER).find(pixels)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    found = page.evaluate(
        """async png => {
            const ort = await import("./node_modules/onnxruntime-web/dist/ort.wasm.bundle.min.mjs");
            const { findHeads } = await import("./heads.js");
            const graph = await ort.InferenceSession.create("heads.onnx");
            const network = async (rgb, width, height) =>
                (await graph.run({ image: new ort.Tensor("uint8", rgb, [1, height, width, 3]) })).heads;
            const bytes = Uint8Array.from(atob(png), letter => letter.charCodeAt());
            const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
            const canvas = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
            canvas.drawImage(bitmap, 0, 0);
            const photo = canvas.getImageData(0, 0, bitmap.width, bitmap.height);
            return (await findHeads(network, photo)).map(({ x0, y0, x1, y1, score }) => [x0, y0, x1, y1, score]);
        }""",
        base64.b64encode(file.getvalue()).decode(),
    )
    found = np.array(found)
    assert len(heads) > 0
    assert found.shape == (len(heads), 5)
    assert np.abs(found[:, :4] - heads.boxes).max() < 0.01 * max(size)
    assert np.abs(found[:, 4] - heads.scores).max() < 0.02


def test_one_box_a_head_is_left_as_in_the_library(page):
    random = np.random.default_rng(0)
    corners, sides = random.uniform(0, 200, (300, 2)), random.uniform(10, 60, (300, 2))
    boxes = np.concatenate([corners, corners + sides], 1).astype(np.float32)
    scores = random.uniform(0.3, 1, 300).astype(np.float32)
    wanted = distinct(boxes, scores)
    assert 10 < len(wanted) < 100
    found = page.evaluate(
        """async heads => (await import("./heads.js")).distinct(heads.map(([x0, y0, x1, y1, score]) =>
            ({ x0, y0, x1, y1, score }))).map(({ x0, y0, x1, y1 }) => [x0, y0, x1, y1])""",
        np.column_stack([boxes, scores]).astype(float).tolist(),
    )
    assert np.array_equal(found, wanted.boxes)


def test_crops_grow_and_are_joined_as_in_the_library(page):
    """Of a drawing whose red is the hair: long hair, a patch that two heads share, and one that is nobody's."""
    red = np.zeros((600, 900), np.uint8)
    for top, bottom, left, right in ((90, 560, 90, 200), (80, 150, 440, 640), (480, 590, 640, 720)):
        red[top:bottom, left:right] = 255
    red = cv2.GaussianBlur(red, (0, 0), 4)
    pixels = np.dstack([red, red, red])
    boxes = np.array([[100, 90, 190, 200], [440, 80, 530, 190], [550, 80, 640, 190]], np.float32)
    engine = SimpleNamespace(size=224, predict=lambda squashed: squashed[..., 0].astype(np.float32) / 255)
    student = Student(engine, 1)
    wanted = hair_of_heads(pixels, Plan(Heads(boxes, np.ones(3, np.float32)), None, False), student, False)
    prob, owner = page.evaluate(
        """async ({ red, width, height, boxes }) => {
            const { lookAtEach } = await import("./crops.js");
            const { joined } = await import("./hair.js");
            const values = Float32Array.from(atob(red), letter => letter.charCodeAt() / 255);
            const segment = async ({ top, bottom, left, right }) => {
                const row = y => [...values.slice(y * width + left, y * width + right)];
                return Float32Array.from(Array.from({ length: bottom - top }, (_, i) => row(top + i)).flat());
            };
            const heads = boxes.map(([x0, y0, x1, y1]) => ({ x0, y0, x1, y1 }));
            const hair = joined(await lookAtEach(segment, heads, { width, height }), { width, height });
            // As text: Playwright takes from seconds to minutes for a million numbers.
            const text = ({ buffer }) => {
                let letters = "";
                for (const byte of new Uint8Array(buffer)) letters += String.fromCharCode(byte);
                return btoa(letters);
            };
            return [text(hair.prob), text(hair.owner)];
        }""",
        {"red": base64.b64encode(red.tobytes()).decode(), "width": 900, "height": 600, "boxes": boxes.tolist()},
    )
    prob = np.frombuffer(base64.b64decode(prob), np.float32).reshape(600, 900)
    owner = np.frombuffer(base64.b64decode(owner), np.int16).reshape(600, 900)
    difference = np.abs(prob - wanted.prob)
    assert difference.mean() < 0.001
    assert (difference > 0.1).sum() < 20  # at the corners of patches, where rounding decides
    assert (owner == wanted.owner)[prob > 0.1].mean() > 0.999
    assert prob[540, 145] > 0.9  # the first crop ended above
    assert set(owner[80:150, 440:640].flat) == {1, 2}
    assert not prob[490:580, 650:710].any()


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
