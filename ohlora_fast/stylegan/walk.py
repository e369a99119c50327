"""Walks: from one picture's latent to the next one's, a straight line of w or an arc of z."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ohlora_fast.media.convert import Pixels
from ohlora_fast.stylegan.drawing import Labels, latents
from ohlora_fast.stylegan.painter import Painter
from ohlora_fast.sweep import Times, between, values_at

if TYPE_CHECKING:
    from ohlora_fast.stylist import HairStylist

Space = Literal["w", "z"]
SPACES = ("w", "z")


def walk(
    painter: Painter,
    seed: int,
    stops: Sequence[int],
    times: Times,
    labels: Labels | None = None,
    space: Space = "w",
    batch: int = 8,
) -> Iterator[Pixels]:
    """Paint the frames of a walk past pictures of `generate`, with the checkpoint's noise, so that nothing flickers.

    Args:
        painter: makes the pictures.
        seed: of the pictures.
        stops: their numbers, in the order of the walk, at evenly spaced times; the first one's again at the end of a
            walk that is to come back.
        times: of the frames, 0 to 1.
        labels: of the pictures; None for zeros.
        space: ``"w"``, straight lines of what the mapping gives: even steps; or ``"z"``, arcs of what it is given, with
            straight lines of the labels.
        batch: frames at a time.

    Returns:
        Batches, uint8 (N, H, W, 3), N up to ``batch``.
    """
    z, label = latents(seed, stops), (labels or Labels()).of(seed, stops)
    if space == "w":
        ws = straight(painter.latent(z, label), times)
    else:
        ws = painter.latent(arc(z, times), straight(label, times))
    for some in ws.split(batch):
        yield painter.paint(some)


def straight(stops: Tensor, times: Times) -> Tensor:
    """Straight lines between stops (K, D): one point a time (T, D)."""
    points = values_at(stops.cpu().double().numpy(), times)
    return torch.from_numpy(points).to(stops)


def arc(stops: Tensor, times: Times) -> Tensor:
    """Arcs on spheres between stops (K, D), lengths going evenly over: one point a time (T, D).

    A straight line would pass nearer to the origin than any latent lies. Source: Shoemake, "Animating rotation with
    quaternion curves", 1985.

    >>> ends = torch.tensor([[2.0, 0.0], [0.0, 2.0]])
    >>> arc(ends, np.array([0.0, 1 / 3, 1.0]))
    tensor([[2.0000, 0.0000],
            [1.7321, 1.0000],
            [0.0000, 2.0000]])
    """
    points = stops.double().numpy()
    lengths = np.linalg.norm(points, axis=1, keepdims=True)
    before, after, share = between(len(points), times)
    start, end = (points / lengths)[before], (points / lengths)[after]
    angle = np.arccos(np.clip((start * end).sum(1), -1, 1))
    angle = np.maximum(angle, 1e-6)  # of two stops that are one, where the sines below would be 0
    turned = start * np.sin((1 - share) * angle)[:, None] + end * np.sin(share * angle)[:, None]
    return torch.from_numpy(turned / np.sin(angle)[:, None] * values_at(lengths, times)).to(stops)


def dyed(
    batches: Iterable[Pixels], stylist: HairStylist, settings: Sequence[NDArray[np.float64]]
) -> Iterator[tuple[Pixels, int]]:
    """Find the hair in frames, and dye it; the student looks at whole frames, as they are portraits.

    Args:
        batches: of frames, see `walk`; each goes through the student at once.
        stylist: dyes them.
        settings: color, ombre_height and ombre_grad_height, one a frame each.

    Returns:
        For each batch the dyed frames, and in how many of them no hair was found: these stay as they are.
    """
    first = 0
    for batch in batches:
        part = slice(first, first + len(batch))
        first += len(batch)
        frames, bald = stylist.try_dye(batch, [values[part] for values in settings], heads="whole")
        yield frames, len(bald)
