"""What holds for every test, and what several share: a portrait, weights, inputs, ONNX models, a hub."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageSequence

from ohlora_fast.student.engines import has_nvidia_gpu

if not has_nvidia_gpu():  # Triton's kernels run under its interpreter; it is asked for before they are loaded
    os.environ.setdefault("TRITON_INTERPRET", "1")

if TYPE_CHECKING:
    import torch


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in an empty folder: ``python -c`` would else import the source tree, not the package that is installed."""
    folder = tmp_path_factory.mktemp("here")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def portrait_pixels() -> np.ndarray:
    """The head of scikit-image's astronaut, uint8 (200, 180, 3)."""
    data = pytest.importorskip("skimage.data")
    head: np.ndarray = data.astronaut()[0:200, 130:310]
    return head


@pytest.fixture
def portrait(tmp_path: Path, portrait_pixels: np.ndarray) -> Path:
    """That picture as a PNG file."""
    path = tmp_path / "portrait.png"
    Image.fromarray(portrait_pixels).save(path)
    return path


@pytest.fixture(scope="session")
def group_pixels() -> np.ndarray:
    """Three of scikit-image's astronaut side by side on a plain wall, uint8 (360, 1000, 3)."""
    data = pytest.importorskip("skimage.data")
    head = data.astronaut()[0:320, 60:380]
    wall = np.full((360, 1000, 3), (120, 140, 150), np.uint8)
    for left, top, one in ((20, 30, head), (350, 10, head[:, ::-1]), (670, 40, head)):
        wall[top : top + 320, left : left + 320] = one
    return wall


@pytest.fixture
def group(tmp_path: Path, group_pixels: np.ndarray) -> Path:
    """That picture as a PNG file, in a folder of its own."""
    path = tmp_path / "people" / "group.png"
    path.parent.mkdir()
    Image.fromarray(group_pixels).save(path)
    return path


@cache
def display_p3() -> bytes:
    """A colour profile with the primaries of Display P3: sRGB's, its red, green and blue replaced."""
    srgb = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for number in range(int.from_bytes(srgb[128:132], "big")):
        tag, offset, _ = struct.unpack_from(">4sII", srgb, 132 + 12 * number)
        if tag in P3_PRIMARIES:
            struct.pack_into(">3i", srgb, offset + 8, *(round(65536 * value) for value in P3_PRIMARIES[tag]))
    return bytes(srgb)


P3_PRIMARIES = {
    b"rXYZ": (0.51512, 0.2412, -0.00105),
    b"gXYZ": (0.29198, 0.69225, 0.04189),
    b"bXYZ": (0.1571, 0.06657, 0.78407),
}
"""In CIE XYZ, for the white D50."""


def in_profile(pixels: np.ndarray, icc: bytes) -> Image.Image:
    """Pixels in sRGB, uint8 (H, W, 3), as a picture with another profile that looks the same."""
    made = ImageCms.profileToProfile(
        Image.fromarray(pixels), ImageCms.createProfile("sRGB"), ImageCms.ImageCmsProfile(io.BytesIO(icc)), 1
    )
    assert made is not None
    made.info["icc_profile"] = icc
    return made


def in_srgb(image: Image.Image) -> np.ndarray:
    """A picture with a profile as pixels in sRGB, uint8 (H, W, 3)."""
    profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    return np.asarray(ImageCms.profileToProfile(image.convert("RGB"), profile, ImageCms.createProfile("sRGB"), 1))


def frames_of(path: Path) -> list[np.ndarray]:
    """The frames of a GIF or WebP, uint8 RGB."""
    with Image.open(path) as image:
        return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]


def recipe_values(name: str, shape: tuple[int, ...], style: str = "fan_in") -> np.ndarray[Any, Any]:
    """One parameter's values, drawn from a generator seeded by its name; style "unit" is for weight-scaled networks."""
    rng = np.random.default_rng([0, zlib.crc32(name.encode())])
    if name.endswith("running_var"):
        values = rng.uniform(0.5, 1.5, shape)
    elif name.endswith(("positional_encoding_gaussian_matrix", ".noise")):
        values = rng.standard_normal(shape)
    elif style == "unit" and len(shape) > 1:
        values = rng.standard_normal(shape) * (100.0 if name.startswith("mapping.dense") else 1.0)
    elif len(shape) > 1:
        values = rng.standard_normal(shape) * np.sqrt(2.0 / np.prod(shape[1:]))
    elif name.endswith("weight"):
        values = rng.uniform(0.5, 1.5, shape)
    else:
        values = 0.1 * rng.standard_normal(shape)
    return values.astype(np.float32)


@pytest.fixture(scope="session")
def fill() -> Callable[..., torch.nn.Module]:
    """Gives a model the recipe's weights, in its style "fan_in" or "unit"."""
    import torch

    def filled(model: torch.nn.Module, style: str = "fan_in") -> torch.nn.Module:
        state = {
            name: torch.from_numpy(recipe_values(name, tuple(value.shape), style))
            if value.is_floating_point() and not name.endswith(("lod", ".kernel"))
            else value
            for name, value in model.state_dict().items()
        }
        model.load_state_dict(state)
        return model.eval()

    return filled


