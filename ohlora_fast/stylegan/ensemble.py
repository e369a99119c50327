"""Property networks of several folds, whose scores are averaged: files of them, and finding out whose they are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from ohlora_fast.errors import InputError
from ohlora_fast.media.files import written_whole
from ohlora_fast.student.weights import check_state, read_state
from ohlora_fast.stylegan.property_cnn import PROPERTIES, PropertyCNN

FOLD = "fold-{}."
"""How the names of one network's parameters begin in a file of several; the first is 1."""


class Ensemble(nn.Module):
    """Networks of one property; the score is the mean of theirs.

    Args:
        models: one or more, all of one property.

    >>> ensemble = Ensemble([PropertyCNN("glass"), PropertyCNN("glass")]).eval()
    >>> tuple(ensemble(torch.rand(3, 3, 256, 256)).shape)
    (3, 1)
    """

    def __init__(self, models: Sequence[PropertyCNN]) -> None:
        super().__init__()
        self.name = models[0].name
        self.models = nn.ModuleList(models)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, image: Tensor) -> Tensor:
        """Scores (N, 1) in (0, 1) of images (N, 3, H, W), RGB in [0, 1]."""
        image = image.contiguous(memory_format=torch.channels_last)
        return torch.stack([model(image) for model in self.models]).mean(0)


def save_ensemble(models: Sequence[PropertyCNN], path: str | Path, **notes: str) -> None:
    """Write networks of one property into one safetensors file, each parameter's name with its network's before it.

    Args:
        models: one or more, all of one property.
        path: the file, written whole or not at all.
        notes: stored in its metadata, beside the property.

    Raises:
        InputError: it cannot be written.
    """
    state = {
        FOLD.format(number) + name: value.detach().cpu().contiguous()
        for number, model in enumerate(models, 1)
        for name, value in model.state_dict().items()
    }
    with written_whole(path) as file:
        file.write(save(state, {**notes, "property": models[0].name}))


def load_models(path: str | Path) -> list[PropertyCNN]:
    """The networks in a file: what `save_ensemble` wrote, or one network's state dict with the reference's names.

    Which property it is, is told from the shapes: no two properties share them.

    Args:
        path: safetensors or a weights-only pickle.

    Raises:
        InputError: the file cannot be read, or holds no property's networks.
    """
    state, _ = read_state(path)
    if not any(name.startswith(FOLD.format(1)) for name in state):
        return [load_model(state, str(path))]
    parts: dict[str, dict[str, Tensor]] = {}
    for name, value in state.items():
        fold, _, rest = name.partition(".")
        parts.setdefault(fold, {})[rest] = value
    models = [load_model(part, f"{path}, {fold}") for fold, part in sorted(parts.items())]
    if len({model.name for model in models}) > 1:
        raise InputError(f"scorer {path}: holds networks of {', '.join(sorted({model.name for model in models}))}")
    return models


def load_model(state: Mapping[str, Tensor], what: str) -> PropertyCNN:
    """The network with these parameters."""
    shapes = {name: value.shape for name, value in state.items()}
    fitting = [name for name in PROPERTIES if shape_that_tells(name) == telling(shapes)]
    if not fitting:
        raise InputError(
            f"scorer {what}: not a property's network; its first dense layer would tell which, allowed are those of "
            + ", ".join(PROPERTIES)
        )
    model = PropertyCNN(fitting[0])
    check_state(state, model.state_dict(), what)
    model.load_state_dict({name: value.float() for name, value in state.items()})
    return model.eval()


def telling(shapes: Mapping[str, torch.Size]) -> tuple[bool, torch.Size | None]:
    """What differs from property to property: whether there is a sixth convolution, and the dense layer's inputs."""
    return "conv6.0.weight" in shapes, shapes.get("fc1.0.weight")


def shape_that_tells(name: str) -> tuple[bool, torch.Size | None]:
    """`telling` of a property."""
    with torch.device("meta"):
        return telling({key: value.shape for key, value in PropertyCNN(name).state_dict().items()})


def load_ensembles(paths: Sequence[str | Path]) -> dict[str, Ensemble]:
    """Property → ensemble, of all the files of it; in the order of `PROPERTIES`.

    Raises:
        InputError: see `load_models`; or no file came.
    """
    if not paths:
        raise InputError("scorer: none came; expected are one or more files, as train-scorer writes them")
    models = [model for path in paths for model in load_models(path)]
    names = {model.name for model in models}
    return {
        name: Ensemble([model for model in models if model.name == name]).eval() for name in PROPERTIES if name in names
    }


def fingerprint(paths: Sequence[str | Path]) -> str:
    """12 hexadecimal digits that tell one set of scorers from another, whatever their order, names and metadata.

    Raises:
        InputError: a file cannot be read.
    """
    digests = sorted(digest(read_state(path)[0]) for path in paths)
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:12]


def digest(state: Mapping[str, Tensor]) -> str:
    """Tells parameters from others."""
    whole = hashlib.sha256()
    for name, value in sorted(state.items()):
        whole.update(name.encode() + value.float().contiguous().numpy().tobytes())
    return whole.hexdigest()
