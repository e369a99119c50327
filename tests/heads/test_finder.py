"""The bundled head finder: heads of every size, none where nobody is; the plain parts of its decoding."""

import subprocess
import sys

import cv2
import numpy as np
import pytest

from ohlora_fast import InputError
from ohlora_fast.heads.finder import CLOSE_LOOK, LOOK, HeadFinder, distinct, peaks, shrunk

CENTRES = ((20 + 120 * 0.95, 60 + 75), (330 + 120 * 0.95, 180 + 75), (660 + 160 * 0.5, 120 + 50))
"""Of the group's heads, to some pixels."""


@pytest.fixture(scope="module")
def finder():
    return HeadFinder(threads=1)


def inside(box, point):
    return box[0] < point[0] < box[2] and box[1] < point[1] < box[3]


def test_a_portrait_has_one_head_around_hair_and_face(finder, head):
    found = finder.find(head)
    assert len(found) == 1
    assert found.scores[0] > 0.5
    x0, _, x1, y1 = found.boxes[0]
    assert inside(found.boxes[0], (165, 45))  # her hair above the forehead
    assert inside(found.boxes[0], (160, 130))  # her face
    assert y1 < 230  # not her suit
    assert x1 - x0 < 220
    assert found.boxes.dtype == found.scores.dtype == np.float32


def test_each_head_of_a_group_once_from_left_to_right(finder, group):
    found = finder.find(group)
    assert len(found) == 3
    assert all(inside(box, centre) for box, centre in zip(found.boxes, CENTRES, strict=True))


@pytest.mark.parametrize("side", [120, 160, 250, 600])
def test_heads_of_many_sizes(finder, head, side):
    """Her window is so wide in a photo of 1000 pixels; her head is a good third of that."""
    canvas = np.full((800, 1000, 3), (120, 140, 150), np.uint8)
    way = cv2.INTER_AREA if side < 320 else cv2.INTER_CUBIC
    canvas[100 : 100 + side, 300 : 300 + side] = cv2.resize(head, (side, side), interpolation=way)
    found = finder.find(canvas)
    assert len(found) == 1
    assert inside(found.boxes[0], (300 + 0.5 * side, 100 + 0.35 * side))
    assert 0.3 * side < found.boxes[0, 2] - found.boxes[0, 0] < 0.75 * side


@pytest.mark.parametrize("grey", [0, 90, 255])
@pytest.mark.parametrize("size", [(1, 1), (40, 900), (700, 500)])
def test_nobody_in_plain_pictures(finder, grey, size):
    assert len(finder.find(np.full((*size, 3), grey, np.uint8))) == 0


@pytest.mark.parametrize("name", ["brick", "grass", "coins", "page", "text", "moon", "colorwheel", "chelsea"])
def test_no_head_in_photos_without_people(finder, name):
    photo = getattr(pytest.importorskip("skimage.data"), name)()
    photo = np.repeat(photo[..., None], 3, axis=2) if photo.ndim == 2 else photo
    assert len(finder.find(photo)) == 0


def test_strides_and_transparency_make_no_difference(finder, head):
    wanted = finder.find(head).boxes
    opaque = np.dstack([head, np.full(head.shape[:2], 255, np.uint8)])
    np.testing.assert_array_equal(finder.find(opaque).boxes, wanted)
    np.testing.assert_array_equal(finder.find(np.asfortranarray(head)).boxes, wanted)


def test_the_second_look_is_for_photos_without_a_large_head(finder, head, group, monkeypatch):
    seen = []
    session = finder.session
    monkeypatch.setattr(finder, "session", lambda image: seen.append(max(image.shape[1:3])) or session(image))
    finder.find(head)
    assert seen == [LOOK]
    finder.find(group)
    assert seen == [LOOK, LOOK, CLOSE_LOOK]


def test_photos_keep_their_aspect():
    for size in ((600, 900), (900, 600), (50, 2000)):
        high, wide = shrunk(np.zeros((*size, 3), np.uint8), LOOK).shape[:2]
        assert high % 32 == wide % 32 == 0
        assert max(high, wide) == LOOK
    assert shrunk(np.zeros((50, 2000, 3), np.uint8), LOOK).shape == (32, LOOK, 3)


def test_peaks_are_read_where_they_are():
    """A peak in column 3 and row 1, its middle a quarter of a cell to the right, 2 cells wide and 4 high."""
    output = np.zeros((5, 4, 6), np.float32)
    output[0] = -9
    output[:, 1, 3] = 2.0, 0.25, 0.0, np.log(2), np.log(4)
    output[:, 1, 4] = 1.0, 0, 0, 0, 0  # beside it, lower: no peak
    boxes, scores = peaks(output)
    np.testing.assert_allclose(boxes, [[8 * 2.75, 8 * -0.5, 8 * 4.75, 8 * 3.5]], rtol=1e-6)
    np.testing.assert_allclose(scores, [1 / (1 + np.exp(-2))], rtol=1e-6)


def test_overlapping_boxes_are_one_head_and_neighbours_are_two():
    boxes = np.array([[0, 0, 20, 20], [2, 1, 21, 21], [17, 0, 37, 20]], np.float32)
    found = distinct(boxes, np.array([0.9, 0.8, 0.5], np.float32))
    np.testing.assert_array_equal(found.boxes, boxes[[0, 2]])
    np.testing.assert_array_equal(found.scores, np.array([0.9, 0.5], np.float32))
    assert len(distinct(boxes[:0], np.zeros(0, np.float32))) == 0


@pytest.mark.parametrize(("inner", "stays"), [(0.95, 0), (0.3, 0), (0.99, 1)])
def test_of_a_box_in_another_the_outer_one_stays_unless_it_is_much_less_sure(inner, stays):
    boxes = np.array([[0, 0, 20, 20], [5, 5, 12, 12]], np.float32)
    outer = 0.8 if stays == 0 else 0.4
    np.testing.assert_array_equal(distinct(boxes, np.array([outer, inner], np.float32)).boxes, boxes[[stays]])


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "x.onnx"
    path.write_bytes(b"no graph")
    with pytest.raises(InputError, match=r"x\.onnx: not a readable ONNX file"):
        HeadFinder(path)
    from ohlora_fast.student import bundled

    with pytest.raises(InputError, match="expected a head finder's graph"):
        HeadFinder(bundled("default.onnx"))
    with pytest.raises(InputError, match="cannot be read"):
        HeadFinder(tmp_path / "nowhere.onnx")


def test_finding_loads_neither_torch_nor_triton():
    code = (
        "import sys, numpy, ohlora_fast; s = ohlora_fast.HairStylist(device='cpu');"
        "s.find_heads(numpy.zeros((90, 90, 3), 'u1')); s.find_hair(numpy.zeros((90, 90, 3), 'u1'));"
        "print([name for name in ('torch', 'triton') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
