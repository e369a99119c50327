"""What lies around the page: who is refused, which routes there are, and which events are taken."""

import json
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytest.importorskip("gradio", reason="pip install 'ohlora-fast[web]'")

import gradio
import safehttpx

from ohlora_fast.web import Limits, build_app, serve

from .conftest import (
    CHANGE,
    JOIN,
    LOOK,
    OPEN,
    PICK,
    SWITCH,
    UPLOAD,
    ask,
    file_data,
    files,
    form_of,
    open_photo,
    outputs,
    post,
    run,
    uploaded,
)

SMALL = Limits(megapixels=1, megabytes=0.2)
USED = {
    "/", "/theme.css", "/favicon.ico", "/assets/{path:path}", "/static/{path:path}", "/gradio_api/upload",
    "/gradio_api/upload_progress", "/gradio_api/queue/join", "/gradio_api/queue/data",
    "/gradio_api/heartbeat/{session_hash}", "/gradio_api/file={path_or_url:path}",
}  # fmt: skip
"""Routes of Gradio's that the page uses, some of which are answered in its place."""


@pytest.fixture(scope="module")
def url(stylist):
    with serve(port=0, stylist=stylist, limits=SMALL) as url:
        yield url


def join(url, event):
    return post(url, JOIN, json.dumps(event).encode(), {"Content-Type": "application/json"})


def event_of(function, data, **more):
    return {"fn_index": function, "session_hash": "abc", "data": data, **more}


def routes():
    """Methods and paths of every route of the installed Gradio's application, as of one with all it has to offer."""
    with gradio.Blocks() as page:
        gradio.Button()
    for route in gradio.routes.App.create_app(page).routes:
        if hasattr(route, "methods"):
            yield from ((method, route.path) for method in route.methods)
        else:
            included = getattr(route, "original_router", None) or route
            prefix = getattr(getattr(route, "include_context", None), "prefix", "")
            for inner in getattr(included, "routes", ()):
                yield from ((method, prefix + inner.path) for method in inner.methods)


