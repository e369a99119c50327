"""Runs the page, with settings that keep it to itself."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from ohlora_fast.errors import InputError
from ohlora_fast.web.limits import Limits

if TYPE_CHECKING:
    from ohlora_fast.stylist import HairStylist

CONNECTIONS = 400
"""Connections at a time; a tab holds a few. Files that a process may open are often 1024."""

LOG = "uvicorn.error"


@contextmanager
def serve(
    host: str = "127.0.0.1",
    port: int = 7860,
    stylist: HairStylist | None = None,
    limits: Limits | None = None,
    names: Iterable[str] = (),
) -> Iterator[str]:
    """Run the page for as long as the block lasts; its folder for files goes with it.

    Args:
        host: address to listen at; with "127.0.0.1" only this machine reaches it, with "0.0.0.0" every other may.
        port: to listen at; 0 for one that is free.
        stylist: finds and dyes the hair; None for the bundled student.
        limits: how much is taken; None for ``Limits()``.
        names: host names under which it may be asked besides this machine's, as of a reverse proxy.

    Yields:
        The page's address.

    Raises:
        InputError: nothing can listen there, a name is no host name, or Gradio is not installed.

    >>> from urllib.request import urlopen
    >>> with serve(port=0) as url:
    ...     urlopen(url).status
    200
    """
    with _listening(host, port) as listener, _own_folder() as folder, _environment(folder):
        try:
            import uvicorn

            from ohlora_fast.web.asgi import build_app
        except ImportError as error:
            raise _missing(error) from error
        app = build_app(stylist, limits, host, names)
        config = uvicorn.Config(
            app, http="h11", ws="none", lifespan="on", limit_concurrency=CONNECTIONS, timeout_graceful_shutdown=2,
            log_level="error", access_log=False, server_header=False,
        )  # fmt: skip
        with _running(uvicorn.Server(config), listener):
            shown = "localhost" if host in ("127.0.0.1", "::1") else f"[{host}]" if ":" in host else host
            try:
                yield f"http://{shown}:{listener.getsockname()[1]}/"
            finally:
                logging.getLogger(LOG).setLevel(logging.CRITICAL)  # tabs that are still open are no error
                app.page.close(verbose=False)


def _own_folder() -> AbstractContextManager[Path]:
    try:
        from ohlora_fast.web.folder import own_folder
    except ImportError as error:
        raise _missing(error) from error
    return own_folder()


def _missing(error: ImportError) -> InputError:
    return InputError(f"the web page needs Gradio ({error}); pip install 'ohlora-fast[web]'")


@contextmanager
def _running(server: Any, listener: socket.socket) -> Iterator[None]:
    """Run a server in a thread."""
    thread = Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        thread.join(10)


def _listening(host: str, port: int) -> socket.socket:
    """Listen at a port.

    Raises:
        InputError: nothing can listen there.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        raise InputError(f"cannot listen at {host}, port {port}: {error}") from error


@contextmanager
def _environment(folder: Path) -> Iterator[None]:
    """Tell Gradio what only its environment can tell: to use our folder, to keep no statistics, and to ask nobody.

    Statistics it would draw up anew after each event, with pandas.
    """
    settings = {
        "GRADIO_TEMP_DIR": str(folder),
        "GRADIO_ANALYTICS_CACHE_FREQUENCY": str(2**62),
        "GRADIO_ANALYTICS_MAX_EVENTS": "1",
        "GRADIO_ANALYTICS_ENABLED": "False",
    }
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
