"""A web page on which one drops a photo and dyes its hair: Gradio, on this machine alone unless told otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ohlora_fast.web.asgi import build_app
    from ohlora_fast.web.limits import Limits
    from ohlora_fast.web.server import serve

__all__ = ["Limits", "build_app", "serve"]

_HOMES = {"Limits": "limits", "build_app": "asgi", "serve": "server"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
