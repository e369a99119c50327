"""Orientation, distance from the crown, streaks and inner layer, on pictures whose answer is known."""

import numpy as np
import pytest

from ohlora_fast.ops.hair_flow import crown_distance, inner_layer, orientation, smoothstep, streaks


def striped(degrees, size=96):
    """Stripes that run along an angle from the x axis."""
    y, x = np.mgrid[:size, :size]
    angle = np.radians(degrees)
    wave = np.sin((x * -np.sin(angle) + y * np.cos(angle)) * 1.2)
    return np.repeat((127 + 100 * wave).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("degrees", [0, 30, 90, 135])
def test_orientation_is_the_stripes(degrees):
    cos, sin = orientation(striped(degrees), (24, 24))
    inner = np.s_[4:-4, 4:-4]
    apart = np.degrees(np.arctan2(sin[inner], cos[inner])) / 2 - degrees
    assert np.abs((apart + 90) % 180 - 90).max() < 5
    assert np.hypot(cos, sin).max() <= 1


def test_distance_goes_round_a_corner():
    """Two strips joined at the top: their tips are far, and equally so; what lies between does not shorten the way."""
    prob = np.zeros((100, 100), np.float32)
    prob[5:20, 10:90] = prob[5:95, 10:25] = prob[5:60, 75:90] = 1
    distance = crown_distance(prob, np.zeros((100, 100, 3), np.uint8))
    assert distance[8, 50] < 0.05
    assert distance[93, 17] > 0.9
    assert 0.4 < distance[58, 82] < 0.75
    assert (np.diff(distance[20:90, 17]) >= 0).all()


def test_a_step_across_strands_counts_more():
    prob = np.ones((64, 64), np.float32)
    along, across = (crown_distance(prob, striped(degrees, 64)) for degrees in (90, 0))
    assert along[32, 32] <= across[32, 32] + 0.1  # both are shares of the longest way
    ends = np.r_[along[-1, 32], across[-1, 32]]
    assert (ends > 0.9).all()


def test_pieces_apart_from_the_crown_count_by_height():
    prob = np.zeros((100, 100), np.float32)
    prob[10:30, 20:80] = prob[80:90, 40:60] = 1
    distance = crown_distance(prob, np.zeros((100, 100, 3), np.uint8))
    assert np.isfinite(distance).all()
    assert distance[88, 50] > 0.85


def test_streaks_run_along_strands_over_their_share():
    for degrees, along in ((0, 1), (90, 0)):
        strength = streaks(np.ones((50, 50), np.float32), striped(degrees, 200), 0.25)
        assert 0.15 < strength.mean() < 0.4
        changes = [np.abs(np.diff(strength[20:-20, 20:-20], axis=axis)).mean() for axis in (0, 1)]
        assert changes[along] < 0.5 * changes[1 - along]
    again = streaks(np.ones((50, 50), np.float32), striped(90, 200), 0.25)
    np.testing.assert_array_equal(strength, again)


def test_nothing_comes_of_no_hair():
    prob, pixels = np.zeros((20, 20), np.float32), np.zeros((60, 40, 3), np.uint8)
    assert (crown_distance(prob, pixels) == 1).all()
    assert not streaks(prob, pixels, 0.5).any()
    assert not inner_layer(prob, np.ones((60, 40))).any()


def test_the_inner_layer_is_low_and_in_the_middle():
    distance = np.repeat(np.linspace(0, 1, 80)[:, None], 80, axis=1)
    inner = inner_layer(np.ones((80, 80), np.float32), distance)
    assert inner[70, 40] == 1
    assert inner[70, 2] == inner[70, 77] == inner[5, 40] == 0


def test_a_fringe_is_no_inner_layer():
    prob = np.zeros((80, 80), np.float32)
    prob[5:40] = prob[:, 10:30] = prob[:, 50:70] = 1
    inner = inner_layer(prob, np.ones((80, 80)))
    assert inner[20, 40] < 0.01
    assert inner[70, 28] == 1


def test_smoothstep_of_one_edge_is_a_step():
    assert smoothstep(np.array([0.4, 0.5]), 0.5, 0.5).tolist() == [0.0, 1.0]
