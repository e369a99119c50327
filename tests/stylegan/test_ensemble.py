"""Ensembles of property networks: their mean, their files, what tells them apart."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ohlora_fast.errors import InputError
from ohlora_fast.student.weights import load_student, save_student
from ohlora_fast.stylegan.ensemble import Ensemble, fingerprint, load_ensembles, load_models, save_ensemble
from ohlora_fast.stylegan.property_cnn import PROPERTIES, PropertyCNN


def bare(name: str, seed: int) -> PropertyCNN:
    torch.manual_seed(seed)
    return PropertyCNN(name).eval()


def test_an_ensemble_is_the_mean_of_its_networks_however_they_are_stored(tmp_path: Path) -> None:
    models = [bare("glass", seed) for seed in range(3)]
    save_ensemble(models[:2], tmp_path / "two.safetensors")
    torch.save(models[2].state_dict(), tmp_path / "one.pth")  # as the reference stores a network
    ensembles = load_ensembles([tmp_path / "two.safetensors", tmp_path / "one.pth"])
    images = torch.rand(2, 3, 256, 256)
    with torch.inference_mode():
        expected = sum(model(images) for model in models) / 3
        torch.testing.assert_close(ensembles["glass"](images), expected)
        assert (models[0](images) - models[1](images)).abs().max() > 1e-5


@pytest.mark.parametrize("name", PROPERTIES)
def test_a_network_tells_its_property(name: str, tmp_path: Path) -> None:
    save_ensemble([bare(name, 0)], tmp_path / "x.safetensors")
    assert [model.name for model in load_models(tmp_path / "x.safetensors")] == [name]


def test_scorers_are_told_apart_by_their_weights_alone(tmp_path: Path) -> None:
    one, same, other = (tmp_path / f"{name}.safetensors" for name in ("one", "same", "other"))
    save_ensemble([bare("glass", 0)], one, folds="a")
    save_ensemble([bare("glass", 0)], same, folds="b")
    save_ensemble([bare("glass", 1)], other)
    assert one.read_bytes() != same.read_bytes()
    assert fingerprint([one, other]) == fingerprint([other, same])
    assert len({fingerprint([one]), fingerprint([other]), fingerprint([one, other])}) == 3


def test_other_files_are_no_scorers(tmp_path: Path) -> None:
    save_student(load_student(), tmp_path / "student.safetensors")
    with pytest.raises(InputError, match=r"student.safetensors: not a property's network"):
        load_models(tmp_path / "student.safetensors")
    state = bare("glass", 0).state_dict()
    del state["conv3.0.bias"]
    torch.save(state, tmp_path / "less.pth")
    with pytest.raises(InputError, match=r"less.pth: 1 missing \(conv3.0.bias\)"):
        load_models(tmp_path / "less.pth")
    with pytest.raises(InputError, match="no such file"):
        load_ensembles([tmp_path / "none.pth"])


def test_ensembles_of_one_network_are_that_network() -> None:
    model = bare("quality", 1)
    images = torch.rand(1, 3, 256, 256)
    with torch.inference_mode():
        torch.testing.assert_close(Ensemble([model])(images), model(images))
