"""A second look at small heads."""

import numpy as np
import pytest
import torch

from ohlora_fast import HairStylist
from ohlora_fast.tiles import HEADS, Box, find_heads, look_again

skimage_data = pytest.importorskip("skimage.data")


@pytest.fixture(scope="module")
def stylist():
    return HairStylist(device="cpu", engine="onnx")


def spots(*places, side=20):
    prob = np.zeros((224, 224), np.float32)
    for top, left in places:
        prob[top : top + side, left : left + side] = 1
    return prob


def test_no_hair_specks_and_whole_heads_get_no_second_look():
    assert find_heads(spots(), 900, 900) == []
    assert find_heads(spots((10, 10), side=4), 900, 900) == []
    assert find_heads(spots((10, 10), side=130), 900, 900) == []


def test_each_head_gets_a_crop_inside_the_photo():
    assert find_heads(spots((100, 50)), 448, 448) == [Box(169, 304, 52, 188)]
    first, second = find_heads(spots((0, 0), (150, 204)), 1120, 224)
    assert first.top == first.left == 0
    assert second.right == 224
    for box in (first, second):
        assert 0 <= box.top < box.bottom <= 1120
        assert box.bottom - box.top == 336  # more than the photo is wide
        assert box.right - box.left == 224


def test_heads_side_by_side_share_a_crop_and_there_are_not_too_many():
    assert len(find_heads(spots((100, 50), (100, 71)), 448, 448)) == 1
    crowd = spots(*((top, left) for top in range(0, 224, 74) for left in range(0, 224, 74)), side=8)
    assert len(find_heads(crowd, 448, 448)) == HEADS


def test_specks_beside_a_head_are_left_alone():
    prob = spots((20, 20), side=60)
    prob[200:220, 200:220] = 1
    assert len(find_heads(prob, 448, 448)) == 1


@pytest.fixture(scope="module")
def scene():
    """The astronaut, two fifths as wide as the picture, on a plain wall."""
    head = skimage_data.astronaut()[0:320, 60:380]
    canvas = np.full((800, 800, 3), (190, 185, 175), np.uint8)
    canvas[400:720, 200:520] = head
    return canvas, head


def test_a_small_head_is_found_as_well_as_a_large_one(stylist, scene):
    canvas, head = scene
    wanted = stylist.segment(head) > 0.5
    crops = find_heads(stylist.segment_map(canvas), 800, 800)
    assert len(crops) <= 2
    assert any(box.top <= 400 and box.bottom >= 550 and box.left <= 310 and box.right >= 430 for box in crops)
    agreed = []
    for tiles in (False, True):
        hair = stylist.segment(canvas, tiles=tiles)[400:720, 200:520] > 0.5
        agreed.append((hair & wanted).sum() / (hair | wanted).sum())
    assert agreed[1] > 0.9
    assert agreed[1] > agreed[0] + 0.03


def test_outside_the_crops_nothing_changes_and_tensors_do_as_arrays(stylist, scene):
    canvas, _ = scene
    plain, looked = stylist.segment(canvas), stylist.segment(canvas, tiles=True)
    assert looked.shape == plain.shape
    np.testing.assert_array_equal(looked[:, 600:], plain[:, 600:])
    tensor = stylist.segment(torch.from_numpy(canvas).permute(2, 0, 1), tiles=True)
    assert (tensor - torch.from_numpy(looked)).abs().max() < 1e-3
    dyed = stylist.dye(canvas, 0.9, tiles=True)
    assert (dyed != canvas).any()
    assert not (dyed != canvas)[:, 600:].any()


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_rounding_leads_nowhere_beyond_0_and_1(kind):
    shape = (1, 448, 448, 3) if kind is np.asarray else (1, 3, 448, 448)
    prob = np.random.default_rng(0).random((1, 448, 448), np.float32)
    crop = kind(np.ones((135, 136), np.float32))
    seen = look_again(kind(np.zeros(shape, np.uint8)), kind(spots((100, 50))[None]), kind(prob), lambda _: crop)
    assert seen[0, 240, 120] == 1
    assert 0 <= seen.min() <= seen.max() <= 1


def test_a_photo_without_hair(stylist):
    grey = np.full((500, 400, 3), 128, np.uint8)
    np.testing.assert_array_equal(stylist.segment(grey, tiles=True), stylist.segment(grey))
