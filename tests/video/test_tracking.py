"""Heads that move, come, hide and go keep their numbers; the finder's answers are written down here."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ohlora_fast.heads.boxes import Heads
from ohlora_fast.heads.crops import Window
from ohlora_fast.video.tracking import CARRY_S, EVERY, FADE_S, SOON, Track, Tracker

HEIGHT, WIDTH = 180, 320
STEP = 0.04
Boxes = list[tuple[float, float, float, float]]


def picture(seed: int = 0) -> np.ndarray:
    """A ground with something to hold on to."""
    draw = np.random.default_rng(seed).integers(0, 256, (18, 32, 3), np.uint8)
    return cv2.resize(draw, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


GROUND = picture()


class Film:
    """Frames of a tracker whose finder sees what `seen` says; each frame's heads are noted by number."""

    def __init__(self) -> None:
        self.seen: Boxes = []
        self.tracker = Tracker(self.find, threads=1)
        self.count = 0

    def find(self, frame: np.ndarray) -> Heads:
        return Heads(np.array(self.seen, np.float32).reshape(-1, 4), np.ones(len(self.seen), np.float32))

    def play(self, count: int, seen: Boxes, frame: np.ndarray = GROUND) -> list[dict[int, Track]]:
        """What is there in each of some frames."""
        self.seen, frames = seen, []
        for _ in range(count):
            found = self.tracker(frame, self.count * STEP)
            frames.append({track.number: Track(**vars(track)) for track in found})
            self.count += 1
        return frames


LEFT, RIGHT, THIRD = (40, 40, 80, 90), (200, 60, 240, 110), (120, 30, 160, 80)


def test_heads_are_numbered_from_the_left_and_there_at_once() -> None:
    first, *_ = Film().play(1, [LEFT, RIGHT])
    assert {number: track.box.tolist() for number, track in first.items()} == {0: list(LEFT), 1: list(RIGHT)}
    assert all(track.presence == 1 for track in first.values())


def test_a_newcomer_is_seen_twice_fades_in_and_has_the_next_number() -> None:
    film = Film()
    film.play(2 * EVERY, [LEFT, RIGHT])
    frames = film.play(2 * EVERY, [LEFT, THIRD, RIGHT])
    came = [2 in frame for frame in frames].index(True)
    assert came == SOON
    presences = [frame[2].presence for frame in frames[came:]]
    assert 0 < presences[0] < 1
    assert sorted(presences) == presences
    assert presences[-1] == 1
    assert all(frame[0].presence == frame[1].presence == 1 for frame in frames)


def test_what_is_seen_once_is_no_head() -> None:
    film = Film()
    film.play(EVERY, [LEFT])
    film.play(1, [LEFT, RIGHT])
    assert all(set(frame) == {0} for frame in film.play(40, [LEFT]))
    assert film.tracker.numbers == {0}


def test_a_head_that_turns_away_is_carried_on() -> None:
    film = Film()
    film.play(EVERY, [LEFT, RIGHT])
    away = film.play(round(0.8 * CARRY_S / STEP), [RIGHT])
    back = film.play(2 * EVERY, [LEFT, RIGHT])
    assert all(frame[0].presence == 1 for frame in away + back)
    assert film.tracker.numbers == {0, 1}


def test_a_head_that_is_gone_fades_out_and_its_number_is_not_given_again() -> None:
    film = Film()
    film.play(EVERY, [LEFT, RIGHT])
    frames = film.play(round((CARRY_S + 2 * FADE_S) / STEP) + EVERY, [RIGHT])
    presences = [frame[0].presence for frame in frames if 0 in frame]
    assert min(presences) < 0.5
    assert sorted(presences, reverse=True) == presences
    assert set(frames[-1]) == {1}
    assert set(film.play(3 * EVERY, [LEFT, RIGHT])[-1]) == {1, 2}


def test_a_head_that_leaves_the_frame_goes_at_once() -> None:
    film = Film()
    film.play(1, [LEFT, (300, 60, 330, 100)])
    film.tracker.tracks[1].box = film.tracker.tracks[1].box + np.float32(20)
    frames = film.play(EVERY + round(FADE_S / STEP) + 1, [LEFT])
    assert len(frames) * STEP < CARRY_S
    assert set(frames[-1]) == {0}


@pytest.mark.parametrize("speed", [1, -1.5])
def test_boxes_move_with_the_picture_between_the_finder_s_looks(speed: int) -> None:
    film = Film()
    for number in range(EVERY):  # the finder looks at the first of them
        (frame,) = film.play(1, [RIGHT], np.roll(GROUND, round(speed * number), 1))
        assert frame[0].box[0] == pytest.approx(RIGHT[0] + speed * number, abs=2.5)
    assert film.tracker.looks == 1


def test_numbers_begin_anew_after_a_cut_but_not_after_a_flash() -> None:
    film = Film()
    film.play(EVERY, [LEFT, RIGHT])
    film.play(2, [RIGHT])  # the first one turns away
    flash = np.clip(GROUND.astype(int) + 90, 0, 255).astype(np.uint8)
    flashed = film.play(1, [RIGHT], flash) + film.play(1, [RIGHT])
    assert [list(frame) for frame in flashed] == [[0, 1], [0, 1]]
    (after,) = film.play(1, [THIRD], picture(1))
    assert [(track.scene, track.number, track.presence) for track in after.values()] == [(1, 0, 1.0)]


def test_crops_stay_where_they_are_while_boxes_tremble() -> None:
    film, draw, windows = Film(), np.random.default_rng(0), set()
    for _ in range(40):
        trembling = tuple((np.array(RIGHT) + draw.uniform(-1.5, 1.5, 4)).tolist())
        (frame,) = film.play(1, [trembling])
        windows.add(frame[0].window(HEIGHT, WIDTH))
    assert len(windows) == 1
    (moved,) = film.play(EVERY, [(215, 60, 255, 110)])[-1:]
    assert moved[0].window(HEIGHT, WIDTH) not in windows


def test_crops_fit_chroma_and_a_head_that_fills_the_frame_has_all_of_it() -> None:
    def window(box: tuple[float, ...], height: int, width: int) -> Window:
        placed = np.array(box, np.float32)
        return Track(0, 0, placed, 1.0, placed).window(height, width)

    for shift in range(4):
        small = window((101 + shift, 50 + shift, 121 + shift, 81 + shift), HEIGHT, WIDTH)
        assert all(side % 2 == 0 for side in (small.top, small.bottom, small.left, small.right))
    assert window((100, 20, 220, 160), HEIGHT, WIDTH) == Window(0, HEIGHT, 0, WIDTH)
    assert window((290, 150, 319, 179), 179, 319).bottom == 179


def test_one_of_two_boxes_on_a_head_is_dropped() -> None:
    film = Film()
    film.play(1, [LEFT, (70, 40, 110, 90)])
    film.tracker.tracks[1].box = film.tracker.tracks[0].box + np.float32(4)
    assert set(film.play(EVERY, [LEFT])[-1]) == {0}


def test_the_finder_rests_while_nothing_moves() -> None:
    film = Film()
    film.play(10 * EVERY, [LEFT, RIGHT])
    assert film.tracker.looks == 10
