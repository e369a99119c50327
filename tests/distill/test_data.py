"""Finding pairs, holding some out, augmenting them, and serving the same batches again."""

import cv2
import numpy as np
import pytest
import torch

from ohlora_fast.distill.data import Augmentation, Pair, Photos, find_pairs, hold_out
from ohlora_fast.errors import InputError


@pytest.fixture
def folder(tmp_path):
    """Twelve photos whose hair is the bright half: six of source a, six of source b, of different sizes."""
    rng = np.random.default_rng(0)
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for index in range(12):
        height, width = 60 + 5 * index, 100 - 4 * index
        mask = np.zeros((height, width), np.uint8)
        mask[: height // 2] = 255
        image = np.where(mask[..., None] > 0, 230, 20) + rng.integers(0, 20, (height, width, 3))
        name = f"{'ab'[index % 2]}_{index:02d}"
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), image.astype(np.uint8))
        cv2.imwrite(str(tmp_path / "masks" / f"{name}.png"), mask)
    return tmp_path


def test_pairs_are_found_and_loaded(folder):
    pairs = find_pairs(folder)
    assert [pair.source for pair in pairs] == ["a"] * 6 + ["b"] * 6
    image, mask = pairs[0].load()
    assert image.shape == (60, 100, 3)
    assert mask.shape == (60, 100)
    assert set(np.unique(mask)) == {0, 255}


def test_colours_are_rgb(tmp_path):
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a_0.png"), np.full((4, 4, 3), (0, 0, 255), np.uint8))  # OpenCV's red
    cv2.imwrite(str(tmp_path / "masks" / "a_0.png"), np.zeros((4, 4), np.uint8))
    assert find_pairs(tmp_path)[0].load()[0][0, 0].tolist() == [255, 0, 0]


def test_wrong_folders_are_named(tmp_path, folder):
    with pytest.raises(InputError, match="no such folder"):
        find_pairs(tmp_path / "nowhere")
    (folder / "masks" / "a_00.png").unlink()
    with pytest.raises(InputError, match=r"a_00.png: missing, .*1 masks missing in all"):
        find_pairs(folder)
    for path in (folder / "images").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="holds no photos"):
        find_pairs(folder)


def test_pairs_that_do_not_fit_or_cannot_be_read_are_named(folder):
    pair = find_pairs(folder)[0]
    cv2.imwrite(str(pair.mask), np.zeros((9, 9), np.uint8))
    with pytest.raises(InputError, match=r"a_00.png: is 9×9, but its photo a_00.png is 100×60"):
        pair.load()
    pair.image.write_bytes(b"")
    with pytest.raises(InputError, match=r"a_00.png: not a readable image"):
        pair.load()


def test_holding_out_depends_on_names_alone(folder):
    pairs = find_pairs(folder)
    train, held = hold_out(pairs, 0.4)
    assert held
    assert sorted(train + held, key=lambda pair: pair.name) == pairs
    assert hold_out(pairs[::-1], 0.4)[1] == held[::-1]
    assert hold_out(pairs, 0.0) == (pairs, [])


def test_augmented_mask_stays_on_the_hair(folder):
    image, mask = find_pairs(folder)[0].load()
    for seed in range(20):
        augment = Augmentation(tint=0, brightness=0, contrast=0, mirror=1)
        bent, where = augment(image, mask, np.random.default_rng(seed))
        assert bent.shape == (224, 224, 3)
        assert where.shape == (224, 224)
        assert bent[where == 255].mean() > 190
        assert bent[where == 0].mean() < 60


def test_without_augmentation_the_photo_is_only_squashed(folder):
    names = ("flip", "rotation", "scale", "aspect", "shift", "brightness", "contrast", "saturation", "tint")
    still = Augmentation(mirror=1, grey=0, blur=0, **dict.fromkeys(names, 0))
    image, mask = find_pairs(folder)[0].load()
    bent, where = still(image, mask, np.random.default_rng(0))
    inner = np.s_[4:-4, 4:-4]  # at the border, mirroring and OpenCV's resize differ
    assert np.abs(bent.astype(int) - cv2.resize(image, (224, 224)))[inner].max() <= 6
    assert np.abs(where.astype(int) - cv2.resize(mask, (224, 224)))[inner].max() <= 8


def test_batches_are_a_function_of_seed_and_step(folder):
    pairs = find_pairs(folder)
    photos, again = (Photos(pairs, 4, {"a": 2}, seed=3) for _ in range(2))
    assert photos.steps_per_epoch == 18 // 4
    served = list(photos.batches(0, 9))
    assert len(served) == 9
    images, masks = served[5]
    assert images.shape == (4, 3, 224, 224)
    assert masks.shape == (4, 1, 224, 224)
    assert -1 <= images.min() < images.max() <= 1
    resumed = next(iter(again.batches(5, 9)))
    assert torch.equal(images, resumed[0])
    assert torch.equal(masks, resumed[1])
    assert not torch.equal(images, Photos(pairs, 4, {"a": 2}, seed=4).load(5)[0])


def test_a_repeated_source_is_drawn_that_often(folder):
    photos = Photos(find_pairs(folder), 6, {"a": 3})
    counts = np.bincount(photos.order, minlength=12)
    assert counts.tolist() == [3] * 6 + [1] * 6


def test_a_batch_larger_than_the_data_is_refused(folder):
    with pytest.raises(InputError, match="batch: got 13"):
        Photos(find_pairs(folder), 13)


def test_pair_source_is_the_name_up_to_the_underscore(folder):
    (folder / "images" / "plain.png").write_bytes((folder / "images" / "a_00.png").read_bytes())
    (folder / "masks" / "plain.png").write_bytes((folder / "masks" / "a_00.png").read_bytes())
    assert Pair("plain", "plain", folder / "images" / "plain.png", folder / "masks" / "plain.png") in find_pairs(folder)
