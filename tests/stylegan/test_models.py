"""Generator, discriminator and property networks: names, shapes and numbers of the reference, and other sizes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ohlora_fast.errors import InputError
from ohlora_fast.stylegan.discriminator import Discriminator, with_spread
from ohlora_fast.stylegan.generator import VERSIONS, Generator
from ohlora_fast.stylegan.property_cnn import PROPERTIES, PropertyCNN

GOLDEN = Path(__file__).parents[1] / "golden"


def recorded(name):
    return {key: torch.from_numpy(value) for key, value in np.load(GOLDEN / f"{name}.npz").items()}


@pytest.fixture(scope="module", params=VERSIONS)
def generator(request, fill):
    return fill(Generator(request.param), "unit")


def assert_names(model, file):
    expected = json.loads((GOLDEN / f"{file}.keys.json").read_text())
    state = model.state_dict()
    found = {name: [list(value.shape), str(value.dtype).removeprefix("torch.")] for name, value in state.items()}
    assert list(found) == list(expected)
    assert found == expected


def test_names_and_shapes_are_the_references(generator):
    assert_names(generator, f"stylegan_{generator.version}_generator")
    assert_names(Discriminator(), "stylegan_discriminator")
    for name in PROPERTIES:
        assert_names(PropertyCNN(name), f"property_cnn_{name}")


def test_generator_reproduces_the_recorded_images(generator):
    expected = recorded(f"stylegan_{generator.version}_generator")
    with torch.inference_mode():
        w = generator.latent(expected["z"], expected["label"])
        image = generator(expected["z"], expected["label"], truncation_psi=0.7, truncation_layers=8)
    assert (w - expected["w"]).abs().max() < 1e-4
    assert (image - expected["image"]).abs().max() < 1e-4 * (expected["image"].max() - expected["image"].min())


def test_discriminator_reproduces_the_recorded_scores(fill, wavy):
    expected = recorded("stylegan_discriminator")
    with torch.inference_mode():
        score = fill(Discriminator(), "unit")(wavy(4, 256, 0), expected["label"])
    assert score.shape == expected["score"].shape
    assert (score - expected["score"]).abs().max() < 1e-4


@pytest.mark.parametrize("name", PROPERTIES)
def test_property_networks_reproduce_the_recorded_scores(fill, wavy, name):
    expected = recorded(f"property_cnn_{name}")["score"]
    with torch.inference_mode():
        score = fill(PropertyCNN(name))((wavy(4, 256, 3) + 1) / 2)
    assert score.shape == expected.shape
    assert (score - expected).abs().max() < 1e-5


@pytest.mark.parametrize("name", PROPERTIES)
def test_property_networks_see_their_crop_alone(name):
    model, image = PropertyCNN(name).eval(), torch.rand(1, 3, 256, 256, requires_grad=True)
    model(image).sum().backward()
    seen = image.grad.abs().sum(dim=(0, 1)) > 0
    (top, bottom), (left, right) = PROPERTIES[name].rows, PROPERTIES[name].columns
    outside = seen.clone()
    outside[top:bottom, left:right] = False
    assert not outside.any()
    assert seen.any(dim=1).sum() > 0.9 * (bottom - top)
    assert seen.any(dim=0).sum() > 0.9 * (right - left)


def test_property_networks_bring_images_to_their_size():
    model = PropertyCNN("quality").eval()
    small = torch.rand(2, 3, 16, 16).repeat_interleave(4, 2).repeat_interleave(4, 3)
    large = small.repeat_interleave(8, 2).repeat_interleave(8, 3)
    with torch.inference_mode():
        assert model.crop(large).shape == model.crop(small).shape == (2, 3, 64, 128)
        assert model(torch.full((1, 3, 100, 31), 0.25)) == pytest.approx(model(torch.full((1, 3, 256, 256), 0.25)))
        assert (model.crop(large) - model.crop(small)).abs().mean() < 0.1


@pytest.mark.parametrize("resolution", [8, 64, 128])
def test_other_resolutions_keep_the_names_of_the_same_layers(generator, resolution):
    """A generator's names count from 4×4 on, a discriminator's from the images on."""
    whole = {name: tuple(value.shape) for name, value in generator.state_dict().items()}
    small = Generator(generator.version, resolution).state_dict()
    differing = {name for name, value in small.items() if whole[name] != tuple(value.shape)}
    assert differing == set()
    scores = Discriminator(resolution).state_dict()
    whole = Discriminator().state_dict()
    skipped = (256 // resolution).bit_length() - 1
    for name, value in scores.items():
        kind, _, rest = name.partition(".")
        stem, number = kind.rstrip("0123456789"), kind.lstrip("abcdefghijklmnopqrstuvwxyz")
        if number:
            kind = f"{stem}{int(number) + skipped * (1 if stem == 'input' else 2)}"
        assert whole[f"{kind}.{rest}" if rest else kind].shape == value.shape, name


@pytest.mark.parametrize(("resolution", "base", "width"), [(8, 8, 3), (64, 1024, 32), (128, 512, 16)])
def test_other_sizes_run_and_learn(resolution, base, width):
    generator, discriminator = Generator("v9", resolution, base, width), Discriminator(resolution, base, width)
    image = generator(torch.randn(3, 512), torch.randn(3, 7), noise="fresh")
    assert image.shape == (3, 3, resolution, resolution)
    discriminator(image, torch.randn(3, 7)).sum().backward()
    for model in (generator, discriminator):
        unused = {
            name.split(".")[0 if model is discriminator else 1]
            for name, value in model.named_parameters()
            if value.grad is None
        }
        last = generator.synthesis.blocks - 1
        kept = range(1, last + 1) if model is discriminator else range(last)
        assert unused == {f"{'input' if model is discriminator else 'output'}{index}" for index in kept}


def test_truncation_draws_the_first_layers_towards_the_average():
    model = Generator("v1", 16, width=4)
    model.truncation.w_avg.normal_()
    w = torch.randn(2, 512)
    ws = model.truncation(w, 0.25, 4)
    assert ws.shape == (2, 6, 512)
    assert torch.allclose(ws[:, :4], (0.25 * w + 0.75 * model.truncation.w_avg)[:, None].expand(-1, 4, -1), atol=1e-6)
    assert torch.allclose(ws[:, 4:], w[:, None].expand(-1, 2, -1), atol=1e-6)
    assert torch.equal(model.truncation(ws, 0.0, 99)[1, 5], model.truncation.w_avg)


def test_a_w_for_each_layer_is_taken_as_it_is():
    model = Generator("v9", 16, width=4).eval()
    w = torch.randn(2, 512)
    with torch.inference_mode():
        whole, apart = model.render(w), model.render(w[:, None].repeat(1, 6, 1))
        swapped = model.render(torch.cat([w[:, None].repeat(1, 5, 1), w.flip(0)[:, None]], dim=1))
    assert torch.equal(whole, apart)
    assert not torch.allclose(whole, swapped)


def test_noise_is_stored_or_fresh():
    torch.manual_seed(0)
    model = Generator("v9", 16, width=4).eval()
    for layer in model.synthesis.layers:
        torch.nn.init.ones_(layer.apply_noise.weight)
    z = torch.randn(1, 512).repeat(2, 1)
    with torch.inference_mode():
        stored = model(z)
        fresh = [model(z, noise="fresh", rng=torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)]
    assert torch.equal(stored[0], stored[1])
    assert torch.equal(fresh[0], fresh[1])
    assert not torch.allclose(fresh[0], fresh[2])
    assert not torch.allclose(fresh[0][0], fresh[0][1])


def test_the_average_w_follows_its_batches():
    model = Generator("v9", 8, width=4)
    model.truncation.w_avg.fill_(1.0)
    model.follow(torch.stack([torch.full((512,), 2.0), torch.full((512,), 4.0)]))
    assert torch.allclose(model.truncation.w_avg, torch.full((512,), 0.995 + 0.005 * 3))


def test_spread_over_groups_of_sixteen():
    x = torch.randn(32, 3, 4, 4, dtype=torch.float64)
    spread = with_spread(x)[:, 3]
    assert torch.equal(with_spread(x)[:, :3], x)
    for index in range(2):
        expected = (x[index::2].var(dim=0, unbiased=False) + 1e-8).sqrt().mean()
        assert torch.allclose(spread[index::2], expected.expand(16, 4, 4))
    assert torch.allclose(with_spread(x[:1])[:, 3], torch.full((1, 4, 4), 1e-4, dtype=torch.float64))


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Generator("v2"), "version"),
        (lambda: Generator(resolution=100), "resolution"),
        (lambda: Generator(resolution=64, base=32), "base"),
        (lambda: Discriminator(width=0), "width"),
        (lambda: PropertyCNN("hat"), "property"),
        (lambda: small().latent(torch.zeros(2, 511)), "z"),
        (lambda: small()(torch.zeros(2, 512), torch.zeros(1, 7)), "label"),
        (lambda: small().render(torch.zeros(2, 5, 512)), "w"),
        (lambda: small()(torch.zeros(2, 512), noise="loud"), "noise"),
        (lambda: Discriminator(8, width=4)(torch.zeros(2, 3, 16, 16)), "image"),
        (lambda: Discriminator(8, width=4)(torch.zeros(17, 3, 8, 8)), "image"),
        (lambda: Discriminator(8, width=4)(torch.zeros(2, 3, 8, 8), torch.zeros(2, 6)), "label"),
        (lambda: PropertyCNN("age")(torch.zeros(2, 256, 256, 3)), "image"),
    ],
)
def test_wrong_arguments_are_named(make, named):
    with pytest.raises(InputError, match=rf"^{named}: got .* allowed") as caught:
        make()
    assert "\n" not in str(caught.value)


def small():
    return Generator("v1", 8, width=4)
