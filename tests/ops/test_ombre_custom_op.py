"""The ombre as a custom operation: registration, gradients, compilation and export."""

import numpy as np
import pytest
import torch

from ohlora_fast.ops.ombre_custom_op import ombre, ombre_
from ohlora_fast.ops.ombre_op import pack_settings
from ohlora_fast.ops.ombre_torch import ombre_torch

SETTINGS = torch.from_numpy(pack_settings(np.array([0.5, 0.1]), np.array([0.9, 0.6]), np.array([0.5, 0.8])))


def case(dtype, maps=2, channels=3, interleaved=False):
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(60, 121, (2, channels, 9, 8), generator=generator).to(dtype)
    if interleaved:
        image = image.contiguous(memory_format=torch.channels_last)
    # Off the kinks: the map neither clear nor opaque, the dye not clipped.
    return image, 0.76 + 0.2 * torch.rand(maps, 6, 5, generator=generator), SETTINGS


@pytest.mark.parametrize("maps", [1, 2])
@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_opcheck(dtype, maps, interleaved):
    image, prob, settings = case(dtype, maps, interleaved=interleaved)
    torch.library.opcheck(ombre, (image, prob, settings))
    torch.library.opcheck(ombre_, (image, prob, settings))
    if dtype == torch.float32:
        torch.library.opcheck(ombre, (image.requires_grad_(), prob.requires_grad_(), settings))


@pytest.mark.parametrize("maps", [1, 2])
def test_gradients_are_those_of_the_plain_form(maps):
    image, prob, settings = case(torch.float32, maps, channels=4)
    upstream = torch.randn(image.shape, generator=torch.Generator().manual_seed(1))
    found = []
    for form in (ombre, ombre_torch):
        leaves = image.clone().requires_grad_(), prob.clone().requires_grad_()
        found.append(torch.autograd.grad(form(*leaves, settings), leaves, upstream))
    for ours, plain in zip(*found, strict=True):
        assert plain.abs().sum() > 0
        assert torch.allclose(ours, plain, atol=1e-4)


def test_in_place_is_out_of_place():
    image, prob, settings = case(torch.uint8)
    expected = ombre(image, prob, settings)
    assert not torch.equal(expected, image)
    ombre_(image, prob, settings)
    assert torch.equal(image, expected)


class Dye(torch.nn.Module):
    def forward(self, image, prob, settings):
        return torch.ops.ohlora_fast.ombre(image, prob.clamp(0, 1), settings) + 1


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_compiles_in_one_graph_and_exports(dtype):
    arguments = case(dtype)
    expected = Dye()(*arguments)
    compiled = torch.compile(Dye(), fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(*arguments), expected)
    exported = torch.export.export(Dye(), arguments)
    assert "ohlora_fast.ombre" in str(exported.graph)
    assert torch.equal(exported.module()(*arguments), expected)


def test_gradients_survive_compilation():
    image, prob, settings = case(torch.float32)
    compiled = torch.compile(Dye(), fullgraph=True, backend="aot_eager")
    leaves = image.requires_grad_(), prob.requires_grad_()
    plain, ours = (torch.autograd.grad(form(*leaves, settings).sum(), leaves) for form in (Dye(), compiled))
    assert all(torch.allclose(one, other) for one, other in zip(plain, ours, strict=True))
