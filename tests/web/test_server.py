"""The server itself: what it gives to whom, and what it refuses."""

import os
import socket
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio", reason="pip install 'ohlora-fast[web]'")

from ohlora_fast.cli import main
from ohlora_fast.errors import InputError
from ohlora_fast.stylist import HairStylist
from ohlora_fast.web import Limits, serve

from .conftest import (
    CHANGE,
    LOOK,
    MARK,
    METHOD,
    OPEN,
    PICK,
    SAME,
    SWITCH,
    fetch,
    file_data,
    join,
    open_photo,
    outputs,
    uploaded,
)


@pytest.fixture(scope="module")
def url(stylist):
    with serve(port=0, stylist=stylist, limits=Limits(megapixels=1)) as url:
        yield url


@pytest.fixture
def group(tmp_path, group_pixels):
    """Two people as a PNG file."""
    path = tmp_path / "group.png"
    Image.fromarray(group_pixels).save(path)
    return path


def test_the_browser_is_told_to_ask_nothing_of_others(url):
    status, headers, body = fetch(url)
    assert status == 200
    assert "default-src 'self'" in headers["content-security-policy"]
    assert b"ohlora-fast" in body


def test_an_upload_is_opened_and_gone(url, portrait):
    upload = uploaded(url, portrait)
    data = open_photo(url, upload)
    assert [Image.open(one["path"]).size for one in data[3]] == [(180, 200)] * 2
    assert not upload.parent.exists()
    shown = data[3][1]["path"]
    status, headers, body = fetch(f"{url}gradio_api/file={shown}")
    assert (status, headers["cache-control"], body) == (200, "no-store", Path(shown).read_bytes())


def test_files_that_were_not_uploaded_are_not_opened(url, portrait):
    folder = Path(os.environ["GRADIO_TEMP_DIR"])
    upload = uploaded(url, portrait)
    inside = folder / "uploads" / "x.png"
    inside.write_bytes(portrait.read_bytes())
    wrong = [
        portrait,
        folder / os.path.relpath(portrait, folder),
        inside,
        upload.parent,
        upload.parent / ".." / upload.name,
    ]
    for path in wrong:
        assert join(url, OPEN, [file_data(path), "dyed", *LOOK]) == 400
    assert portrait.exists()
    assert inside.exists()
    assert open_photo(url, upload)[3]
    assert join(url, OPEN, [file_data(upload), "dyed", *LOOK]) == 400
    inside.unlink()


def test_every_tab_has_a_photo_of_its_own(url, portrait, tmp_path):
    small = tmp_path / "small.png"
    Image.open(portrait).resize((90, 100)).save(small)
    open_photo(url, uploaded(url, portrait), "one")
    open_photo(url, uploaded(url, small), "two")
    for tab, size in {"one": (180, 200), "two": (90, 100)}.items():
        assert join(url, CHANGE, ["mask", [], "all", *LOOK], tab) == 200
        assert Image.open(outputs(url, tab)[0][1]["path"]).size == size


def test_natural_dyeing_shows_its_controls_and_dyes(url, portrait):
    open_photo(url, uploaded(url, portrait), "four")
    pictures = []
    for look in (
        LOOK,
        [*LOOK[:3], "natural", "copper", 0.9, 0.4, False],
        [*LOOK[:3], "natural", "copper", 0.9, 1, True],
    ):
        assert join(url, METHOD, [look[3]], "four") == 200
        assert outputs(url, "four")[0]["visible"] is (look[3] == "natural")
        assert join(url, CHANGE, ["dyed", [], "all", *look], "four") == 200
        pictures.append(np.asarray(Image.open(outputs(url, "four")[0][1]["path"]), int))
    assert np.abs(pictures[0] - pictures[1]).max() > 30
    assert np.abs(pictures[1] - pictures[2]).max() > 30
    assert join(url, CHANGE, ["dyed", [], "all", *LOOK[:4], "no palette", 0.9, 0.4, False], "four") == 400


def test_heads_are_switched_by_clicks_and_keep_their_colours(url, group, group_pixels, stylist):
    *_, marked, chosen, whose, message = open_photo(url, uploaded(url, group), "five")
    assert (chosen["value"], whose["choices"]) == (["1", "2"], [[one, one] for one in ("all", "1", "2")])
    assert message == ""
    small = Image.open(marked["path"])
    assert small.size == (360, 200)

    def act(function, data):
        assert join(url, function, data, "five") == 200
        return outputs(url, "five")

    def painted(chosen, whose, color):
        made = act(CHANGE, ["dyed", chosen, whose, color, *LOOK[1:]])[0][1]["path"]
        return np.asarray(Image.open(made), int)

    assert act(PICK, ["2"]) == [SAME]
    first = painted(["1", "2"], "2", 0.6)
    assert alike(first, stylist.dye(group_pixels, [0.9, 0.6], 1.0, 0.5))
    assert not alike(first, stylist.dye(group_pixels, 0.9, 1.0, 0.5))
    assert act(PICK, ["1"]) == [0.9]
    assert (painted(["1", "2"], "1", 0.9) == first).all()
    assert click(url, (90, 100), ["1", "2"], "five") == [["2"]]
    assert click(url, (90, 100), ["2"], "five") == [["1", "2"]]
    assert click(url, (2, 198), ["2"], "five") == [SAME]
    assert act(MARK, [["2"]])[0]["path"] != marked["path"]
    assert alike(painted(["2"], "1", 0.9), stylist.dye(group_pixels, 0.6, 1.0, 0.5, heads=[1]))


def alike(shown, pixels):
    """Whether a picture is these pixels, but for JPEG's loss."""
    return (np.abs(shown - pixels).max(2) > 30).mean() < 0.01


def click(url, place, chosen, tab):
    """Click at a place of the picture on which heads are chosen; return what comes of it."""
    event = {"fn_index": SWITCH, "session_hash": tab, "data": [chosen], "event_data": {"index": place, "value": None}}
    assert fetch(f"{url}gradio_api/queue/join", event)[0] == 200
    return outputs(url, tab)


def test_who_has_no_photo_is_told_so(url):
    assert join(url, CHANGE, ["dyed", [], "all", *LOOK], "three") == 200
    assert "drop it again" in outputs(url, "three")[1]


def test_more_than_may_wait_are_sent_away(portrait):
    go_on = threading.Event()

    class Slow(HairStylist):
        def find_hair(self, image, **options):
            go_on.wait(60)
            return super().find_hair(image, **options)

    with serve(port=0, stylist=Slow(threads=1), limits=Limits(queue=2)) as url:
        tabs = "abcdefgh"
        answers = [join(url, OPEN, [file_data(uploaded(url, portrait)), "dyed", *LOOK], tab) for tab in tabs]
        go_on.set()
        taken = [tab for tab, status in zip(tabs, answers, strict=True) if status == 200]
        assert 2 <= len(taken) < len(tabs)
        assert set(answers) == {200, 503}
        assert all(outputs(url, tab) for tab in taken)


def test_a_port_that_is_taken_is_one_line(stylist, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"cannot listen at 127.0.0.1, port {port}: "), serve(port=port):
            pass
        assert main(["web", "--port", str(port)]) == 1
    assert capsys.readouterr().err.startswith(f"ohlora-fast: error: cannot listen at 127.0.0.1, port {port}: ")


@pytest.mark.parametrize("option", [["--max-megapixels", "0"], ["--queue", "-1"], ["--max-megabytes", "x"]])
def test_limits_are_checked(option, capsys):
    assert main(["web", *option]) == 2
    assert "allowed is" in capsys.readouterr().err
