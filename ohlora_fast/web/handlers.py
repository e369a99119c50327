"""What the page does when something happens on it."""

from __future__ import annotations

import html
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import gradio as gr

from ohlora_fast.errors import InputError
from ohlora_fast.web.portrait import (
    Look,
    Portrait,
    View,
    choice_picture,
    encode_full,
    encode_preview,
    open_portrait,
    picture,
)
from ohlora_fast.web.visitors import Visit, Visitors

if TYPE_CHECKING:
    from ohlora_fast.stylist import HairStylist
    from ohlora_fast.web.uploads import Uploads

ALL = "all"
NO_HAIR = "No hair was found in this photo, so it stays as it is."
GONE = "This photo is no longer held here: please drop it again."


class Handlers:
    """The functions behind the page, for all its visitors.

    Args:
        stylist: finds and dyes the hair.
        max_pixels: what a photo may decode to.
        uploads: where photos come from.
        visitors: where they are held.
    """

    def __init__(self, stylist: HairStylist, max_pixels: int, uploads: Uploads, visitors: Visitors) -> None:
        self.stylist, self.max_pixels, self.uploads, self.visitors = stylist, max_pixels, uploads, visitors

    def open(self, request: gr.Request, upload: dict[str, Any] | None, view: View, *look: Any) -> tuple[Any, ...]:
        """Take a photo in, delete its file, and show it with the controls; or say why that is not possible.

        `upload` names an upload's path; `look` is what `Look` takes.
        """
        if upload is None:  # as when the camera is chosen
            return (gr.skip(),) * 9
        try:
            content, name = self.uploads.take(upload["path"])
            portrait = open_portrait(self.stylist, content, name, self.max_pixels)
        except InputError as error:
            return self._empty(str(error))
        try:
            return self._opened(_key(request), portrait, view, Look(*look))
        except FileNotFoundError:  # others' photos took the room, or the tab was closed
            return self._empty(GONE)

    def _opened(self, key: str, portrait: Portrait, view: View, look: Look) -> tuple[Any, ...]:
        """Hold a photo, and show it with the controls."""
        visit = self.visitors.put(key, portrait, look.color)
        numbers = [str(number) for number in range(1, len(portrait.hair) + 1)] if len(portrait.hair) > 1 else []
        return (
            None,
            gr.update(visible=False),
            gr.update(visible=True),
            self._pair(visit, look, view, numbers),
            gr.update(visible=bool(numbers)),
            self._choice(visit, numbers) if numbers else None,
            gr.update(choices=numbers, value=numbers),
            gr.update(choices=[ALL, *numbers], value=ALL),
            "" if portrait.with_hair else _alert(NO_HAIR),
        )

    def change(self, request: gr.Request, view: View, chosen: list[str], whose: str, *look: Any) -> tuple[Any, Any]:
        """Show the photo with other settings; `chosen` are the numbers of the heads that are dyed.

        A move of the colour slider goes to the head `whose`, or to all.
        """
        visit = self.visitors.get(_key(request))
        if visit is None:
            return gr.skip(), _alert(GONE)
        settings = Look(*look)
        visit.paint(settings.color, None if whose == ALL else int(whose) - 1)
        try:
            return self._pair(visit, settings, view, chosen), gr.skip()
        except FileNotFoundError:  # the tab was closed in the meantime
            return gr.skip(), _alert(GONE)

    def mark(self, request: gr.Request, chosen: list[str]) -> Any:
        """Show which heads are dyed on the picture on which they are chosen."""
        visit = self.visitors.get(_key(request))
        if visit is None or len(visit.colors) < 2:
            return gr.skip()
        with suppress(FileNotFoundError):  # the tab was closed in the meantime
            return self._choice(visit, chosen)
        return gr.skip()

    def switch(self, request: gr.Request, event: gr.SelectData, chosen: list[str]) -> Any:
        """Switch the head on which was clicked on or off."""
        visit = self.visitors.get(_key(request))
        if visit is None:
            return gr.skip()
        x, y = event.index
        wide, high = visit.portrait.choice_size
        head = visit.portrait.head_at((x + 0.5) / wide, (y + 0.5) / high)
        if head is None:
            return gr.skip()
        return sorted(set(chosen) ^ {str(head + 1)}, key=int)

    def pick(self, request: gr.Request, whose: str) -> Any:
        """Move the colour slider to the colour of a head."""
        visit = self.visitors.get(_key(request))
        head = -1 if whose == ALL else int(whose) - 1
        if visit is None or not 0 <= head < len(visit.colors) or visit.colors[head] == visit.slider:
            return gr.skip()
        visit.slider = visit.colors[head]
        return visit.slider

    def download(self, request: gr.Request, chosen: list[str], *look: Any) -> str:
        """Dye the photo in full size, and return the path of a file that the browser may fetch."""
        visit = self.visitors.get(_key(request))
        if visit is None:
            raise gr.Error(GONE, print_exception=False)
        content, name = encode_full(self.stylist, visit.portrait, Look(*look), _colors(visit, chosen))
        try:
            return str(visit.keep(name, content))
        except FileNotFoundError:  # the tab was closed in the meantime
            raise gr.Error(GONE, print_exception=False) from None

    def forget(self, request: gr.Request) -> tuple[Any, ...]:
        """Forget the photo, and ask for another."""
        self.visitors.end(_key(request))
        return self._empty("")

    def leave(self, request: gr.Request) -> None:
        """Forget the photo of a tab that is closed."""
        self.visitors.end(_key(request))

    def _pair(self, visit: Visit, look: Look, view: View, chosen: list[str]) -> tuple[str, str]:
        made = picture(self.stylist, visit.portrait, look, view, _colors(visit, chosen))
        after = visit.keep_shown(*encode_preview(visit.portrait.preview, made))
        return str(visit.before), str(after)

    def _choice(self, visit: Visit, chosen: list[str]) -> str:
        return str(visit.keep_shown(*choice_picture(visit.portrait, _colors(visit, chosen)), "heads"))

    def _empty(self, reason: str) -> tuple[Any, ...]:
        hidden = gr.update(visible=False)
        return None, gr.update(visible=True), hidden, None, hidden, None, gr.skip(), gr.skip(), _alert(reason)


def _key(request: gr.Request) -> str:
    return str(request.session_hash)


def _colors(visit: Visit, chosen: list[str]) -> dict[int, float]:
    """The heads that are dyed and their colours; a head that is alone is not to be chosen."""
    alone = len(visit.colors) == 1
    return {index: color for index, color in enumerate(visit.colors) if alone or str(index + 1) in chosen}


def _alert(text: str) -> str:
    """Say something on the page; a file's name in it is only text.

    >>> _alert("cannot read <b>.jpg")
    '<div role="alert">cannot read &lt;b&gt;.jpg</div>'
    """
    return f'<div role="alert">{html.escape(text)}</div>' if text else ""
