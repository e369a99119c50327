"""The ombre by refined maps: the fused form held to the reference, and to refining first and dyeing then."""

import numpy as np
import pytest
import torch

from ohlora_fast import HairStylist, InputError, apply_ombre
from ohlora_fast.ops.ombre_op import hair_rows, ombre_cpp, pack_settings
from ohlora_fast.ops.refine_op import ombre_refined_cpp, ombre_refined_numpy
from ohlora_fast.refine import refine_map

SETTINGS = (0.5, 0.6, 0.5)

SHAPES = [
    (1, (1, 1, 3), (1, 1)), (2, (7, 5, 4), (3, 2)), (1, (130, 67, 3), (56, 56)), (2, (90, 301, 4), (224, 224)),
    (1, (3, 400, 3), (70, 65)), (1, (300, 260, 3), (224, 224)),
]  # fmt: skip
"""Photos, their shape, and the map's."""


def photos_and_maps(count, shape, size, maps=None):
    """Coloured patches, and maps with sure, doubtful and faint parts, whose borders are not the patches'."""
    rng = np.random.default_rng(shape[0])
    rows, columns = np.indices(shape[:2])
    patches = rng.integers(0, 256, (count, 9, 9, shape[2]), np.uint8)[:, rows // 37 % 9, columns // 29 % 9]
    noise = rng.integers(-20, 21, patches.shape)
    image = np.clip(patches + noise, 0, 255).astype(np.uint8)
    prob = rng.choice(
        np.float32([0, 0.02, 0.05, 0.3, 0.7, 0.9, 1]), (maps or count, -(-size[0] // 8), -(-size[1] // 8))
    )
    return image, np.repeat(np.repeat(prob, 8, axis=1), 8, axis=2)[:, : size[0], : size[1]].copy()


def small(image, prob):
    """Both on a common grid, as the kernels take them: no resize of the library's is needed to choose one."""
    rows, columns = (np.arange(size) * big // size for size, big in zip(prob.shape[1:], image.shape[1:3], strict=True))
    return np.ascontiguousarray(image[:, rows[:, None], columns, :3]), prob


def packed(count):
    return pack_settings(*(np.linspace(low, 1, count) for low in (0.5, 0.7, 0.3)))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("shape", SHAPES)
def test_compiled_equals_the_reference(shape, threads):
    image, prob = photos_and_maps(*shape)
    given = image, *small(image, prob), prob, packed(len(image))
    got, wanted = ombre_refined_cpp(*given, threads=threads), ombre_refined_numpy(*given)
    # Maps differ by 1e-4 at most, so bytes before truncation by 0.1.
    assert np.abs(got.astype(int) - wanted).max() <= 1
    assert (got != wanted).mean() < 0.01
    if min(shape[2]) > 50:
        plain = ombre_cpp(image, prob, np.linspace(0.5, 1, len(image)), *packed(len(image))[:, 3:].T)
        assert (got != plain).mean() > 0.01


def test_one_map_for_all_and_any_strides():
    image, prob = photos_and_maps(3, (60, 80, 3), (40, 50), maps=1)
    mirrored = image[:, :, ::-1]
    given = mirrored, *small(mirrored, prob), prob, packed(3)
    wanted = [ombre_refined_cpp(mirrored[n, None], given[1][n, None], *given[2:4], given[4][n, None]) for n in range(3)]
    np.testing.assert_array_equal(ombre_refined_cpp(*given), np.concatenate(wanted))


def test_fused_is_refining_and_dyeing_to_the_last_bit():
    """Where sure hair at the top and at the bottom fixes the gradient, the two have the same hair rows."""
    image, prob = photos_and_maps(2, (300, 260, 4), (224, 224))
    prob[:, :2] = prob[:, -2:] = 1
    refined = refine_map(image, prob)
    assert (refined != prob[:, :1, :1]).any()
    np.testing.assert_array_equal(
        apply_ombre(image, prob, *SETTINGS, refine=True, backend="cpp"),
        apply_ombre(image, refined, *SETTINGS, backend="cpp"),
    )


def test_refining_leaves_the_gradient_alone():
    """A bright strand below the hair is found and dyed; the colour begins where it began."""
    image = np.full((240, 240, 3), 30, np.uint8)
    image[:, 118:122] = 220
    prob = np.zeros((240, 240), np.float32)
    prob[:120, 110:130] = 1
    prob[120:200, 116:124] = 0.85
    refined = refine_map(image, prob)
    np.testing.assert_array_equal(hair_rows(prob[None], 240, 240), [[0, 119]])
    np.testing.assert_array_equal(hair_rows(refined[None], 240, 240), [[0, 199]])
    plain, fused, apart = (
        apply_ombre(image, one, 0, 1, 1, refine=refine)
        for one, refine in ((prob, False), (prob, True), (refined, False))
    )
    np.testing.assert_array_equal(fused[:118, 111:129], plain[:118, 111:129])
    assert (apart[60:118, 120] != plain[60:118, 120]).any()
    whole = apply_ombre(image, np.ones_like(prob), 0, 1, 0)[130:190, 120]
    np.testing.assert_array_equal(fused[130:190, 120], whole)  # where the map alone dyes by halves
    assert (plain[130:190, 120] != whole).any()


def test_backends_of_arrays_and_tensors_agree():
    image, prob = photos_and_maps(2, (130, 167, 3), (56, 56))
    wanted = apply_ombre(image, prob, *SETTINGS, backend="cpp", refine=True)
    for backend in ("auto", "numpy", "torch"):
        got = apply_ombre(image, prob, *SETTINGS, backend=backend, refine=True)
        assert np.abs(got.astype(int) - wanted).max() <= 1
    planes, maps = torch.from_numpy(image).permute(0, 3, 1, 2), torch.from_numpy(prob)
    for backend in ("auto", "cpp"):
        got = apply_ombre(planes, maps, *SETTINGS, backend=backend, refine=True)
        np.testing.assert_array_equal(got.permute(0, 2, 3, 1).numpy(), wanted)
    floats = planes.float().requires_grad_()
    got = apply_ombre(floats, maps, *SETTINGS, refine=True)
    assert np.abs(got.detach().permute(0, 2, 3, 1).numpy() - wanted).max() < 2  # two truncations
    got.sum().backward()
    assert floats.grad.unique().numel() > 2


def test_natural_dyeing_takes_refined_maps():
    image, prob = photos_and_maps(1, (130, 167, 3), (56, 56))
    got = apply_ombre(image, prob, *SETTINGS, method="natural", refine=True)
    np.testing.assert_array_equal(got, apply_ombre(image, refine_map(image, prob), *SETTINGS, method="natural"))
    assert (got != apply_ombre(image, prob, *SETTINGS, method="natural")).any()


def test_without_hair_nothing_changes():
    image, prob = photos_and_maps(1, (100, 90, 3), (40, 40))
    np.testing.assert_array_equal(apply_ombre(image, 0 * prob, refine=True), image)
    black = np.zeros((500, 500, 3), np.uint8)
    stylist = HairStylist(device="cpu", engine="onnx")
    stylist._maps = lambda photos: np.zeros((1, 224, 224), np.float32)
    with pytest.warns(UserWarning, match="no hair found"):
        np.testing.assert_array_equal(stylist.dye(black, refine=True), black)


def test_what_cannot_be_refined_is_refused():
    planes, maps = torch.zeros((1, 3, 20, 20)), torch.zeros((1, 5, 5), requires_grad=True)
    with pytest.raises(InputError, match="refine: got True for a prob with gradients"):
        apply_ombre(planes, maps, refine=True)
    with pytest.raises(InputError, match="backend: got 'cuda', but refining has no CUDA kernel: 'triton' runs"):
        apply_ombre(planes.byte(), maps.detach(), refine=True, backend="cuda")
