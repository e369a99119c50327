"""The live page: pictures, settings, and who may ask for them."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import cv2
import numpy as np
import pytest

from ohlora_fast import HairStylist, InputError, NaturalDye, Ombre
from ohlora_fast.media.video_reader import VideoReader
from ohlora_fast.video.live import Latest, Live
from ohlora_fast.video.page import CONNECTIONS, served

Clip = Callable[..., Path]


@pytest.fixture
def live(clip: Clip, stylist: HairStylist) -> Iterator[Live]:
    """A file that plays over and over."""
    source = clip()
    live = Live(lambda: VideoReader(source), stylist, Ombre(0.0, 1.0, 0.0), smooth=0.5)
    thread = threading.Thread(target=live.run)
    thread.start()
    yield live
    live.stop()
    thread.join(20)
    assert not thread.is_alive()


def get(address: str, **headers: str) -> str:
    with urlopen(Request(address, headers=headers), timeout=20) as answer:
        return str(answer.read().decode())


def post(address: str, text: str) -> str:
    with urlopen(Request(address, text.encode()), timeout=20) as answer:
        return str(answer.read().decode())


def redness(picture: bytes) -> float:
    """How much redder than blue the hair is."""
    pixels = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR).astype(int)
    return float((pixels[10:40, 40:80, 2] - pixels[10:40, 40:80, 0]).mean())


def test_the_page_shows_dyed_pictures_and_takes_settings(live: Live) -> None:
    with served(live) as address:
        assert "<img" in get(address)
        assert json.loads(get(address + "settings")) == {"color": 0.0, "ombre_height": 1.0, "ombre_grad_height": 0.0}
        with urlopen(address + "stream", timeout=20) as stream:
            assert stream.headers["Content-Type"].startswith("multipart/x-mixed-replace")
            assert stream.readline() == b"--picture\r\n"
            stream.readline()
            length = int(stream.readline().split()[1])
            stream.readline()
            red = stream.read(length)
        post(address + "settings", json.dumps({"color": 0.6}))
        assert live.ombre == Ombre(0.6)
        pictures = iter(live.pictures)
        blue = [next(pictures) for _ in range(3)][-1]
        assert redness(red) > redness(blue) + 10
        speed = json.loads(get(address + "speed"))
        assert speed["fps"] > 0
        assert speed["latency_ms"] > 0


def test_colours_of_a_dye_or_of_heads_leave_no_slider_for_one(clip: Clip, stylist: HairStylist) -> None:
    for method, colors, sliders in (("natural", None, 3), (NaturalDye("copper"), None, 2), ("seed", (0.1, 0.5), 2)):
        live = Live(lambda: VideoReader(clip()), stylist, Ombre(), 0.5, method=method, colors=colors)
        with served(live) as address:
            assert len(json.loads(get(address + "settings"))) == sliders


@pytest.mark.parametrize("text", ["no json", '{"color": 2}', '{"colour": 1}', "[1]"])
def test_wrong_settings_are_refused(live: Live, text: str) -> None:
    with served(live) as address, pytest.raises(HTTPError, match="400"):
        post(address + "settings", text)
    assert live.ombre == Ombre(0.0, 1.0, 0.0)


def test_who_does_not_know_the_address_gets_nothing(live: Live) -> None:
    with served(live) as address:
        assert status(address.rsplit("/", 2)[0] + "/guess/") == 404


@pytest.mark.parametrize("path", ["", "settings", "speed", "stream"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.nip.io"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:3000"},
        {"Origin": "null"},
    ],
)
def test_other_sites_get_nothing(live: Live, path: str, headers: dict[str, str]) -> None:
    with served(live) as address:
        assert status(address + path, headers) == 403
        assert status(address + path, headers, b'{"color": 0.6}') == 403
    assert live.ombre == Ombre(0.0, 1.0, 0.0)


def test_the_page_may_send_its_settings(live: Live) -> None:
    with served(live) as address:
        own = address.rsplit("/", 2)[0]
        headers = {"Origin": own, "Sec-Fetch-Site": "same-origin"}
        assert status(address + "settings", headers, b'{"color": 0.6}') == 200
        assert status(address, {"Sec-Fetch-Site": "cross-site"}) == 200  # a link to it
        assert status(address + "speed", {"Sec-Fetch-Site": "cross-site"}) == 403


def test_bodies_are_bounded(live: Live) -> None:
    with served(live) as address:
        assert status(address + "settings", {}, b" " * 50_000) == 413
        for length, answer in (("-1", 411), ("1e3", 411), ("99999999999999999999", 411), ("9999999999", 413)):
            assert raw(address, f"POST {{}}settings HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Length: {length}") == answer
        chunked = "POST {}settings HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked"
        assert raw(address, chunked) == 411
        assert status(address + "settings", {}, b"[" * 900) == 400
        assert status(address + "settings") == 200
    assert live.ombre == Ombre(0.0, 1.0, 0.0)


def test_more_connections_than_it_has_are_told_so(live: Live) -> None:
    with served(live) as address, ExitStack() as streams:
        for _ in range(CONNECTIONS):
            streams.enter_context(urlopen(address + "stream", timeout=20))
        assert status(address + "speed") == 503


def status(address: str, headers: Mapping[str, str] = {}, body: bytes | None = None) -> int:
    try:
        with urlopen(Request(address, body, dict(headers)), timeout=20) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


def raw(address: str, head: str) -> int:
    """The status of the answer to a request that is sent as it stands, with nothing after its head."""
    server, port, path = re.fullmatch(r"http://([^:]+):(\d+)(/.*)", address).groups()  # type: ignore[union-attr]
    with socket.create_connection((server, int(port)), timeout=20) as connection:
        connection.sendall((head.format(path) + "\r\n\r\n").encode())
        connection.shutdown(socket.SHUT_WR)
        return int(connection.makefile("rb").readline().split()[1])


def test_a_port_that_is_taken_is_said(live: Live) -> None:
    with served(live) as address:
        port = int(address.split(":")[2].split("/")[0])
        with pytest.raises(InputError, match=f"port: {port} cannot be served"), served(live, port):
            pass


def test_errors_of_the_source_come_out(clip: Clip, stylist: HairStylist) -> None:
    source = clip("in.mkv", sound=True)
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 3])
    live = Live(lambda: VideoReader(source), stylist, Ombre(), 0.5)
    with pytest.raises(InputError, match="cut off"):
        live.run()
    assert live.pictures.ended


def test_only_the_newest_is_handed_over() -> None:
    latest: Latest[int] = Latest()
    items = iter(latest)
    latest.put(1)
    assert next(items) == 1
    for number in (2, 3, 4):
        latest.put(number)
    assert next(items) == 4
    latest.end()
    assert list(items) == []