FOREIGN = [
    {"Host": "evil.example"},
    {"Host": "127.0.0.1.nip.io:7860"},
    {"Host": "evil.example", "Origin": "http://evil.example"},
    {"Origin": "http://evil.example"},
    {"Origin": "http://localhost:3000"},
    {"Origin": "null"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_other_sites_get_nothing(url, headers):
    paths = ["/", "/theme.css", "/gradio_api/heartbeat/abc", "/gradio_api/queue/data?session_hash=abc", "/nothing"]
    for method, path in [*(("GET", path) for path in paths), ("HEAD", "/"), ("OPTIONS", UPLOAD), ("PUT", "/")]:
        assert ask(url, method, path, headers=headers)[0] == 403
    body, form = form_of(b"hello")
    before = files()
    assert post(url, UPLOAD, body, headers | form)[0] == 403
    assert post(url, JOIN, b"{}", headers)[0] == 403
    assert files() == before


def test_the_page_itself_and_links_to_it_are_answered(url):
    own = url.rstrip("/")
    assert ask(url, "GET", "/", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"})[0] == 200
    assert ask(url, "GET", "/theme.css", headers={"Sec-Fetch-Site": "cross-site"})[0] == 403
    body, form = form_of(b"hello")
    assert post(url, UPLOAD, body, form | {"Host": urlsplit(url).netloc, "Origin": own})[0] == 200


def test_names_that_are_allowed_are_answered(stylist):
    with serve(port=0, stylist=stylist, names=["hair.example.org"]) as url:
        behind = {"Host": "hair.example.org", "Origin": "https://hair.example.org", "X-Forwarded-Proto": "https"}
        status, page = ask(url, "GET", "/", headers=behind)
        assert status == 200
        assert b"https://hair.example.org" in page
        body, form = form_of(b"hello")
        assert post(url, UPLOAD, body, form | behind)[0] == 200
        assert ask(url, "GET", "/", headers={"Host": "evil.example"})[0] == 403


def test_a_forwarded_name_that_is_not_allowed_stays_out_of_the_page(url):
    page = ask(url, "GET", "/", headers={"X-Forwarded-Host": "evil.example"})[1]
    assert b"ohlora-fast" in page
    assert b"evil.example" not in page


def test_only_routes_that_the_page_uses_exist(url):
    """Every route of the installed Gradio, and whatever else its next release may bring, but for `USED`."""
    found = set(routes())
    assert {path for _, path in found} >= USED
    assert len(found) > 60
    for method, path in sorted(found):
        if path in USED:
            continue
        filled = re.sub(r"\{[^}]*\}", "x", path)
        assert ask(url, method, filled)[0] == 404, (method, path)
        assert ask(url, method, filled.rstrip("/") + "/")[0] == 404, (method, path)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_only_methods_that_the_page_uses_exist(url, method):
    for path in ("/", JOIN, UPLOAD, "/gradio_api/heartbeat/abc"):
        assert ask(url, method, path)[0] == 404


@pytest.fixture(scope="module")
def upload(url, portrait_pixels):
    """An upload that waits to be opened."""
    body, form = form_of(portrait_pixels.tobytes())
    return Path(json.loads(post(url, UPLOAD, body, form)[1])[0])


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd", "/gradio_api/file//etc/passwd", "/gradio_api/file=/proc/self/environ",
        "/gradio_api/file={folder}/shown/../{upload}", "/gradio_api/file=/shown/../..{folder}/{upload}",
        "/gradio_api/file//shown/..{folder}/{upload}", "/gradio_api/file={folder}/{upload}",
        "/gradio_api/file/{folder}/{upload}", "/gradio_api/file%3D{folder}/{upload}", "/gradio_api/file=%00",
        "/gradio_api/file={folder}/shown/%2e%2e/{upload}", "/gradio_api/file={folder}/shown/", "/gradio_api/file=",
        "/gradio_api/./file={folder}/{upload}", "//gradio_api/file={folder}/{upload}", "/gradio_api/file=" + "a" * 5000,
        "/static/../../../../etc/passwd", "/static/%2e%2e/%2e%2e/etc/passwd", "/assets/..%2f..%2fetc/passwd",
        "/assets/..%5c..%5cetc", "/gradio_api/proxy=HTTP://127.0.0.1:1/", "/config", "/?deep_link=../x/../..", "/docs",
    ],
)  # fmt: skip
def test_no_other_file_is_given(url, upload, path):
    folder = os.environ["GRADIO_TEMP_DIR"]
    status, body = ask(url, "GET", path.format(folder=folder, upload=upload.relative_to(folder)))
    assert status == (200 if path.startswith("/?") else 404)
    assert b"root:" not in body
    assert upload.read_bytes()[:100] not in body


@pytest.fixture
def fetched(monkeypatch):
    """Hosts that Gradio would ask; it asks none."""
    hosts = []

    async def record(host):
        hosts.append(host)
        raise RuntimeError

    monkeypatch.setattr(safehttpx, "async_validate_url", record)
    return hosts


def test_nothing_is_fetched_for_anybody(url, fetched):
    far = "https://attacker.example/x.png"
    for path in ("file=", "file/", "proxy=", "file=HTTPS:", "file=%68ttps:"):
        assert ask(url, "GET", f"/gradio_api/{path}{far.removeprefix('https:') if ':' in path else far}")[0] == 404
    for data in (
        [file_data(far), "dyed", *LOOK],
        [file_data(far) | {"url": far}, "dyed", *LOOK],
        [None, file_data(far), *LOOK],
        [None, "dyed", file_data(far), *LOOK[1:]],
        [None, "dyed", [file_data(far)], *LOOK[1:]],
    ):
        assert join(url, event_of(OPEN, data))[0] == 400
    assert join(url, event_of(CHANGE, ["dyed", [file_data(far)], "all", *LOOK]))[0] == 400
    assert fetched == []


@pytest.mark.parametrize(
    "event",
    [
        None, [], "x", 5, {}, {"fn_index": 0}, event_of(99, []), event_of(-1, []), event_of("0", []),
        event_of(True, []), event_of(OPEN, []), event_of(OPEN, None), event_of(OPEN, {"0": 1}),
        event_of(CHANGE, ["dyed", [], "all"]),
        event_of(CHANGE, ["dyed", [], "all", float("nan"), *LOOK[1:]]), event_of(CHANGE, ["x", [], "all", *LOOK]),
        event_of(CHANGE, ["dyed", [], "all", 1e999, *LOOK[1:]]), event_of(CHANGE, ["dyed", [], "all", "0", *LOOK[1:]]),
        event_of(CHANGE, ["dyed", [], "all", True, *LOOK[1:]]), event_of(CHANGE, ["dyed", ["0"], "all", *LOOK]),
        event_of(CHANGE, ["dyed", [[]], "all", *LOOK]), event_of(CHANGE, ["dyed", [], "-1", *LOOK]),
        event_of(CHANGE, ["dyed", [], "all", *LOOK[:7], "yes"]), event_of(SWITCH, [["1"]]),
        event_of(SWITCH, [["1"]], event_data={"index": [1]}), event_of(SWITCH, [["1"]], event_data={"index": "ab"}),
        event_of(SWITCH, [["1"]], event_data={"index": [1e300, 0]}), event_of(PICK, ["all"]) | {"session_hash": "../x"},
        event_of(PICK, ["all"]) | {"session_hash": "a" * 65}, event_of(PICK, ["all"]) | {"session_hash": None},
    ],
    ids=str,
)  # fmt: skip
def test_events_that_the_page_does_not_send_are_one_line(url, event, capfd):
    status, body = join(url, event)
    assert status == 400
    assert "\n" not in json.loads(body)["detail"]
    assert capfd.readouterr().err == ""


def test_what_is_wrong_with_a_value_is_said(url):
    status, body = join(url, event_of(CHANGE, ["dyed", [], "all", 5, *LOOK[1:]]))
    assert (status, json.loads(body)) == (400, {"detail": "Colour: got 5, expected a number from 0 to 1"})


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 60_000, b'{"a":' * 10_000])
def test_what_is_no_json_is_one_line(url, body, capfd):
    assert post(url, JOIN, body)[0] == 400
    assert capfd.readouterr().err == ""


