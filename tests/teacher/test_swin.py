"""Windows, their shift and its mask, against attention written out over all pairs of pixels."""

import pytest
import torch

from ohlora_fast.teacher.swin import SHIFT, WINDOW, PatchMerging, SwinBlock, WindowAttention


def by_pairs(attention: WindowAttention, x: torch.Tensor, shift: int) -> torch.Tensor:
    """The same as `attention`, by a dense matrix over the pixels of each image (H, W, C)."""
    height, width, channels = x.shape
    y, column = (grid.flatten() for grid in torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"))
    place = [(y - shift) % height, (column - shift) % width]  # where the shift moves a pixel
    down, right = (at[:, None] - at[None, :] for at in place)
    together = torch.ones(height * width, height * width, dtype=torch.bool)
    for at in place:
        together &= at[:, None] // WINDOW == at[None, :] // WINDOW
    parted = torch.zeros_like(together)
    for at in (y, column):  # the first 3 rows and columns came from the other side
        parted |= (at[:, None] < shift) != (at[None, :] < shift)
    offset = ((down + WINDOW - 1) * (2 * WINDOW - 1) + right + WINDOW - 1).clamp(0, (2 * WINDOW - 1) ** 2 - 1)
    q, k, v = attention.qkv(x.reshape(-1, channels)).chunk(3, dim=1)
    size = channels // attention.heads
    mixed = []
    for head in range(attention.heads):
        part = slice(head * size, (head + 1) * size)
        logits = q[:, part] @ k[:, part].T / size**0.5 + attention.relative_position_bias_table[offset, head]
        logits = (logits - 100 * parted).masked_fill(~together, -torch.inf)
        mixed.append(logits.softmax(dim=1) @ v[:, part])
    return attention.proj(torch.cat(mixed, dim=1)).reshape(x.shape)


@pytest.fixture
def attention(request: pytest.FixtureRequest) -> WindowAttention:
    torch.manual_seed(0)
    made = WindowAttention(channels=12, heads=3, shifted=request.param)
    torch.nn.init.normal_(made.relative_position_bias_table)
    return made.double()


@pytest.mark.parametrize("attention", [False, True], indirect=True)
@pytest.mark.parametrize("size", [(14, 14), (14, 21)])
@torch.inference_mode()
def test_attention_is_that_over_pairs_of_pixels(attention, size):
    x = torch.randn(2, *size, 12, dtype=torch.float64)
    expected = torch.stack([by_pairs(attention, image, SHIFT * attention.shifted) for image in x])
    assert (attention(x) - expected).abs().max() < 1e-9


@torch.inference_mode()
def test_one_window_is_not_shifted():
    torch.manual_seed(0)
    block = SwinBlock(12, 3, shifted=True)
    x = torch.randn(1, WINDOW, WINDOW, 12)
    shifted = block(x)
    block.attn.shifted = False
    assert torch.equal(shifted, block(x))


@torch.inference_mode()
def test_merging_takes_rows_before_columns():
    merging = PatchMerging(1)
    merging.norm = torch.nn.Identity()
    merging.reduction.weight.copy_(torch.tensor([[1, 0, 0, 0.0], [0, 1, 0, 0]]))
    x = torch.arange(16.0).view(1, 4, 4, 1)
    merged = merging(x)[0]
    assert merged[..., 0].tolist() == [[0, 2], [8, 10]]
    assert merged[..., 1].tolist() == [[4, 6], [12, 14]]
