"""A page on this machine that shows live pictures, with sliders for the ombre."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ohlora_fast.errors import InputError
from ohlora_fast.natural import NaturalDye
from ohlora_fast.ombre import Ombre
from ohlora_fast.video.live import Live

HOST = "127.0.0.1"

LARGEST_REQUEST = 1000

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
        server = ThreadingHTTPServer((HOST, port), handler(live, secret))
    except OSError as error:
        raise InputError(f"port: {port} cannot be served: {error.strerror}") from error
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_address[1]}/{secret}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def settings(live: Live) -> dict[str, float]:
    """The settings that have a slider: heads or a dye with colours of their own take none from the ombre."""
    values = asdict(live.ombre)
    if live.colors is not None or (isinstance(live.method, NaturalDye) and live.method.stops is not None):
        del values["color"]
    return values


def handler(live: Live, secret: str) -> type[BaseHTTPRequestHandler]:
    """What answers requests."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with suppress(ConnectionError):  # the page was closed
                match self.path.removeprefix(f"/{secret}/") if self.allowed() else None:
                    case "":
                        self.answer(200, "text/html; charset=utf-8", PAGE)
                    case "stream":
                        self.stream()
                    case "settings":
                        self.answer(200, "application/json", json.dumps(settings(live)))
                    case "speed":
                        self.answer(200, "application/json", json.dumps(asdict(live.speed)))
                    case _:
                        self.answer(404, "text/plain", "not found")

        def do_POST(self) -> None:
            if not self.allowed() or self.path != f"/{secret}/settings":
                return self.answer(404, "text/plain", "not found")
            try:
                length = min(int(self.headers.get("Content-Length", 0)), LARGEST_REQUEST)
                live.ombre = Ombre(**json.loads(self.rfile.read(length)))
            except (ValueError, TypeError) as error:
                return self.answer(400, "text/plain", str(error))
            self.answer(200, "application/json", json.dumps(settings(live)))

        def allowed(self) -> bool:
            """Whether the request is for this machine, not for a name that another page made point to it."""
            name = self.headers.get("Host", "").rsplit(":", 1)[0]
            return name in (HOST, "localhost") and self.path.startswith(f"/{secret}/")

        def answer(self, code: int, kind: str, text: str) -> None:
            content = text.encode()
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(content)

        def stream(self) -> None:
            """Each picture in the place of the one before, as browsers show it."""
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=picture")
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            for picture in live.pictures:
                head = f"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                self.wfile.write(head.encode() + picture + b"\r\n")

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Handler
