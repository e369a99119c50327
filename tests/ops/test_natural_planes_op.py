"""Natural dyeing on planes: as that of photos, bit for bit where there is no hair, and with all bits of deep frames."""

from __future__ import annotations

import numpy as np
import pytest

from ohlora_fast.natural import NaturalDye, pack_natural
from ohlora_fast.ops.natural_op import natural_numpy, plan_of
from ohlora_fast.ops.natural_planes_op import natural_planes
from ohlora_fast.ops.planes_op import Yuv, rgb_of_planes

SIZE = (48, 64)
DYE = NaturalDye("rose-to-blue", lift=0.8)
PACKED = pack_natural(DYE, *np.array([[0.5], [1.0], [0.3]]))


def half_hair() -> np.ndarray:
    prob = np.zeros(SIZE, np.float32)
    prob[:, 20:44] = 1
    return prob


def smooth_planes(yuv: Yuv, down: int, across: int) -> list[np.ndarray]:
    """A picture without grain, so that halved chroma shows what full chroma would."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    dtype, unit = (np.uint8, 1) if yuv.bits == 8 else (np.uint16, 1 << (yuv.bits - 8))
    planes = [40 + 2 * x, (120 + y / 8)[::down, ::across], (136 - x / 8)[::down, ::across]]
    return [(plane * unit).astype(dtype) for plane in planes]


def as_bytes(planes: list[np.ndarray], yuv: Yuv) -> np.ndarray:
    return np.rint(np.clip(rgb_of_planes(planes, yuv), 0, 255)).astype(np.uint8).transpose(1, 2, 0)


@pytest.mark.parametrize(("down", "across"), [(1, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize("kind", [("709", False, 8), ("601", True, 8), ("2020", False, 10), ("709", True, 12)])
def test_it_is_the_dyeing_of_photos(kind: tuple[str, bool, int], down: int, across: int) -> None:
    yuv = Yuv(*kind)
    planes, prob = smooth_planes(yuv, down, across), half_hair()
    before, rgb = [plane.copy() for plane in planes], as_bytes(planes, yuv)
    natural_planes(planes, rgb, prob, plan_of(rgb[None], prob[None], PACKED), yuv, threads=1)
    wanted = natural_numpy(rgb[None], prob[None], PACKED)[0].astype(int)
    inside = np.s_[:, 22:42]
    assert np.abs(wanted - rgb)[inside].max() > 50
    assert np.abs(as_bytes(planes, yuv) - wanted)[inside].mean() < 1.5
    for now, was in zip(planes, before, strict=True):
        share = SIZE[1] // was.shape[1]
        assert (now[:, : 20 // share] == was[:, : 20 // share]).all()
        assert (now[:, 44 // share :] == was[:, 44 // share :]).all()


def test_ten_bits_are_not_dyed_by_way_of_eight() -> None:
    yuv = Yuv(bits=10)
    planes = [np.tile(np.arange(64, 940, dtype=np.uint16), (2, 1)), *(np.full((2, 876), 512, np.uint16) for _ in "uv")]
    rgb, prob = as_bytes(planes, yuv), np.ones((2, 2), np.float32)
    packed = pack_natural(NaturalDye(strength=0.5, lift=0.2), *np.array([[0.5], [1.0], [0.0]]))
    natural_planes(planes, rgb, prob, plan_of(rgb[None], prob[None], packed), yuv)
    levels = np.unique(planes[0][-1])
    assert len(levels) > 500
    assert np.diff(levels.astype(int)).max() <= 3
