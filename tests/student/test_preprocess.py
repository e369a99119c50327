"""Squashing photos and unsquashing maps, against PyTorch's own resizes, and the compiled squash against Pillow's."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ohlora_fast import _core
from ohlora_fast.errors import InputError
from ohlora_fast.student import preprocess
from ohlora_fast.student.preprocess import squash, squash_cpp, squash_pillow, to_input, unsquash, unsquash_opencv

VIEWS = {
    "whole": lambda image: image,
    "upside down": lambda image: image[:, ::-1],
    "mirrored": lambda image: image[:, :, ::-1],
    "every second row": lambda image: image[:, ::2],
    "every second column": lambda image: image[:, :, ::2],
    "a part": lambda image: image[:, image.shape[1] // 3 :, image.shape[2] // 3 :],
    "without alpha": lambda image: image[..., :3],
    "blue first": lambda image: image[..., 2::-1],
    "planes": lambda image: np.ascontiguousarray(image.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1),
    "last first": lambda image: image[::-1],
    "one row for all": lambda image: np.broadcast_to(image[:, :1], image.shape),
    "turned": lambda image: image.transpose(0, 2, 1, 3),
}


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (224, 224), (300, 200), (100, 900), (1000, 1000)])
@pytest.mark.parametrize("channels", [3, 4])
def test_squash_is_antialiased_bilinear(shape, channels):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*shape, channels), dtype=np.uint8)
    squashed = squash(image)
    assert squashed.shape == (224, 224, 3)
    assert squashed.dtype == np.uint8
    planes = torch.from_numpy(image[..., :3].copy()).permute(2, 0, 1)[None].float()
    expected = F.interpolate(planes, (224, 224), mode="bilinear", antialias=True)[0].permute(1, 2, 0).numpy()
    assert np.abs(squashed - expected).max() <= 1.01


@settings(max_examples=300, deadline=None)
@given(
    height=st.one_of(st.integers(1, 40), st.integers(200, 260), st.integers(1, 1500)),
    width=st.one_of(st.integers(1, 40), st.integers(200, 260), st.integers(1, 1500)),
    channels=st.sampled_from([3, 4]),
    count=st.integers(1, 3),
    view=st.sampled_from(sorted(VIEWS)),
    extreme=st.booleans(),
    threads=st.integers(1, 5),
    seed=st.integers(0, 2**32 - 1),
)
def test_cpp_equals_pillow(height, width, channels, count, view, extreme, threads, seed):
    image = noise(count, height, width, channels, seed=seed)
    if extreme:
        image = (image > 127).astype(np.uint8) * np.uint8(255)
    photos = VIEWS[view](image)
    np.testing.assert_array_equal(squash_cpp(photos, threads), squash_pillow(photos))


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 500), (500, 1), (224, 224), (224, 900), (900, 224), (1, 60_000), (60_000, 2), (3000, 4000)]
)
@pytest.mark.parametrize("channels", [3, 4])
def test_cpp_equals_pillow_at_the_edges(shape, channels):
    photos = noise(1, *shape, channels)
    np.testing.assert_array_equal(squash_cpp(photos), squash_pillow(photos))


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2)])
@pytest.mark.parametrize("channels", [3, 4])
def test_cpp_equals_pillow_on_views_of_lone_pixels(view, shape, channels):
    """NumPy calls them contiguous whatever their strides."""
    photos = VIEWS[view](noise(2, *shape, channels))
    np.testing.assert_array_equal(squash_cpp(photos), squash_pillow(photos))


@settings(max_examples=100, deadline=None)
@given(height=st.integers(1, 900), width=st.integers(1, 900))
def test_squash_equals_pillow_in_one_call(height, width):
    """But for one off where Pillow from 13 on takes the height first."""
    image = noise(height, width, 3)
    at_once = np.asarray(Image.fromarray(image).resize((224, 224), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(squash(image) - at_once).max() <= (1 if height > width else 0)


@settings(max_examples=60, deadline=None)
@given(height=st.integers(1, 300), width=st.integers(1, 300), size=st.integers(1, 120), threads=st.integers(1, 3))
def test_the_kernel_squashes_to_any_size(height, width, size, threads):
    image = noise(height, width, 3)
    narrow = Image.fromarray(image).resize((size, height), Image.Resampling.BILINEAR)
    expected = np.asarray(narrow.resize((size, size), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(_core.squash(image[None], size, threads)[0], expected)


@pytest.mark.parametrize("level", _core.build_info()["simd_compiled"])
def test_cpp_equals_pillow_at_every_vector_level(level):
    run = subprocess.run(
        [sys.executable, Path(__file__).parent / "pooled_squash.py"],
        env={**os.environ, "OHLORA_SIMD": level}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    count = json.loads(run.stdout)
    if count["simd"] != level:
        pytest.skip(f"this CPU has no {level}")
    assert count["cases"] >= 100
    assert count["different"] == []


def test_cpp_does_not_depend_on_the_number_of_threads():
    photos = noise(3, 700, 600, 3)
    one = squash_cpp(photos, 1)
    for threads in (2, 3, 7, 16, 1000):
        np.testing.assert_array_equal(squash_cpp(photos, threads), one)


def test_squash_takes_a_photo_or_a_batch_and_returns_a_new_array():
    photos = noise(2, 224, 224, 3)
    np.testing.assert_array_equal(squash(photos), photos)
    np.testing.assert_array_equal(squash(photos[0], threads=1), photos[0])
    assert not np.shares_memory(squash(photos), photos)


def test_squash_without_the_extension_is_pillows(monkeypatch):
    monkeypatch.setattr(preprocess, "backend_problem", lambda name: "not built")
    monkeypatch.setattr(preprocess, "squash_cpp", lambda *_: pytest.fail("the extension was called"))
    photos = noise(2, 300, 200, 4)
    np.testing.assert_array_equal(squash(photos, threads=2), squash_pillow(photos))
    assert squash(photos[0]).shape == (224, 224, 3)


@pytest.mark.parametrize(
    ("image", "threads", "message"),
    [
        (np.zeros((5, 4, 3), np.float32), None, "image: got dtype float32"),
        (np.zeros((5, 4, 2), np.uint8), None, "image: got shape (5, 4, 2)"),
        (np.zeros((5, 4), np.uint8), None, "image: got shape (5, 4)"),
        (np.zeros((0, 4, 3), np.uint8), None, "image: got shape (0, 4, 3)"),
        (np.zeros((1, 2**20 + 1, 3), np.uint8), None, "image: got shape (1, 1048577, 3), allowed are heights and wid"),
        (np.zeros((5, 4, 3), np.uint8), 0, "threads: got 0"),
        (np.zeros((5, 4, 3), np.uint8), -1, "threads: got -1"),
    ],
)
def test_squash_refuses(image, threads, message):
    with pytest.raises(InputError) as refused:
        squash(image, threads)
    assert message in str(refused.value)
    assert "allowed" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_to_input_scales_to_minus_one_and_one():
    image = np.array([0, 51, 255], np.uint8).reshape(1, 1, 1, 3)
    assert np.allclose(to_input(image).ravel(), [-1, -0.6, 1])
    assert to_input(np.zeros((2, 224, 224, 3), np.uint8)).shape == (2, 3, 224, 224)


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (224, 224), (500, 333)])
def test_unsquash_is_bicubic_and_clipped(shape):
    prob = np.random.default_rng(1).integers(0, 2, (224, 224)).astype(np.float32)
    resized = unsquash(prob, *shape)
    expected = F.interpolate(torch.from_numpy(prob)[None, None], shape, mode="bicubic", align_corners=False)
    assert resized.shape == shape
    assert np.abs(resized - expected[0, 0].clamp(0, 1).numpy()).max() < 1e-4
    assert resized.min() >= 0
    assert resized.max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (30, 40), (224, 224), (500, 333), (7, 900)])
@pytest.mark.parametrize("map_size", [(224, 224), (9, 5), (2, 3)])
def test_the_compiled_unsquash_is_opencv_s(size, map_size):
    maps = np.random.default_rng(0).random((3, *map_size), dtype=np.float32)
    expected = unsquash_opencv(maps, *size)
    for threads in (1, 2, 5):
        got = unsquash(maps, *size, threads)
        assert np.abs(got - expected).max() < 1e-6
        assert got.min() >= 0
        assert got.max() <= 1
    assert np.array_equal(unsquash(maps[1], *size), got[1])


def test_unsquash_without_the_extension(monkeypatch):
    maps = np.random.default_rng(0).random((2, 224, 224), dtype=np.float32)
    monkeypatch.setattr("ohlora_fast.student.preprocess.backend_problem", lambda name: "gone")
    assert np.array_equal(unsquash(maps, 60, 50), unsquash_opencv(maps, 60, 50))
