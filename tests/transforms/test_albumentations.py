"""`OmbreHair` in pipelines of Albumentations."""

import pickle

import numpy as np
import pytest

from ohlora_fast import InputError, apply_ombre, dye
from ohlora_fast.transforms import OmbreHair

A = pytest.importorskip("albumentations")


@pytest.fixture(scope="module")
def hair():
    """A map with hair in its upper left."""
    prob = np.zeros((200, 180), np.float32)
    prob[20:150, 10:120] = 1
    return prob


def test_it_dyes_as_the_library_does_with_the_settings_it_drew(portrait_pixels, hair):
    transform = OmbreHair(p=1)
    transform.set_random_seed(3)
    dyed = transform(image=portrait_pixels, hair_prob=hair)["image"]
    drawn = transform.get_applied_params()
    settings = drawn["color"], drawn["ombre_height"], drawn["ombre_grad_height"]
    assert np.array_equal(dyed, apply_ombre(portrait_pixels, hair, *settings))
    assert 0.4 <= settings[1] <= 1
    assert 0.2 <= settings[2] <= 0.8
    assert np.array_equal(transform(image=portrait_pixels)["image"], dye(portrait_pixels, *drawn_of(transform)))


def drawn_of(transform):
    return [transform.get_applied_params()[name] for name in ("color", "ombre_height", "ombre_grad_height")]


def test_each_call_draws_anew_and_a_seed_repeats(portrait_pixels, hair):
    first, second = (A.Compose([OmbreHair(p=1)], seed=7) for _ in range(2))
    series = [[one(image=portrait_pixels, hair_prob=hair)["image"] for _ in range(3)] for one in (first, second)]
    assert np.array_equal(series[0], series[1])
    assert not np.array_equal(series[0][0], series[0][1])


def test_the_map_moves_with_the_image_where_it_is_told_to(portrait_pixels, hair):
    pipeline = A.Compose(
        [A.HorizontalFlip(p=1), OmbreHair(0.5, 1.0, 0.0, p=1)], additional_targets={"hair_prob": "mask"}
    )
    done = pipeline(image=portrait_pixels, hair_prob=hair)
    assert np.array_equal(done["hair_prob"], hair[:, ::-1])
    assert np.array_equal(done["image"], apply_ombre(portrait_pixels, hair, 0.5, 1.0, 0.0)[:, ::-1])


def test_masks_and_boxes_stay_and_floats_come_back_as_floats(portrait_pixels, hair):
    mask = (hair > 0.5).astype(np.uint8)
    image = portrait_pixels.astype(np.float32) / 255
    done = OmbreHair(p=1)(image=image, mask=mask, hair_prob=hair)
    assert np.array_equal(done["mask"], mask)
    assert done["image"].dtype == np.float32
    assert (done["image"] != image).any()
    assert np.array_equal(done["image"][hair == 0][5000:], image[hair == 0][5000:])


def test_a_replay_dyes_another_image_by_its_own_map(portrait_pixels, hair):
    pipeline = A.ReplayCompose([OmbreHair(p=1)])
    done = pipeline(image=portrait_pixels, hair_prob=hair)
    again = A.ReplayCompose.replay(
        done["replay"], image=portrait_pixels[:, ::-1].copy(), hair_prob=hair[:, ::-1].copy()
    )
    assert np.array_equal(again["image"], done["image"][:, ::-1])


def test_several_images_take_a_map_each(portrait_pixels, hair):
    images, maps = np.stack([portrait_pixels] * 2), np.stack([hair, hair[::-1]])
    dyed = OmbreHair(0.5, 1.0, 0.0, p=1)(images=images, hair_prob=maps)["images"]
    for index in range(2):
        assert np.array_equal(dyed[index], apply_ombre(images[index], maps[index], 0.5, 1.0, 0.0))


@pytest.mark.parametrize("heads", ["auto", "whole"])
def test_heads_are_found_where_there_is_no_map(portrait_pixels, heads):
    group = np.hstack([portrait_pixels, portrait_pixels[:, ::-1]])
    transform = OmbreHair(p=1, heads=heads)
    dyed = transform(images=np.stack([group, group[:, ::-1]]))["images"]
    for image, one in zip((group, group[:, ::-1]), dyed, strict=True):
        assert np.array_equal(one, dye(image.copy(), *drawn_of(transform), heads=heads))


def test_it_goes_to_worker_processes_and_into_configuration_files(portrait_pixels, hair):
    transform = OmbreHair((0.1, 0.2), p=1)
    transform(image=portrait_pixels)  # with a student at work, which does not travel
    assert pickle.loads(pickle.dumps(transform)).color == (0.1, 0.2)
    known = A.to_dict(transform)["transform"]
    assert known["color"] == (0.1, 0.2)
    assert A.from_dict(A.to_dict(transform)).color == (0.1, 0.2)


def test_ranges_are_checked():
    with pytest.raises(InputError, match=r"color: got the range 0\.6 to 0\.4, allowed is the lower end"):
        OmbreHair(color=(0.6, 0.4))
    with pytest.raises(InputError, match=r"ombre_height: got 1\.5"):
        OmbreHair(ombre_height=(0.5, 1.5))
    with pytest.raises(InputError, match=r"heads: got \[0\], allowed are 'auto' and 'whole'"):
        OmbreHair(heads=[0])
