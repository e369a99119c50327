"""What lies around the page: only the page itself reaches Gradio, and only by the routes that it uses."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response

from ohlora_fast.origins import Origins
from ohlora_fast.web.bodies import Body, Message, Receive, Refused, bounded, stated_length
from ohlora_fast.web.events import SESSION, checked_event

if TYPE_CHECKING:
    import gradio as gr

    from ohlora_fast.web.uploads import Uploads

Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

POLICY = (
    b"default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    b"img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self' data:; worker-src 'self' blob:; "
    b"object-src 'none'; form-action 'self'; base-uri 'self'; frame-ancestors 'none'"
)
HEADERS = {
    b"content-security-policy": POLICY,
    b"referrer-policy": b"no-referrer",
    b"x-content-type-options": b"nosniff",
    b"cross-origin-resource-policy": b"same-origin",
}
FILES = "/gradio_api/file="
HEARTBEAT = "/gradio_api/heartbeat/"
RESULTS = "/gradio_api/queue/data"
EVENTS = "/gradio_api/queue/join"
UPLOAD = "/gradio_api/upload"
PROGRESS = "/gradio_api/upload_progress"
PLAIN = re.compile(r"/|/theme\.css|/favicon\.ico|/(assets|static)/[A-Za-z0-9][A-Za-z0-9_./-]*")
"""Pages, scripts and styles that Gradio gives to anybody."""

NO_PROGRESS = 'data: {"msg": "done"}\n\n'
"""The answer to a page that asks how far its upload is: it has no progress to wait for."""

MAX_EVENT = 64_000
"""Bytes of an event; the longest lists the numbers of some hundred heads."""

DRAINED = 64_000_000
"""Bytes of a refused body that are read all the same, so that the client sees the answer."""


class Guard:
    """An ASGI application around Gradio's.

    Requests that name another host or come from another origin are refused, as are all routes that the page does not
    use. Uploads and shown files are handled here; events are checked before they are passed on. Answers tell the
    browser to ask nothing of other servers.

    Args:
        app: Gradio's application.
        page: its page.
        uploads: takes what is uploaded.
        shown: the folder whose files are given.
        origins: names under which the server may be asked.

    Attributes:
        present: how many connections each tab holds open for as long as it is there.
    """

    def __init__(self, app: App, page: gr.Blocks, uploads: Uploads, shown: Path, origins: Origins) -> None:
        self.app, self.page, self.uploads, self.origins = app, page, uploads, origins
        self.shown = shown.resolve()
        self.present: Counter[str] = Counter()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, _with_headers(send))
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: Message, receive: Receive, send: Send) -> None:
        body = Body(receive)
        request = Request(scope, body)
        try:
            self._check_origin(request)
            await (await self._answer(request))(scope, body, send)
        except Refused as refused:
            if refused.status != 408 and stated_length(request, 0) <= DRAINED:
                await body.drain(DRAINED)
            await _said(request, refused)(scope, body, send)
        except ClientDisconnect:
            pass

    def _check_origin(self, request: Request) -> None:
        headers, entry = request.headers, request.method == "GET" and request.url.path == "/"
        refusal = self.origins.refusal(
            headers.getlist("host"), headers.getlist("origin"), headers.get("sec-fetch-site", ""), entry
        )
        if refusal:
            raise Refused(403, refusal)

    async def _answer(self, request: Request) -> App:
        """The application that answers a request.

        Raises:
            Refused: there is none.
        """
        method, path = request.method, request.scope["path"]
        if method in ("GET", "HEAD"):
            if path.startswith(FILES):
                return self._file(path.removeprefix(FILES))
            if PLAIN.fullmatch(path) and ".." not in path:
                return self._passed()
            if path == RESULTS and method == "GET":
                tab = parse_qs(request.scope["query_string"].decode("latin-1")).get("session_hash", [""])[0]
                if _tab(tab) in self.page._queue.pending_messages_per_session:
                    return self._passed(f"session_hash={tab}")
            if path == PROGRESS:
                return Response(NO_PROGRESS, media_type="text/event-stream")
            if path.startswith(HEARTBEAT) and method == "GET":
                return self._heartbeat(_tab(path.removeprefix(HEARTBEAT)))
        elif method == "POST":
            if path == UPLOAD:
                return JSONResponse([str(await self.uploads.receive(request))])
            if path == EVENTS:
                event = checked_event(self.page, self.uploads.holds, await _event(request))
                return self._passed(body=event)
        raise Refused(404, "not found")

    def _file(self, path: str) -> Response:
        """A picture that the page shows, or a download."""
        try:
            place = Path(path).resolve()
            if place.is_relative_to(self.shown) and place.is_file():
                return FileResponse(place, headers={"Cache-Control": "no-store"})
        except (OSError, ValueError):  # too long a name, or one with a zero in it
            pass
        raise Refused(404, "not found")

    def _passed(self, query: str = "", body: bytes | None = None) -> App:
        """Gradio's application, given a request without what the page does not send."""

        async def passed(scope: Message, receive: Receive, send: Send) -> None:
            await self.app(self._cleaned(scope, query, body), receive if body is None else _once(body, receive), send)

        return passed

    def _cleaned(self, scope: Message, query: str, body: bytes | None) -> Message:
        """A request's scope with another query and length, and without names that nobody checked."""
        headers = [
            (name, value)
            for name, value in scope["headers"]
            if name not in (b"content-length", b"transfer-encoding", b"content-type", b"cookie")
            and (name != b"x-forwarded-host" or self.origins.answers_to(value.decode("latin-1")))
        ]
        if body is not None:
            headers += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        return {**scope, "query_string": query.encode(), "headers": headers}

    def _heartbeat(self, tab: str) -> App:
        """The connection that a tab holds open for as long as it is there."""
        passed = self._passed()

        async def counted(scope: Message, receive: Receive, send: Send) -> None:
            self.present[tab] += 1
            try:
                await passed(scope, receive, send)
            finally:
                self.present[tab] -= 1
                if not self.present[tab]:
                    del self.present[tab]

        return counted


def _tab(name: str) -> str:
    """Check the name by which a tab calls itself."""
    if not SESSION.fullmatch(name):
        raise Refused(404, "not found")
    return name


async def _event(request: Request) -> bytes:
    """Read the body of an event."""
    line = f"an event is larger than {MAX_EVENT} bytes"
    if stated_length(request, 0) > MAX_EVENT:
        raise Refused(413, line)
    return await Request(request.scope, bounded(request.receive, MAX_EVENT, line)).body()


def _once(body: bytes, receive: Receive) -> Receive:
    """A channel with a body that was read before."""
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def first() -> Message:
        return left.pop() if left else await receive()

    return first


def _with_headers(send: Send) -> Send:
    """A channel that adds `HEADERS` to each answer, in place of others of these names."""

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            others = [(name, value) for name, value in message["headers"] if name.lower() not in HEADERS]
            message["headers"] = [*others, *HEADERS.items()]
        await send(message)

    return guarded


def _said(request: Request, refused: Refused) -> Response:
    """The answer to a request that is refused; Gradio's script shows the detail of an event's."""
    headers = {"Cache-Control": "no-store"} | ({"Retry-After": "10"} if refused.status == 503 else {})
    if request.scope["path"] == EVENTS:
        return JSONResponse({"detail": refused.line}, refused.status, headers)
    return PlainTextResponse(refused.line, refused.status, headers)
