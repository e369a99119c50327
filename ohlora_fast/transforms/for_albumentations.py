"""`OmbreHair`, a transform of Albumentations 2."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from albumentations.core.transforms_interface import ImageOnlyTransform
from numpy.typing import NDArray

from ohlora_fast.errors import NoHairWarning
from ohlora_fast.functional import default_stylist, dyed_by
from ohlora_fast.ranges import OmbreRanges, Range
from ohlora_fast.transforms import check_heads

SETTINGS = ("color", "ombre_height", "ombre_grad_height")


class OmbreHair(ImageOnlyTransform):
    """Dye the hair with an ombre of random settings.

    Args:
        color, ombre_height, ombre_grad_height: as of :class:`ohlora_fast.Ombre`, or (low, high) to draw from.
        hair_prob: which input of the call holds the hair probability of the image, float in [0, 1]; where a call has
            none, the hair is found. To let other transforms of a pipeline move the map with the image:
            ``Compose(..., additional_targets={"hair_prob": "mask"})``.
        checkpoint: a student's weights, as of :class:`ohlora_fast.HairStylist`; None: the bundled ones.
        threads: CPU threads, None for all. One is right where a data loader has workers.
        p: how likely an image is dyed.
        heads: where a call has no map: ``"auto"`` finds the heads and dyes each in its own rows, ``"whole"`` takes the
            student's map of the whole image as one head.

    Targets:
        image, images, volume, volumes

    Image types:
        uint8, float32 in [0, 1]

    Number of channels:
        3, 4

    Raises:
        InputError: a setting is no number or range in [0, 1], or `heads` is neither of the two.

    >>> dyed = OmbreHair(color=0.5, ombre_height=1, ombre_grad_height=0, p=1)(
    ...     image=np.full((4, 4, 3), 100, np.uint8), hair_prob=np.ones((4, 4), np.float32)
    ... )
    >>> dyed["image"][0, 0].tolist()
    [96, 160, 160]
    """

    class InitSchema(ImageOnlyTransform.InitSchema):
        """What Albumentations checks; `OmbreRanges` checks the rest."""

        color: Any
        ombre_height: Any
        ombre_grad_height: Any
        hair_prob: str
        checkpoint: str | None
        threads: int | None
        heads: Any

    def __init__(
        self,
        color: Range = (0.0, 1.0),
        ombre_height: Range = (0.4, 1.0),
        ombre_grad_height: Range = (0.2, 0.8),
        hair_prob: str = "hair_prob",
        checkpoint: str | None = None,
        threads: int | None = 1,
        p: float = 0.5,
        heads: str = "auto",
    ) -> None:
        super().__init__(p=p)
        OmbreRanges(color, ombre_height, ombre_grad_height)
        check_heads(heads)
        self.color, self.ombre_height, self.ombre_grad_height = color, ombre_height, ombre_grad_height
        self.hair_prob, self.checkpoint, self.threads, self.heads = hair_prob, checkpoint, threads, heads

    def get_params(self) -> dict[str, float]:
        """Draw the settings."""
        ranges = OmbreRanges(self.color, self.ombre_height, self.ombre_grad_height)
        return {name: self.py_random.uniform(*ends) for name, ends in zip(SETTINGS, ranges.ends, strict=True)}

    def apply_with_params(self, params: dict[str, Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Apply, by the map of this call, not by that of the call whose parameters are replayed."""
        dyed: dict[str, Any] = super().apply_with_params({**params, "prob": kwargs.get(self.hair_prob)}, **kwargs)
        return dyed

    def apply(self, img: NDArray[Any], *args: Any, **params: Any) -> NDArray[Any]:
        """Dye one image."""
        prob = params.get("prob")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NoHairWarning)
            return dyed_by(
                default_stylist(self.checkpoint, self.threads),
                img,
                (params["color"], params["ombre_height"], params["ombre_grad_height"]),
                None if prob is None else np.asarray(prob),
                self.heads if prob is None else "auto",
            )

    def apply_to_images(self, images: NDArray[Any], *args: Any, **params: Any) -> NDArray[Any]:
        """Dye several images of one size, by one map each where there are maps."""
        return self.apply(images, **params)
