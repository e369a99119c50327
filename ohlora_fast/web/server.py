"""Runs the page, with settings that keep it to itself."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ohlora_fast.errors import InputError
from ohlora_fast.web.limits import Limits

if TYPE_CHECKING:
    from ohlora_fast.stylist import HairStylist


@contextmanager
def serve(
    host: str = "127.0.0.1", port: int = 7860, stylist: HairStylist | None = None, limits: Limits | None = None
) -> Iterator[str]:
    """Run the page for as long as the block lasts; its folder for files goes with it.

    Args:
        host: address to listen at; with "127.0.0.1" only this machine reaches it, with "0.0.0.0" every other may.
        port: to listen at; 0 for one that is free.
        stylist: finds and dyes the hair; None for the bundled student.
        limits: how much is taken; None for ``Limits()``.

    Yields:
        The page's address.

    Raises:
        InputError: nothing can listen there, or Gradio is not installed.

    >>> from urllib.request import urlopen
    >>> with serve(port=0) as url:
    ...     urlopen(url).status
    200
    """
    limits = limits or Limits()
    port = _free_port(host, port)
    with _environment():
        try:
            from ohlora_fast.web.app import build_app
            from ohlora_fast.web.settings import launch_settings
        except ImportError as error:
            raise InputError(f"the web page needs Gradio ({error}); pip install 'ohlora-fast[web]'") from error
        app = build_app(stylist, limits)
        try:
            app.launch(
                server_name=host, server_port=port, prevent_thread_lock=True, quiet=True, **launch_settings(limits)
            )
            yield f"http://{'localhost' if host in ('127.0.0.1', '::1') else host}:{port}/"
        finally:
            app.close(verbose=False)


def _free_port(host: str, port: int) -> int:
    """Return the port, or a free one for 0.

    Raises:
        InputError: nothing can listen there.
    """
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as server:
            return int(server.getsockname()[1])
    except (OSError, OverflowError) as error:
        raise InputError(f"cannot listen at {host}, port {port}: {error}") from error


@contextmanager
def _environment() -> Iterator[None]:
    """Tell Gradio what only its environment can tell: to use a folder that goes afterwards, and to keep no statistics.

    These it would draw up anew after each event, with pandas.
    """
    with tempfile.TemporaryDirectory(prefix="ohlora-web-", ignore_cleanup_errors=True) as folder:
        settings = {"GRADIO_TEMP_DIR": folder, "GRADIO_ANALYTICS_CACHE_FREQUENCY": str(2**62)}
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
