"""The generator's form for inference gives the training form's images."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ohlora_fast.errors import InputError
from ohlora_fast.stylegan.fast import FastGenerator
from ohlora_fast.stylegan.generator import VERSIONS, Generator

GOLDEN = Path(__file__).parents[1] / "golden"


def drawn(version, resolution, base, width):
    """A generator in which every parameter counts: none is left at its start of zero or one."""
    torch.manual_seed(resolution)
    model = Generator(version, resolution, base, width).eval()
    for name, value in model.synthesis.named_parameters():
        if name.endswith(("bias", "apply_noise.weight", "const")):
            torch.nn.init.normal_(value)
    model.truncation.w_avg.normal_()
    return model


def difference(got, expected):
    return ((got - expected).abs().max() / (expected.max() - expected.min())).item()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("resolution", "base", "width"), [(8, 16384, 3), (64, 1024, 40), (256, 2048, 24)])
@pytest.mark.parametrize("noise", ["stored", "fresh"])
def test_images_are_the_training_forms(version, resolution, base, width, noise):
    model = drawn(version, resolution, base, width)
    fast = FastGenerator(model)
    z, label = torch.randn(3, 512), torch.randn(3, 7)
    with torch.inference_mode():
        assert (fast.latent(z, label) - model.latent(z, label)).abs().max() < 1e-5
        for count in (1, 3):
            given = z[:count], label[:count], 0.7, 5, noise
            expected, got = (one(*given, rng=torch.Generator().manual_seed(1)) for one in (model, fast))
            assert got.shape == (count, 3, resolution, resolution)
            assert difference(got, expected) < 1e-4


def test_the_recorded_images_are_reproduced(fill):
    expected = np.load(GOLDEN / "stylegan_v9_generator.npz")
    fast = FastGenerator(fill(Generator("v9"), "unit"))
    z, label, image = (torch.from_numpy(expected[name]) for name in ("z", "label", "image"))
    with torch.inference_mode():
        assert difference(fast(z, label, truncation_psi=0.7, truncation_layers=8), image) < 1e-4


def test_a_w_for_each_layer():
    model = drawn("v9", 16, 16384, 8)
    ws = torch.randn(2, 6, 512)
    with torch.inference_mode():
        assert difference(FastGenerator(model).render(ws, 0.5, 2), model.render(ws, 0.5, 2)) < 1e-4


def test_without_onednns_own_layout(monkeypatch):
    """As where PyTorch lacks the operations for it."""
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this PyTorch was built without oneDNN")
    model, z = drawn("v9", 32, 16384, 12), torch.randn(2, 512)
    with torch.inference_mode():
        expected = model(z)
        ours = FastGenerator(model)
        monkeypatch.delattr(torch._C._nn, "mkldnn_reorder_conv2d_weight")
        plain = FastGenerator(model)
        assert [hasattr(layer, "weight") for layer in ours.synthesis.layers] == [True] + 7 * [False]
        assert [hasattr(layer, "weight") for layer in plain.synthesis.layers] == [True, True] + 3 * [False, True]
        assert difference(ours(z), expected) < 1e-4
        assert difference(plain(z), expected) < 1e-4


def test_it_shares_no_memory_with_the_training_form():
    model = drawn("v1", 8, 16384, 4)
    fast, z = FastGenerator(model), torch.randn(1, 512)
    with torch.inference_mode():
        before = fast(z)
        for value in (*model.parameters(), *model.buffers()):
            value.zero_()
        assert torch.equal(fast(z), before)
    assert not list(fast.parameters())


def test_no_images_of_no_latents():
    assert FastGenerator(drawn("v9", 8, 16384, 4))(torch.zeros(0, 512)).shape == (0, 3, 8, 8)


def test_wrong_arguments_are_named():
    model = drawn("v1", 8, 16384, 4)
    for arguments, line in (
        ({"dtype": torch.float16}, r"^dtype: got torch.float16, allowed on cpu is torch.float32$"),
        ({"dtype": torch.int8}, r"^dtype: got torch.int8, allowed on cpu is torch.float32$"),
        ({"device": "tpu"}, r"^device: got 'tpu', which does not run here: allowed are"),
    ):
        with pytest.raises(InputError, match=line):
            FastGenerator(model, **arguments)
    with pytest.raises(InputError, match=r"^z: got"):
        FastGenerator(model)(torch.zeros(2, 5))
