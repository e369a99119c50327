"""HairStylist: find the hair in portraits and dye it, with one student and one engine chosen for the machine."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union, overload

import numpy as np

from ohlora_fast.arguments import as_batch, check_threads
from ohlora_fast.errors import InputError, NoHairWarning
from ohlora_fast.ombre import Ombre, apply_ombre, checked, has_hair, make_work
from ohlora_fast.ops.ombre_op import is_tensor
from ohlora_fast.refine import refine_map
from ohlora_fast.student.engines import TorchEngine, make_engine
from ohlora_fast.student.preprocess import squash, unsquash

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from ohlora_fast.natural import NaturalDye

Array: TypeAlias = np.ndarray[Any, Any]
Source: TypeAlias = Union[Array, "Image.Image", str, Path]
Photo: TypeAlias = Union[Source, "Tensor"]
Photos: TypeAlias = list[Any] | tuple[Any, ...]
Parameter: TypeAlias = float | Sequence[float] | Array

NAMES = tuple(setting.name for setting in fields(Ombre))

CHUNK = 16
"""Photos that go through the student at once. Larger batches take more memory and are no quicker on a CPU."""


class HairStylist:
    """Finds the hair in portraits and dyes it. One object may be used from several threads at once.

    Args:
        checkpoint: a student's weights (``.safetensors``, ``.pth``) or an exported graph (``.onnx``); None for the
            bundled student.
        engine: ``"onnx-int8"``, ``"onnx"``, ``"torch"``, ``"cuda"``, or ``"auto"``: ONNX Runtime on a CPU, in 8-bit
            integers if the processor is made for them, own kernels on an NVIDIA GPU, PyTorch on Apple's.
        device: ``"cpu"``, ``"cuda"``, ``"mps"``, or ``"auto"``: CUDA where it runs, else the CPU.
        threads: CPU threads that one call uses, in every part; None for all cores.

    Raises:
        InputError: an argument is not one of these, cannot run here, or the checkpoint is unusable.

    >>> import numpy as np
    >>> stylist = HairStylist()
    >>> photos = np.zeros((2, 60, 40, 3), np.uint8)
    >>> stylist.segment(photos).shape
    (2, 60, 40)
    """

    def __init__(
        self,
        checkpoint: str | Path | None = None,
        engine: str = "auto",
        device: str = "auto",
        threads: int | None = None,
    ) -> None:
        check_threads(threads)
        self.threads = threads
        self.engine = make_engine(checkpoint, engine, device, threads)

    @overload
    def segment(self, image: Source, *, refine: bool = ..., tiles: bool = ...) -> Array: ...
    @overload
    def segment(self, image: Tensor, *, refine: bool = ..., tiles: bool = ...) -> Tensor: ...
    @overload
    def segment(self, image: Photos, *, refine: bool = ..., tiles: bool = ...) -> list[Any]: ...
    def segment(self, image: Any, *, refine: bool = False, tiles: bool = False) -> Any:
        """Find the hair.

        Args:
            image: one photo or several. A NumPy array is uint8 RGB or RGBA, (H, W, C) or (N, H, W, C); a PyTorch
                tensor (C, H, W) or (N, C, H, W), uint8 or float32 in 0–255, on any device; a path or a PIL image is
                read with its EXIF orientation applied; a list holds photos of any of these kinds and sizes.
            refine: take what is finer than the student's map from the photo's colours, see
                :func:`ohlora_fast.refine.refine_map`; else the map is resized bicubically and clipped.
            tiles: look again at heads that are small in the photo: each patch of hair is cut out with its surroundings
                and segmented anew, at most 8 of them. A photo without one, or all head, is as without.

        Returns:
            Hair probabilities, float32 in [0, 1]: (H, W) for one photo, (N, H, W) for a batch, a list for a list;
            tensors for tensors, on their device.

        Raises:
            InputError: a photo cannot be read or has another dtype or shape.
        """
        if isinstance(image, list | tuple):
            return [self.segment(photo, refine=refine, tiles=tiles) for photo in image]
        photos, single = open_photos(image)
        prob = self._prob(photos, refine, tiles)
        return prob[0] if single else prob

    @overload
    def segment_map(self, image: Source) -> Array: ...
    @overload
    def segment_map(self, image: Tensor) -> Tensor: ...
    @overload
    def segment_map(self, image: Photos) -> list[Any]: ...
    def segment_map(self, image: Any) -> Any:
        """As `segment`, but the student's own map: (h, w) for one photo, (N, h, w) for a batch.

        The bundled student's maps are 224×224.
        """
        if isinstance(image, list | tuple):
            return [self.segment_map(photo) for photo in image]
        photos, single = open_photos(image)
        maps = self._maps(photos)
        return maps[0] if single else maps

    @overload
    def dye(
        self, image: Source, color: Parameter = ..., ombre_height: Parameter = ..., ombre_grad_height: Parameter = ...,
        *, method: str | NaturalDye = ..., refine: bool = ..., tiles: bool = ...,
    ) -> Array: ...  # fmt: skip
    @overload
    def dye(
        self, image: Tensor, color: Parameter = ..., ombre_height: Parameter = ..., ombre_grad_height: Parameter = ...,
        *, method: str | NaturalDye = ..., refine: bool = ..., tiles: bool = ...,
    ) -> Tensor: ...  # fmt: skip
    @overload
    def dye(
        self, image: Photos, color: Parameter = ..., ombre_height: Parameter = ..., ombre_grad_height: Parameter = ...,
        *, method: str | NaturalDye = ..., refine: bool = ..., tiles: bool = ...,
    ) -> list[Any]: ...  # fmt: skip
    def dye(
        self,
        image: Any,
        color: Parameter = Ombre.color,
        ombre_height: Parameter = Ombre.ombre_height,
        ombre_grad_height: Parameter = Ombre.ombre_grad_height,
        *,
        method: str | NaturalDye = "seed",
        refine: bool = False,
        tiles: bool = False,
    ) -> Any:
        """Find the hair and dye it with a gradient.

        Args:
            image: one photo or several, as in `segment`.
            color: hue in [0, 1]: 0 red, 0.1 orange, 0.5 sky blue, 0.9 pink, 1 red again.
            ombre_height: which part of the hair's height is dyed, from below, in [0, 1].
            ombre_grad_height: which part of that is the gradient, in [0, 1].
                The three are numbers, or one a photo where there are several.
            method: "seed", the ombre's formula; "natural", which keeps strands and highlights; or a
                :class:`ohlora_fast.NaturalDye`: natural with colours, lift and other settings of its own.
            refine, tiles: as in `segment`.

        Returns:
            The dyed photos, in the form they came: arrays and tensors keep dtype and shape; paths and PIL images come
            back as (H, W, C) arrays. A photo in which no hair row is found comes back unchanged.

        Raises:
            InputError: a photo cannot be read or has another dtype or shape, or a parameter is outside its range.

        Warns:
            NoHairWarning: a photo has no row of hair.

        >>> import numpy as np, warnings
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore", NoHairWarning)
        ...     HairStylist().dye(np.zeros((60, 40, 3), np.uint8), color=0.9).shape
        (60, 40, 3)
        """
        parameters = (color, ombre_height, ombre_grad_height)
        if isinstance(image, list | tuple):
            each = [one_a_photo(name, value, len(image)) for name, value in zip(NAMES, parameters, strict=True)]
            done = [
                self.try_dye(photo, chosen, method, refine, tiles) for photo, *chosen in zip(image, *each, strict=True)
            ]
            warn_bald([index for index, (_, bald) in enumerate(done) if bald])
            return [dyed for dyed, _ in done]
        dyed, bald = self.try_dye(image, parameters, method, refine, tiles)
        warn_bald(bald, single=dyed.ndim == 3)
        return dyed

    def try_dye(
        self,
        image: Any,
        parameters: Sequence[Any],
        method: str | NaturalDye = "seed",
        refine: bool = False,
        tiles: bool = False,
    ) -> tuple[Any, list[int]]:
        """Dye one photo or batch; also tell which of its photos have no hair row, and so stay as they are."""
        photos, single = open_photos(image)
        if tiles:
            maps = self._prob(photos, refine, tiles)
            dyed, bald = self._dye_by_maps(photos, maps, parameters, method)
        elif self._runs_on_gpu(photos):
            dyed, bald = self._dye_on_gpu(photos, parameters, method, refine)
        else:
            dyed, bald = self._dye_by_maps(photos, self._maps(photos), parameters, method, refine)
        return (dyed[0] if single else dyed), bald

    @overload
    def dye_by_map(
        self, image: Source, prob: Any, color: Parameter = ..., ombre_height: Parameter = ...,
        ombre_grad_height: Parameter = ..., *, method: str | NaturalDye = ..., refine: bool = ...,
    ) -> Array: ...  # fmt: skip
    @overload
    def dye_by_map(
        self, image: Tensor, prob: Any, color: Parameter = ..., ombre_height: Parameter = ...,
        ombre_grad_height: Parameter = ..., *, method: str | NaturalDye = ..., refine: bool = ...,
    ) -> Tensor: ...  # fmt: skip
    def dye_by_map(
        self,
        image: Any,
        prob: Any,
        color: Parameter = Ombre.color,
        ombre_height: Parameter = Ombre.ombre_height,
        ombre_grad_height: Parameter = Ombre.ombre_grad_height,
        *,
        method: str | NaturalDye = "seed",
        refine: bool = False,
    ) -> Any:
        """As `dye`, of one photo or batch whose maps `segment_map` has given: the student runs once for both.

        >>> import numpy as np
        >>> stylist, photo = HairStylist(), np.random.default_rng(0).integers(0, 256, (90, 80, 3), np.uint8)
        >>> prob = np.ones((224, 224), np.float32)
        >>> bool((stylist.dye_by_map(photo, prob) != photo).any())
        True
        """
        photos, single = open_photos(image)
        dyed, bald = self._dye_by_maps(photos, prob, (color, ombre_height, ombre_grad_height), method, refine)
        warn_bald(bald, single)
        return dyed[0] if single else dyed

    def _dye_by_maps(
        self, photos: Any, maps: Any, parameters: Sequence[Any], method: str | NaturalDye, refine: bool = False
    ) -> tuple[Any, list[int]]:
        color, height, grad_height = parameters
        dyed = apply_ombre(photos, maps, color, height, grad_height, threads=self.threads, method=method, refine=refine)
        size = photos.shape[1:3] if isinstance(photos, np.ndarray) else photos.shape[-2:]
        bald = [index for index, found in enumerate(has_hair(maps, tuple(size), self.threads)) if not found]
        if bald:
            dyed[bald] = photos[bald]
        return dyed, bald

    def _runs_on_gpu(self, photos: Any) -> bool:
        """Whether the GPU's kernels take this checked batch as it is: arrays, and bytes in that GPU's memory."""
        if self.engine.name != "cuda":
            return False
        on_it = not isinstance(photos, np.ndarray) and str(photos.device) == self.engine.device
        return isinstance(photos, np.ndarray) or (on_it and str(photos.dtype) == "torch.uint8")

    def _dye_on_gpu(
        self, photos: Any, parameters: Sequence[Any], method: str | NaturalDye, refine: bool
    ) -> tuple[Any, list[int]]:
        import torch

        from ohlora_fast.on_gpu import dye_arrays, dye_tensors, form_of

        engine: Any = self.engine
        color, height, grad_height = parameters
        work = make_work(method, checked(color, height, grad_height, len(photos)), refine)
        form, packed = form_of(work, refine and method != "seed"), torch.from_numpy(work.packed()).to(engine.device)
        dyed: Any
        found: Any
        if isinstance(photos, np.ndarray):
            dyed, found = dye_arrays(engine, photos, form, packed)
        else:
            dyed, found = dye_tensors(engine, photos, form, packed)
            found = found.cpu().numpy()
        return dyed, np.flatnonzero(~found).tolist()

    def _prob(self, photos: Any, refine: bool, tiles: bool) -> Any:
        """The maps of a checked batch at its size, (N, H, W), as array or tensor like the batch."""
        maps = self._maps(photos)
        if refine:
            prob: Any = refine_map(photos, maps, self.threads)
        elif isinstance(photos, np.ndarray):
            height, width = photos.shape[1:3]
            prob = unsquash(maps, height, width, self.threads)
        else:
            prob = resize_tensor(maps[:, None], photos.shape[-2:], "bicubic")[:, 0].clamp(0, 1)
        if not tiles:
            return prob
        from ohlora_fast.tiles import look_again

        return look_again(photos, maps, prob, lambda crop: self.segment(crop, refine=refine))

    def _maps(self, photos: Any) -> Any:
        """The student's maps (N, size, size) of a checked batch, as array or tensor like the batch."""
        if self._runs_on_gpu(photos):
            from ohlora_fast.on_gpu import map_arrays

            gpu: Any = self.engine
            return map_arrays(gpu, photos) if isinstance(photos, np.ndarray) else gpu.maps(photos)
        if isinstance(photos, np.ndarray):
            inputs = squash(photos, self.threads, self.engine.size)
            chunks = [self.engine.predict(inputs[i : i + CHUNK]) for i in range(0, len(inputs), CHUNK)]
            return np.concatenate(chunks)
        import torch

        engine = self.engine
        pixels = photos.detach()[:, :3].float()
        if isinstance(engine, TorchEngine) and torch.device(engine.device).type == photos.device.type != "cpu":
            squashed = resize_tensor(pixels, (engine.size, engine.size), "bilinear").round().byte()
            channels_last = squashed.permute(0, 2, 3, 1).to(engine.device)
            maps = torch.cat([engine.predict_tensor(chunk) for chunk in channels_last.split(CHUNK)])
            return maps.to(photos.device)
        bytes_ = pixels.round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
        return torch.from_numpy(self._maps(bytes_)).to(photos.device)


