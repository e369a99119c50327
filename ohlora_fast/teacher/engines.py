"""What gives hair probabilities of faces: FaceXFormer, any ONNX model with a channel for hair, or a student.

PyTorch and ONNX Runtime are imported where they are used: an ONNX teacher loads no PyTorch.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ohlora_fast.errors import InputError
from ohlora_fast.hub import fetch, sha256_of
from ohlora_fast.runtime import usable_cores
from ohlora_fast.student import SIZE
from ohlora_fast.student.engines import device_problem, make_engine
from ohlora_fast.telemetry import onnx_runtime

Array = np.ndarray[Any, Any]
INPUT_RANGES = ("imagenet", "unit", "minus-one-one", "byte")
ACTIVATIONS = ("softmax", "sigmoid", "none")
INPUT_TYPES = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8}
MEAN, STD = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
NAME_KEYS = ("names", "labels", "classes", "class_names", "id2label")
"""Under which of these an ONNX file's metadata lists its channels: a list, a mapping from index, or a,b,c."""


class Teacher(Protocol):
    """Gives soft labels.

    Attributes:
        name: the file's, or the published weights'.
        sha256: of the weights' file.
        settings: what else its numbers depend on, in one line.
        size: height and width of the faces it takes.
    """

    name: str
    sha256: str
    settings: str
    size: tuple[int, int]

    def predict(self, faces: Array) -> Array:
        """uint8 RGB faces (N, *size, 3) → float32 hair probabilities (N, h, w) in [0, 1]."""
        ...


class FaceXFormerTeacher:
    """FaceXFormer in PyTorch.

    Args:
        model: a `FaceXFormer`.
        name: to be known by.
        sha256: of its file.
        device: where it runs, one that does.
    """

    settings = "hair-channel=10 input-range=imagenet activation=softmax"
    size = (SIZE, SIZE)

    def __init__(self, model: Any, name: str, sha256: str, device: str) -> None:
        self.model, self.name, self.sha256, self.device = model.to(device), name, sha256, device

    def predict(self, faces: Array) -> Array:
        import torch

        planes = scaled(faces, "imagenet").transpose(0, 3, 1, 2)
        with torch.inference_mode():
            prob = self.model.hair_probability(torch.from_numpy(np.ascontiguousarray(planes)).to(self.device))
        return prob[:, 0].cpu().numpy()


class StudentTeacher:
    """A student's checkpoint as a teacher, for self-distillation."""

    settings = "student"

    def __init__(self, path: Path, device: str) -> None:
        self.engine = make_engine(path, device=device)
        self.size = (self.engine.size, self.engine.size)
        self.name, self.sha256 = path.name, sha256_of(path)

    def predict(self, faces: Array) -> Array:
        return self.engine.predict(faces)


