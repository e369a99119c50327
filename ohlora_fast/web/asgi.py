"""The page as an ASGI application: Gradio's, behind `Guard`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr
from fastapi import FastAPI
from gradio.utils import get_upload_folder

from ohlora_fast.origins import Origins
from ohlora_fast.web.app import build_page
from ohlora_fast.web.guard import Guard
from ohlora_fast.web.handlers import Handlers
from ohlora_fast.web.limits import Limits
from ohlora_fast.web.style import css
from ohlora_fast.web.uploads import Uploads
from ohlora_fast.web.visitors import SHOWN, Visitors

if TYPE_CHECKING:
    from ohlora_fast.stylist import HairStylist

SWEEP = 20.0
"""Seconds between two looks for files that nobody needs any more."""


def build_app(
    stylist: HairStylist | None = None, limits: Limits | None = None, host: str = "127.0.0.1", names: Iterable[str] = ()
) -> Guard:
    """Build the page as an ASGI application. `serve` runs it; any other ASGI server can, in one process.

    Args:
        stylist: finds and dyes the hair; None for the bundled student.
        limits: how much is taken; None for ``Limits()``.
        host: address that the server listens at. With "127.0.0.1" requests must name this machine; with "0.0.0.0" any
            of its addresses.
        names: further host names under which it may be asked, as of a reverse proxy.

    Returns:
        The application, whose files lie in the folder $GRADIO_TEMP_DIR while a visitor is there.

    Raises:
        InputError: one of the names is no host name.

    >>> build_app(names=["hair.example.org"]).page.title
    'ohlora-fast'
    """
    from ohlora_fast.stylist import HairStylist

    limits = limits or Limits()
    origins = Origins(host, names)
    folder = Path(get_upload_folder()).resolve()
    uploads = Uploads(folder, limits)
    visitors = Visitors(folder, limits.visitors, limits.minutes * 60)
    page = build_page(Handlers(stylist or HairStylist(), limits.max_pixels, uploads, visitors), limits)

    page.state_session_capacity = limits.visitors

    @asynccontextmanager
    async def swept(_: FastAPI) -> AsyncIterator[None]:
        sweeper = asyncio.create_task(_sweep(page, uploads, visitors, guard))
        yield
        sweeper.cancel()

    outer = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, lifespan=swept)
    app = gr.mount_gradio_app(
        outer,
        page,
        path="/",
        theme=_theme(),
        css=css(),
        max_file_size=limits.max_bytes,
        enable_monitoring=False,
        run_history=False,
        mcp_server=False,
        ssr_mode=False,
        pwa=False,
        show_error=False,
        footer_links=[],
    )
    page.app = app.routes[-1].app
    guard = Guard(app, page, uploads, folder / SHOWN, origins)
    return guard


async def _sweep(page: gr.Blocks, uploads: Uploads, visitors: Visitors, guard: Guard) -> None:
    """Delete files that nobody needs any more, now and then, and the notes that Gradio takes of files."""
    while True:
        await asyncio.sleep(SWEEP)
        uploads.sweep()
        visitors.sweep(guard.present)
        for files in page.temp_file_sets:
            files.clear()


def _theme() -> gr.themes.Base:
    theme = gr.themes.Default(primary_hue="violet", font=["system-ui", "sans-serif"], font_mono=["monospace"])
    return theme.set(block_info_text_color="*neutral_500")
