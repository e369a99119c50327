"""Compare the compiled squash with Pillow's at the vector level of this process; print which shapes differ, as JSON."""

import json

import numpy as np
from ohlora_fast._core import build_info

from ohlora_fast.student.preprocess import squash_cpp, squash_pillow


def main():
    rng = np.random.default_rng(0)
    shapes = [(1, 1), (1, 500), (500, 1), (224, 300), (300, 224), (1024, 1024), (2000, 3000)]
    shapes += [tuple(rng.integers(1, 900, 2).tolist()) for _ in range(100)]
    different = []
    for index, shape in enumerate(shapes):
        photos = rng.integers(0, 256, (1, *shape, 3 + index % 2), dtype=np.uint8)
        if not np.array_equal(squash_cpp(photos, 1 + index % 3), squash_pillow(photos)):
            different.append(shape)
    print(json.dumps({"simd": build_info()["simd"], "cases": len(shapes), "different": different}))


if __name__ == "__main__":
    main()
