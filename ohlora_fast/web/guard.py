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
PICTURES = "/gradio_api/file="


class Guard:
    """An ASGI layer: the browser is told to ask nothing of others and to store no picture.

    Args:
        app: what it lies around.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Any, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                stored = ((b"cache-control", b"no-store"),) if scope["path"].startswith(PICTURES) else ()
                set_here = dict(HEADERS + stored)
                others = [(name, value) for name, value in message["headers"] if name.lower() not in set_here]
                message["headers"] = [*others, *set_here.items()]
            await send(message)

        if "=http" in scope["path"]:  # Gradio would fetch /file=https://… and /proxy=https://… for whoever asks
            await guarded({"type": "http.response.start", "status": 404, "headers": []})
            await guarded({"type": "http.response.body", "body": b""})
            return
        await self.app(scope, receive, guarded)
