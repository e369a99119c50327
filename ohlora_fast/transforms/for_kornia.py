"""`RandomOmbreHair`, an augmentation of Kornia."""

from __future__ import annotations

import warnings
from typing import Any

from kornia.augmentation import IntensityAugmentationBase2D
from kornia.augmentation.random_generator import PlainUniformGenerator
from torch import Tensor

from ohlora_fast.errors import NoHairWarning
from ohlora_fast.functional import default_stylist
from ohlora_fast.ranges import OmbreRanges, Range
from ohlora_fast.transforms import check_heads


class RandomOmbreHair(IntensityAugmentationBase2D):
    """Dye the hair of a batch with ombres of random settings, drawn for each image.

    Args:
        color, ombre_height, ombre_grad_height: as of :class:`ohlora_fast.Ombre`, or (low, high) to draw from.
        same_on_batch: draw once for all images of a batch.
        p: how likely an image is dyed.
        keepdim: give back (C, H, W) for (C, H, W).
        checkpoint: a student's weights, as of :class:`ohlora_fast.HairStylist`; None: the bundled ones.
        threads: CPU threads, None for all.
        heads: where no map is given: ``"auto"`` finds the heads and dyes each in its own rows, ``"whole"`` takes the
            student's map of the whole image as one head.

    Shape:
        - Input: (C, H, W) or (B, C, H, W), C being 3 or 4, floating point in [0, 1], on any device; and as
          ``hair_prob``, if given, (B, h, w) or (B, 1, h, w) in [0, 1], else the hair is found
        - Output: (B, C, H, W)

    Gradients flow to the image; the hair, where it is found, is a constant.

    Raises:
        InputError: a setting is no number or range in [0, 1], or `heads` is neither of the two.

    >>> import torch
    >>> photo, hair = torch.full((1, 3, 4, 4), 0.4), torch.ones(1, 4, 4)
    >>> augment = RandomOmbreHair(color=0.5, ombre_height=1, ombre_grad_height=0, p=1)
    >>> augment(photo, hair_prob=hair)[0, :, 0, 0]
    tensor([0.3900, 0.6390, 0.6400])

    The same again, with the parameters of the last call:

    >>> bool((augment(photo, params=augment._params, hair_prob=hair) == augment(photo, hair_prob=hair)).all())
    True
    """

    def __init__(
        self,
        color: Range = (0.0, 1.0),
        ombre_height: Range = (0.4, 1.0),
        ombre_grad_height: Range = (0.2, 0.8),
        same_on_batch: bool = False,
        p: float = 0.5,
        keepdim: bool = False,
        checkpoint: str | None = None,
        threads: int | None = None,
        heads: str = "auto",
    ) -> None:
        super().__init__(p=p, same_on_batch=same_on_batch, keepdim=keepdim)
        ranges = OmbreRanges(color, ombre_height, ombre_grad_height)
        names = ("color", "ombre_height", "ombre_grad_height")
        self._param_generator = PlainUniformGenerator(
            *((ends, name, None, None) for name, ends in zip(names, ranges.ends, strict=True))
        )
        check_heads(heads)
        self.checkpoint, self.threads, self.heads = checkpoint, threads, heads

    def apply_transform(
        self, input: Tensor, params: dict[str, Tensor], flags: dict[str, Any], transform: Tensor | None = None
    ) -> Tensor:
        """Dye every image; Kornia puts back those that stay as they are."""
        stylist = default_stylist(self.checkpoint, self.threads)
        pixels = input.float().clamp(0.0, 1.0) * 255
        prob = flags.get("hair_prob")
        settings = [params[name].double().cpu().numpy() for name in ("color", "ombre_height", "ombre_grad_height")]
        dyed: Tensor
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NoHairWarning)
            if prob is None:
                dyed = stylist.dye(pixels, *settings, heads=self.heads)
            else:
                dyed = stylist.dye_by_map(pixels, prob, *settings)
        return (dyed / 255).to(input.dtype)
