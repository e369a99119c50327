"""The CUDA ombre on a GPU against the reference. Its arithmetic alone is tested in tests/kernels, without a GPU."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

from ohlora_fast.ops.ombre_cuda import cuda_problem, ombre_cuda
from ohlora_fast.ops.ombre_op import ombre_numpy, pack_settings

pytestmark = pytest.mark.skipif(cuda_problem() is not None, reason=str(cuda_problem()))

POOLED = runpy.run_path(str(Path(__file__).parents[1] / "ops" / "pooled_ombre.py"))
GOLDEN = Path(__file__).parents[1] / "golden" / "ombre.npz"
LAYOUTS = ["planar", "interleaved", "strided"]


def laid_out(image, layout):
    """Pixels (N, H, W, C) on the GPU, as (N, C, H, W)."""
    planes = torch.from_numpy(image).cuda().permute(0, 3, 1, 2)
    if layout == "planar":
        return planes.contiguous()
    if layout == "interleaved":
        return planes.clone(memory_format=torch.channels_last)
    spread = torch.full([2 * size for size in planes.shape], 77, dtype=torch.uint8, device="cuda")
    spread[1::2, ::2, 1::2, ::2] = planes
    return spread[1::2, ::2, 1::2, ::2]


def on_gpu(maps, parameters):
    return torch.from_numpy(maps).cuda(), torch.from_numpy(pack_settings(*parameters)).cuda()


def pixels(tensor):
    return tensor.permute(0, 2, 3, 1).cpu().numpy()


def case(count=3, height=300, width=268, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (count, height, width, channels), dtype=np.uint8)
    maps = np.stack([POOLED["hair_map"](rng, "smooth", 56, 60) for _ in range(count)])
    return image, maps, rng.random((3, count))


def assert_close(got, expected):
    difference = np.abs(got.astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() <= 0.002


@pytest.mark.parametrize("layout", LAYOUTS)
def test_close_to_the_reference(layout):
    values = different = 0
    for image, maps, parameters in POOLED["cases"](np.random.default_rng(LAYOUTS.index(layout)), 6_000_000):
        if any(POOLED["near_threshold"](one, *image.shape[1:3]) for one in maps):
            continue
        expected = ombre_numpy(image, maps, *parameters)
        start = laid_out(image, layout)
        out = ombre_cuda(start, *on_gpu(maps, parameters))
        assert np.array_equal(pixels(start), image)
        assert torch.equal(ombre_cuda(start, *on_gpu(maps, parameters), out=start), out)
        difference = np.abs(pixels(out).astype(int) - expected)
        assert difference.max() <= 1
        values += difference.size
        different += int((difference > 0).sum())
    assert values >= 1_000_000
    assert different <= 0.002 * values


@pytest.mark.parametrize("layout", LAYOUTS)
def test_golden_cases(layout):
    golden = np.load(GOLDEN)
    for n in range(16):
        prob, image, expected = (golden[f"{name}_{n:02d}"] for name in ("prob", "image", "ombre"))
        parameters = golden[f"params_{n:02d}"].astype(np.float64)[:, None]
        got = ombre_cuda(laid_out(image[None], layout), *on_gpu(prob[None].astype(np.float32), parameters))
        assert_close(pixels(got)[0], expected)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("start", LAYOUTS)
@pytest.mark.parametrize("end", LAYOUTS)
def test_one_layout_into_another_with_one_map_for_all(channels, start, end):
    image, maps, parameters = case(channels=channels)
    expected = ombre_numpy(image, maps[:1], *parameters)
    out = laid_out(np.zeros_like(image), end)
    assert ombre_cuda(laid_out(image, start), *on_gpu(maps[:1], parameters), out=out) is out
    assert_close(pixels(out), expected)
    # What lies between the pixels stays as it was.
    assert end != "strided" or bool((out._base[::2] == 77).all())


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (1, 132), (513, 4), (130, 124), (2000, 36), (31, 4096)])
def test_odd_sizes(size):
    image, maps, parameters = case(2, *size)
    for layout in LAYOUTS:
        got = ombre_cuda(laid_out(image, layout), *on_gpu(maps, parameters))
        assert np.abs(pixels(got).astype(int) - ombre_numpy(image, maps, *parameters)).max() <= 1


def test_every_sample_of_a_large_batch_is_as_it_is_alone():
    image, maps, parameters = case(96, 512, 512)
    prob, settings = on_gpu(maps, parameters)
    for layout in LAYOUTS:
        start = laid_out(image, layout)
        together = ombre_cuda(start, prob, settings)
        for n in range(0, 96, 7):
            one = slice(n, n + 1)
            assert torch.equal(ombre_cuda(start[one], prob[one], settings[one]), together[one])


def test_samples_more_than_4_gib_apart():
    if torch.cuda.mem_get_info()[0] < 12 * 2**30:
        pytest.skip("less than 12 GiB of GPU memory are free")
    image, maps, parameters = case(2, 64, 128)
    apart = 2**32 + 4
    memory = torch.empty(apart + image[0].size, dtype=torch.uint8, device="cuda")
    far = memory.as_strided((2, 3, 64, 128), (apart, 64 * 128, 128, 1))
    far.copy_(torch.from_numpy(image).permute(0, 3, 1, 2))
    ombre_cuda(far, *on_gpu(maps, parameters), out=far)
    assert_close(pixels(far), ombre_numpy(image, maps, *parameters))


def test_it_runs_on_the_current_stream():
    image, maps, parameters = case(4, 512, 512)
    prob, settings = on_gpu(maps, parameters)
    expected = ombre_cuda(laid_out(image, "planar"), prob, settings)
    start, stream = laid_out(np.zeros_like(image), "planar"), torch.cuda.Stream()
    late = torch.from_numpy(image).cuda().permute(0, 3, 1, 2).contiguous()
    torch.cuda.synchronize()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(50_000_000)  # on another stream, the ombre would overtake the copy
        start.copy_(late)
        got = ombre_cuda(start, prob, settings)
    stream.synchronize()
    assert torch.equal(got, expected)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_graph_replays_it_for_other_pixels_maps_and_settings(layout):
    image, maps, parameters = case()
    start, (prob, settings) = laid_out(image, layout), on_gpu(maps, parameters)
    ombre_cuda(start, prob, settings)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = ombre_cuda(start, prob, settings)
    image, maps, parameters = case(seed=1)
    start.copy_(torch.from_numpy(image).permute(0, 3, 1, 2))
    for held, new in zip((prob, settings), on_gpu(maps, parameters), strict=True):
        held.copy_(new)
    graph.replay()
    assert_close(pixels(out), ombre_numpy(image, maps, *parameters))


def test_a_refused_launch_names_the_kernel():
    from ohlora_fast import _cuda

    nothing = (0, 0, 0, 0)
    arguments = (0, nothing, 0, nothing, (0, 3, 8, 8), 0, (0, 4, 4), 0, 0, 0, 0, torch.cuda.current_device(), 0)
    with pytest.raises(RuntimeError, match=r"^search_kernel: invalid argument"):  # no block to start
        _cuda.ombre(*arguments)
    image, maps, parameters = case()  # and what comes next is not blamed for it
    got = ombre_cuda(laid_out(image, "planar"), *on_gpu(maps, parameters))
    assert_close(pixels(got), ombre_numpy(image, maps, *parameters))
