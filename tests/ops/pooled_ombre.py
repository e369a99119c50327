"""Compare one backend with the reference over many random cases: run as a script, prints counts as JSON.

    python tests/ops/pooled_ombre.py cpp 0

A process of its own, because the vector instructions (OHLORA_SIMD) are chosen when the extension is loaded.
"""

import json
import sys

import cv2
import numpy as np

from ohlora_fast import apply_ombre

MAPS = [(224, 224), (224, 224), (56, 60), (128, 200), (7, 5), (3, 3), (1, 1), (1, 9)]
IMAGES = [(1, 1), (7, 5), (65, 63), (64, 128), (256, 256), (200, 333), (257, 131)]
KINDS = ["smooth", "noise", "binary", "all hair", "no hair", "soft"]


def hair_map(rng, kind, height, width):
    if kind == "all hair":
        return np.ones((height, width), np.float32)
    if kind == "no hair":
        return 0.6 * rng.random((height, width), dtype=np.float32)
    if kind == "noise":
        return rng.random((height, width), dtype=np.float32)
    if kind == "soft":
        return 0.75 + 0.25 * rng.random((height, width), dtype=np.float32)
    coarse = rng.random((height // 20 + 2, width // 20 + 2), dtype=np.float32)
    if kind == "binary":
        return (cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST) > 0.5).astype(np.float32)
    blobs = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.clip((blobs - 0.5) * 4 + 0.5, 0, 1)


def near_threshold(prob, height, width):
    """Whether the largest opacity of any row is within 0.01 of what makes a hair row."""
    resized = cv2.resize(prob * np.float32(255), (width, height), interpolation=cv2.INTER_CUBIC)
    rows = np.clip(4.0 * resized.astype(np.float64) - 765.0, 0, 255).max(axis=1)
    return bool((np.abs(rows - 191.25) < 0.01).any())


def cases(rng, at_least):
    values = 0
    index = 0
    while values < at_least:
        height, width = IMAGES[rng.integers(len(IMAGES))]
        count = int(rng.integers(1, 4))
        shape = MAPS[rng.integers(len(MAPS))]
        maps = np.stack([hair_map(rng, KINDS[(index + n) % len(KINDS)], *shape) for n in range(count)])
        image = rng.integers(0, 256, (count, height, width, int(rng.integers(3, 5))), dtype=np.uint8)
        settings = rng.random((3, count))
        settings = np.round(settings, 1) if index % 3 == 0 else settings
        index += 1
        values += image.size
        yield image, maps, settings


def different_at_own_size(backend, rng):
    """How many values differ where the map has the image's size: a resize then changes nothing, on any platform.

    Among the images are ones of a single value, so that every pixel of a row falls on the same case of the rounding.
    """
    different = 0
    for index, kind in enumerate(3 * ["all hair", "soft", "smooth"]):
        height, width = 307 - index, 131 + 30 * index
        image = rng.integers(0, 256, (height, width, 3 + index % 2), dtype=np.uint8)
        if index < 3:
            image[:] = 110 if index else 255
        prob, settings = hair_map(rng, kind, height, width), rng.random(3)
        settings[1:] = np.round(settings[1:], 1) if index % 2 else (1, 1)
        expected = apply_ombre(image, prob, *settings, backend="numpy")
        different += int((apply_ombre(image, prob, *settings, backend=backend) != expected).sum())
    return different


def main(backend, seed):
    rng = np.random.default_rng(seed)
    count = {"values": 0, "different": 0, "largest": 0, "left_out": 0, "cases": 0}
    for image, maps, settings in cases(rng, 3_000_000):
        if any(near_threshold(one, *image.shape[1:3]) for one in maps):
            count["left_out"] += 1
            continue
        expected = apply_ombre(image, maps, *settings, backend="numpy")
        got = apply_ombre(image, maps, *settings, backend=backend)
        difference = np.abs(got.astype(int) - expected)
        count["values"] += difference.size
        count["different"] += int((difference > 0).sum())
        count["largest"] = max(count["largest"], int(difference.max()))
        count["cases"] += 1
    if backend == "cpp":
        from ohlora_fast._core import build_info

        count["simd"] = build_info()["simd"]
        count["different_at_own_size"] = different_at_own_size(backend, rng)
    print(json.dumps(count))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
