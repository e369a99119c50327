"""Boxes and numbers drawn around heads."""

import numpy as np
import pytest

from ohlora_fast.media.numbered import OFF, ON, number_heads

BOXES = np.array([[20, 40, 60, 90], [100, 2, 139, 60], [-3, 100, 30, 130]], np.float32)


@pytest.mark.parametrize("channels", [3, 4])
def test_each_head_has_a_box_and_a_number_inside_the_photo(channels):
    photo = np.full((120, 140, channels), 200, np.uint8)
    marked = number_heads(photo, BOXES, off={1})
    assert marked.shape == photo.shape
    assert (photo == 200).all()
    assert (marked[60:90, 20, :3] == ON).all()
    assert (marked[30:60, 139, :3] == OFF).all()
    assert (marked[45:85, 25:55] == 200).all()  # the face stays as it is
    for (left, top), color in zip(((20, 28), (100, 0), (0, 88)), (ON, OFF, ON), strict=True):
        label = marked[top : top + 12, left : left + 10, :3]
        assert (label == color).all(-1).mean() > 0.4
        assert (label > 240).all(-1).any()  # the number, in white


def test_without_heads_the_photo_stays():
    photo = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    assert (number_heads(photo, BOXES[:0]) == photo).all()
