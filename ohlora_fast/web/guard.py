"""What lies around the page, so that neither the browser nor this program asks anything of other servers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Any, Send], Awaitable[None]]

POLICY = (
    b"default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    b"img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self' data:; worker-src 'self' blob:; "
    b"object-src 'none'; form-action 'self'; base-uri 'self'; frame-ancestors 'none'"
)
HEADERS = ((b"content-security-policy", POLICY), (b"referrer-policy", b"no-referrer"))
UNSTORED = (b"cache-control", b"no-store")
FILES = "/gradio_api/file="


class Guard:
    """An ASGI layer: the browser is told to ask nothing of others, and gets no file but those that are shown.

    What was uploaded is not given back, whatever it is; and Gradio is not to fetch `/file=https://…` for anybody.

    Args:
        app: what it lies around.
        shown: the name of the folders whose files are given.
    """

    def __init__(self, app: App, shown: str) -> None:
        self.app = app
        self.shown = f"/{shown}/"

    async def __call__(self, scope: Message, receive: Any, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"].replace("\\", "/")
        is_file = path.startswith(FILES)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = dict((*HEADERS, UNSTORED) if is_file else HEADERS)
                others = [(name, value) for name, value in message["headers"] if name.lower() not in own]
                message["headers"] = [*others, *own.items()]
            await send(message)

        if (is_file and self.shown not in path) or "=http" in path:
            await guarded({"type": "http.response.start", "status": 404, "headers": []})
            await guarded({"type": "http.response.body", "body": b""})
            return
        await self.app(scope, receive, guarded)
