"""Augmented masks stay on the hair, and a seed decides."""

import pytest
import torch

from ohlora_fast.distill.augment import make_augmentation


@pytest.fixture
def batch():
    """Grey photos (8, 3, 256, 256) with a bright disc, the hair, and its mask."""
    y, x = torch.meshgrid(torch.arange(256), torch.arange(256), indexing="ij")
    mask = (((x - 100) ** 2 + (y - 150) ** 2) < 60**2).float()[None, None].repeat(8, 1, 1, 1)
    return (0.2 + 0.6 * mask).repeat(1, 3, 1, 1), mask


def test_without_augmentation_photos_are_only_shrunk(batch):
    images, masks = make_augmentation("none")(*batch)
    assert images.shape == (8, 3, 224, 224)
    assert torch.allclose(images[:, :1], 0.2 + 0.6 * masks, atol=1e-5)
    assert torch.equal(masks[0], masks[7])


@pytest.mark.parametrize("name", ["light", "mild", "strong"])
def test_masks_follow_the_hair(batch, name):
    torch.manual_seed(0)
    augment = make_augmentation(name)
    augment.margin = 0.0
    images, masks = augment(*batch)
    assert images.shape == (8, 3, 224, 224)
    assert masks.shape == (8, 1, 224, 224)
    assert 0 <= images.min() <= images.max() <= 1
    assert not torch.equal(masks[0], masks[1])
    for image, mask in zip(images.mean(1), masks[:, 0], strict=True):
        assert image[mask > 0.99].mean() - image[mask < 0.01].mean() > 0.15
        inside = image > (image.max() + image.min()) / 2
        assert (inside == (mask > 0.5)).float().mean() > 0.98


def test_a_seed_decides(batch):
    augment = make_augmentation("strong")
    torch.manual_seed(5)
    one = augment(*batch)
    torch.manual_seed(5)
    other = augment(*batch)
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert not torch.equal(one[0], augment(*batch)[0])


def test_strong_bends_further_than_mild(batch):
    spread = {}
    for name in ("mild", "strong"):
        torch.manual_seed(1)
        areas = torch.cat([make_augmentation(name)(*batch)[1].mean((1, 2, 3)) for _ in range(4)])
        spread[name] = float(areas.std())
    assert spread["strong"] > spread["mild"] > 0


def test_margins_are_of_one_colour_and_no_hair(batch):
    torch.manual_seed(0)
    augment = make_augmentation("strong")
    augment.margin = 1.0
    augment.recolour = torch.nn.Identity()
    images, masks = augment(0.3 + 0 * batch[0], torch.ones_like(batch[1]))
    colours = set()
    for image, mask in zip(images, masks[:, 0], strict=True):
        assert torch.allclose(image[:, mask == 1], torch.tensor(0.3), atol=1e-4)
        outside = image[:, mask == 0]
        if outside.shape[1]:  # a photo that was zoomed into has no margin
            assert (outside - outside[:, :1]).abs().max() < 1e-5
            colours.add(tuple(outside[:, 0].tolist()))
    assert len(colours) >= 4
