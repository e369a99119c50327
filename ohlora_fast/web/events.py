"""Events of the page, checked before Gradio sees them: it would fetch the address of any file that a value names."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import gradio as gr

from ohlora_fast.web.bodies import Refused

SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
NUMBER_OF_HEAD = re.compile(r"[1-9]\d{0,3}", re.ASCII)


def checked_event(page: gr.Blocks, holds_upload: Callable[[object], bool], body: bytes) -> bytes:
    """Check an event as the browser sends it, and return it with nothing else in it.

    Args:
        page: whose events are taken.
        holds_upload: tells whether a path is that of a photo which waits to be opened.
        body: the JSON of the request.

    Raises:
        Refused: it is none that the page sends (400).
    """
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, "expected an event as JSON") from None
    if not isinstance(event, dict):
        raise Refused(400, "expected an event as a JSON object")
    session, number, data = event.get("session_hash"), event.get("fn_index"), event.get("data")
    if not isinstance(session, str) or not SESSION.fullmatch(session):
        raise Refused(400, "session_hash: expected 1 to 64 letters and digits")
    function = page.fns.get(number) if type(number) is int else None
    if function is None or function.fn is None or any(name == "unload" for _, name in function.targets):
        raise Refused(400, "fn_index: expected the number of an event")
    inputs: list[Any] = list(function.inputs)
    if not isinstance(data, list) or len(data) != len(inputs):
        raise Refused(400, f"data: expected a list of {len(inputs)} values")
    for component, value in zip(inputs, data, strict=True):
        fits, expected = _check(component, value, holds_upload)
        if not fits:
            raise Refused(400, f"{component.label}: got {ascii(value)[:60]}, expected {expected}")
    data = [_bare(value) for value in data]
    taken = {"session_hash": session, "fn_index": number, "data": data, "event_data": None, "trigger_id": None}
    if function.collects_event_data:
        taken["event_data"] = {"index": _place(event.get("event_data")), "value": None}
    if type(event.get("trigger_id")) is int:
        taken["trigger_id"] = event["trigger_id"]
    return json.dumps(taken).encode()


def _check(component: Any, value: Any, holds_upload: Callable[[object], bool]) -> tuple[bool, str]:
    """Tell whether a component sends this value, and what it sends. Heads, which differ by photo, are numbers."""
    match component:
        case gr.Slider(minimum=low, maximum=high):
            return type(value) in (int, float) and low <= value <= high, f"a number from {low:g} to {high:g}"
        case gr.Checkbox():
            return isinstance(value, bool), "true or false"
        case gr.CheckboxGroup():
            return isinstance(value, list) and all(map(_is_head, value)), "numbers of heads"
        case gr.Dropdown() | gr.Radio():
            choices = [choice for _, choice in component.choices]
            return isinstance(value, str) and (value in choices or _is_head(value)), "one of its choices"
        case gr.Image():
            return value is None or (isinstance(value, dict) and holds_upload(value.get("path"))), "an uploaded photo"
        case _:
            return False, "no value"


def _is_head(value: object) -> bool:
    return isinstance(value, str) and NUMBER_OF_HEAD.fullmatch(value) is not None


def _bare(value: Any) -> Any:
    """A value, of which only the path is kept if it is a file."""
    return {"path": value["path"], "meta": {"_type": "gradio.FileData"}} if isinstance(value, dict) else value


def _place(event_data: Any) -> list[float]:
    """The place of a click, x and y."""
    place = event_data.get("index") if isinstance(event_data, dict) else None
    if (
        isinstance(place, list)
        and len(place) == 2
        and all(type(one) in (int, float) and abs(one) < 1e6 for one in place)
    ):
        return place
    raise Refused(400, "event_data: expected the place of a click, x and y")
