"""Maps of hair at a photo's full resolution: what 224×224 cannot hold is taken from the photo's colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ohlora_fast.arguments import as_batch, as_maps, check_alike, check_threads
from ohlora_fast.ops.ombre_op import backend_problem, is_tensor, pack_settings
from ohlora_fast.ops.refine_op import ombre_refined_cpp, ombre_refined_numpy, refine_cpp, refine_numpy
from ohlora_fast.ops.work import Work
from ohlora_fast.student import SIZE
from ohlora_fast.student.preprocess import squash, unsquash

if TYPE_CHECKING:
    from torch import Tensor

LARGE = 2 * SIZE
"""From this shorter side on, a value of the student's map stands for two by two pixels and more, and refining shows."""


def refine_map(image: Any, prob: Any, threads: int | None = None) -> Any:
    """Bring maps of hair to the size of their photos, with borders and strands where the photos' colours change.

    Args:
        image: photos, as of :func:`ohlora_fast.apply_ombre`: arrays (H, W, C) or (N, H, W, C), tensors (C, H, W) or
            (N, C, H, W).
        prob: hair probability in [0, 1]: (h, w), (N, h, w) or (N, 1, h, w); one map may serve a whole batch. It is
            compared with the photo on a grid of 224×224.
        threads: CPU threads; all that this process may use if None. The result does not depend on it.

    Returns:
        float32 (H, W) or (N, H, W), of the photos' kind and device. Where the map is flat, it is the map resized.

    Raises:
        InputError: an argument has the wrong type, shape or range.

    Example:
        >>> photo = np.zeros((448, 448, 3), np.uint8)
        >>> photo[:, 200:] = 255
        >>> hair = np.zeros((56, 56), np.float32)
        >>> hair[:, 25:] = 1
        >>> refined = refine_map(photo, hair)
        >>> refined[200, [198, 199, 200, 201]].round(1).tolist()
        [0.0, 0.0, 1.0, 1.0]
    """
    check_threads(threads)
    photos = as_batch(image)
    check_alike(photos, prob)
    maps = as_maps(prob, len(photos))
    if is_tensor(photos):
        refined = _of_tensors(photos.detach(), maps.detach(), threads)
    else:
        refined = _of_arrays(photos, maps, threads)
    return refined if photos.ndim == image.ndim else refined[0]


def wants_refining(refine: bool | None, height: int, width: int) -> bool:
    """Whether the map of a photo of this size is to be refined: None leaves it to the size, see `LARGE`.

    >>> wants_refining(None, 1000, 447), wants_refining(None, 1000, 448), wants_refining(False, 1000, 1000)
    (False, True, False)
    """
    return min(height, width) >= LARGE if refine is None else refine


def _of_arrays(photos: Any, maps: Any, threads: int | None) -> Any:
    count, height, width = photos.shape[:3]
    prob = unsquash(maps, height, width, threads)
    prob = prob if len(prob) == count else np.repeat(prob, count, axis=0)
    if backend_problem("cpp") is None:
        refine_cpp(photos, *_grid(photos, maps, threads), prob, threads=threads)
    else:
        refine_numpy(photos, *_grid(photos, maps), prob)
    return prob


def _grid(photos: Any, maps: Any, threads: int | None = None) -> tuple[Any, Any]:
    """Photos and maps on the grid where they are compared."""
    grid = maps if maps.shape[1:] == (SIZE, SIZE) else unsquash(maps, SIZE, SIZE, threads)
    return squash(photos, threads), grid


def _of_tensors(photos: Any, maps: Any, threads: int | None) -> Any:
    import torch

    if photos.device.type == "cuda":
        from ohlora_fast.kernels.refine import refined

        return refined(photos, maps)
    pixels = photos[:, :3].float().round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
    return torch.from_numpy(_of_arrays(pixels, maps.cpu().numpy(), threads)).to(photos.device)


def refined_work(*settings: Any) -> Work:
    """The ombre by refined maps, with settings as of `ohlora_fast.ops.ombre_op.pack_settings`, in all its forms."""
    packed = pack_settings(*settings)
    return Work(
        name="refining",
        numpy=lambda images, maps: ombre_refined_numpy(images, *_grid(images, maps), maps, packed),
        cpp=lambda images, maps, threads: ombre_refined_cpp(
            images, *_grid(images, maps, threads), maps, packed, threads
        ),
        packed=lambda: packed,
        forms={
            "auto": ("ohlora_fast.refine", "ombre_refined"),
            "torch": ("ohlora_fast.refine", "ombre_refined_torch"),
            "triton": ("ohlora_fast.kernels.ombre", "ombre_refined_triton"),
        },
    )


def ombre_refined(image: Tensor, prob: Tensor, settings: Tensor) -> Tensor:
    """Dye a batch of tensors by refined maps, in the quickest way there is; arguments as of `ombre_refined_torch`."""
    if not image.requires_grad and image.device.type == "cuda":
        from ohlora_fast.kernels.ombre import ombre_refined_triton

        return ombre_refined_triton(image, prob, settings)
    bytes_here = str(image.dtype) == "torch.uint8" and image.device.type == "cpu"
    if not bytes_here or backend_problem("cpp") is not None:
        return ombre_refined_torch(image, prob, settings)
    import torch

    from ohlora_fast.ops.ombre_custom_op import by_arrays

    maps, threads = prob.numpy(), torch.get_num_threads()
    return by_arrays(
        image,
        lambda pixels: ombre_refined_cpp(pixels, *_grid(pixels, maps, threads), maps, settings.numpy(), threads),
    )


def ombre_refined_torch(image: Tensor, prob: Tensor, settings: Tensor) -> Tensor:
    """Dye a batch of tensors on their device by refined maps, with gradients of the image.

    Args:
        image, settings: as of :func:`ohlora_fast.ops.ombre_torch.ombre_torch`.
        prob: float32 (M, h, w) in [0, 1], where M is N or 1, without gradients.

    Returns:
        Shape and dtype of the image.
    """
    from ohlora_fast.ops.ombre_torch import ombre_torch

    return ombre_torch(image, _of_tensors(image.detach(), prob, None), settings, extent_of=prob)
