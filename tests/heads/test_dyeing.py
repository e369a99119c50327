"""Every head dyed on its own: settings, gradients and exactness, for arrays, tensors and several photos."""

import warnings

import numpy as np
import pytest
import torch

from ohlora_fast import InputError, NaturalDye, apply_ombre
from ohlora_fast.errors import NoHairWarning


def changed(dyed, photo):
    return (dyed != photo).any(axis=2)


def test_a_portrait_is_dyed_by_the_formula_as_before(stylist, head):
    prob = stylist.segment_map(head)
    for how in ({}, {"refine": True}, {"method": "natural"}):
        wanted = apply_ombre(head, prob, 0.9, 0.8, 0.2, **how)
        np.testing.assert_array_equal(stylist.dye(head, 0.9, 0.8, 0.2, **how), wanted)
        by_hair = stylist.dye_by_map(head, stylist.find_hair(head), 0.9, 0.8, 0.2, **how)
        np.testing.assert_array_equal(by_hair, wanted)


def test_whole_is_the_map_of_the_whole_photo(stylist, group):
    prob = stylist.segment_map(group)
    np.testing.assert_array_equal(stylist.dye(group, 0.9, heads="whole"), apply_ombre(group, prob, 0.9))


@pytest.mark.parametrize("settings", [(0.9, 0.8, 0.2), (0.1, 1.0, 0.0), (0.5, 0.35, 1.0)])
def test_each_cropped_head_is_the_formula_of_its_own_probability(stylist, group, settings):
    together = stylist.dye(group, *settings)
    expected = group.copy()
    for index in range(3):
        own = apply_ombre(group, stylist.segment(group, heads=[index]), *settings)
        np.testing.assert_array_equal(stylist.dye(group, *settings, heads=index), own)
        expected[changed(own, group)] = own[changed(own, group)]
    np.testing.assert_array_equal(together, expected)


def test_hair_of_heads_is_found_as_well_as_in_a_portrait(stylist, group, head):
    import cv2

    hair = stylist.segment(group) > 0.5
    wanted = cv2.resize(stylist.segment(head), (240, 240)) > 0.5
    found = hair[60:300, 20:260]
    assert (found & wanted).sum() / (found | wanted).sum() > 0.85
    outside = hair.copy()
    for left, top, side in ((20, 60, 240), (330, 180, 240), (660, 120, 160)):
        outside[top : top + side, left : left + side] = False
    assert outside.sum() == 0


def test_settings_one_a_head(stylist, group):
    colors, heights = [0.0, 0.33, 0.66], [1.0, 0.5, 0.8]
    dyed = stylist.dye(group, colors, heights, 0.3)
    for index in range(3):
        own = stylist.dye(group, colors[index], heights[index], 0.3, heads=[index])
        mask = changed(own, group)
        assert mask.sum() > 300
        np.testing.assert_array_equal(dyed[mask], own[mask])
    swapped = stylist.dye(group, colors[::-1], heights[::-1], 0.3, heads=[2, 1, 0])
    np.testing.assert_array_equal(swapped, dyed)
    as_array = stylist.dye(group, np.array(colors), torch.tensor(heights, dtype=torch.float64), 0.3)
    np.testing.assert_array_equal(as_array, dyed)


def test_gradients_run_in_each_heads_own_rows(stylist, group):
    """The lower half of each head's hair is dyed, wherever the others are."""
    dyed = stylist.dye(group, 0.9, 0.5, 0.0)
    hair = stylist.find_hair(group)
    for index in range(3):
        own = np.flatnonzero(((hair.owner == index) & (hair.prob > 0.95)).any(1))
        rows = np.flatnonzero((changed(dyed, group) & (hair.owner == index)).any(1))
        assert abs(rows[0] - (own[0] + own[-1]) / 2) < 0.12 * (own[-1] - own[0])
        assert rows[-1] >= own[-1] - 2


def test_methods_one_a_head(stylist, group):
    methods = ["seed", "natural", NaturalDye(stops="sunset", lift=0.8)]
    dyed = stylist.dye(group, 0.9, method=methods)
    for index, method in enumerate(methods):
        own = stylist.dye(group, 0.9, method=method, heads=[index])
        mask = changed(own, group)
        assert mask.any()
        np.testing.assert_array_equal(dyed[mask], own[mask])


def test_tensors_as_arrays(stylist, group):
    photo = torch.from_numpy(group).permute(2, 0, 1)
    dyed = stylist.dye(photo, [0.1, 0.5, 0.9])
    assert dyed.dtype == torch.uint8
    assert np.abs(dyed.permute(1, 2, 0).numpy().astype(int) - stylist.dye(group, [0.1, 0.5, 0.9])).max() <= 1
    assert np.abs(stylist.segment(photo).numpy() - stylist.segment(group)).max() < 1e-6
    np.testing.assert_array_equal(stylist.find_heads(photo).boxes, stylist.find_heads(group).boxes)
    floats = stylist.dye(photo.float(), [0.1, 0.5, 0.9])
    assert (floats - dyed).abs().max() < 2


