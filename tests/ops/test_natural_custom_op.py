"""Natural dyeing as a custom operation: registration, gradients, compilation and export."""

import numpy as np
import pytest
import torch

from ohlora_fast.natural import NaturalDye, pack_natural
from ohlora_fast.ops.natural_custom_op import natural
from ohlora_fast.ops.natural_torch import natural_torch

SETTINGS = torch.from_numpy(pack_natural(NaturalDye("sunset"), *np.array([[0.5, 0.1], [0.9, 0.6], [0.5, 0.8]])))


def case(dtype, maps=2, interleaved=False):
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(60, 121, (2, 3, 9, 8), generator=generator).to(dtype)
    if interleaved:
        image = image.contiguous(memory_format=torch.channels_last)
    return image, 0.6 + 0.3 * torch.rand(maps, 6, 5, generator=generator), SETTINGS


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_opcheck(dtype, interleaved):
    image, prob, settings = case(dtype, interleaved=interleaved)
    torch.library.opcheck(natural, (image, prob, settings))
    if dtype == torch.float32:
        torch.library.opcheck(natural, (image.requires_grad_(), prob.requires_grad_(), settings))


@pytest.mark.parametrize("maps", [1, 2])
def test_gradients_are_those_of_the_plain_form(maps):
    image, prob, settings = case(torch.float32, maps)
    upstream = torch.randn(image.shape, generator=torch.Generator().manual_seed(1))
    found = []
    for form in (natural, natural_torch):
        leaves = image.clone().requires_grad_(), prob.clone().requires_grad_()
        found.append(torch.autograd.grad(form(*leaves, settings), leaves, upstream))
    for ours, plain in zip(*found, strict=True):
        assert plain.abs().sum() > 0
        assert torch.allclose(ours, plain, atol=1e-4)


class Dye(torch.nn.Module):
    def forward(self, image, prob, settings):
        return torch.ops.ohlora_fast.natural(image, prob.clamp(0, 1), settings) + 1


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_compiles_in_one_graph_and_exports(dtype):
    arguments = case(dtype)
    compiled = torch.compile(Dye(), fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(*arguments), Dye()(*arguments))
    assert "ohlora_fast.natural" in str(torch.export.export(Dye(), arguments).graph)
