"""Uploads: how much is taken, in one and in all, and what is left of it."""

import asyncio
import http.client
import json
import os
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytest.importorskip("gradio", reason="pip install 'ohlora-fast[web]'")

from starlette.requests import Request

from ohlora_fast.web import Limits, serve
from ohlora_fast.web.bodies import Refused
from ohlora_fast.web.limits import ROOM
from ohlora_fast.web.uploads import MOST_WAITING, PATIENCE, Uploads

from .conftest import UPLOAD, ask, files, form_of, post, run

SMALL = Limits(megapixels=1, megabytes=0.2)


@pytest.fixture(scope="module")
def url(stylist):
    with serve(port=0, stylist=stylist, limits=SMALL) as url:
        yield url


def chunks(body, size=1000):
    return [body[start : start + size] for start in range(0, len(body), size)]


def test_uploads_are_bounded_with_and_without_a_length(url):
    before = files()
    body, form = form_of(bytes(SMALL.max_bytes + 1))
    large, _ = form_of(bytes(10 * SMALL.max_bytes))
    for one in (body, large):
        status, line = post(url, UPLOAD, one, form)
        assert (status, line) == (413, b"the file is larger than 0.2 MB, the maximum allowed size")
        assert ask(url, "POST", UPLOAD, chunks(one, 10_000), form | {"Transfer-Encoding": "chunked"})[0] == 413
    assert files() == before
    fits, _ = form_of(bytes(SMALL.max_bytes // 2))
    assert ask(url, "POST", UPLOAD, chunks(fits), form | {"Transfer-Encoding": "chunked"})[0] == 200


def test_a_form_is_one_file(url, capfd):
    before = files()
    form = {"Content-Type": "multipart/form-data; boundary=edge"}
    part = '--edge\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\nx\r\n'
    for body in (
        "",
        "--edge--\r\n",
        "nonsense",
        part.format("files", "") + "--edge--\r\n",
        part.format("other", '; filename="a"') + "--edge--\r\n",
        part.format("files", '; filename="a"') * 2 + "--edge--\r\n",
        "--edge\r\nX: " + "y" * 20_000 + "\r\n\r\n--edge--\r\n",
    ):
        status, line = post(url, UPLOAD, body.encode(), form)
        assert status == 400, body[:200]
        assert line.startswith(b"expected a form with one file")
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        assert post(url, UPLOAD, b"a=b", {"Content-Type": kind})[0] == 400
    assert files() == before
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ["../../x.png", "..", ".", "", "/etc/passwd", "a\\..\\b.png", "ä" * 300 + ".png", "-"])
def test_a_files_name_leads_nowhere(url, name):
    body, form = form_of(b"hello", name)
    status, answer = post(url, UPLOAD, body, form)
    assert status == 200
    path = Path(json.loads(answer)[0])
    assert path.resolve() == path
    assert path.parent.parent == Path(os.environ["GRADIO_TEMP_DIR"], "uploads")
    assert path.read_bytes() == b"hello"


def test_an_upload_that_breaks_off_leaves_nothing(url):
    before = files()
    body, form = form_of(bytes(100_000))
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=60)
    connection.request("POST", UPLOAD, body[:50_000], form | {"Content-Length": str(len(body))})
    connection.close()
    assert post(url, UPLOAD, *form_of(b"next"))[0] == 200
    assert len(files()) == len(before) + 1


def test_uploads_are_bounded_in_total(stylist):
    """What arrives and waits, in bytes and in files; 503 beyond."""
    with serve(port=0, stylist=stylist, limits=SMALL) as url:
        body, form = form_of(bytes(SMALL.max_bytes))
        statuses = [post(url, UPLOAD, body, form)[0] for _ in range(ROOM + 4)]
        assert statuses == [200] * (ROOM - 1) + [503] * 5
        assert sum(path.stat().st_size for path in files()) <= SMALL.max_waiting_bytes
    with serve(port=0, stylist=stylist, limits=SMALL) as url:
        body, form = form_of(b"x")
        statuses = [post(url, UPLOAD, body, form)[0] for _ in range(MOST_WAITING + 3)]
        assert statuses == [200] * MOST_WAITING + [503] * 3


def test_uploads_at_the_same_time_are_bounded_in_total(stylist):
    with serve(port=0, stylist=stylist, limits=SMALL) as url:
        body, form = form_of(bytes(SMALL.max_bytes))
        statuses = []
        threads = [
            threading.Thread(target=lambda: statuses.append(post(url, UPLOAD, body, form)[0])) for _ in range(24)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses.count(200) == ROOM - 1
        assert set(statuses) == {200, 503}


def test_uploads_that_nobody_opens_go_in_time(tmp_path):
    now = [0.0]
    uploads = Uploads(tmp_path, SMALL, clock=lambda: now[0])
    first = run(received(uploads))
    now[0] = PATIENCE / 2
    second = run(received(uploads))
    now[0] = PATIENCE + 1
    uploads.sweep()
    assert not first.parent.exists()
    assert uploads.take(str(second)) == (b"hello", "portrait.png")
    assert not list((tmp_path / "uploads").iterdir())


async def received(uploads):
    """Hand an upload over as a server does."""
    body, form = form_of(b"hello")
    headers = [(name.lower().encode(), value.encode()) for name, value in form.items()]

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    return await uploads.receive(Request({"type": "http", "method": "POST", "headers": headers}, receive))


@pytest.mark.parametrize("limit", ["STALL", "LONGEST"])
def test_a_stalled_body_is_given_up(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(f"ohlora_fast.web.bodies.{limit}", 0.01)
    headers = [(b"content-type", b"multipart/form-data; boundary=edge")]
    request = Request({"type": "http", "method": "POST", "headers": headers}, asyncio.Event().wait)
    with pytest.raises(Refused, match="stalled") as caught:
        run(Uploads(tmp_path, SMALL).receive(request))
    assert caught.value.status == 408
