"""Triton's synthesis layer against PyTorch's, on shapes nobody likes; interpreted where there is no GPU."""

import pytest
import torch

pytest.importorskip("triton")

from ohlora_fast.kernels import stylegan_layer

from ohlora_fast.ops.stylegan_layer_op import layer_torch, layer_triton

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def arguments(count, channels, height, width, noises, dtype=torch.float32):
    """A map whose mean is far from zero, in float32 but for the map."""
    draw = torch.Generator().manual_seed(channels)
    x = (torch.randn(count, channels, height, width, generator=draw) + 20).to(dtype)
    shapes = (noises, 1, height, width), (channels,), (channels,), (count, 2 * channels)
    return [one.to(DEVICE) for one in (x, *(torch.randn(shape, generator=draw) for shape in shapes))]


@pytest.mark.parametrize("blur", [True, False])
@pytest.mark.parametrize(
    ("count", "channels", "height", "width", "noises"),
    [(1, 1, 1, 1, 1), (2, 5, 7, 5, 2), (2, 64, 4, 4, 1), (1, 70, 35, 19, 1), (3, 128, 8, 8, 3)],
)
def test_equals_the_reference(count, channels, height, width, noises, blur):
    given = arguments(count, channels, height, width, noises)
    expected = layer_torch(*(one.double() for one in given), blur)
    got = layer_triton(*given, blur)
    assert got.is_contiguous(memory_format=torch.channels_last)
    assert (got - expected).abs().max() < 1e-4 * expected.abs().max()


@pytest.mark.parametrize("blur", [True, False])
def test_tiles_are_put_together(monkeypatch, blur):
    """More tiles than `combine` reads at once, of both heights."""
    given = arguments(1, 3, 40, 36, 1)
    expected = layer_torch(*(one.double() for one in given), blur)
    monkeypatch.setattr(stylegan_layer, "NUMBERS", 16)
    for programs in (1, 10**6):
        monkeypatch.setattr(stylegan_layer, "PROGRAMS", programs)
        tile = stylegan_layer.tile_of(1, 3, 40, 36)
        assert tile == {"ROWS": 32 if programs == 1 else 8, "COLUMNS": 4, "CHANNELS": 4}
        assert (layer_triton(*given, blur) - expected).abs().max() < 1e-4 * expected.abs().max()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 2e-3), (torch.bfloat16, 2e-2)])
def test_half_precision(dtype, tolerance):
    """Against float32 arithmetic on the same rounded map."""
    given = arguments(2, 16, 9, 6, 1, dtype)
    expected = layer_torch(given[0].float(), *given[1:], True)
    got = layer_triton(*given, True)
    assert got.dtype == dtype
    assert (got.float() - expected).abs().max() < tolerance * expected.abs().max()