class OnnxTeacher:
    """An ONNX model with one image input, float or uint8, (N, 3, H, W) or (N, H, W, 3), N being 1 or free.

    H and W are the graph's, or 224 where it leaves them free. The first output counts: (N, C, H, W) or (N, H, W),
    logits or probabilities. The model runs once on a black face when it is loaded, so that what does not fit is
    refused before any work.

    Args:
        path: the ``.onnx`` file.
        hair_channel: the channel of hair, by index, or by a name that the file's metadata lists (`NAME_KEYS`). None
            takes the only channel, or the one that is listed as hair.
        input_range: ``"byte"`` (0 to 255), ``"unit"`` (0 to 1), ``"minus-one-one"``, or ``"imagenet"`` (normalised
            with ImageNet's mean and deviation). None: byte for a uint8 input, which takes no other; else imagenet.
        activation: what turns outputs into probabilities. None: softmax over several channels, none for a single one;
            outputs that this cannot be right for are refused.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``.

    Raises:
        InputError: the file cannot be read, the model is of another kind, or an argument does not fit it.
    """

    def __init__(
        self, path: Path, hair_channel: str | int | None = None, input_range: str | None = None,
        activation: str | None = None, device: str = "cpu",
    ) -> None:  # fmt: skip
        self.what = f"teacher {path}"
        self.session = open_session(path, device)
        self.name, self.sha256 = path.name, sha256_of(path)
        self._read_input(input_range)
        if activation not in (None, *ACTIVATIONS):
            raise InputError(f"activation: got {activation!r}, allowed are {', '.join(ACTIVATIONS)}")
        self.output = self.session.get_outputs()[0].name
        probe = self._run(np.zeros((1, *self.size, 3), np.uint8))
        channels = probe.shape[1]
        self.hair = self._channel(hair_channel, channels)
        self.activation = activation or ("softmax" if channels > 1 else "none")
        if activation == "softmax" and channels == 1:
            raise InputError(f"activation: got softmax, but {self.what} has one channel; allowed are sigmoid and none")
        if activation is None and channels > 1 and are_shares(probe):
            raise InputError(f"{self.what}: gives probabilities, not logits: --activation none takes them as they are")
        self._probabilities(probe)
        self.settings = f"hair-channel={self.hair} input-range={self.input_range} activation={self.activation}"

    def _read_input(self, input_range: str | None) -> None:
        inputs = self.session.get_inputs()
        found = ", ".join(f"{item.name}: {item.type} {item.shape}" for item in inputs)
        shape = list(inputs[0].shape) if inputs else []
        fits = len(inputs) == 1 and inputs[0].type in INPUT_TYPES and len(shape) == 4
        if not fits or (shape[1] == 3) == (shape[3] == 3) or (isinstance(shape[0], int) and shape[0] != 1):
            raise InputError(
                f"{self.what}: takes ({found}), allowed is one float or uint8 input (N, 3, H, W) or (N, H, W, 3), "
                "N being 1 or free"
            )
        self.input, self.type = inputs[0].name, INPUT_TYPES[inputs[0].type]
        self.one_by_one = shape[0] == 1
        self.channels_first = shape[1] == 3
        sides = shape[2:] if self.channels_first else shape[1:3]
        height, width = (side if isinstance(side, int) else SIZE for side in sides)
        self.size = (height, width)
        allowed = ("byte",) if self.type is np.uint8 else INPUT_RANGES
        if input_range not in (None, *allowed):
            raise InputError(f"input range: got {input_range!r}, allowed for {self.what} are {', '.join(allowed)}")
        self.input_range = input_range or allowed[0]

    def _channel(self, wanted: str | int | None, channels: int) -> int:
        """Find the channel of hair among so many."""
        names = channel_names(self.session.get_modelmeta().custom_metadata_map)
        choice = wanted if wanted is not None else "hair" if "hair" in names.values() else 0 if channels == 1 else None
        listed = f", or of {', '.join(names.values())}" if names else "; its metadata names none"
        allowed = f"0 to {channels - 1}{listed}"
        if choice is None:
            raise InputError(f"{self.what}: has {channels} channels; --hair-channel must tell which is hair: {allowed}")
        found = [index for index, name in names.items() if name == str(choice).lower()]
        index = found[0] if found else int(choice) if str(choice).isdigit() else -1
        if not 0 <= index < channels:
            raise InputError(f"hair channel: got {wanted!r}, allowed for {self.what} are {allowed}")
        return index

    def _run(self, faces: Array) -> Array:
        """uint8 faces (N, *size, 3) → raw outputs, float32 (N, C, h, w)."""
        pixels = scaled(faces, self.input_range).astype(self.type)
        if self.channels_first:
            pixels = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
        batches = np.split(pixels, len(pixels)) if self.one_by_one else [pixels]
        try:
            raw = [np.asarray(self.session.run([self.output], {self.input: batch})[0]) for batch in batches]
        except Exception as error:  # ONNX Runtime's exceptions have no common public base
            raise InputError(f"{self.what}: does not run: {str(error).splitlines()[0]}") from error
        out = np.concatenate(raw).astype(np.float32, copy=False)
        if out.ndim == 3:
            out = out[:, None]
        if out.ndim != 4 or len(out) != len(faces):
            raise InputError(
                f"{self.what}: gives {self.output} of shape {out.shape}, allowed are (N, C, H, W) and (N, H, W)"
            )
        return out

    def _probabilities(self, raw: Array) -> Array:
        """Raw outputs (N, C, h, w) → hair probabilities (N, h, w)."""
        if self.activation == "softmax":
            shares = np.exp(raw - raw.max(axis=1, keepdims=True))
            return shares[:, self.hair] / shares.sum(axis=1)
        hair = raw[:, self.hair]
        if self.activation == "sigmoid":
            return 0.5 * np.tanh(0.5 * hair) + 0.5
        if not (hair.min() >= -1e-3 and hair.max() <= 1 + 1e-3):
            raise InputError(
                f"{self.what}: gives {hair.min():.4g} to {hair.max():.4g}, which are no probabilities; --activation "
                "sigmoid or softmax makes them of logits"
            )
        return hair.clip(0, 1)

    def predict(self, faces: Array) -> Array:
        return self._probabilities(self._run(faces))


