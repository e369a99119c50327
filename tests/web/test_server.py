"""The server itself: what it gives to whom, and what it refuses."""

import json
import os
import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("gradio", reason="pip install 'ohlora-fast[web]'")

from ohlora_fast.cli import main
from ohlora_fast.errors import InputError
from ohlora_fast.web import Limits, serve

SETTINGS = [0.5, 0.6, 0.5, "dyed"]


@pytest.fixture(scope="module")
def url(stylist):
    with serve(port=0, stylist=stylist, limits=Limits(megapixels=1)) as url:
        yield url


def fetch(url, data=None):
    """Return status, headers and body of an answer."""
    request = urllib.request.Request(url, data and json.dumps(data).encode(), {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def open_photo(url, path):
    """Say that a photo was uploaded, as the page does, and return the outputs; None if that is refused."""
    event = {"fn_index": 0, "session_hash": "abc", "data": [file_data(path), *SETTINGS]}
    assert fetch(f"{url}gradio_api/queue/join", event)[0] == 200
    lines = fetch(f"{url}gradio_api/queue/data?session_hash=abc")[2].decode().splitlines()
    messages = [json.loads(line.removeprefix("data: ")) for line in lines if line]
    done = next(message for message in messages if message["msg"] == "process_completed")
    return done["output"]["data"] if done["success"] else None


def file_data(path):
    return {"path": str(path), "meta": {"_type": "gradio.FileData"}}


def test_the_browser_is_told_to_ask_nothing_of_others(url):
    status, headers, body = fetch(url)
    assert status == 200
    assert "default-src 'self'" in headers["content-security-policy"]
    assert b"ohlora-fast" in body


def test_an_upload_is_opened_and_gone(url, portrait):
    upload = Path(os.environ["GRADIO_TEMP_DIR"], "0" * 64, "portrait.png")
    upload.parent.mkdir()
    upload.write_bytes(portrait.read_bytes())
    data = open_photo(url, upload)
    assert [Image.open(one["path"]).size for one in data[3]] == [(180, 200)] * 2
    assert not upload.parent.exists()
    shown = data[3][1]["path"]
    status, headers, body = fetch(f"{url}gradio_api/file={shown}")
    assert (status, headers["cache-control"], body) == (200, "no-store", Path(shown).read_bytes())


def test_files_that_were_not_uploaded_are_not_opened(url, portrait):
    assert open_photo(url, portrait) is None
    folder = os.environ["GRADIO_TEMP_DIR"]
    assert open_photo(url, Path(folder, os.path.relpath(portrait, folder))) is None
    assert portrait.exists()


@pytest.mark.parametrize("path", ["/etc/passwd", "https://example.org/x.png", "../../etc/passwd"])
def test_no_other_file_is_given(url, path):
    assert fetch(f"{url}gradio_api/file={path}")[0] in (403, 404)


def test_an_upload_is_not_given_back(url):
    upload = Path(os.environ["GRADIO_TEMP_DIR"], "evil.svg")
    upload.write_text("<svg/>")
    assert fetch(f"{url}gradio_api/file={upload}")[0] == 404


@pytest.mark.parametrize("path", ["gradio_api/info", "monitoring", "gradio_api/mcp/sse", "docs", "gradio_api/runs"])
def test_what_the_page_does_not_need_is_off(url, path):
    status, _, body = fetch(url + path)
    assert status in (401, 403, 404) or json.loads(body) == {"named_endpoints": {}, "unnamed_endpoints": {}}


def test_a_port_that_is_taken_is_one_line(stylist, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"cannot listen at 127.0.0.1, port {port}: "), serve(port=port):
            pass
        assert main(["web", "--port", str(port)]) == 1
    assert capsys.readouterr().err.startswith(f"ohlora-fast: error: cannot listen at 127.0.0.1, port {port}: ")


@pytest.mark.parametrize("option", [["--max-megapixels", "0"], ["--queue", "-1"], ["--max-megabytes", "x"]])
def test_limits_are_checked(option, capsys):
    assert main(["web", *option]) == 2
    assert "allowed is" in capsys.readouterr().err
