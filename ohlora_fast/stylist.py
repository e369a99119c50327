"""HairStylist: find the hair in portraits and dye it, with one student and one engine chosen for the machine."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union, overload

import numpy as np

from ohlora_fast.arguments import check_threads
from ohlora_fast.errors import InputError
from ohlora_fast.heads.boxes import Heads, HeadsArgument, as_choice
from ohlora_fast.heads.dyeing import dye_by_maps, dye_photo, prob_of
from ohlora_fast.heads.hair import Hair
from ohlora_fast.heads.look import Plan, hair_of_heads, plan_photo
from ohlora_fast.heads.settings import is_several, of_heads, of_photos
from ohlora_fast.ombre import Ombre, checked, make_work
from ohlora_fast.photos import (
    as_bytes,
    as_tensor,
    check_hairs,
    heads_of_photos,
    open_photos,
    size_of,
    stacked,
    warn_no_hair,
)
from ohlora_fast.student.engines import make_engine
from ohlora_fast.student.maps import Student

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from ohlora_fast.heads.finder import HeadFinder
    from ohlora_fast.natural import NaturalDye

Array: TypeAlias = np.ndarray[Any, Any]
Source: TypeAlias = Union[Array, "Image.Image", str, Path]
Photo: TypeAlias = Union[Source, "Tensor"]
Photos: TypeAlias = list[Any] | tuple[Any, ...]
Parameter: TypeAlias = float | Sequence[Any] | Array
Method: TypeAlias = Union[str, "NaturalDye", Sequence[Any]]


class HairStylist:
    """Finds the hair in portraits and dyes it. One object may be used from several threads at once, and in processes
    that were forked; a pickle or copy of it is rebuilt from its arguments.

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
        self._arguments = (None if checkpoint is None else os.path.abspath(checkpoint), engine, device, threads)
        self.threads = threads
        self.engine = make_engine(checkpoint, engine, device, threads)
        self.student = Student(self.engine, threads)
        self._finder: HeadFinder | None = None
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[HairStylist], tuple[Any, ...]]:
        """Pickle and copy the arguments: the copy is made anew of them, where it is unpickled."""
        return type(self), self._arguments

    @property
    def finder(self) -> HeadFinder:
        """The head finder, loaded when it is first needed."""
        with self._lock:
            if self._finder is None:
                from ohlora_fast.heads.finder import HeadFinder

                self._finder = HeadFinder(threads=self.threads)
            return self._finder

    @overload
    def find_heads(self, image: Source | Tensor) -> Heads: ...
    @overload
    def find_heads(self, image: Photos) -> list[Any]: ...
    def find_heads(self, image: Any) -> Any:
        """Find the heads.

        Args:
            image: one photo or several, as in `segment`.

        Returns:
            :class:`ohlora_fast.Heads` for one photo: ``boxes``, float32 (K, 4), x0 y0 x1 y1 in pixels of the upright
            photo, around each head with its hair, and ``scores``, float32 (K,), from left to right. A list of these
            for a batch or a list.

        Raises:
            InputError: a photo cannot be read or has another dtype or shape.

        >>> HairStylist().find_heads(np.full((60, 40, 3), 128, np.uint8)).boxes.shape
        (0, 4)
        """
        if isinstance(image, list | tuple):
            return [self.find_heads(photo) for photo in image]
        photos, single = open_photos(image)
        found = [self._look(photo) for photo in photos]
        return found[0] if single else found

    def find_hair(self, image: Any, *, heads: Any = "auto", refine: bool = False) -> Any:
        """Find the hair, head by head, once for all that is made of it: `dye_by_map` takes it.

        Args:
            image: one photo or several, as in `segment`.
            heads, refine: as in `segment`; where one head fills the photo, its map stays the student's own.

        Returns:
            :class:`ohlora_fast.Hair` for one photo, a list of these for a batch or a list.

        Raises:
            InputError: as in `segment`.

        >>> import numpy as np
        >>> stylist, photo = HairStylist(), np.full((60, 40, 3), 128, np.uint8)
        >>> hair = stylist.find_hair(photo, heads=[[5, 5, 15, 20], [25, 5, 35, 20]])
        >>> len(hair), hair.prob.shape, hair.owner.shape
        (2, (60, 40), (60, 40))
        """
        if isinstance(image, list | tuple):
            choices = heads_of_photos(heads, len(image))
            return [
                self.find_hair(photo, heads=each, refine=refine) for photo, each in zip(image, choices, strict=True)
            ]
        photos, single = open_photos(image)
        hairs = self._hairs(photos, self._plans(photos, single, heads), refine)
        return hairs[0] if single else hairs

    @overload
    def segment(self, image: Source, *, refine: bool = ..., tiles: bool = ..., heads: HeadsArgument = ...) -> Array: ...
    @overload
    def segment(
        self, image: Tensor, *, refine: bool = ..., tiles: bool = ..., heads: HeadsArgument = ...
    ) -> Tensor: ...
    @overload
    def segment(self, image: Photos, *, refine: bool = ..., tiles: bool = ..., heads: Any = ...) -> list[Any]: ...
    def segment(self, image: Any, *, refine: bool = False, tiles: bool = False, heads: Any = "auto") -> Any:
        """Find the hair.

        Heads are found first. One that fills the photo is segmented in the whole photo, each other one in a crop of its
        own; where nobody is, nothing is hair.

        Args:
            image: one photo or several. A NumPy array is uint8 RGB or RGBA, (H, W, C) or (N, H, W, C); a PyTorch
                tensor (C, H, W) or (N, C, H, W), uint8 or float32 in 0–255, on any device; a path or a PIL image is
                read with its EXIF orientation applied; a list holds photos of any of these kinds and sizes.
            refine: take what is finer than the student's map from the photo's colours, see
                :func:`ohlora_fast.refine.refine_map`; else the map is resized bicubically and clipped.
            tiles: has no effect any more: small heads are always looked at in crops of their own.
            heads: whose hair. ``"auto"``: that of all heads that are found; ``"whole"``: the student's map of the whole
                photo, whoever is in it; indices of `find_heads`, which pick some after all have divided the pixels; or
                boxes, (K, 4), x0 y0 x1 y1 in pixels of the upright photo, each around a head with its hair
                (:func:`ohlora_fast.head_boxes` makes them from boxes of faces). For several photos one string, or a
                list with an entry a photo.

        Returns:
            Hair probabilities, float32 in [0, 1]: (H, W) for one photo, (N, H, W) for a batch, a list for a list;
            tensors for tensors, on their device.

        Raises:
            InputError: a photo cannot be read or has another dtype or shape; or `heads` is none of these.
        """
        if isinstance(image, list | tuple):
            choices = heads_of_photos(heads, len(image))
            return [self.segment(photo, refine=refine, heads=each) for photo, each in zip(image, choices, strict=True)]
        photos, single = open_photos(image)
        hairs = self._hairs(photos, self._plans(photos, single, heads), refine)
        probs = [prob_of(photo, hair, refine, self.threads) for photo, hair in zip(photos, hairs, strict=True)]
        return probs[0] if single else stacked(probs)

    @overload
    def segment_map(self, image: Source) -> Array: ...
    @overload
    def segment_map(self, image: Tensor) -> Tensor: ...
    @overload
    def segment_map(self, image: Photos) -> list[Any]: ...
    def segment_map(self, image: Any) -> Any:
        """The student's own map of the whole photo, whoever is in it: (h, w) for one photo, (N, h, w) for a batch.

        The bundled student's maps are 224×224.
        """
        if isinstance(image, list | tuple):
            return [self.segment_map(photo) for photo in image]
        photos, single = open_photos(image)
        maps = self.student.maps(photos)
        return maps[0] if single else maps

    @overload
    def dye(
        self, image: Source, color: Parameter = ..., ombre_height: Parameter = ..., ombre_grad_height: Parameter = ...,
        *, method: Method = ..., refine: bool = ..., tiles: bool = ..., heads: Any = ...,
    ) -> Array: ...  # fmt: skip
    @overload
    def dye(
        self, image: Tensor, color: Parameter = ..., ombre_height: Parameter = ..., ombre_grad_height: Parameter = ...,
        *, method: Method = ..., refine: bool = ..., tiles: bool = ..., heads: Any = ...,
    ) -> Tensor: ...  # fmt: skip
    @overload
    def dye(
        self, image: Photos, color: Parameter = ..., ombre_height: Parameter = ..., ombre_grad_height: Parameter = ...,
        *, method: Method = ..., refine: bool = ..., tiles: bool = ..., heads: Any = ...,
    ) -> list[Any]: ...  # fmt: skip
    def dye(
        self,
        image: Any,
        color: Parameter = Ombre.color,
        ombre_height: Parameter = Ombre.ombre_height,
        ombre_grad_height: Parameter = Ombre.ombre_grad_height,
        *,
        method: Method = "seed",
        refine: bool = False,
        tiles: bool = False,
        heads: Any = "auto",
    ) -> Any:
        """Find the hair and dye it with a gradient, each head's in its own rows.

        Args:
            image: one photo or several, as in `segment`.
            color: hue in [0, 1]: 0 red, 0.1 orange, 0.5 sky blue, 0.9 pink, 1 red again.
            ombre_height: which part of the hair's height is dyed, from below, in [0, 1].
            ombre_grad_height: which part of that is the gradient, in [0, 1].
            method: "seed", the ombre's formula; "natural", which keeps strands and highlights; or a
                :class:`ohlora_fast.NaturalDye`: natural with colours, lift and other settings of its own.
                The four are one for all, or several: for one photo one a head, from left to right or in the order of
                `heads`; for several photos one a photo, each again one for all of its heads or one a head.
            refine, tiles, heads: as in `segment`.

        Returns:
            The dyed photos, in the form they came: arrays and tensors keep dtype and shape; paths and PIL images come
            back as (H, W, C) arrays. A photo in which no hair row is found comes back unchanged.

        Raises:
            InputError: a photo cannot be read or has another dtype or shape, a parameter is outside its range, there
                are not as many as heads or photos, or `heads` is none of what `segment` takes.

        Warns:
            NoHairWarning: a photo has no row of hair.

        >>> import numpy as np, warnings
        >>> from ohlora_fast.errors import NoHairWarning
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore", NoHairWarning)
        ...     HairStylist().dye(np.zeros((60, 40, 3), np.uint8), color=0.9).shape
        (60, 40, 3)
        """
        settings = color, ombre_height, ombre_grad_height, method
        if isinstance(image, list | tuple):
            each = of_photos(settings, len(image))
            choices = heads_of_photos(heads, len(image))
            done = [
                self.try_dye(photo, one[:3], one[3], refine, heads=choice)
                for photo, one, choice in zip(image, each, choices, strict=True)
            ]
            warn_no_hair([index for index, (_, without) in enumerate(done) if without])
            return [dyed for dyed, _ in done]
        dyed, without = self.try_dye(image, settings[:3], method, refine, heads=heads)
        warn_no_hair(without, single=dyed.ndim == 3)
        return dyed

    def try_dye(
        self, image: Any, parameters: Sequence[Any], method: Method = "seed", refine: bool = False, heads: Any = "auto"
    ) -> tuple[Any, list[int]]:
        """Dye one photo or batch; also tell which of its photos have no hair row, and so stay as they are."""
        photos, single = open_photos(image)
        settings = (*parameters, method)
        each = [settings] if single else of_photos(settings, len(photos))
        plans = self._plans(photos, single, heads)
        alike: Any = None if is_several(method) or any(is_several(value) for one in each for value in one) else method
        if alike is not None and all(plan.whole for plan in plans):  # portraits: all at once
            color, height, grad_height, _ = map(list, zip(*each, strict=True))
            if self.student.runs_on_gpu(photos):
                from ohlora_fast.on_gpu import dye_photos

                work = make_work(alike, checked(color, height, grad_height, len(photos)), refine)
                dyed, without = dye_photos(self.engine, photos, work, refine and alike != "seed")
            else:
                maps, ombre = self.student.maps(photos), (color, height, grad_height)
                dyed, without = dye_by_maps(photos, maps, ombre, alike, refine, self.threads)
        else:
            dyed, without = self._dye_by_hairs(photos, self._hairs(photos, plans, refine), each, refine)
        return (dyed[0] if single else dyed), without

    @overload
    def dye_by_map(
        self, image: Source, prob: Any, color: Parameter = ..., ombre_height: Parameter = ...,
        ombre_grad_height: Parameter = ..., *, method: Method = ..., refine: bool = ...,
    ) -> Array: ...  # fmt: skip
    @overload
    def dye_by_map(
        self, image: Tensor, prob: Any, color: Parameter = ..., ombre_height: Parameter = ...,
        ombre_grad_height: Parameter = ..., *, method: Method = ..., refine: bool = ...,
    ) -> Tensor: ...  # fmt: skip
    def dye_by_map(
        self,
        image: Any,
        prob: Any,
        color: Parameter = Ombre.color,
        ombre_height: Parameter = Ombre.ombre_height,
        ombre_grad_height: Parameter = Ombre.ombre_grad_height,
        *,
        method: Method = "seed",
        refine: bool = False,
    ) -> Any:
        """As `dye`, of one photo or batch whose hair was found before: one look serves for both.

        Args:
            prob: what `find_hair` gave, :class:`ohlora_fast.Hair` or for a batch a list of these; or maps, as
                `segment_map` and `segment` give them, by which each photo is dyed as one head.
            image, color, ombre_height, ombre_grad_height, method, refine: as in `dye`.

        >>> import numpy as np
        >>> stylist, photo = HairStylist(), np.random.default_rng(0).integers(0, 256, (90, 80, 3), np.uint8)
        >>> prob = np.ones((224, 224), np.float32)
        >>> bool((stylist.dye_by_map(photo, prob) != photo).any())
        True
        """
        photos, single = open_photos(image)
        settings = color, ombre_height, ombre_grad_height, method
        if isinstance(prob, Hair) or (isinstance(prob, list | tuple) and all(isinstance(one, Hair) for one in prob)):
            hairs = check_hairs(prob, photos, single)
            each = [settings] if single else of_photos(settings, len(photos))
            dyed, without = self._dye_by_hairs(photos, hairs, each, refine)
        else:
            if is_several(method):
                raise InputError("method: got several for a map, allowed is one; heads need what find_hair gives")
            one: Any = method
            dyed, without = dye_by_maps(photos, prob, settings[:3], one, refine, self.threads)
        warn_no_hair(without, single)
        return dyed[0] if single else dyed

    def _plans(self, photos: Any, single: bool, heads: Any) -> list[Plan]:
        """Plan how to look at each photo of a checked batch."""
        choices = [heads] if single else heads_of_photos(heads, len(photos))
        sizes = [size_of(photo) for photo in photos]
        return [
            plan_photo(as_choice(choice, *size), size, partial(self._look, photo))
            for photo, choice, size in zip(photos, choices, sizes, strict=True)
        ]

    def _look(self, photo: Any) -> Heads:
        return self.finder.find(as_bytes(photo))

    def _hairs(self, photos: Any, plans: Sequence[Plan], refine: bool) -> list[Hair]:
        """The hair of each photo of a checked batch: those that one head fills go through the student together."""
        whole = [index for index, plan in enumerate(plans) if plan.whole]
        given = photos[whole] if len(whole) < len(photos) else photos
        maps = dict(zip(whole, self.student.maps(given), strict=True)) if whole else {}
        hairs = []
        for index, plan in enumerate(plans):
            photo = photos[index]
            if index in maps:
                hairs.append(Hair(plan.heads, maps[index], None, size_of(photo)))
                continue
            hair = hair_of_heads(as_bytes(photo), plan, self.student, refine)
            if not isinstance(photo, np.ndarray):
                hair = replace(hair, prob=as_tensor(hair.prob, photo.device))
            hairs.append(hair)
        return hairs

    def _dye_by_hairs(
        self, photos: Any, hairs: Sequence[Hair], settings: Sequence[Sequence[Any]], refine: bool
    ) -> tuple[Any, list[int]]:
        """Dye each photo by its heads' hair; also tell which have no hair row."""
        done = [
            dye_photo(photo, hair, of_heads(one, len(hair)), refine, self.threads)
            for photo, hair, one in zip(photos, hairs, settings, strict=True)
        ]
        return stacked([dyed for dyed, _ in done]), [index for index, (_, found) in enumerate(done) if not found]
