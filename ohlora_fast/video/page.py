"""A page on this machine that shows live pictures, with sliders for the ombre."""

from __future__ import annotations

import json
import secrets
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ohlora_fast.errors import InputError
from ohlora_fast.natural import NaturalDye
from ohlora_fast.ombre import Ombre
from ohlora_fast.origins import Origins
from ohlora_fast.video.live import Live

HOST = "127.0.0.1"

LARGEST_REQUEST = 1000

DRAINED = 100_000
"""Bytes of a refused body that are read all the same."""

CONNECTIONS = 32
"""Requests that are answered at a time, streams included."""

STALL = 30.0
"""Seconds after which a connection is closed on which nothing moves."""

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self'; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>ohlora-fast webcam</title>
<meta name="viewport" content="width=device-width">
<style>
body { font: 16px system-ui, sans-serif; margin: 1rem auto; max-width: 60rem; padding: 0 1rem;
  background: #222; color: #eee }
img { width: 100%; background: #000 } label { display: flex; gap: 1rem; margin: .5rem 0 }
label span { width: 11rem } input { flex: 1 } output { width: 3rem }
</style>
<img src="stream" alt="the dyed picture">
<form>
<label><span>color</span><input type="range" name="color" min="0" max="1" step="0.005"><output></output></label>
<label><span>ombre height</span><input type="range" name="ombre_height" min="0" max="1" step="0.01"><output></output>
</label>
<label><span>ombre grad height</span><input type="range" name="ombre_grad_height" min="0" max="1" step="0.01">
<output></output></label>
</form>
<p id="speed"></p>
<script>
const inputs = [...document.querySelectorAll("input")];
const show = input => { input.nextElementSibling.value = input.value };
const send = () => fetch("settings", {
  method: "POST", body: JSON.stringify(Object.fromEntries(inputs.map(input => [input.name, +input.value]))) });
fetch("settings").then(answer => answer.json()).then(settings => {
  for (const input of inputs)
    if (input.name in settings) { input.value = settings[input.name]; show(input) }
    else input.parentElement.remove() });
for (const input of inputs) input.addEventListener("input", () => { show(input); send() });
setInterval(async () => {
  const speed = await (await fetch("speed")).json();
  document.getElementById("speed").textContent =
    `${speed.fps} frames/s, ${speed.latency_ms} ms from camera to picture, ${speed.dropped} left out` }, 500);
</script></html>
"""


@contextmanager
def served(live: Live, port: int = 0) -> Iterator[str]:
    """Serve a page for `live` while the block runs, to this machine alone.

    Its address holds a secret, which other pages in the same browser cannot guess.

    Args:
        live: whose pictures are shown.
        port: 0 for one that is free.

    Yields:
        the page's address.

    Raises:
        InputError: the port is taken.
    """
    secret = secrets.token_urlsafe(8)
    try:
        server = BoundedServer((HOST, port), handler(live, secret))
    except (OSError, OverflowError) as error:
        raise InputError(f"port: {port} cannot be served: {getattr(error, 'strerror', error)}") from error
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_address[1]}/{secret}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class BoundedServer(ThreadingHTTPServer):
    """A server that answers `CONNECTIONS` requests at a time, a thread each; further ones are told so at once."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._free = threading.BoundedSemaphore(CONNECTIONS)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        with suppress(OSError):
            request.settimeout(1)
            request.sendall(b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 10\r\n\r\ntoo many connections\n")
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that broke."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def settings(live: Live) -> dict[str, float]:
    """The settings that have a slider: heads or a dye with colours of their own take none from the ombre."""
    values = asdict(live.ombre)
    if live.colors is not None or (isinstance(live.method, NaturalDye) and live.method.stops is not None):
        del values["color"]
    return values


def handler(live: Live, secret: str) -> type[BaseHTTPRequestHandler]:
    """What answers requests."""

    origins = Origins(HOST)

    class Handler(BaseHTTPRequestHandler):
        timeout = STALL

        def do_GET(self) -> None:
            if not self.allowed():
                return
            match self.path.removeprefix(f"/{secret}/"):
                case "":
                    self.answer(200, "text/html; charset=utf-8", PAGE)
                case "stream":
                    self.stream()
                case "settings":
                    self.answer(200, "application/json", json.dumps(settings(live)))
                case "speed":
                    self.answer(200, "application/json", json.dumps(asdict(live.speed)))
                case _:
                    self.refuse(404, "not found")

        def do_POST(self) -> None:
            if not self.allowed():
                return
            if self.path != f"/{secret}/settings":
                return self.refuse(404, "not found")
            length = self.length()
            if length is None:
                return self.refuse(411, "expected the header Content-Length, a number")
            if length > LARGEST_REQUEST:
                return self.refuse(413, f"expected settings of at most {LARGEST_REQUEST} bytes, got {length}")
            try:
                live.ombre = Ombre(**json.loads(self.rfile.read(length)))
            except (ValueError, TypeError, RecursionError) as error:
                return self.answer(400, "text/plain", str(error))
            self.answer(200, "application/json", json.dumps(settings(live)))

        def allowed(self) -> bool:
            """Refuse requests that do not know the secret, name another host or come from another site's page."""
            headers, entry = self.headers, self.command == "GET" and self.path == f"/{secret}/"
            hosts, sent = headers.get_all("Host", []), headers.get_all("Origin", [])
            refusal = origins.refusal(hosts, sent, headers.get("Sec-Fetch-Site", ""), entry)
            if refusal:
                self.refuse(403, refusal)
            elif not self.path.startswith(f"/{secret}/"):
                self.refuse(404, "not found")
            else:
                return True
            return False

        def length(self) -> int | None:
            """The size of the body in bytes, as the request states it."""
            text = self.headers.get("Content-Length", "")
            return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None

        def refuse(self, code: int, line: str) -> None:
            """Answer with an error, and read some of the body before, so that a client that still sends sees it."""
            self.rfile.read(min(self.length() or 0, DRAINED))
            self.answer(code, "text/plain", line)

        def answer(self, code: int, kind: str, text: str) -> None:
            content = text.encode()
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def stream(self) -> None:
            """Each picture in the place of the one before, as browsers show it."""
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=picture")
            self.end_headers()
            for picture in live.pictures:
                head = f"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                self.wfile.write(head.encode() + picture + b"\r\n")

        def end_headers(self) -> None:
            for name, value in HEADERS.items():
                self.send_header(name, value)
            super().end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Handler
