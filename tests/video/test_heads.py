"""Several heads in a film: each has its number, its colours and its rows, and nothing else is touched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from ohlora_fast import HairStylist, InputError, NaturalDye, Ombre
from ohlora_fast.media.encoding import Encoding
from ohlora_fast.media.frames import planes_of, rgb_of
from ohlora_fast.media.video_reader import VideoReader
from ohlora_fast.video import Keyframes, dye_video
from ohlora_fast.video.dyer import Found, FrameDyer
from ohlora_fast.video.live import Live
from ohlora_fast.video.tracking import EVERY, SOON

from .conftest import frames_of

LOSSLESS = Encoding(crf=0)
HEIGHT, WIDTH = 240, 426
RED, GREEN = Ombre(0.0, 1.0, 0.0), Ombre(0.33, 1.0, 0.0)
Clip = Callable[..., Path]
Group = Callable[..., np.ndarray]


@pytest.fixture(scope="module")
def group() -> Group:
    """Make a frame with the astronaut's head window at places, side 130, on a ground that nobody is in."""
    window = pytest.importorskip("skimage.data").astronaut()[0:320, 60:380]
    head = cv2.resize(window, (130, 130), interpolation=cv2.INTER_AREA)
    draw = np.random.default_rng(0).integers(90, 130, (12, 20, 3), np.uint8)
    ground = cv2.resize(draw, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)

    def made(*places: tuple[int, int]) -> np.ndarray:
        frame = ground.copy()
        for x, y in places:
            left, right = max(x, 0), min(x + 130, WIDTH)
            if left < right:
                frame[y : y + 130, left:right] = head[:, left - x : right - x]
        return frame

    return made


def found_in(dyer: FrameDyer, pixels: np.ndarray, pixel_format: str = "yuv420p") -> Found:
    return dyer.find(av.VideoFrame.from_ndarray(pixels).reformat(format=pixel_format))


def numbers(found: Found) -> list[int]:
    return [part.key[1] for part in found.parts]


def change(before: Path, after: Path, number: int = 0) -> np.ndarray:
    """How a frame's RGB changed, (H, W, 3)."""
    was, now = (rgb_of(frames_of(path)[number]).astype(int) for path in (before, after))
    return now - was


PLACES = ((25, 10), (275, 100))
LEFT, RIGHT = (np.s_[y : y + 130, x : x + 130] for x, y in PLACES)


def dyed(source: Path, out: str = "out.mp4", **options: object) -> Path:
    path = source.with_name(out)
    dye_video(source, path, **({"encoding": LOSSLESS} | options))  # type: ignore[arg-type]
    return path


def test_each_head_is_dyed_as_in_a_photo(clip: Clip, group: Group, stylist: HairStylist) -> None:
    pixels = group(*PLACES)
    source = clip(frames=[pixels] * 2, pixel_format="yuv444p")
    out = dyed(source, stylist=stylist, ombre=(RED, GREEN), heads=[0, 1])
    before = rgb_of(frames_of(source)[0])
    wanted = stylist.dye(before, [0.0, 0.33], 1.0, 0.0)
    hair = (wanted != before).any(-1)
    assert hair[LEFT].sum() > 1000 < hair[RIGHT].sum()
    apart = abs(rgb_of(frames_of(out)[0]).astype(int) - wanted).max(-1)
    assert apart[hair].mean() < 3
    assert (change(source, out)[~cv2.dilate(hair.astype(np.uint8), np.ones((5, 5))).astype(bool)] == 0).all()


def test_each_head_has_its_own_rows(clip: Clip, group: Group, stylist: HairStylist) -> None:
    """The lower half of each head's hair is dyed, whatever the other's height."""
    source = clip(frames=[group(*PLACES)])
    out = dyed(source, stylist=stylist, ombre=Ombre(0.0, 0.5, 0.0))
    rows = []
    for there in (LEFT, RIGHT):
        changed = np.flatnonzero((abs(change(source, out)[there]).max(-1) > 8).any(1))
        rows.append((changed[0], changed[-1]))
    (top, bottom), (other_top, other_bottom) = rows
    assert abs(top - other_top) <= 6
    assert abs(bottom - other_bottom) <= 6


