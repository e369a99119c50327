"""Finding pairs in both layouts, splitting them, holding them in memory, drawing batches."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from ohlora_fast.distill.data import Batches, Pair, ScoringPhotos, TrainingPhotos, find_pairs, fingerprint, split
from ohlora_fast.errors import InputError
from ohlora_fast.teacher.soft_labels import Row, write_ledger


@pytest.fixture
def folder(blobs, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(blobs, tmp_path / "pairs")


@pytest.fixture
def labelled(tmp_path):
    """The layout that `ohlora-fast label` writes."""
    folder = tmp_path / "labelled"
    folder.mkdir()
    for index in range(3):
        cv2.imwrite(str(folder / f"face_{index:06d}.png"), np.full((224, 224, 3), index, np.uint8))
        cv2.imwrite(str(folder / f"parsing_hair_label_{index:06d}.png"), np.full((224, 224), 100 + index, np.uint8))
    return folder


def test_pairs_are_found_and_loaded(blobs):
    pairs = find_pairs(blobs)
    assert len(pairs) == 24
    assert [pair.source for pair in pairs] == ["a"] * 18 + ["b"] * 6
    image, mask = pairs[0].load()
    assert image.shape == (64, 48, 3)
    assert mask.shape == (64, 48)
    assert image[mask == 255].min() > 200 > 80 > image[mask == 0].max()


def test_colours_are_rgb(tmp_path):
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a_0.png"), np.full((4, 4, 3), (0, 0, 255), np.uint8))  # OpenCV's red
    cv2.imwrite(str(tmp_path / "masks" / "a_0.png"), np.zeros((4, 4), np.uint8))
    assert find_pairs(tmp_path)[0].load()[0][0, 0].tolist() == [255, 0, 0]


def test_pair_source_is_the_name_up_to_the_underscore(folder):
    for part in ("images", "masks"):
        shutil.copy(folder / part / "a_01.png", folder / part / "plain.png")
    assert Pair("plain", "plain", folder / "images/plain.png", folder / "masks/plain.png") in find_pairs(folder)


def test_recorded_layout_is_found(labelled):
    pairs = find_pairs(labelled)
    assert [pair.name for pair in pairs] == ["face_000000", "face_000001", "face_000002"]
    assert {pair.source for pair in pairs} == {"face"}
    image, mask = pairs[2].load()
    assert image[0, 0].tolist() == [2, 2, 2]
    assert mask[0, 0] == 102
    rows = [Row(index, f"/x/{source}_{index}.jpg", source, "t", "0", "") for index, source in enumerate("abac")]
    write_ledger(labelled, rows)  # the last is still to be labelled
    assert [pair.source for pair in find_pairs(labelled)] == ["a", "b", "a"]


def test_wrong_folders_are_named(tmp_path, folder, labelled):
    with pytest.raises(InputError, match="nowhere: no such folder"):
        find_pairs(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: holds no pairs; expected .*images/NAME.jpg"):
        find_pairs(tmp_path / "empty")
    (folder / "masks" / "a_01.png").unlink()
    with pytest.raises(InputError, match=r"images/a_01.png: lacks a mask of the same name \(1 such files in all\)"):
        find_pairs(folder)
    (folder / "images" / "a_01.png").unlink()
    (folder / "images" / "a_02.png").unlink()
    with pytest.raises(InputError, match=r"masks/a_02.png: lacks a photo"):
        find_pairs(folder)
    shutil.rmtree(folder / "masks")
    with pytest.raises(InputError, match="masks: no such folder"):
        find_pairs(folder)
    (folder / "masks").mkdir()
    for path in (folder / "images").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="holds no photos"):
        find_pairs(folder)
    (labelled / "face_000001.png").unlink()
    with pytest.raises(InputError, match=r"parsing_hair_label_000001.png: lacks a photo"):
        find_pairs(labelled)


def test_photos_that_differ_in_suffix_alone_are_refused(folder):
    shutil.copy(folder / "images" / "a_01.png", folder / "images" / "a_01.webp")
    with pytest.raises(InputError, match=r"a_01.webp: shares its mask's name with a_01.png"):
        find_pairs(folder)


def test_pairs_that_do_not_fit_or_cannot_be_read_are_named(folder):
    pair = find_pairs(folder)[0]
    cv2.imwrite(str(pair.mask), np.zeros((9, 9), np.uint8))
    with pytest.raises(InputError, match=r"a_01.png: is 9×9, but its photo a_01.png is 48×64"):
        TrainingPhotos(find_pairs(folder))
    pair.image.write_bytes(b"")
    with pytest.raises(InputError, match=r"a_01.png: not a readable image"):
        pair.load()


def test_splitting_depends_on_names_alone(blobs):
    pairs = find_pairs(blobs)
    parts = split(pairs, 0.3, 0.2)
    assert all(parts)
    assert sorted((pair for part in parts for pair in part), key=lambda pair: pair.name) == pairs
    assert split(pairs[::-1], 0.3, 0.2) == [part[::-1] for part in parts]
    assert set(split(pairs[:12], 0.3, 0.2)[0]) <= set(parts[0])
    assert split(pairs, 0.0, 0.0)[2] == pairs


def test_copies_go_where_their_pair_goes():
    pairs = [Pair(f"a_{i}", "a", Path(), Path()) for i in range(50)]
    copies = [Pair(f"scenes_small__a_{i}", "scenes", Path(), Path()) for i in range(50)]
    held, rest = split([*pairs, *copies], 0.3)
    assert {pair.name for pair in held} == {
        name for pair in split(pairs, 0.3)[0] for name in (pair.name, f"scenes_small__{pair.name}")
    }
    assert len(held) + len(rest) == 100


def test_a_small_share_still_gets_a_pair(blobs):
    validation, test, training = split(find_pairs(blobs), 0.001, 0.001)
    assert (len(validation), len(test), len(training)) == (1, 1, 22)


def test_fingerprints_tell_sets_of_pairs_apart(blobs):
    pairs = find_pairs(blobs)
    assert fingerprint(pairs) == fingerprint(find_pairs(blobs))
    assert fingerprint(pairs) != fingerprint(pairs[1:])


def test_training_photos_are_squashed_in_memory(blobs):
    photos = TrainingPhotos(find_pairs(blobs))
    image, mask = photos[3]
    assert (len(photos), image.shape, mask.shape) == (24, (3, 256, 256), (1, 256, 256))
    assert image.dtype == mask.dtype == torch.uint8
    assert image[:, mask[0] == 255].float().mean() > 210
    assert image[:, mask[0] == 0].float().mean() < 60


def test_a_batch_is_taken_out_at_once(blobs):
    photos = TrainingPhotos(find_pairs(blobs))
    images, masks = photos.__getitems__([3, 1])
    for row, index in enumerate((3, 1)):
        assert all(map(torch.equal, (images[row], masks[row]), photos[index]))


def test_soft_labels_are_compared_with_masks_and_mixed_into_them(blobs):
    photos = TrainingPhotos(find_pairs(blobs))

    def leftist(x):
        """Hair in the left half, wherever the face looks."""
        assert x.shape[1:] == (3, 192, 192)
        assert -1 <= x.min() < x.max() <= 1
        answer = torch.zeros(len(x), 1, 192, 192)
        answer[..., :96] = 0.8
        return answer

    hair = photos.masks >= 128
    found = torch.zeros_like(hair)
    found[..., : hair.shape[-1] // 2] = True
    expected = (hair & found).sum((1, 2, 3)) / (hair | found).sum((1, 2, 3))
    labels = photos.soft_labels(leftist, 192)
    assert (labels.shape, labels.dtype) == (photos.masks.shape, torch.uint8)
    assert (labels[..., 0].unique().tolist(), labels[..., -1].unique().tolist()) == ([204], [0])
    assert photos.agreements(labels) == pytest.approx(expected.tolist())
    masks = photos.masks.clone()
    photos.mix(labels, 0.25)
    assert (photos.masks - (0.75 * masks + 0.25 * labels)).abs().max() <= 0.5
    masks = photos.masks.clone()
    photos.keep([3, 5])
    assert len(photos) == 2
    assert torch.equal(photos.masks[1], masks[5])


def test_scoring_photos_keep_the_masks_own_size(blobs):
    image, mask, source = ScoringPhotos(find_pairs(blobs))[0]
    assert (image.shape, mask.shape, source) == ((224, 224, 3), (64, 48), "a")


@pytest.mark.parametrize("balance", [False, True])
def test_an_epoch_of_several_rounds_draws_every_photo_so_often(balance):
    sources = ["a", "b"] * 5
    batches = Batches(sources, 4, balance=balance, rounds=3)
    drawn = [index for batch in batches for index in batch]
    assert (len(batches), len(drawn)) == (7, 28)
    assert sorted(drawn.count(index) for index in range(10))[2:] == [3] * 8  # two of thirty did not fill a batch


def test_batches_are_a_function_of_seed_and_epoch():
    sources = ["a"] * 13 + ["b"] * 4
    one = list(Batches(sources, 4, seed=3, epoch=2))
    assert one == list(Batches(sources, 4, seed=3, epoch=2))
    assert one[2:] == list(Batches(sources, 4, seed=3, epoch=2, first=2))
    assert len(Batches(sources, 4, first=2)) == 4
    assert one != list(Batches(sources, 4, seed=4, epoch=2))
    assert one != list(Batches(sources, 4, seed=3, epoch=1))
    drawn = [index for batch in one for index in batch]
    assert len(set(drawn)) == len(drawn) == 16


def test_balanced_batches_draw_sources_equally():
    sources = ["a"] * 90 + ["b"] * 10
    counts = np.zeros(100, int)
    for epoch in range(20):
        drawn = np.array(list(Batches(sources, 10, balance=True, epoch=epoch))).ravel()
        assert (drawn >= 90).sum() == 50
        counts += np.bincount(drawn, minlength=100)
    assert counts.min() > 0
    assert set(counts[90:]) == {100}


def test_processes_share_each_batch():
    sources = ["a"] * 40
    alone = [sorted(batch) for batch in Batches(sources, 8, seed=1)]
    ranks = [list(Batches(sources, 4, seed=1, rank=rank, world=2)) for rank in (0, 1)]
    assert [sorted(one + other) for one, other in zip(*ranks, strict=True)] == alone


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(InputError, match="batch: got 13 on 2 devices, but there are only 24 training photos"):
        Batches(["a"] * 24, 13, world=2)