def open_session(path: Path, device: str) -> Any:
    """Load an ONNX file for a device.

    Raises:
        InputError: the file cannot be read, or ONNX Runtime has nothing for the device.
    """
    onnxruntime = onnx_runtime()
    kind, _, index = device.partition(":")
    provider = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}.get(kind)
    if provider not in onnxruntime.get_available_providers():
        raise InputError(f"device: {device!r} does not run ONNX files here: this onnxruntime has nothing for it")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cores()
    options.log_severity_level = 3
    chosen = [(provider, {"device_id": index or "0"}), "CPUExecutionProvider"] if kind == "cuda" else [provider]
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=chosen)
    except Exception as error:  # ONNX Runtime's exceptions have no common public base
        raise InputError(f"teacher {path}: not a readable ONNX file ({str(error).splitlines()[0]})") from None


def scaled(faces: Array, input_range: str) -> Array:
    """uint8 faces (N, H, W, 3) → float32 in the range of that name; ``"byte"`` leaves them uint8.

    >>> float(scaled(np.full((1, 1, 1, 3), 255, np.uint8), "minus-one-one").max())
    1.0
    """
    if input_range == "byte":
        return faces
    unit = faces.astype(np.float32) / np.float32(255)
    if input_range == "minus-one-one":
        return 2 * unit - 1
    return (unit - MEAN) / STD if input_range == "imagenet" else unit


def are_shares(raw: Array) -> bool:
    """Whether outputs (N, C, h, w) are probabilities of classes already."""
    return bool(raw.min() >= 0 and np.abs(raw.sum(axis=1) - 1).max() < 1e-3)


def channel_names(metadata: dict[str, str]) -> dict[int, str]:
    """The channels that an ONNX file's metadata lists, in lower case, by index; none if it lists none.

    >>> channel_names({"names": "{0: 'Skin', 1: 'Hair'}"})
    {0: 'skin', 1: 'hair'}
    >>> channel_names({"classes": "skin, hair"})
    {0: 'skin', 1: 'hair'}
    """
    text = next((metadata[key] for key in NAME_KEYS if metadata.get(key)), "")
    try:
        listed = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        listed = [name.strip() for name in text.split(",")] if text else []
    if isinstance(listed, (list, tuple)):
        listed = dict(enumerate(listed))
    pairs = listed.items() if isinstance(listed, dict) else ()
    return {int(index): str(name).lower() for index, name in pairs if str(index).isdigit()}


def open_teacher(
    teacher: str = "facexformer",
    hair_channel: str | int | None = None,
    input_range: str | None = None,
    activation: str | None = None,
    device: str = "auto",
) -> Teacher:
    """Load a teacher.

    Args:
        teacher: ``"facexformer"`` for the published weights (see `hub.fetch`), an ``.onnx`` file, or a checkpoint,
            of FaceXFormer or of a student: its parameters' names tell.
        hair_channel: for an ``.onnx`` file alone, as the next two; see `OnnxTeacher`.
        input_range: see there.
        activation: see there.
        device: ``"cpu"``, ``"cuda"`` (``"cuda:1"``), ``"mps"`` or ``"auto"``: CUDA where it runs, else the CPU.

    Raises:
        InputError: the teacher cannot be found or loaded, or an argument does not fit it.
    """
    path = Path(teacher)
    if teacher != "facexformer" and not path.is_file():
        raise InputError(f"teacher {teacher}: no such file; allowed are facexformer, .onnx files and checkpoints")
    if path.suffix == ".onnx":
        if device == "auto":
            device = "cuda" if "CUDAExecutionProvider" in onnx_runtime().get_available_providers() else "cpu"
        return OnnxTeacher(path, hair_channel, input_range, activation, device)
    if not (hair_channel is None and input_range is None and activation is None):
        raise InputError(f"hair channel, input range, activation: got for teacher {teacher}, allowed for .onnx alone")
    if device == "auto":
        device = "cuda" if device_problem("cuda") is None else "cpu"
    if reason := device_problem(device):
        raise InputError(f"device: {device!r} does not run here: {reason}")
    fetched = fetch("facexformer") if teacher == "facexformer" else None
    source = fetched.path if fetched else path

    from ohlora_fast.student.weights import read_state
    from ohlora_fast.teacher.facexformer import OFFICIAL_KEY, facexformer_from

    state, _ = read_state(source, OFFICIAL_KEY)
    if fetched is None and "linear_fuse.weight" not in state:
        return StudentTeacher(path, device)
    digest = fetched.sha256 if fetched else sha256_of(source)
    return FaceXFormerTeacher(facexformer_from(state, source), path.name, digest, device)