def test_numbers_stay_with_heads_that_move_and_go_on_with_who_comes(group: Group, stylist: HairStylist) -> None:
    dyer, seen = FrameDyer(stylist, 0.8), []
    for step in range(18):  # the second one leaves to the right
        found = found_in(dyer, group((25 + 2 * step, 10), (290 + 8 * step, 100)))
        assert len(found.parts) >= 1
        first = next(part for part in found.parts if part.key[1] == 0)
        assert first.box[:2] == pytest.approx([75 + 2 * step, 12], abs=16)
        seen.append(numbers(found))
        dyer.dye(found, lambda number: RED)
    assert seen[0] == [0, 1]
    assert all(0 in frame for frame in seen)
    for _ in range(40):
        found = found_in(dyer, group((60, 10)))
    assert numbers(found) == [0]
    for _ in range(EVERY + SOON + 1):
        found = found_in(dyer, group((60, 10), (275, 90)))
    assert numbers(found) == [0, 2]


def test_a_head_that_hides_for_a_moment_does_not_flicker(group: Group, stylist: HairStylist) -> None:
    frames, hides = [group(*PLACES)] * 30, range(8, 20)
    dyer, strengths = FrameDyer(stylist, 0.8), []
    for number, pixels in enumerate(frames):
        face = pixels.copy()
        if number in hides:  # a hand over the face; the hair shows
            face[145:210, 325:372] = (200, 160, 140)
        found = found_in(dyer, face)
        before = planes_of(found.frame)[2].astype(int)
        dyer.dye(found, lambda number: RED)
        strengths.append((planes_of(found.frame)[2] - before)[50:115, 130:210].clip(0).sum())
        assert numbers(found) == [0, 1]
    assert min(strengths) > 0.6 * max(strengths)
    assert abs(np.diff(strengths)).max() < 0.2 * max(strengths)


@pytest.mark.parametrize(("smooth", "looks"), [(0.8, [2, 1, 1, 1, 1]), (0.0, [2, 2, 2, 2, 2])])
def test_the_student_looks_at_two_heads_in_turn(
    group: Group, stylist: HairStylist, monkeypatch: pytest.MonkeyPatch, smooth: float, looks: list[int]
) -> None:
    sizes, predict = [], stylist.student.predict
    monkeypatch.setattr(stylist.student, "predict", lambda views: sizes.append(len(views)) or predict(views))
    dyer, changes = FrameDyer(stylist, smooth), []
    for _ in looks:
        found = found_in(dyer, group(*PLACES))
        before = planes_of(found.frame)[2].astype(int)
        dyer.dye(found, lambda number: RED)
        changes.append(abs(planes_of(found.frame)[2] - before).sum())
    assert sizes == looks
    assert min(changes) > 0.98 * max(changes) > 0


@pytest.mark.parametrize(("heads", "dyed_there"), [((0,), (True, False)), ((1,), (False, True)), (1, (False, True))])
def test_heads_are_picked_by_number(
    clip: Clip, group: Group, stylist: HairStylist, heads: Sequence[int], dyed_there: tuple[bool, bool]
) -> None:
    source = clip(frames=[group(*PLACES)] * 2)
    made = change(source, dyed(source, stylist=stylist, ombre=RED, heads=heads), 1)
    assert ((made[LEFT] != 0).any(), (made[RIGHT] != 0).any()) == dyed_there


def test_a_number_that_nobody_has_leaves_frames_as_they_are(clip: Clip, group: Group, stylist: HairStylist) -> None:
    source = clip(frames=[group(*PLACES)] * 2)
    out = source.with_name("out.mp4")
    done = dye_video(source, out, RED, encoding=LOSSLESS, stylist=stylist, heads=[4])
    assert (done.bald, done.notes) == (2, ("head 5 is not in it",))
    assert (change(source, out) == 0).all()


def test_where_nobody_is_nothing_is_dyed(clip: Clip, group: Group, stylist: HairStylist) -> None:
    source = clip(frames=[group()] * 3)
    out = source.with_name("out.mp4")
    assert dye_video(source, out, RED, encoding=LOSSLESS, stylist=stylist).bald == 3
    for before, after in zip(frames_of(source), frames_of(out), strict=True):
        assert all((a == b).all() for a, b in zip(planes_of(before), planes_of(after), strict=True))


def test_a_portrait_is_dyed_as_a_whole_frame(clip: Clip, stylist: HairStylist) -> None:
    source = clip()
    auto, whole = (
        dyed(source, f"{heads}.mp4", stylist=stylist, ombre=RED, heads=heads, method="natural")
        for heads in ("auto", "whole")
    )
    assert auto.read_bytes() == whole.read_bytes()


