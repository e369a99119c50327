"""Compare the compiled natural dyeing with the reference over many random cases: prints counts as JSON.

    python tests/ops/pooled_natural.py

A process of its own, because the vector instructions (OHLORA_SIMD) are chosen when the extension is loaded.
"""

import json
import runpy
from pathlib import Path

import numpy as np

from ohlora_fast.ops.natural_op import natural_cpp, natural_numpy
from ohlora_fast.ops.natural_plan import Mixture

CASES = runpy.run_path(str(Path(__file__).with_name("pooled_ombre.py")))["cases"]


def random_color(rng):
    return np.array([rng.uniform(0, 1), *rng.uniform(-0.2, 0.2, 2)])


def random_mixtures(rng, count, kind):
    """Packed settings of one kind: its bits are flow, highlights and undercolour."""
    rows = []
    for _ in range(count):
        heights, mix = np.round(rng.random(2), 1), rng.random(3)
        accents = float(kind & 1), 0.3 * bool(kind & 2), 0.7 * bool(kind & 4)
        stops = np.stack([random_color(rng) for _ in range(3)])
        rows.append(Mixture(*heights, *mix, *accents, random_color(rng), random_color(rng), stops).packed())
    return np.stack(rows)


def compare(dye, at_least, seed=0):
    """Values, how many differ and by how much, over all kinds of settings."""
    rng = np.random.default_rng(seed)
    count = {"values": 0, "different": 0, "largest": 0, "dyed": 0}
    for number, (image, maps, _) in enumerate(CASES(rng, at_least)):
        packed = random_mixtures(rng, len(image), number % 8)
        expected = natural_numpy(image, maps, packed)
        difference = np.abs(dye(image, maps, packed).astype(int) - expected)
        count["values"] += difference.size
        count["different"] += int((difference > 0).sum())
        count["largest"] = max(count["largest"], int(difference.max()))
        count["dyed"] += int((expected != image).sum())
    return count


def tensors(form):
    """A form for tensors as one for arrays."""
    import torch

    def dye(image, maps, packed):
        planes = torch.from_numpy(image).permute(0, 3, 1, 2)
        return form(planes, torch.from_numpy(maps), torch.from_numpy(packed)).permute(0, 2, 3, 1).numpy()

    return dye


def main():
    from ohlora_fast._core import build_info

    print(json.dumps(compare(natural_cpp, 1_000_000) | {"simd": build_info()["simd"]}))


if __name__ == "__main__":
    main()
