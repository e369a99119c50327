"""Checkpoints of the generator, the discriminator and the property networks, and what the fine-tuning trains of them.

A checkpoint is a state dict with the reference's names, as safetensors or as a weights-only pickle. The published files
of StyleGAN-FineTune-v1 and -v9 were not at hand: that they load is concluded from their names and shapes alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from ohlora_fast.errors import InputError
from ohlora_fast.media.files import written_whole
from ohlora_fast.student.weights import check_state, read_state
from ohlora_fast.stylegan.discriminator import Discriminator
from ohlora_fast.stylegan.generator import VERSIONS, Generator, Version
from ohlora_fast.stylegan.layers import RESOLUTIONS, WIDTH
from ohlora_fast.stylegan.property_cnn import PropertyCNN

State = Mapping[str, Tensor]
Model = TypeVar("Model", bound=nn.Module)
NEW = "mapping.dense_new"
"""What v9's own parameters' names begin with."""
NEW_DEVIATION = 0.15
"""They start at N(0, 0.15²): times their learning-rate multiplier of 0.01, close to no second branch at all."""
TRAINED_UP_TO = 16
"""The fine-tuning trains the synthesis and the discriminator at this resolution and below."""


def load_generator(path: str | Path, version: Version | None = None) -> Generator:
    """Load a generator, in float32 and evaluation mode; its version and size are read off names and shapes.

    Args:
        path: ``.safetensors``, or a weights-only pickle (``.pth``, ``.pt``, ``.bin``, ``.ckpt``).
        version: ``"v1"`` or ``"v9"``, which it then must be of.

    Raises:
        InputError: the file cannot be read, is of another version, or is no generator's.
    """
    state, _ = read_state(path)
    found: Version = "v9" if any(name.startswith(NEW) for name in state) else "v1"
    if version is not None and version not in VERSIONS:
        raise InputError(f"version: got {version!r}, allowed are {' and '.join(VERSIONS)}")
    if version not in (None, found):
        hint = "; start_v9 makes a v9 of it" if version == "v9" else ""
        raise InputError(f"checkpoint {path}: got a generator of version {found}, allowed is {version}{hint}")
    size = size_of(state, [f"synthesis.layer{2 * block}.bias" for block in range(len(RESOLUTIONS) + 1)])
    return with_state(Generator(found, **size), state, path)


def start_v9(path: str | Path, rng: torch.Generator | None = None) -> Generator:
    """Start a v9 generator from a v1 checkpoint: the new layers are drawn from N(0, 0.15²), all else is kept.

    Args:
        path: as of `load_generator`.
        rng: what is drawn from; None for PyTorch's own.

    Raises:
        InputError: as `load_generator`; or the checkpoint is a v9 already.
    """
    old = load_generator(path, "v1")
    model = Generator("v9", old.resolution, old.base, old.width)
    state = model.state_dict() | old.state_dict()
    for name, value in state.items():
        if name.startswith(NEW):
            state[name] = NEW_DEVIATION * torch.randn(value.shape, generator=rng)
    model.load_state_dict(state)
    return model.eval()


def load_discriminator(path: str | Path) -> Discriminator:
    """Load a discriminator, in float32 and evaluation mode; its size is read off names and shapes.

    Raises:
        InputError: the file cannot be read, or is no discriminator's.
    """
    state, _ = read_state(path)
    size = size_of(state, [f"input{block}.bias" for block in reversed(range(len(RESOLUTIONS) + 1))])
    return with_state(Discriminator(**size), state, path)


def load_property_cnn(name: str, path: str | Path) -> PropertyCNN:
    """Load one property network, in float32 and evaluation mode.

    Args:
        name: the property, see `PropertyCNN`.
        path: as of `load_generator`.

    Raises:
        InputError: another name, the file cannot be read, or it is not that property's.
    """
    model = PropertyCNN(name)
    state, _ = read_state(path)
    return with_state(model, state, path)


def save_weights(model: nn.Module, path: str | Path, **notes: str) -> None:
    """Write a model's state dict as safetensors, whole or not at all; ``notes`` go into the metadata."""
    from safetensors.torch import save

    state = {name: value.detach().contiguous().cpu() for name, value in model.state_dict().items()}
    with written_whole(path) as file:
        file.write(save(state, metadata=notes or None))


def size_of(state: State, biases: list[str]) -> dict[str, int]:
    """`resolution`, `base` and `width` of a network, from one bias a resolution, 4×4 first.

    Where some are missing it is another network's, and `with_state` will say what is missing.
    """
    channels = [state[name].numel() for name in biases if name in state] or [WIDTH]
    resolution = 4 * 2 ** max(len(channels) - 1, 1)
    return {"resolution": resolution, "base": max(channels[-1], 1) * resolution, "width": max(channels[0], 1)}


def with_state(model: Model, state: State, path: str | Path) -> Model:
    """Load a state dict that must fit, and whose blurs must be the ones that the networks compute.

    Raises:
        InputError: names, shapes or blurs differ.
    """
    wanted = model.state_dict()
    check_state(state, wanted, str(path))
    for name, value in wanted.items():
        if name.endswith(".kernel") and not torch.allclose(state[name].float(), value, atol=1e-6):
            raise InputError(f"checkpoint {path}: {name} is another blur than outer([1, 2, 1])/16")
    model.load_state_dict(dict(state))
    return model.eval()


def trained_parameters(model: Generator | Discriminator) -> list[str]:
    """The names of the parameters that the recorded recipe trains: all else stays as it is.

    Of a generator the mapping, and the synthesis at 16×16 and below; of a discriminator the layers at 16×16 and below,
    and the inputs at 8×8 and below. At 256×256: ``layer0`` to ``layer5`` and ``output0`` to ``output2``; ``layer8`` to
    ``layer14``, ``input5`` and ``input6``.

    >>> sorted({name.split(".")[0] for name in trained_parameters(Discriminator(64, width=4))})
    ['input3', 'input4', 'layer10', 'layer4', 'layer5', 'layer6', 'layer7', 'layer8', 'layer9']
    """
    coarse = TRAINED_UP_TO.bit_length() - 2  # blocks: 4×4, 8×8, 16×16
    if isinstance(model, Generator):
        layers, others = range(2 * coarse), range(coarse)
        kept = [f"synthesis.layer{index}" for index in layers] + [f"synthesis.output{index}" for index in others]
        prefixes = ("mapping.", *(f"{name}." for name in kept))
    else:
        first = max(model.blocks - coarse, 0)
        layers, others = range(2 * first, 2 * model.blocks + 1), range(first + 1, model.blocks)
        prefixes = (*(f"layer{index}." for index in layers), *(f"input{index}." for index in others))
    return [name for name, _ in model.named_parameters() if name.startswith(prefixes)]


def freeze(model: Generator | Discriminator) -> None:
    """Leave gradients to those parameters that the recorded recipe trains, and to no other."""
    trained = set(trained_parameters(model))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in trained)
