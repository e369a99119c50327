"""Hair head by head: crops, whose each pixel is, and what does not belong to anybody."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ohlora_fast import Hair, HairStylist, Heads, InputError, apply_ombre, head_boxes
from ohlora_fast.heads.boxes import as_choice
from ohlora_fast.heads.crops import Window, cut_off, window_around
from ohlora_fast.heads.hair import NOBODY, distance, fade, joined, window_of


def boxes(*each):
    return Heads(np.array(each, np.float32), np.ones(len(each), np.float32))


def disc(size, x, y, radius):
    rows, columns = np.mgrid[: size[0], : size[1]]
    return ((rows - y) ** 2 + (columns - x) ** 2 <= radius**2).astype(np.float32)


def test_crops_lie_in_the_photo_and_large_heads_take_all_of_it():
    for box in ([0, 0, 20, 30], [180, 90, 200, 100], [90, 40, 110, 60]):
        window = window_around(np.array(box), 100, 200)
        assert 0 <= window.top < window.bottom <= 100
        assert 0 <= window.left < window.right <= 200
        assert window.left <= max(box[0], 0)
        assert window.right >= min(box[2], 200)
    assert window_around(np.array([10, 5, 80, 90]), 100, 100) is None
    assert window_around(np.array([0, 0, 1, 1]), 1, 1) is None


def test_hair_that_runs_into_the_border_is_cut_off_if_it_is_the_heads_own():
    window, box = Window(50, 150, 50, 150), np.array([85, 60, 115, 90])
    hair = np.zeros((224, 224), np.float32)
    hair[40:224, 90:130] = 1  # from the head down to the crop's border
    assert cut_off(hair, window, box, 400, 400)
    assert not cut_off(hair, Window(50, 150, 50, 150), box, 150, 400)  # which is the photo's
    hair[120:140] = 0  # now what reaches the border is somebody else's
    assert not cut_off(hair, window, box, 400, 400)


def test_two_heads_divide_overlapping_crops():
    size, heads = (100, 200), boxes([30, 20, 70, 60], [110, 20, 150, 60])
    hair = np.maximum(disc(size, 50, 40, 25), disc(size, 130, 40, 25))
    windows = [Window(0, 100, 0, 140), Window(0, 100, 40, 200)]
    found = joined(heads, windows, [hair[window.slices] for window in windows], size)
    assert (found.owner[hair > 0] == np.where(np.arange(200) < 90, 0, 1)[None].repeat(100, 0)[hair > 0]).all()
    assert (found.owner[found.prob == 0] == NOBODY).all()
    assert found.prob[40, 50] == found.prob[40, 130] == 1
    left, right = found.windows()
    assert left == Window(15, 66, 25, 76)
    assert right == Window(15, 66, 105, 156)
    np.testing.assert_array_equal(found.of_head(0) + found.of_head(1), found.prob)


def test_touching_hair_is_divided_without_a_gap():
    """Opacity does not fall where one head's hair meets the other's."""
    size, heads = (100, 200), boxes([30, 20, 90, 80], [110, 20, 170, 80])
    hair = np.zeros(size, np.float32)
    hair[10:90, 20:180] = 1
    windows = [Window(0, 100, 0, 180), Window(0, 100, 20, 200)]
    found = joined(heads, windows, [hair[window.slices] for window in windows], size)
    assert found.prob[10:90, 30:170].min() > 0.999
    owners = found.owner[50, 30:170]
    assert (np.diff(owners.astype(int)) != 0).sum() == 1
    assert abs(np.flatnonzero(np.diff(owners))[0] + 30 - 99) <= 2


def test_a_patch_that_one_head_meets_is_all_its_own():
    """Long hair that hangs down beside another head stays with whom it grows from."""
    size, heads = (200, 200), boxes([20, 10, 60, 50], [80, 130, 120, 170])
    hair = np.zeros(size, np.float32)
    hair[10:180, 50:66] = 1  # from the first head down to the height of the second
    hair[125:150, 85:118] = 1
    windows = [Window(0, 200, 0, 200)] * 2
    found = joined(heads, windows, [hair] * 2, size)
    assert (found.owner[15:175, 52:64] == 0).all()
    assert (found.owner[130:145, 90:112] == 1).all()


def test_hair_far_from_every_head_is_nobodys():
    size, heads = (200, 300), boxes([20, 20, 60, 60])
    hair = np.maximum(disc(size, 40, 40, 20), disc(size, 250, 100, 20))
    found = joined(heads, [Window(0, 200, 0, 300)], [hair], size)
    assert found.prob[100, 250] == 0
    assert found.owner[100, 250] == NOBODY
    assert found.prob[40, 40] == 1


def test_maps_fade_towards_borders_inside_the_photo_alone():
    weight = fade(Window(0, 50, 20, 70), 50, 100)
    assert weight.shape == (50, 50)
    assert (weight[:, 25] == 1).all()  # top and bottom are the photo's
    assert weight[25, 0] < 0.5 > weight[25, -1]
    assert distance(np.array([0, 0, 2, 2]), Window(0, 2, 0, 2)).max() < 1


def test_windows_of_masks():
    assert window_of(np.zeros((3, 3), bool)) is None
    assert window_of(np.ones((3, 4), bool)) == Window(0, 3, 0, 4)


def test_only_some_heads(stylist, group):
    hair = stylist.find_hair(group)
    assert len(hair) == 3
    assert not hair.whole
    one = hair.only([2, 0])
    np.testing.assert_array_equal(one.heads.boxes, hair.heads.boxes[[2, 0]])
    np.testing.assert_array_equal(one.prob, hair.of_head(0) + hair.of_head(2))
    np.testing.assert_array_equal(one.owner == 0, hair.owner == 2)
    assert (one.owner != 2).all()


def test_another_size(stylist, group):
    hair = stylist.find_hair(group)
    small = hair.resized(300, 450)
    assert small.size == small.prob.shape == small.owner.shape == (300, 450)
    np.testing.assert_allclose(small.heads.boxes, hair.heads.boxes / 2)
    assert abs((small.prob > 0.5).mean() - (hair.prob > 0.5).mean()) < 0.002
    assert hair.resized(*hair.size) is hair
    portrait = stylist.find_hair(group, heads="whole").resized(300, 450)
    assert portrait.whole
    assert portrait.prob.shape == (224, 224)


def test_face_boxes_become_head_boxes():
    np.testing.assert_allclose(head_boxes(np.array([[10, 20, 20, 40]])), [[8, 11, 22, 40]])
    assert head_boxes([]).shape == (0, 4)
    assert head_boxes(np.zeros((0, 5))).shape == (0, 4)
    wrong = (([1, 2, 3, 4], r"shape \(4,\)"), ([[1, 2, 3]], r"shape \(1, 3\)"), ([[0, 0, np.inf, 1]], "not finite"))
    for bad, came in wrong:
        with pytest.raises(InputError, match=f"faces: got .*{came}"):
            head_boxes(bad)


@pytest.mark.parametrize(
    ("heads", "message"),
    [
        ("all", "heads: got 'all', allowed are 'auto', 'whole', indices"),
        (None, "heads: got None"),
        (True, "heads: got True"),
        ([], r"heads: got shape \(0,\)"),
        (0.5, "heads: got 0.5"),
        ([0.5, 1.5], r"heads: got shape \(2,\)"),
        ([1, 1], "each index once"),
        ([[1, 2, 3]], r"heads: got shape \(1, 3\)"),
        ([[1, 2, 3, 4], [1, 2]], "heads: got"),
        ([[0, 0, np.nan, 1]], r"heads\[0\]: got .*finite"),
        ([[0, 0, np.inf, 1]], r"heads\[0\]: got .*finite"),
        ([[0, 0, 9, 9], [5, 5, 5, 9]], r"heads\[1\]: got \(5, 5, 5, 9\), which is empty"),
        ([[9, 0, 3, 9]], "which is empty"),
        ([[60, 0, 70, 9]], r"outside the photo; .* 60×40"),
        ([[-9, 0, 0, 9]], "outside the photo"),
        (np.tile([[0, 0, 9, 9]], (101, 1)), "got 101 boxes, allowed are up to 100"),
        ([["a", "b", "c", "d"]], "heads: got"),
    ],
)
def test_bad_heads_are_named(heads, message):
    with pytest.raises(InputError, match=message) as caught:
        as_choice(heads, 40, 60)
    assert "\n" not in str(caught.value)


def test_good_heads():
    assert as_choice("auto", 40, 60).indices is None
    assert as_choice("whole", 40, 60).whole
    assert as_choice(2, 40, 60).indices == as_choice(np.int64(2), 40, 60).indices == (2,)
    assert as_choice(np.array([1, 0]), 40, 60).indices == as_choice(torch.tensor([1, 0]), 40, 60).indices == (1, 0)
    assert as_choice(np.zeros((0, 4)), 40, 60).boxes.shape == (0, 4)
    np.testing.assert_array_equal(as_choice([[-5, 5, 70, 50]], 40, 60).boxes, [[0, 5, 60, 40]])
    np.testing.assert_array_equal(as_choice(boxes([1, 2, 3, 4]), 40, 60).boxes, [[1, 2, 3, 4]])


def test_gradients_reach_photo_and_probability(stylist, group):
    photo = torch.from_numpy(group).permute(2, 0, 1).float().requires_grad_()
    hair = stylist.find_hair(photo)
    prob = (0.99 * hair.prob).requires_grad_()
    dyed = stylist.dye_by_map(photo, replace(hair, prob=prob), color=[0.1, 0.5, 0.9])
    dyed.sum().backward()
    assert photo.grad.max() > 1.2
    assert prob.grad.abs().sum() > 0
    assert (prob.grad[torch.from_numpy(hair.owner == NOBODY)] == 0).all()


def test_given_hair_must_fit(stylist, group, head):
    hair = stylist.find_hair(group)
    with pytest.raises(InputError, match="prob: got Hair of a photo of 900×600 for one of 320×320"):
        stylist.dye_by_map(head, hair)
    with pytest.raises(InputError, match="prob: got Hair of 1 photos for 2"):
        stylist.dye_by_map(np.stack([group, group]), [hair])
    with pytest.raises(InputError, match="two arrays or two tensors"):
        stylist.dye_by_map(torch.from_numpy(group).permute(2, 0, 1), hair)


def test_hair_can_be_made_by_hand():
    """Two halves of a picture, dyed in two colours."""
    photo = np.full((40, 60, 3), 100, np.uint8)
    owner = np.repeat(np.arange(60) >= 30, 40).reshape(60, 40).T.astype(np.int16)
    hair = Hair(boxes([0, 0, 30, 40], [30, 0, 60, 40]), np.ones((40, 60), np.float32), owner, (40, 60))
    dyed = HairStylist(device="cpu").dye_by_map(photo, hair, [0.0, 0.5], 1.0, 0.0)
    np.testing.assert_array_equal(dyed[:, :30], apply_ombre(photo, hair.prob, 0.0, 1.0, 0.0)[:, :30])
    np.testing.assert_array_equal(dyed[:, 30:], apply_ombre(photo, hair.prob, 0.5, 1.0, 0.0)[:, 30:])
