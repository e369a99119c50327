"""Dyeing head by head: each has its settings, its gradient and its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ohlora_fast.heads.crops import Window
from ohlora_fast.heads.hair import Hair, full_size
from ohlora_fast.ombre import apply_ombre, has_hair
from ohlora_fast.photos import as_tensor, resize_tensor, size_of
from ohlora_fast.refine import refine_map

Array = np.ndarray[Any, Any]


def prob_of(photo: Any, hair: Hair, refine: bool, threads: int | None) -> Any:
    """The probability of a photo's hair at its size, as the photo an array or a tensor; refined, if it is not yet."""
    if not hair.whole:
        return refined_hair(photo, hair, threads).prob if refine and not hair.refined else hair.prob
    if refine:
        return refine_map(photo, hair.prob, threads)
    if isinstance(photo, np.ndarray):
        return full_size(hair, threads)
    return resize_tensor(hair.prob[None, None], hair.size, "bicubic")[0, 0].clamp(0, 1)


def dye_photo(
    photo: Any, hair: Hair, settings: Sequence[Sequence[Any]], refine: bool, threads: int | None
) -> tuple[Any, bool]:
    """Dye one photo by its hair.

    Args:
        photo: an array (H, W, C), uint8, or a tensor (C, H, W).
        hair: the photo's.
        settings: for each head its color, ombre_height, ombre_grad_height and method.
        refine: take what is finer than the map from the photo, unless `hair` has it already.
        threads: CPU threads.

    Returns:
        The dyed photo, a new one, and whether any head has a row of hair; if none has, it is a copy.
    """
    fine = refine and not hair.refined
    if not hair.whole:
        return dye_heads(photo, refined_hair(photo, hair, threads) if fine else hair, settings, threads)
    *ombre, method = settings[0]
    dyed, without = dye_by_maps(photo[None], hair.prob, ombre, method, fine, threads)
    return dyed[0], not without


def dye_by_maps(
    photos: Any, maps: Any, ombre: Sequence[Any], method: Any, refine: bool, threads: int | None
) -> tuple[Any, list[int]]:
    """Dye a checked batch by maps, each photo as one head.

    Args:
        photos: arrays (N, H, W, C) or tensors (N, C, H, W).
        maps: as of :func:`ohlora_fast.apply_ombre`, like `method`, `refine` and `threads`.
        ombre: color, ombre_height and ombre_grad_height, each one for all or one a photo.

    Returns:
        The dyed photos, and which of them have no row of hair, and so stay as they are.
    """
    color, height, grad_height = ombre
    dyed = apply_ombre(photos, maps, color, height, grad_height, threads=threads, method=method, refine=refine)
    without = np.flatnonzero(~has_hair(maps, size_of(photos[0]), threads)).tolist()
    if without:
        dyed[without] = photos[without]
    return dyed, without


def dye_heads(photo: Any, hair: Hair, settings: Sequence[Sequence[Any]], threads: int | None) -> tuple[Any, bool]:
    """Dye one photo by the hair of its heads, which do not fill it.

    Args:
        photo: an array (H, W, C), uint8, or a tensor (C, H, W).
        hair: with an owner for each pixel.
        settings: for each head its color, ombre_height, ombre_grad_height and method.
        threads: CPU threads.

    Returns:
        The dyed photo, a new one, and whether any head has a row of hair. One that has none stays as it is.
    """
    arrays = isinstance(photo, np.ndarray)
    dyed = photo.copy() if arrays else photo.clone()
    found = False
    for index, (window, (color, height, grad_height, method)) in enumerate(zip(hair.windows(), settings, strict=True)):
        if window is None:
            continue
        # From the photo's first row on, so that the gradient's rows round as they would in the whole photo.
        strip = Window(0, window.bottom, window.left, window.right) if method == "seed" else window
        rows, columns = strip.slices
        mask: Any = hair.owner[rows, columns] == index  # type: ignore[index]
        prob = hair.prob[rows, columns]
        mask = mask if arrays else as_tensor(mask, prob.device)
        own = prob * mask
        if not has_hair(own.detach() if not arrays else own, strip.size, threads)[0]:
            continue
        found = True
        part = photo[rows, columns] if arrays else photo[:, rows, columns]
        new = apply_ombre(part, own, color, height, grad_height, threads=threads, method=method)
        if arrays:
            np.copyto(dyed[rows, columns], new, where=mask[..., None])
        else:
            import torch

            dyed[:, rows, columns] = torch.where(mask, new, dyed[:, rows, columns].clone())
    return dyed, found


def refined_hair(photo: Any, hair: Hair, threads: int | None) -> Hair:
    """Hair of heads that do not fill the photo, with what is finer taken from the photo, head by head."""
    arrays = isinstance(photo, np.ndarray)
    prob = hair.prob.copy() if arrays else hair.prob.clone()
    for index, window in enumerate(hair.windows()):
        if window is None:
            continue
        rows, columns = grown(window, hair.size).slices
        part = photo[rows, columns] if arrays else photo[:, rows, columns]
        fine: Any = refine_map(part, hair.prob[rows, columns], threads)
        mask: Any = hair.owner[rows, columns] == index  # type: ignore[index]
        if arrays:
            np.copyto(prob[rows, columns], fine, where=mask)
        else:
            import torch

            prob[rows, columns] = torch.where(as_tensor(mask, prob.device), fine, prob[rows, columns].clone())
    return replace(hair, prob=prob, refined=True)


def grown(window: Window, size: tuple[int, int], share: float = 0.15) -> Window:
    """A window with some of what is around it."""
    down, across = (max(4, round(share * side)) for side in window.size)
    return Window(
        max(0, window.top - down), min(size[0], window.bottom + down),
        max(0, window.left - across), min(size[1], window.right + across),
    )  # fmt: skip