def open_photos(image: Any) -> tuple[Any, bool]:
    """Bring one photo or batch into the form (N, H, W, C), for tensors (N, C, H, W); and tell whether it was one.

    Raises:
        InputError: as `HairStylist.segment`.
    """
    if isinstance(image, str | Path):
        from ohlora_fast.media.images import read_photo

        return read_photo(image).pixels[None], True
    if "PIL.Image" in sys.modules and isinstance(image, sys.modules["PIL.Image"].Image):
        from ohlora_fast.media.images import photo_from_pil

        return photo_from_pil(image).pixels[None], True
    if not isinstance(image, np.ndarray) and not is_tensor(image):
        raise InputError(
            f"image: got {type(image).__name__}, allowed are a NumPy array, a PyTorch tensor, a PIL image, a path, "
            "or a list of these"
        )
    photos = as_batch(image)
    return photos, photos.ndim != image.ndim


def warn_bald(bald: Sequence[int], single: bool = False) -> None:
    """Warn, as from `HairStylist.dye`'s caller, of photos without hair."""
    if bald:
        which = "" if single else f" in photo {', '.join(map(str, bald))}"
        warnings.warn(f"no hair found{which}; left unchanged", NoHairWarning, stacklevel=3)


def one_a_photo(name: str, value: Parameter, count: int) -> Sequence[float]:
    """Spread a parameter over a list of photos.

    Raises:
        InputError: it is neither a number nor ``count`` numbers.
    """
    if np.ndim(value) == 0:
        return [value] * count  # type: ignore[list-item]
    if np.shape(value) != (count,):
        raise InputError(
            f"{name}: got shape {np.shape(value)}, allowed are one number or one for each of {count} photos"
        )
    return value  # type: ignore[return-value]


def resize_tensor(x: Tensor, size: Sequence[int], mode: str) -> Tensor:
    """Resize (N, C, H, W), with an antialiasing filter where ``mode`` is bilinear."""
    import torch.nn.functional as F

    return F.interpolate(x, tuple(size), mode=mode, align_corners=False, antialias=mode == "bilinear")
