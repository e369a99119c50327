"""`RandomOmbreHair` in pipelines of Kornia."""

import numpy as np
import pytest
import torch

from ohlora_fast import InputError, apply_ombre, dye
from ohlora_fast.transforms import RandomOmbreHair

K = pytest.importorskip("kornia.augmentation")


@pytest.fixture(scope="module")
def photos(portrait_pixels):
    return torch.from_numpy(np.stack([portrait_pixels] * 4)).permute(0, 3, 1, 2).float() / 255


@pytest.fixture(scope="module")
def hair():
    prob = torch.zeros(4, 200, 180)
    prob[:, 20:150, 10:120] = 1
    return prob


def test_each_image_is_dyed_as_the_library_does_with_the_settings_it_drew(photos, hair):
    augment = RandomOmbreHair(p=1)
    dyed = augment(photos, hair_prob=hair)
    drawn = [augment._params[name].double().numpy() for name in ("color", "ombre_height", "ombre_grad_height")]
    assert len(set(drawn[0])) == 4
    assert torch.allclose(dyed, apply_ombre(photos * 255, hair, *drawn) / 255, atol=1e-6)


def test_the_student_finds_the_hair_where_no_map_is_given(photos):
    dyed = RandomOmbreHair(0.5, 1.0, 0.0, p=1)(photos[:1])
    wanted = dye(photos[0].permute(1, 2, 0).numpy(), 0.5, 1.0, 0.0)
    assert np.abs(dyed[0].permute(1, 2, 0).numpy() - wanted).max() < 1e-5


@pytest.mark.parametrize("heads", ["auto", "whole"])
def test_heads_are_found_in_each_image(photos, heads):
    batch = torch.cat([photos[:2], photos[:2].flip(-1)], dim=3)  # two heads; in the second, one is hidden
    batch[1, :, :, 180:] = 0.5
    augment = RandomOmbreHair(p=1, heads=heads)
    image = batch.clone().requires_grad_()
    dyed = augment(image)
    for index in range(2):
        drawn = [float(augment._params[name][index]) for name in ("color", "ombre_height", "ombre_grad_height")]
        wanted = dye(batch[index].permute(1, 2, 0).numpy(), *drawn, heads=heads)
        assert np.abs(dyed[index].detach().permute(1, 2, 0).numpy() - wanted).max() < 1e-5
    dyed.sum().backward()
    touched = (image.grad != 1).any(1)
    assert touched[0, :, :180].any()
    assert touched[0, :, 180:].any()
    assert not touched[1, :, 200:].any()


def test_parameters_replay_and_one_draw_may_serve_a_batch(photos, hair):
    augment = RandomOmbreHair(p=0.5)
    dyed = augment(photos, hair_prob=hair)
    assert torch.equal(augment(photos, params=augment._params, hair_prob=hair), dyed)
    shared = RandomOmbreHair(p=1, same_on_batch=True)(photos, hair_prob=hair)
    assert all(torch.equal(shared[0], one) for one in shared)


def test_about_p_of_the_images_are_dyed_and_the_others_stay(photos, hair):
    torch.manual_seed(0)
    augment = RandomOmbreHair(p=0.5)
    dyed = augment(photos.repeat(8, 1, 1, 1), hair_prob=hair.repeat(8, 1, 1))
    changed = (dyed != photos[0]).flatten(1).any(1)
    assert torch.equal(changed, augment._params["batch_prob"] > 0.5)
    assert 8 < changed.sum() < 24
    assert torch.equal(RandomOmbreHair(p=0)(photos), photos)


def test_it_runs_between_others(photos):
    pipeline = K.AugmentationSequential(
        K.RandomHorizontalFlip(p=1), RandomOmbreHair(0.5, 1.0, 0.0, p=1), data_keys=["input", "mask"]
    )
    mask = torch.zeros(4, 1, 200, 180)
    dyed, same = pipeline(photos, mask)
    assert torch.equal(same, mask)
    assert (dyed != photos.flip(-1)).any()


def test_gradients_reach_the_image(photos, hair):
    image = photos[:1].clone().requires_grad_()
    RandomOmbreHair(0.5, 1.0, 0.0, p=1)(image, hair_prob=hair[:1]).sum().backward()
    assert (image.grad[0, :, 160:] == 1).all()  # no hair there
    assert (image.grad[0, :, 30:140, 20:110] != 1).float().mean() > 0.99


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_shape_and_dtype_stay(photos, hair, dtype):
    single = photos[0].to(dtype)
    dyed = RandomOmbreHair(p=1, keepdim=True)(single, hair_prob=hair[:1])
    assert dyed.shape == single.shape
    assert dyed.dtype == dtype


def test_ranges_are_checked():
    with pytest.raises(InputError, match=r"color: got the range 0\.6 to 0\.4"):
        RandomOmbreHair(color=(0.6, 0.4))
    with pytest.raises(InputError, match=r"heads: got 'all', allowed are 'auto' and 'whole'"):
        RandomOmbreHair(heads="all")
