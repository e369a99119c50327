"""What a tab of the page sends, and Debian's Chromium to look at it."""

import asyncio
import http.client
import json
import os
import shutil
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from ohlora_fast.stylist import HairStylist

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

OPEN, CHANGE, METHOD, MARK, SWITCH, PICK = range(6)
JOIN = "/gradio_api/queue/join"
UPLOAD = "/gradio_api/upload"
SAME = {"__type__": "update"}
LOOK = [0.9, 1.0, 0.5, "seed", "by colour slider", 0.9, 0.4, False]


@pytest.fixture(scope="session")
def stylist():
    return HairStylist(threads=1)


@pytest.fixture(scope="session")
def group_pixels(portrait_pixels):
    """Two people side by side, the right one turned the other way."""
    return np.hstack([portrait_pixels, portrait_pixels[:, ::-1]])


@pytest.fixture(scope="session")
def chromium():
    """A running browser; with OHLORA_BROWSER=1 the tests fail, rather than being left out, if there is none."""
    if CHROMIUM is None:
        missing = pytest.fail if os.environ.get("OHLORA_BROWSER") == "1" else pytest.skip
        missing("no Chromium on the path (on Debian: apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install 'ohlora-fast[browser]'")
    as_root = hasattr(os, "getuid") and os.getuid() == 0
    options = ["--use-fake-device-for-media-stream", *(["--no-sandbox"] if as_root else [])]
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


def fetch(url, data=None):
    """Return status, headers and body of an answer."""
    request = urllib.request.Request(url, data and json.dumps(data).encode(), {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def join(url, function, data, tab="abc"):
    """Send an event as a tab of the page does; return the status of the answer."""
    event = {"fn_index": function, "session_hash": tab, "data": data}
    return fetch(f"{url}gradio_api/queue/join", event)[0]


def outputs(url, tab="abc"):
    """Wait for what comes of a tab's event; None if it failed."""
    lines = fetch(f"{url}gradio_api/queue/data?session_hash={tab}")[2].decode().splitlines()
    messages = [json.loads(line.removeprefix("data: ")) for line in lines if line]
    done = next(message for message in messages if message["msg"] == "process_completed")
    return done["output"]["data"] if done["success"] else None


def open_photo(url, path, tab="abc"):
    """Say that a photo was uploaded, and return what comes of it."""
    assert join(url, OPEN, [file_data(path), "dyed", *LOOK], tab) == 200
    return outputs(url, tab)


def form_of(content, name="portrait.png"):
    """A form with one file, and its headers."""
    head = f'--edge\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    return head.encode() + content + b"\r\n--edge--\r\n", {"Content-Type": "multipart/form-data; boundary=edge"}


def uploaded(url, photo):
    """Upload a photo as the page does; return where it lies."""
    body, headers = form_of(photo.read_bytes())
    with urllib.request.urlopen(urllib.request.Request(f"{url}gradio_api/upload", body, headers), timeout=60) as answer:
        return Path(json.loads(answer.read())[0])


def file_data(path):
    return {"path": str(path), "meta": {"_type": "gradio.FileData"}}


def ask(url, method, path, body=None, headers=()):
    """Return status and body of an answer; of an event stream, only its first line."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=60)
    try:
        connection.putrequest(method, path, skip_host="Host" in dict(headers))
        for name, value in dict(headers).items():
            connection.putheader(name, value)
        connection.endheaders(body, encode_chunked="Transfer-Encoding" in dict(headers))
        answer = connection.getresponse()
        stream = "event-stream" in answer.headers.get("content-type", "")
        return answer.status, answer.readline() if stream else answer.read()
    finally:
        connection.close()


def post(url, path, body, headers=()):
    return ask(url, "POST", path, body, {"Content-Length": str(len(body)), **dict(headers)})


def files():
    return sorted(path for path in Path(os.environ["GRADIO_TEMP_DIR"]).rglob("*") if path.is_file())


def run(coroutine):
    """Run a coroutine in a thread of its own: in this one the browser's may run."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()