def test_heads_that_are_not_there_are_no_error(url, portrait, capfd):
    open_photo(url, uploaded(url, portrait), "heads")
    for function, data in ((PICK, ["77"]), (CHANGE, ["dyed", ["77"], "77", *LOOK])):
        assert join(url, event_of(function, data) | {"session_hash": "heads"})[0] == 200
        assert outputs(url, "heads") is not None
    assert capfd.readouterr().err == ""


def test_events_are_bounded_with_and_without_a_length(url):
    long = b" " * 64_001
    assert post(url, JOIN, long)[0] == 413
    assert ask(url, "POST", JOIN, [long[:1000]] * 65, {"Transfer-Encoding": "chunked"})[0] == 413


def test_results_are_given_to_tabs_that_wait_for_some(url, capfd):
    for query in ("", "?session_hash=", "?session_hash=../x", "?session_hash=nobody", "?other=1"):
        assert ask(url, "GET", f"/gradio_api/queue/data{query}")[0] == 404
    assert ask(url, "GET", "/gradio_api/heartbeat/" + "a" * 65)[0] == 404
    assert capfd.readouterr().err == ""


def test_websockets_are_refused():
    sent = []

    async def send(message):
        sent.append(message)

    run(build_app()({"type": "websocket", "path": "/", "headers": []}, None, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]