@pytest.fixture(scope="session")
def wavy() -> Callable[..., torch.Tensor]:
    """Makes smooth images of sines in [−1, 1], (N, 3, H, W)."""
    import torch

    def image(count: int, size: int, seed: int) -> torch.Tensor:
        rng = np.random.default_rng([seed, 7])
        y, x = np.mgrid[0:size, 0:size] / size
        planes = np.zeros((count, 3, size, size))
        for plane in planes.reshape(-1, size, size):
            for _ in range(6):
                down, right = rng.uniform(0.5, 9), rng.uniform(0.5, 9)
                phase, height = rng.uniform(0, 6.28), rng.uniform(0.1, 0.4)
                plane += height * np.sin(6.28 * (down * y + right * x) + phase)
        noisy = planes + 0.05 * rng.standard_normal(planes.shape)
        return torch.from_numpy(np.clip(noisy, -1, 1).astype(np.float32))

    return image


@pytest.fixture
def pixelwise(tmp_path: Path) -> Callable[..., Path]:
    """Writes an ONNX model whose output's channels are weights (C, 3) times a pixel's channels, then ``last`` of it."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def write(
        weights: Any,
        shape: tuple[int | str, ...] = ("N", 3, "H", "W"),
        kind: int = TensorProto.FLOAT,
        last: str = "Identity",
        names: dict[str, str] | None = None,
        squeeze: bool = False,
    ) -> Path:
        weights = np.asarray(weights, np.float32)
        nodes, current = [], "image"
        if kind != TensorProto.FLOAT:
            nodes.append(helper.make_node("Cast", [current], ["floats"], to=TensorProto.FLOAT))
            current = "floats"
        if shape[1] != 3:
            nodes.append(helper.make_node("Transpose", [current], ["planes"], perm=[0, 3, 1, 2]))
            current = "planes"
        nodes.append(helper.make_node("Conv", [current, "weights"], ["mixed"]))
        nodes.append(helper.make_node(last, ["mixed"], ["lasted"], **({"axis": 1} if last == "Softmax" else {})))
        if squeeze:
            nodes.append(helper.make_node("Squeeze", ["lasted", "axes"], ["out"]))
        else:
            nodes.append(helper.make_node("Identity", ["lasted"], ["out"]))
        constants = [
            numpy_helper.from_array(weights[:, :, None, None], "weights"),
            numpy_helper.from_array(np.int64([1]), "axes"),
        ]
        graph = helper.make_graph(
            nodes, "pixelwise",
            [helper.make_tensor_value_info("image", kind, shape)],
            [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
            constants,
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        helper.set_model_props(model, names or {})
        path = tmp_path / "model.onnx"
        onnx.save(model, path)
        return path

    return write


class Hub(ThreadingHTTPServer):
    """A server on this machine that speaks as the Hugging Face hub does for files of Git LFS.

    Attributes:
        files: "repo/file" → what it holds.
        etags: "repo/file" → the etag to state instead of the SHA-256.
        asked: the requests so far, such as "HEAD /repo/resolve/main/file".
        broken: whether the files' storage, to which the hub redirects, refuses to give them.
    """

    daemon_threads = True

    def __init__(self, cache: Path) -> None:
        super().__init__(("127.0.0.1", 0), HubHandler)
        self.files: dict[str, bytes] = {}
        self.etags: dict[str, str] = {}
        self.asked: list[str] = []
        self.broken = False
        self.cache = cache
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def environment(self) -> dict[str, str]:
        """What a subprocess needs to talk to this hub, and to no other."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        return kept | {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(self.cache.parent),
            "HF_HUB_CACHE": str(self.cache),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_ETAG_TIMEOUT": "2",
            "NO_PROXY": "127.0.0.1,localhost",
        }


class HubHandler(BaseHTTPRequestHandler):
    """Answers ``/REPO/resolve/main/FILE`` with what the hub says of the file, and sends on to its storage."""

    server: Hub

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        stored = self.path.startswith("/storage/")
        name = self.path.removeprefix("/storage/" if stored else "/").replace("/resolve/main/", "/")
        content = self.server.files.get(name)
        if content is None or (stored and self.server.broken):
            self.send_response(403 if stored else 404)
            if not stored:
                self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
        elif stored:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
        else:
            etag = self.server.etags.get(name, hashlib.sha256(content).hexdigest())
            self.send_response(302)
            # Another host's name, as the hub's storage has: the client takes what comes before the redirect.
            self.send_header("Location", f"http://localhost:{self.server.server_address[1]}/storage/{name}")
            self.send_header("X-Repo-Commit", "c0ffee" + 34 * "0")
            self.send_header("X-Linked-ETag", f'"{etag}"')
            self.send_header("X-Linked-Size", str(len(content)))
            self.send_header("Content-Length", "0")
        self.end_headers()
        if body and stored and content is not None and not self.server.broken:
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A running `Hub` whose cache folder does not exist yet."""
    server = Hub(tmp_path / "hub" / "cache")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
