"""Checkpoints of the generator, the discriminator and the property networks: in, out, and refused."""

import json
from pathlib import Path

import pytest
import torch

from ohlora_fast.errors import InputError
from ohlora_fast.stylegan.discriminator import Discriminator
from ohlora_fast.stylegan.generator import Generator
from ohlora_fast.stylegan.property_cnn import PropertyCNN
from ohlora_fast.stylegan.weights import (
    freeze,
    load_discriminator,
    load_generator,
    load_property_cnn,
    save_weights,
    start_v9,
    trained_parameters,
)

GOLDEN = Path(__file__).parents[1] / "golden"


def small(version="v1"):
    return Generator(version, 16, width=4)


def saved(model, path):
    torch.save(model.state_dict(), path)
    return path


def same(model, other):
    wanted, found = model.state_dict(), other.state_dict()
    return list(wanted) == list(found) and all(torch.equal(wanted[name], found[name]) for name in wanted)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize(("resolution", "base", "width"), [(8, 16384, 4), (64, 256, 16), (128, 1024, 12)])
def test_checkpoints_come_back_as_they_went(tmp_path, suffix, resolution, base, width):
    path = tmp_path / f"model.{suffix}"
    store = save_weights if suffix == "safetensors" else saved
    for version in ("v1", "v9"):
        model = Generator(version, resolution, base, width)
        store(model, path)
        loaded = load_generator(path)
        assert (loaded.version, loaded.resolution, loaded.training) == (version, resolution, False)
        assert same(loaded, model)
        assert same(load_generator(path, version), model)
    scorer = Discriminator(resolution, base, width)
    store(scorer, path)
    assert same(load_discriminator(path), scorer)


def test_the_key_files_load_unchanged(tmp_path):
    """State dicts made from the recorded names, shapes and types alone."""
    loaders = {
        "stylegan_v1_generator": load_generator,
        "stylegan_v9_generator": load_generator,
        "stylegan_discriminator": load_discriminator,
        "property_cnn_glass": lambda path: load_property_cnn("glass", path),
    }
    for name, load in loaders.items():
        keys = json.loads((GOLDEN / f"{name}.keys.json").read_text())
        state = {key: torch.full(shape, 0.5, dtype=getattr(torch, dtype)) for key, (shape, dtype) in keys.items()}
        blur = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
        state |= {key: blur.expand_as(value).clone() for key, value in state.items() if key.endswith(".kernel")}
        torch.save(state, tmp_path / "published.pth")
        found = load(tmp_path / "published.pth").state_dict()
        assert list(found) == list(state)
        assert all(torch.equal(found[key], value) for key, value in state.items())


def test_property_networks_come_back_as_they_went(tmp_path):
    model = PropertyCNN("age")
    save_weights(model, tmp_path / "age.safetensors", fold="1")
    assert same(load_property_cnn("age", tmp_path / "age.safetensors"), model)
    with pytest.raises(InputError, match=r"age.safetensors: 2 unexpected \(conv6.0.bias, conv6.0.weight\)$"):
        load_property_cnn("quality", tmp_path / "age.safetensors")
    with pytest.raises(InputError, match=r"age.safetensors: 1 misshaped \(fc1.0.weight is \(512, 12288\), not"):
        load_property_cnn("gender", tmp_path / "age.safetensors")


def test_v9_starts_from_v1_with_only_its_new_layers_drawn(tmp_path):
    old = small()
    path = saved(old, tmp_path / "v1.pth")
    model = start_v9(path, torch.Generator().manual_seed(3))
    assert same(model, start_v9(path, torch.Generator().manual_seed(3)))
    assert model.version == "v9"
    state, kept = model.state_dict(), old.state_dict()
    new = {name: value for name, value in state.items() if name not in kept}
    assert set(new) == {f"mapping.dense_new{index}.{leaf}" for index in (0, 1) for leaf in ("weight", "bias")}
    assert all(torch.equal(state[name], value) for name, value in kept.items())
    for value in new.values():
        assert value.std() == pytest.approx(0.15, rel=0.1)
        assert abs(value.mean()) < 0.02
    with torch.inference_mode():
        z = torch.randn(4, 512)
        assert torch.allclose(model.latent(z), old.eval().latent(z), atol=0.02)


def test_another_version_is_one_clear_line(tmp_path):
    first, ninth = saved(small(), tmp_path / "v1.pth"), saved(small("v9"), tmp_path / "v9.pth")
    for load, path, line in (
        (
            lambda path: load_generator(path, "v9"),
            first,
            "got a generator of version v1, allowed is v9; start_v9 makes",
        ),
        (lambda path: load_generator(path, "v1"), ninth, "got a generator of version v9, allowed is v1$"),
        (start_v9, ninth, "got a generator of version v9, allowed is v1$"),
        (lambda path: load_generator(path, "v2"), first, "^version: got 'v2', allowed are v1 and v9$"),
    ):
        with pytest.raises(InputError, match=line) as caught:
            load(path)
        assert "\n" not in str(caught.value)


def test_what_does_not_fit_is_one_clear_line(tmp_path):
    path = tmp_path / "wrong.pth"
    state = small().state_dict()

    def line(load, change):
        torch.save(state | change if change is not None else {}, path)
        with pytest.raises(InputError) as caught:
            load(path)
        return str(caught.value).removeprefix(f"checkpoint {path}: ")

    del state["mapping.dense3.bias"]
    assert line(load_generator, {"extra": torch.zeros(1)}) == "1 missing (mapping.dense3.bias); 1 unexpected (extra)"
    state["mapping.dense3.bias"] = torch.zeros(3)
    assert line(load_generator, {}) == "1 misshaped (mapping.dense3.bias is (3,), not (512,))"
    state["mapping.dense3.bias"] = torch.zeros(512)
    del state["synthesis.layer2.bias"]
    assert "unexpected (synthesis.layer4.bias" in line(load_generator, {})  # as of a network of 8×8
    state["synthesis.layer2.bias"] = torch.zeros(4)
    told = line(load_generator, {"synthesis.layer4.blur.kernel": torch.full((4, 1, 3, 3), 1 / 9)})
    assert told == "synthesis.layer4.blur.kernel is another blur than outer([1, 2, 1])/16"
    assert "missing" in line(load_discriminator, {})
    assert "missing" in line(load_generator, None)
    assert "missing" in line(load_discriminator, None)


def test_the_recorded_recipe_trains_the_coarse_layers():
    generator, scorer = Generator("v9", width=4), Discriminator(width=4)
    heads = {".".join(name.split(".")[:2]) for name in trained_parameters(generator) if name.startswith("synthesis")}
    assert heads == {f"synthesis.layer{i}" for i in range(6)} | {f"synthesis.output{i}" for i in range(3)}
    mapping = {name for name, _ in generator.named_parameters() if name.startswith("mapping.")}
    assert mapping <= set(trained_parameters(generator))
    heads = {name.split(".")[0] for name in trained_parameters(scorer)}
    assert heads == {f"layer{i}" for i in range(8, 15)} | {"input5", "input6"}
    for model in (generator, scorer):
        freeze(model)
        assert [name for name, value in model.named_parameters() if value.requires_grad] == trained_parameters(model)


def test_networks_of_few_pixels_train_whole():
    for model in (Generator("v1", 16, width=4), Discriminator(8, width=4)):
        left = {name for name, _ in model.named_parameters()} - set(trained_parameters(model))
        assert left == (set() if isinstance(model, Generator) else {"input0.weight", "input0.bias"})
