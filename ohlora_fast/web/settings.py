"""How Gradio is to run the page."""

from __future__ import annotations

from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from ohlora_fast.web.guard import Guard
from ohlora_fast.web.limits import Limits
from ohlora_fast.web.style import css
from ohlora_fast.web.visitors import SHOWN


def launch_settings(limits: Limits) -> dict[str, Any]:
    """Return what `gradio.Blocks.launch` takes: the page's looks, its limits, and nothing that reaches out.

    >>> launch_settings(Limits(megabytes=2))["max_file_size"]
    2000000
    """
    theme = gr.themes.Default(primary_hue="violet", font=["system-ui", "sans-serif"], font_mono=["monospace"])
    return {
        "theme": theme.set(block_info_text_color="*neutral_500"),
        "css": css(),
        "max_file_size": limits.max_bytes,
        "state_session_capacity": limits.visitors,
        "app_kwargs": {"middleware": [Middleware(Guard, shown=SHOWN)]},
        "share": False,
        "enable_monitoring": False,
        "run_history": False,
        "mcp_server": False,
        "ssr_mode": False,
        "pwa": False,
        "show_error": False,
        "footer_links": [],
    }