def test_a_whole_frame_has_one_gradient(clip: Clip, group: Group, stylist: HairStylist) -> None:
    """Looked at as a whole, the higher head's hair is the upper half of all hair, and stays as it is."""
    source = clip(frames=[group(*PLACES)])
    out = dyed(source, stylist=stylist, ombre=Ombre(0.0, 0.5, 0.0), heads="whole")
    assert (change(source, out)[0:70] == 0).all()


def test_each_head_s_hair_is_measured_for_itself(group: Group, stylist: HairStylist) -> None:
    dark = group(*PLACES)
    dark[:, WIDTH // 2 :] = dark[:, WIDTH // 2 :] // 2
    dyer = FrameDyer(stylist, 0.8, method=("natural", NaturalDye("copper", highlights="gold")), heads=(0, 1))
    for _ in range(3):
        found = found_in(dyer, dark)
        before = [plane.copy() for plane in planes_of(found.frame)]
        dyer.dye(found, lambda number: GREEN)
    light, other = (dyer.dyers[0, number].measured for number in (0, 1))
    assert light is not None
    assert other is not None
    assert light.mean > 1.2 * other.mean
    assert light.streaks is None
    assert other.streaks is not None
    blue, red = (planes_of(found.frame)[plane].astype(int) - before[plane] for plane in (1, 2))
    assert red[5:75, 5:85].sum() < 0 < red[45:115, 130:210].sum()  # green, and copper
    assert blue[45:115, 130:210].sum() < 0


def test_keyframes_are_for_all_heads_or_a_function_of_the_number(
    clip: Clip, group: Group, stylist: HairStylist
) -> None:
    source = clip(frames=[group(*PLACES)] * 2)
    rising = Keyframes.parse("0:ombre-height=0; 0.04:ombre-height=1", RED)
    hues = (0.0, 0.33)
    each = dyed(source, stylist=stylist, ombre=lambda number: Keyframes(Ombre(hues[number]), rising.tracks))
    assert abs(change(source, each)).mean() < 0.2
    later = change(source, each, 1)
    for there, most in ((LEFT, 0), (RIGHT, 1)):
        assert later[there].mean((0, 1)).argmax() == most


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"heads": "all"}, "heads: got 'all', allowed are 'auto', 'whole', or numbers of heads from 0 on, each once"),
        ({"heads": [-1]}, "heads: got .*, allowed are 'auto'"),
        ({"heads": [1, 1]}, "heads: got .*, allowed are 'auto'"),
        ({"heads": []}, "heads: got .*, allowed are 'auto'"),
        ({"heads": [[0, 0, 9, 9]]}, "heads: got .*, allowed are 'auto'"),
        ({"ombre": [RED, GREEN]}, "ombre: got 2 for heads='auto', allowed are one for all, one for each number"),
        ({"ombre": [RED, GREEN], "heads": [0]}, "ombre: got 2 for 1 heads?, allowed are one for all or one a head"),
        ({"method": ["seed"], "heads": [0, 1]}, "method: got 1 for 2 heads, allowed are one for all or one a head"),
        ({"method": ["seed", "wet"], "heads": [0, 1]}, "method: got 'wet'"),
        (
            {"method": ["seed", NaturalDye("copper")], "heads": [0, 1], "ombre": Keyframes.parse("0:color=1")},
            "keyframes: color came, but the dye is 'copper'",
        ),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_written(
    clip: Clip, stylist: HairStylist, options: dict[str, object], said: str
) -> None:
    source = clip()
    with pytest.raises(InputError, match=said):
        dyed(source, stylist=stylist, **options)
    assert [path.name for path in source.parent.iterdir()] == ["in.mp4"]


def test_a_camera_s_heads_have_their_colours(clip: Clip, group: Group, stylist: HairStylist) -> None:
    source = clip(frames=[group(*PLACES)] * 3)
    live = Live(lambda: VideoReader(source), stylist, RED, 0.5, once=True, heads=[1, 0], colors=(0.0, 0.33))
    live.run()
    (picture,) = live.pictures
    seen = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)[..., ::-1].astype(int)
    made = seen - rgb_of(frames_of(source)[0])
    assert made[RIGHT].mean((0, 1)).argmax() == 0
    assert made[LEFT].mean((0, 1)).argmax() == 1
