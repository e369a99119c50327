"""The page: its layout, and which event calls what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.utils import LRUCache

from ohlora_fast.colors import PALETTE
from ohlora_fast.palettes import PALETTES
from ohlora_fast.web.handlers import ALL, Handlers
from ohlora_fast.web.limits import Limits
from ohlora_fast.web.portrait import BY_COLOR, Look
from ohlora_fast.web.style import swatch_id

if TYPE_CHECKING:
    from ohlora_fast.web.portrait import View

ABOUT = """\
## Dye hair
Drop a photo of one or more people, or take one with the camera. It is held in memory by the computer that runs this \
page, until you close the tab.
"""
METHODS = ("seed", "natural")
VIEWS: tuple[View, ...] = ("dyed", "overlay", "mask")
AT_ONCE = 2
"""Photos that are worked on at the same time."""

SESSIONS = 2000
"""Tabs whose events Gradio remembers; without a limit, each name that a client makes up would stay."""

FETCH = "() => document.querySelector('#file').click()"


def build_page(handlers: Handlers, limits: Limits) -> gr.Blocks:
    """Lay the page out. What reaches it is not checked here but by `Guard`.

    Args:
        handlers: the functions behind it.
        limits: how much is taken.

    Returns:
        A page of Gradio that keeps no files of its own: `handlers` deletes them all.
    """
    with gr.Blocks(title="ohlora-fast", analytics_enabled=False) as page:
        _lay_out(handlers, limits)
        page.unload(handlers.leave)
    page.queue(max_size=limits.queue, api_open=False)
    page._queue.pending_event_ids_session = LRUCache(SESSIONS)
    return page


def _lay_out(handlers: Handlers, limits: Limits) -> None:
    gr.Markdown(ABOUT)
    taken = f"JPEG, PNG, WebP, TIFF or BMP, up to {limits.megabytes:g} MB and {limits.megapixels:g} megapixels"
    message = gr.HTML(elem_id="message", padding=False)
    with gr.Column() as empty:
        photo = gr.Image(
            label=f"Photo: {taken}", type="filepath", sources=["upload", "webcam", "clipboard"], height=420,
            elem_id="photo", buttons=[],
        )  # fmt: skip
    with gr.Row(visible=False) as filled:
        with gr.Column(scale=3, min_width=320):
            pair = gr.ImageSlider(
                label="Before and after", interactive=False, max_height=640, buttons=["fullscreen"], elem_id="pair"
            )
            other = gr.Button("Another photo", elem_id="other")
        with gr.Column(scale=2, min_width=320):
            with gr.Column(visible=False) as several:
                heads = gr.Image(show_label=False, interactive=False, type="filepath", buttons=[], elem_id="heads")
                chosen = gr.CheckboxGroup(
                    [], label="Dyed heads", elem_id="chosen", info="click one in the picture, or its number here"
                )
                whose = gr.Dropdown(
                    [ALL], value=ALL, label="Colour of", filterable=False, elem_id="whose",
                    info="all heads, or one; each keeps the colour it was given",
                )  # fmt: skip
            with gr.Row(elem_id="palette"):
                swatches = {name: gr.Button(name, size="sm", elem_id=swatch_id(name)) for name in PALETTE}
            color = gr.Slider(0, 1, Look.color, step=0.001, label="Colour", elem_id="color")
            height = gr.Slider(
                0, 1, Look.height, step=0.01, label="Height", elem_id="height",
                info="how far up the colour goes, from the lowest hair",
            )  # fmt: skip
            grad = gr.Slider(
                0, 1, Look.grad, step=0.01, label="Gradient", elem_id="grad",
                info="which share of that height it fades in over",
            )  # fmt: skip
            method = gr.Radio(
                METHODS, value=Look.method, label="Method", elem_id="method",
                info="seed: a plain tint; natural: as dyed hair looks",
            )  # fmt: skip
            with gr.Column(visible=False) as of_natural:
                palette = gr.Dropdown(
                    [BY_COLOR, *PALETTES], value=Look.palette, label="Palette", elem_id="natural-palette",
                    info="colours from root to tip, in place of the colour slider's",
                )  # fmt: skip
                strength = gr.Slider(
                    0, 1, Look.strength, step=0.01, label="Strength", elem_id="strength",
                    info="how much of the natural colour is covered",
                )  # fmt: skip
                lift = gr.Slider(
                    0, 1, Look.lift, step=0.01, label="Lift", elem_id="lift",
                    info="how far dark hair is bleached first",
                )  # fmt: skip
            fine = gr.Checkbox(
                Look.fine, label="Fine strands", elem_id="fine", info="finer than the mask, from the photo itself"
            )
            view = gr.Radio(VIEWS, value=VIEWS[0], label="Show", elem_id="view")
            get = gr.Button("Download in full size", variant="primary", elem_id="get")
            file = gr.DownloadButton(visible="hidden", elem_id="file")

    look: list[Any] = [color, height, grad, method, palette, strength, lift, fine]  # in the order of `Look`
    page = [photo, empty, filled, pair, several, heads, chosen, whose, message]
    # Events were checked when they came in. Gradio would open photos with Pillow, and fail without saying why.
    private: dict[str, Any] = {"api_visibility": "private", "preprocess": False}
    dyes = private | {"concurrency_id": "dye", "concurrency_limit": AT_ONCE}
    photo.input(handlers.open, [photo, view, *look], page, show_progress_on=photo, **dyes)
    controls = [view, chosen, whose, *look]
    changes = [one.change for one in controls if one is not whose]
    gr.on(
        changes, handlers.change, controls, [pair, message], show_progress="hidden", trigger_mode="always_last", **dyes
    )
    method.change(
        lambda chosen: gr.update(visible=chosen == "natural"), method, of_natural, show_progress="hidden", **private
    )
    chosen.change(handlers.mark, chosen, heads, show_progress="hidden", trigger_mode="always_last", **private)
    heads.select(handlers.switch, chosen, chosen, show_progress="hidden", **private)
    whose.change(handlers.pick, whose, color, show_progress="hidden", **private)
    for name, button in swatches.items():
        button.click(None, None, color, js=f"() => {PALETTE[name]:.3f}", **private)
    other.click(handlers.forget, None, page, **private)
    # A lane of its own: a large PNG takes seconds to encode, and nobody else's slider is to wait for that.
    made = get.click(handlers.download, [chosen, *look], file, concurrency_limit=1, **private)
    made.success(None, js=FETCH, **private)
