"""Training pairs of what is not hair: which pairs are written, and what their masks hold."""

import json

import cv2
import numpy as np
import pytest

from ohlora_fast import InputError
from ohlora_fast.distill import compose
from ohlora_fast.distill.data import find_pairs

data = pytest.importorskip("skimage.data")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """The astronaut on a wall, with the student's own mask as the true one, and two photos without people."""
    from ohlora_fast import HairStylist

    folder = tmp_path_factory.mktemp("scenes")
    street, nothing = folder / "ccp" / "train", folder / "nothing" / "train"
    for part in (street / "images", street / "hair", street / "person", nothing):
        part.mkdir(parents=True)
    head = data.astronaut()[0:320, 60:380]
    wall = np.full((960, 640, 3), (190, 185, 175), np.uint8)
    wall[100:420, 160:480] = head
    hair = np.zeros((960, 640), np.uint8)
    hair[100:420, 160:480] = np.where(HairStylist().segment(head) > 0.5, 255, 0)
    for number in range(2):
        cv2.imwrite(str(street / "images" / f"s{number}.jpg"), wall[..., ::-1])
        cv2.imwrite(str(street / "hair" / f"s{number}.png"), hair)
        cv2.imwrite(str(street / "person" / f"s{number}.png"), hair)
        cv2.imwrite(str(nothing / f"n{number}.jpg"), np.full((200, 260, 3), 90, np.uint8))
    face = [160 + 62.0, 100 + 62.0, 160 + 128.0, 100 + 165.0, 1.0]
    (street / "faces.json").write_text(json.dumps({f"s{number}.jpg": [face] for number in range(2)}))
    return folder


def test_pairs_of_scenes(scenes, tmp_path):
    count = compose.compose(tmp_path / "data", None, scenes, None)
    pairs = find_pairs(tmp_path / "data")
    assert len(pairs) == count
    assert {pair.source for pair in pairs} == {"scenes"}
    masks = {pair.name: pair.load()[1] for pair in pairs}
    kinds = [name.split("_")[1] for name in masks if "small" not in name]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {"crop": 4, "whole": 1, "below": 1, "nothing": 4}
    for name, mask in masks.items():
        assert max(mask.shape) <= compose.WRITTEN
        if "nothing" in name or "below" in name:
            assert mask.max() == 0
        else:
            assert 0.01 < (mask > 127).mean() < 0.5


def test_what_the_finder_takes_for_heads_is_a_pair_without_hair(scenes, tmp_path):
    head = data.astronaut()[0:320, 60:380]  # a head where nobody should be
    wall = np.full((960, 640, 3), (190, 185, 175), np.uint8)
    wall[100:420, 160:480] = head
    (tmp_path / "nothing" / "train").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "nothing" / "train" / "n.jpg"), wall[..., ::-1])
    pairs = {name: (photo, mask) for name, photo, mask in
             compose.nothing(tmp_path / "nothing" / "train", np.random.default_rng(0))}  # fmt: skip
    photo, mask = pairs["scenes_error_0000_0"]
    assert mask.shape == photo.shape[:2]
    assert mask.max() == 0
    assert 150 < photo.shape[0] < 700
    assert len(pairs) <= 2 + compose.ERRORS


def test_small_heads_keep_size_and_lose_detail():
    photo = data.astronaut()[0:320, 60:380]
    small = compose.small(photo, np.random.default_rng(0))
    assert small.shape == photo.shape
    assert small.dtype == np.uint8
    sharp, blurred = (cv2.Laplacian(one[..., 1], cv2.CV_32F).var() for one in (photo, small))
    assert blurred < 0.3 * sharp
    assert abs(small.mean() - photo.mean()) < 4


def test_masks_that_the_student_contradicts_are_left_out(scenes, tmp_path):
    photo, label = data.astronaut()[0:320, 60:380], compose.student_label(224)
    soft = label(photo)
    np.testing.assert_allclose(compose.mix(photo, soft, label), soft, atol=1e-6)
    assert compose.mix(photo, 1 - soft, label) is None


def test_a_folder_that_exists_is_refused(scenes, tmp_path):
    with pytest.raises(InputError, match="exists already; expected a new folder"):
        compose.compose(tmp_path, None, scenes, None)


def test_mediapipes_model_needs_its_package(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(InputError, match="needs the package ai-edge-litert"):
        compose.mediapipe_label(tmp_path / "hair.tflite")
