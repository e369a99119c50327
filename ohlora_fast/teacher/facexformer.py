"""FaceXFormer, the teacher: face parsing and seven more tasks from one transformer.

Source: Narayan et al., "FaceXFormer: A Unified Transformer for Facial Analysis", 2024. Its decoder is the two-way
transformer of Kirillov et al., "Segment Anything", 2023.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ohlora_fast.errors import InputError
from ohlora_fast.teacher.swin import CHANNELS, SwinFeatures

SIZE = 224
WIDTH = 256
MAP = SIZE // 4
HAIR = 10
"""The class of hair among the 11 of `seg_logits`."""
CLASSES = 11
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's, for RGB in [0, 1]."""
MASK_HEADS = ("hair", "seg_logits")
# In the order of their tokens: the head → its parameters' name, and how many values it gives.
TOKEN_HEADS = {
    "landmark": ("landmarks", 136),
    "headpose": ("pose", 3),
    "attribute": ("attribute", 40),
    "visibility": ("visibility", 29),
    "age": ("age", 8),
    "gender": ("gender", 2),
    "race": ("race", 5),
}
HEADS = (*MASK_HEADS, *TOKEN_HEADS)
OFFICIAL_KEY = "state_dict_backbone"


class Projection(nn.Module):
    """One linear layer on each pixel, (N, H, W, C) → (N, 256, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Linear(channels, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).permute(0, 3, 1, 2)


class PositionalEncoding(nn.Module):
    """Sines and cosines of random mixtures of a pixel's coordinates."""

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, WIDTH // 2))

    def forward(self, side: int) -> Tensor:
        """The encoding of a square map, (1, side², 256), rows first."""
        matrix = self.positional_encoding_gaussian_matrix
        centres = (torch.arange(side, device=matrix.device, dtype=matrix.dtype) + 0.5) / side
        y, x = torch.meshgrid(centres, centres, indexing="ij")
        angles = 2 * math.pi * ((2 * torch.stack([x, y], dim=-1) - 1) @ matrix)
        return torch.cat([angles.sin(), angles.cos()], dim=-1).view(1, side * side, WIDTH)


