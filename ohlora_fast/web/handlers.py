"""What the page does when something happens on it."""

from __future__ import annotations

import html
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from ohlora_fast.errors import InputError
from ohlora_fast.web.portrait import Look, View, encode_full, encode_preview, open_portrait, picture
from ohlora_fast.web.visitors import Visit, Visitors

if TYPE_CHECKING:
    from ohlora_fast.stylist import HairStylist
    from ohlora_fast.web.limits import Limits

ALL = "all"
NO_HAIR = "No hair was found in this photo, so it stays as it is."
GONE = "This photo is no longer held here: please drop it again."


class Handlers:
    """The functions behind the page, for all its visitors.

    Args:
        stylist: finds and dyes the hair.
        limits: how much is taken.
        folder: where Gradio puts what is uploaded, and finds what it shows.
    """

    def __init__(self, stylist: HairStylist, limits: Limits, folder: Path) -> None:
        self.stylist = stylist
        self.max_pixels = limits.max_pixels
        self.folder = folder.resolve()
        self.visitors = Visitors(self.folder, limits.visitors, limits.minutes * 60)

    def open(self, request: gr.Request, upload: dict[str, Any] | None, view: View, *look: Any) -> tuple[Any, ...]:
        """Take a photo in, delete its file, and show it with the controls; or say why that is not possible.

        `upload` is what Gradio's `FileData` holds, as it came from the browser; `look` is what `Look` takes.
        """
        if upload is None:  # as when the camera is chosen
            return (gr.skip(),) * 6
        try:
            content, name = self._taken(upload)
            portrait = open_portrait(self.stylist, content, name, self.max_pixels)
        except InputError as error:
            return self._empty(str(error))
        visit = self.visitors.put(_key(request), portrait)
        pair = self._pair(visit, Look(*look), view, ALL)
        patches = [ALL, *map(str, range(1, len(portrait.patches) + 1))]
        return (
            None,
            gr.update(visible=False),
            gr.update(visible=True),
            pair,
            gr.update(choices=patches, value=ALL, visible=len(portrait.patches) > 1),
            "" if portrait.hair else _alert(NO_HAIR),
        )

    def _taken(self, upload: dict[str, Any]) -> tuple[bytes, str]:
        """Read an upload and delete its file; return its content and name.

        Raises:
            InputError: it is not there, or is no upload at all.
        """
        path = Path(upload["path"]).resolve()
        try:
            if not path.is_relative_to(self.folder):
                raise FileNotFoundError
            content = path.read_bytes()
            path.unlink()
        except OSError:
            raise InputError(f"cannot read {path.name}: the upload is gone; please drop it again") from None
        with suppress(OSError):  # the folder may hold the same photo under another name
            path.parent.rmdir()
        return content, path.name

    def change(self, request: gr.Request, view: View, patch: str, *look: Any) -> tuple[Any, Any]:
        """Show the photo with other settings."""
        visit = self.visitors.get(_key(request))
        if visit is None:
            return gr.skip(), _alert(GONE)
        try:
            return self._pair(visit, Look(*look), view, patch), gr.skip()
        except FileNotFoundError:  # the tab was closed in the meantime
            return gr.skip(), _alert(GONE)

    def download(self, request: gr.Request, patch: str, *look: Any) -> str:
        """Dye the photo in full size, and return the path of a file that the browser may fetch."""
        visit = self.visitors.get(_key(request))
        if visit is None:
            raise gr.Error(GONE)
        content, name = encode_full(self.stylist, visit.portrait, Look(*look), _number(patch))
        return str(visit.keep(name, content))

    def forget(self, request: gr.Request) -> tuple[Any, ...]:
        """Forget the photo, and ask for another."""
        self.visitors.end(_key(request))
        return self._empty("")

    def leave(self, request: gr.Request) -> None:
        """Forget the photo of a tab that is closed."""
        self.visitors.end(_key(request))

    def _pair(self, visit: Visit, look: Look, view: View, patch: str) -> tuple[str, str]:
        made = picture(self.stylist, visit.portrait, look, view, _number(patch))
        after = visit.keep_shown(*encode_preview(visit.portrait.preview, made))
        return str(visit.before), str(after)

    def _empty(self, reason: str) -> tuple[Any, ...]:
        return None, gr.update(visible=True), gr.update(visible=False), None, gr.skip(), _alert(reason)


def _key(request: gr.Request) -> str:
    return str(request.session_hash)


def _number(patch: str) -> int | None:
    return None if patch == ALL else int(patch) - 1


def _alert(text: str) -> str:
    """Say something on the page; a file's name in it is only text.

    >>> _alert("cannot read <b>.jpg")
    '<div role="alert">cannot read &lt;b&gt;.jpg</div>'
    """
    return f'<div role="alert">{html.escape(text)}</div>' if text else ""