def test_refining_takes_detail_head_by_head(stylist, group):
    plain, fine = stylist.segment(group), stylist.segment(group, refine=True)
    assert fine.shape == plain.shape
    assert (fine != plain).any()
    assert ((fine > 0.5) == (plain > 0.5)).mean() > 0.98
    hair = stylist.find_hair(group, refine=True)
    assert hair.refined
    dyed = stylist.dye(group, 0.9, refine=True)
    np.testing.assert_array_equal(stylist.dye_by_map(group, hair, 0.9, refine=True), dyed)
    late = stylist.dye_by_map(group, stylist.find_hair(group), 0.9, refine=True)
    assert (late != dyed).any(axis=2).mean() < 0.01


def test_several_photos_outer_list_photos_inner_heads(stylist, group, head):
    batch = np.stack([group, group[:, ::-1]])
    dyed = stylist.dye(batch, color=[[0.1, 0.5, 0.9], 0.3])
    np.testing.assert_array_equal(dyed[0], stylist.dye(group, [0.1, 0.5, 0.9]))
    np.testing.assert_array_equal(dyed[1], stylist.dye(group[:, ::-1], 0.3))
    several = stylist.dye([group, head], color=[[0.1, 0.5, 0.9], [0.4]], heads=["auto", "whole"])
    np.testing.assert_array_equal(several[0], dyed[0])
    np.testing.assert_array_equal(several[1], stylist.dye(head, 0.4))
    picked = stylist.dye(batch, 0.3, heads=[[1], [0, 2]])
    np.testing.assert_array_equal(picked[0], stylist.dye(group, 0.3, heads=[1]))
    np.testing.assert_array_equal(picked[1], stylist.dye(group[:, ::-1], 0.3, heads=[0, 2]))
    assert [len(found) for found in stylist.find_heads(batch)] == [3, 3]
    np.testing.assert_array_equal(stylist.dye_by_map(batch, stylist.find_hair(batch), 0.3), stylist.dye(batch, 0.3))


def test_boxes_say_whose_hair(stylist, group):
    found = stylist.find_heads(group)
    np.testing.assert_array_equal(stylist.segment(group, heads=found), stylist.segment(group))
    one = stylist.dye(group, 0.9, heads=found.boxes[1:2].tolist())
    assert changed(one, group)[:, 320:580].sum() > 1000
    assert not changed(one, group)[:, :300].any()
    with pytest.warns(NoHairWarning):
        np.testing.assert_array_equal(stylist.dye(group, heads=np.zeros((0, 4))), group)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"color": [0.1, 0.2]}, r"color: got \[0.1, 0.2\] for 3 heads, allowed are one for all or one a head"),
        ({"ombre_height": np.ones(4)}, "ombre_height: got"),
        ({"color": [0.1, 0.2], "heads": [0]}, "for 1 head,"),
        ({"color": [0.1, 0.2, 1.2]}, "color: got 1.2"),
        ({"color": [[0.1], [0.2], [0.3]]}, "color: got"),
        ({"method": ["seed", "seed", "bleach"]}, "method: got 'bleach'"),
        ({"heads": [3]}, "heads: got the index 3, allowed are 0 to 2"),
        ({"heads": [-1]}, "heads: got the index -1"),
    ],
)
def test_settings_and_indices_that_do_not_fit(stylist, group, arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        stylist.dye(group, **arguments)
    assert "\n" not in str(caught.value)


def test_heads_of_several_photos_must_be_one_a_photo(stylist, group):
    for photos in ([group, group], np.stack([group, group])):
        with pytest.raises(InputError, match="heads: got 1 entries for 2 photos"):
            stylist.dye(photos, heads=[[0]])
        with pytest.raises(InputError, match="heads: got int for 2 photos"):
            stylist.segment(photos, heads=0)


def test_nobody_stays_as_it_is_whatever_the_settings(stylist):
    wall = np.full((500, 400, 3), 128, np.uint8)
    assert stylist.segment(wall).max() == 0
    with pytest.warns(NoHairWarning, match=r"^no hair found; left unchanged$") as caught:
        np.testing.assert_array_equal(stylist.dye(wall, method="natural"), wall)
    assert caught[0].filename == __file__
    for bad, message in (
        ({"color": 1.2}, "color: got 1.2"),
        ({"color": [0.5]}, "for 0 heads"),
        ({"method": "bleach"}, "method: got 'bleach'"),
        ({"heads": [0]}, "the index 0, allowed are none, as no head was found"),
    ):
        with pytest.raises(InputError, match=message):
            stylist.dye(wall, **bad)


def test_tiles_has_no_effect_any_more(stylist, group):
    np.testing.assert_array_equal(stylist.segment(group, tiles=True), stylist.segment(group))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(stylist.dye(group, tiles=True), stylist.dye(group))