class Attention(nn.Module):
    """Attention of 8 heads, from queries to other keys and values, all (N, items, 256)."""

    def __init__(self, inner: int) -> None:
        super().__init__()
        self.q_proj = nn.Linear(WIDTH, inner)
        self.k_proj = nn.Linear(WIDTH, inner)
        self.v_proj = nn.Linear(WIDTH, inner)
        self.out_proj = nn.Linear(inner, WIDTH)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        parts = (self.q_proj(q), self.k_proj(k), self.v_proj(v))
        mixed = F.scaled_dot_product_attention(*(x.unflatten(2, (8, -1)).transpose(1, 2) for x in parts))
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Two linear layers with ReLU between."""

    def __init__(self) -> None:
        super().__init__()
        self.lin1 = nn.Linear(WIDTH, 2048)
        self.lin2 = nn.Linear(2048, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return self.lin2(F.relu(self.lin1(x)))


class TwoWayLayer(nn.Module):
    """Tokens attend to themselves and to the image, then the image to the tokens; norms come after.

    In the first layer self-attention replaces the tokens; in the others it is added, and asked with their encoding.
    """

    def __init__(self, first: bool) -> None:
        super().__init__()
        self.first = first
        self.self_attn = Attention(WIDTH)
        self.norm1 = nn.LayerNorm(WIDTH)
        self.cross_attn_token_to_image = Attention(WIDTH // 2)
        self.norm2 = nn.LayerNorm(WIDTH)
        self.mlp = FeedForward()
        self.norm3 = nn.LayerNorm(WIDTH)
        self.norm4 = nn.LayerNorm(WIDTH)
        self.cross_attn_image_to_token = Attention(WIDTH // 2)

    def forward(self, tokens: Tensor, image: Tensor, token_pe: Tensor, image_pe: Tensor) -> tuple[Tensor, Tensor]:
        if self.first:
            tokens = self.norm1(self.self_attn(tokens, tokens, tokens))
        else:
            asking = tokens + token_pe
            tokens = self.norm1(tokens + self.self_attn(asking, asking, tokens))
        placed = image + image_pe
        tokens = self.norm2(tokens + self.cross_attn_token_to_image(tokens + token_pe, placed, image))
        tokens = self.norm3(tokens + self.mlp(tokens))
        image = self.norm4(image + self.cross_attn_image_to_token(placed, tokens + token_pe, tokens))
        return tokens, image


class TwoWayTransformer(nn.Module):
    """Mixes tokens (N, T, 256) with an image (N, pixels, 256) and returns both."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([TwoWayLayer(first=True), TwoWayLayer(first=False)])
        self.final_attn_token_to_image = Attention(WIDTH // 2)
        self.norm_final_attn = nn.LayerNorm(WIDTH)

    def forward(self, tokens: Tensor, image: Tensor, image_pe: Tensor) -> tuple[Tensor, Tensor]:
        token_pe = tokens
        for layer in self.layers:
            tokens, image = layer(tokens, image, token_pe, image_pe)
        seen = self.final_attn_token_to_image(tokens + token_pe, image + image_pe, image)
        return self.norm_final_attn(tokens + seen), image


class LayerNorm2d(nn.LayerNorm):
    """A norm over the channels of (N, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Mlp(nn.Module):
    """Three linear layers with ReLU between."""

    def __init__(self, out: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, out)])

    def forward(self, x: Tensor) -> Tensor:
        first, second, last = self.layers
        return last(F.relu(second(F.relu(first(x)))))


class FaceDecoder(nn.Module):
    """The 18 tokens, the transformer that shows them the image, and a head for each task."""

    def __init__(self) -> None:
        super().__init__()
        self.transformer = TwoWayTransformer()
        for name, _ in TOKEN_HEADS.values():
            setattr(self, f"{name}_token", nn.Embedding(1, WIDTH))
        self.mask_tokens = nn.Embedding(CLASSES, WIDTH)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(WIDTH, 64, 2, stride=2), LayerNorm2d(64, eps=1e-6), nn.GELU(),
            nn.ConvTranspose2d(64, 32, 2, stride=2), nn.GELU(),
        )  # fmt: skip
        self.output_hypernetwork_mlps = Mlp(32)
        for name, out in TOKEN_HEADS.values():
            setattr(self, f"{name}_prediction_head", Mlp(out))

    def forward(self, image: Tensor, image_pe: Tensor, heads: Sequence[str]) -> dict[str, Tensor]:
        """Run the heads asked for on an image (N, 256, 56, 56) with its encoding (1, 3136, 256)."""
        n = image.shape[0]
        embeddings = [getattr(self, f"{name}_token").weight for name, _ in TOKEN_HEADS.values()]
        tokens = torch.cat([*embeddings, self.mask_tokens.weight]).expand(n, -1, -1)
        tokens, pixels = self.transformer(tokens, image.flatten(2).transpose(1, 2), image_pe)
        found = {
            head: getattr(self, f"{name}_prediction_head")(tokens[:, index])
            for index, (head, (name, _)) in enumerate(TOKEN_HEADS.items())
            if head in heads
        }
        if not set(heads).isdisjoint(MASK_HEADS):
            upscaled = self.output_upscaling(pixels.transpose(1, 2).reshape(image.shape))
            weights = self.output_hypernetwork_mlps(tokens[:, len(TOKEN_HEADS) :])
            logits = (weights @ upscaled.flatten(2)).unflatten(2, upscaled.shape[2:])
            found["seg_logits"] = logits
            found["hair"] = logits.softmax(dim=1)[:, HAIR : HAIR + 1]
        return {head: found[head] for head in heads}


class FaceXFormer(nn.Module):
    """The teacher, with the official checkpoint's names and numbers.

    >>> with torch.device("meta"):  # shapes alone: its 92 M numbers take a while
    ...     model = FaceXFormer()
    ...     found = model(torch.empty(2, 3, 224, 224), heads=("hair", "age"))
    >>> {head: tuple(value.shape) for head, value in found.items()}
    {'hair': (2, 1, 224, 224), 'age': (2, 8)}
    """

    def __init__(self) -> None:
        super().__init__()
        # The norm's parameters are in the checkpoint, but nothing uses its output.
        self.backbone = nn.Sequential(SwinFeatures(), nn.LayerNorm(CHANNELS[-1]))
        self.pe_layer = PositionalEncoding()
        self.face_decoder = FaceDecoder()
        self.linear_c = nn.ModuleList([Projection(channels) for channels in CHANNELS])
        self.linear_fuse = nn.Conv2d(len(CHANNELS) * WIDTH, WIDTH, 1, bias=False)

    def forward(self, x: Tensor, heads: Sequence[str] = ("hair",)) -> dict[str, Tensor]:
        """Run the heads asked for, and none else.

        Args:
            x: RGB faces (N, 3, 224, 224), in [0, 1] and then normalised with ImageNet's mean and deviation.
            heads: any of ``hair`` (N, 1, 224, 224) in [0, 1], ``seg_logits`` (N, 11, 224, 224), and raw outputs:
                ``landmark`` (N, 136), ``headpose`` (N, 3), ``attribute`` (N, 40), ``visibility`` (N, 29),
                ``age`` (N, 8), ``gender`` (N, 2), ``race`` (N, 5).

        Raises:
            InputError: another shape, or a head of another name.
        """
        if x.ndim != 4 or x.shape[1:] != (3, SIZE, SIZE):
            raise InputError(f"x: got shape {tuple(x.shape)}, allowed is (N, 3, {SIZE}, {SIZE})")
        if isinstance(heads, str) or not heads or not set(heads) <= set(HEADS):
            raise InputError(f"heads: got {heads!r}, allowed is a sequence of {', '.join(HEADS)}")
        stages = self.backbone[0](x)
        maps = [
            F.interpolate(projection(stage), size=(MAP, MAP), mode="bilinear", align_corners=False)
            for stage, projection in zip(stages, self.linear_c, strict=True)
        ]
        image = self.linear_fuse(torch.cat(maps[::-1], dim=1))
        return self.face_decoder(image, self.pe_layer(MAP), heads)

    def hair_probability(self, x: Tensor) -> Tensor:
        """Hair probabilities (N, 1, 224, 224) in [0, 1] for ImageNet-normalised RGB faces (N, 3, 224, 224)."""
        return self(x, heads=("hair",))["hair"]

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | Path | None = None, cache_dir: str | Path | None = None
    ) -> FaceXFormer:
        """Load the published weights, in evaluation mode.

        Args:
            name_or_path: None or ``"facexformer"`` for the file on the Hugging Face hub, downloaded once (369 MB);
                or a file (see `load_facexformer`).
            cache_dir: where the hub's files are kept; None for the hub's own folder.

        Raises:
            InputError: the file can neither be found nor downloaded, or is not FaceXFormer's.
        """
        if name_or_path is None or str(name_or_path) == "facexformer":
            from ohlora_fast.hub import fetch

            name_or_path = fetch("facexformer", cache_dir).path
        return load_facexformer(name_or_path)


def load_facexformer(path: str | Path) -> FaceXFormer:
    """Load FaceXFormer from a checkpoint, in float32 and evaluation mode.

    Args:
        path: the official ``model.pt``, or a bare state dict as a weights-only pickle or ``.safetensors``.

    Raises:
        InputError: the file cannot be read, or its names or shapes are not FaceXFormer's.
    """
    from ohlora_fast.student.weights import read_state

    state, _ = read_state(path, OFFICIAL_KEY)
    return facexformer_from(state, path)


def facexformer_from(state: Mapping[str, Tensor], what: str | Path) -> FaceXFormer:
    """Make the model around a state dict, whose float32 tensors it keeps; `what` is named in the error.

    Raises:
        InputError: names or shapes are not FaceXFormer's.
    """
    from ohlora_fast.student.weights import check_state

    with torch.device("meta"):  # the numbers come from the file: none need be drawn
        model = FaceXFormer()
    check_state(state, model.state_dict(), str(what))
    floats = {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
    model.load_state_dict(floats, assign=True)
    return model.eval()
