"""The stages of one photo: decode, segment, dye, encode. The same in every runner, one photo at a time."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import IO, Any

from ohlora_fast.batch.gate import Gate, Name
from ohlora_fast.batch.outbox import Outbox, StopError, filesystem, is_url, os_reason
from ohlora_fast.batch.recipe import Recipe
from ohlora_fast.batch.task import Result, Settings, Task
from ohlora_fast.batch.together import Together
from ohlora_fast.errors import InputError, NoHairWarning
from ohlora_fast.heads.choosing import find_chosen
from ohlora_fast.heads.dyeing import prob_of
from ohlora_fast.heads.hair import Hair
from ohlora_fast.heads.settings import dealt
from ohlora_fast.media.gamut import changed_like, srgb_pixels
from ohlora_fast.media.images import FORMATS, Photo, decode_photo, encode_photo
from ohlora_fast.media.overlay import mask_pixels, overlay_pixels
from ohlora_fast.ombre import has_hair
from ohlora_fast.photos import warn_no_hair
from ohlora_fast.refine import wants_refining
from ohlora_fast.stylist import HairStylist

SUFFIXES = {form: suffix for suffix, form in reversed(FORMATS.items())}


@dataclass(frozen=True)
class Made:
    """Outputs of a photo: files in the order of `Recipe.save`, notes on them, and whether no hair was found."""

    files: tuple[bytes, ...]
    notes: tuple[str, ...]
    without_hair: bool = False


@dataclass(frozen=True)
class Finished:
    """A photo's task that is done but for storing: what is to be said of it, and the outputs; none if it failed."""

    task: Task
    result: Result
    files: tuple[bytes, ...] = ()


class Dyer:
    """Makes what a recipe asks for. One object may be used from several threads at once.

    Args:
        recipe: what is made of each photo.
        threads: CPU threads that one photo uses. Where several photos are worked on at once, one is best.
        gate: lets in as many photos at once as have room in memory; None: one for the memory that is free now.

    Raises:
        InputError: the student cannot be loaded or run here.

    Example:
        >>> import numpy as np
        >>> file = io.BytesIO()
        >>> encode_photo(file, np.full((60, 40, 3), 90, np.uint8), "a.png")
        >>> made = Dyer(Recipe(save=("mask",))).make(file, "a.png", None, (0.5, 0.6, 0.5))
        >>> made.files[0][1:4]
        b'PNG'
    """

    def __init__(self, recipe: Recipe, threads: int | None = 1, gate: Gate | None = None) -> None:
        self.recipe = recipe
        self.gate = gate or Gate()
        self.threads = threads
        self.stylist = HairStylist(recipe.checkpoint, recipe.engine, recipe.device, threads)
        self.on_cpu = self.stylist.engine.device == "cpu"
        # Several photos at once need one number of heads, or none.
        alike = isinstance(recipe.heads, str) and recipe.head_colors is None
        self._together = Together(self._try_dye) if alike and not self.on_cpu else None

    def make(
        self,
        file: IO[bytes],
        name: str,
        outputs: Sequence[str] | None,
        settings: Settings,
        known_as: Name | None = None,
    ) -> Made:
        """Make what the recipe asks for of one photo.

        Args:
            file: the photo, in any format that `read_photo` takes; it can be sought.
            name: stands for it in messages.
            outputs: one for each of `Recipe.save`; their suffixes tell the formats. None: the recipe's or the photo's.
            settings: color, ombre_height, ombre_grad_height.
            known_as: the photo's own name among all; None: `name`.

        Raises:
            InputError: the photo cannot be read, or an output not be written.
        """
        recipe = self.recipe
        with _noted() as told, self.gate.visit(known_as or (name, None)) as admit:
            small = recipe.save == ("mask",) and recipe.refine is False and recipe.heads == "whole"
            # Where only the student's map needs a photo's pixels, a JPEG is decoded to sides of at least so many.
            enough = 2 * self.stylist.engine.size if small else None
            photo = decode_photo(file, name, recipe.max_pixels, enough, admit)
            if outputs is None:
                suffix = recipe.suffix or SUFFIXES[photo.format or "PNG"]
                outputs = [f"{name}{'.png' if kind == 'mask' else suffix}" for kind in recipe.save]
            files = []
            for output, (pixels, like) in zip(outputs, self.pictures(photo, settings), strict=True):
                with _memory_file() as encoded:
                    encode_photo(encoded, pixels, output, like, recipe.quality if like is not None else None)
                    encoded.seek(0)
                    files.append(encoded.read())
        without_hair = any(isinstance(warning, NoHairWarning) for warning in told)
        return Made(tuple(files), (*photo.notes, *map(str, told)), without_hair)

    def pictures(self, photo: Photo, settings: Settings) -> list[tuple[Any, Photo | None]]:
        """For each of `Recipe.save` the pixels to encode, and the photo whose profile and EXIF they keep."""
        recipe, pixels, icc = self.recipe, photo.pixels, photo.icc_profile
        if recipe.method != "seed":  # its colours are sRGB's
            pixels = srgb_pixels(photo.pixels, icc)
        if self._together is not None and recipe.save == ("dyed",):
            dyed, found = self._together(pixels, settings)
            if not found:
                warn_no_hair([0], single=True)
            return [(changed_like(photo.pixels, icc, pixels, dyed), photo)]
        refine = self._refines(pixels)
        hair, missing = find_chosen(self.stylist, pixels, recipe.heads, refine)
        if missing is not None:
            warnings.warn(f"{missing}; left unchanged", UserWarning, stacklevel=2)
        made: dict[str, tuple[Any, Photo | None]] = {}
        if "dyed" in recipe.save:
            dyed = pixels if missing else self._dyed(pixels, hair, settings, refine)
            made["dyed"] = changed_like(photo.pixels, icc, pixels, dyed), photo
        elif not missing and not has_hair(hair.prob, hair.size, self.threads).all():
            warnings.warn("no hair found", NoHairWarning, stacklevel=2)
        if recipe.save != ("dyed",):
            mask = self._mask(photo, hair, refine)
            made["mask"] = mask, None
            if "overlay" in recipe.save:
                made["overlay"] = overlay_pixels(photo.pixels, mask), photo
        return [made[kind] for kind in recipe.save]

    def _refines(self, pixels: Any) -> bool:
        """Say whether photos (H, W, C) or (N, H, W, C) are refined; what is none is refused by the stylist."""
        return pixels.ndim > 2 and wants_refining(self.recipe.refine, *pixels.shape[-3:-1])

    def _try_dye(self, photos: Any, settings: Sequence[Any]) -> tuple[Any, list[int]]:
        recipe = self.recipe
        return self.stylist.try_dye(photos, settings, recipe.method, self._refines(photos), recipe.heads)

    def _dyed(self, pixels: Any, hair: Hair, settings: Settings, refine: bool) -> Any:
        colors = self.recipe.head_colors
        color = dealt(colors, len(hair)) if colors is not None and len(hair) else settings[0]
        return self.stylist.dye_by_map(pixels, hair, color, *settings[1:], method=self.recipe.method, refine=refine)

    def _mask(self, photo: Photo, hair: Hair, refine: bool) -> Any:
        """The mask of a photo at its own size."""
        prob = prob_of(photo.pixels, hair.resized(*(photo.size or hair.size)), refine, self.threads)
        return mask_pixels(prob, self.recipe.binary)

    def photo(self, task: Task) -> Finished:
        """Do a photo's task, but for storing what comes of it.

        Raises:
            StopError: it cannot be done now, and no other photo's either.
        """
        start = time.perf_counter()
        result = Result(task.source, settings=task.settings)
        files: tuple[bytes, ...] = ()
        try:
            with open_source(task.source) as file:
                made = self.make(file, task.source, task.outputs, task.settings)
            files = made.files
            result = replace(
                result,
                checksums=checksums(files),
                size=sum(map(len, files)),
                notes=made.notes,
                without_hair=made.without_hair,
            )
        except StopError:
            raise
        except Exception as error:  # whatever one photo brings up, the others go on
            result = replace(result, error=reason(error, task.source))
        return Finished(task, replace(result, seconds=time.perf_counter() - start), files)


def store(finished: Finished, outbox: Outbox) -> Result:
    """Store the outputs of a photo, and return what became of it.

    Raises:
        StopError: the output folder takes nothing more.
    """
    try:
        for output, data in zip(finished.task.outputs, finished.files, strict=finished.result.error is None):
            outbox.put(output, data)
    except StopError:
        raise
    except Exception as error:  # whatever one photo brings up, the others go on
        lost = Result(finished.task.source, settings=finished.task.settings, seconds=finished.result.seconds)
        return replace(lost, error=reason(error, finished.task.source))
    return finished.result


def checksums(files: Sequence[bytes]) -> tuple[str, ...]:
    """BLAKE2b of each file, 128 bits in hexadecimal.

    Example:
        >>> checksums([b"abc"])
        ('cf4ab791c62b8d2b2109c90275287816',)
    """
    return tuple(hashlib.blake2b(data, digest_size=16).hexdigest() for data in files)


def file_digest(file: IO[bytes]) -> str:
    """As `checksums`, of an open file."""
    digest = hashlib.blake2b(digest_size=16)
    while data := file.read(2**20):
        digest.update(data)
    return digest.hexdigest()


def reason(error: Exception, name: str) -> str:
    """What to say of a photo that failed: one line, without its name, which stands beside it.

    Example:
        >>> reason(InputError("cannot read a.jpg: it is empty"), "a.jpg")
        'cannot read it: it is empty'
    """
    text = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
    return " ".join(text.replace(f"cannot read {name}:", "cannot read it:").split())


def open_source(source: str) -> IO[bytes]:
    """Open a local file or URL; only a regular file, for the rest may never end.

    Raises:
        InputError: it cannot be opened.
        StopError: too many files are open.
    """
    if is_url(source):
        fs, path = filesystem(source)
        try:
            remote: IO[bytes] = fs.open(path, "rb")
        except Exception as error:  # what opens URLs raises what it likes
            raise InputError(f"cannot read {source}: {os_reason(error)}") from None
        return remote
    try:
        descriptor = os.open(source, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        file = os.fdopen(descriptor, "rb")
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            file.close()
            raise InputError(f"cannot read {source}: it is not a regular file")
    except OSError as error:
        text = f"cannot read {source}: {os.strerror(error.errno or 0)}"
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise StopError(f"{text}; fewer --workers need fewer") from None
        raise InputError(text) from None
    except ValueError as error:  # a name that no file can have
        raise InputError(f"cannot read {source!r}: {error}") from None
    return file


def _memory_file() -> IO[bytes]:
    """A file in memory, of the system's kind where there are such: Pillow lets go of Python's lock only while it writes
    to one of those, and encoding a JPEG is an eighth of all work."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("photo"), "w+b")
    return io.BytesIO()


_notes = threading.local()


@contextmanager
def _noted() -> Iterator[list[Warning]]:
    """Collect the warnings of this thread, while `collecting_warnings` holds."""
    _notes.list = []
    try:
        yield _notes.list
    finally:
        _notes.list = None


@contextmanager
def collecting_warnings() -> Iterator[None]:
    """Lead warnings about photos to `_noted`, in every thread: Python's own way is not made for threads."""

    def show(message: Any, category: Any, *rest: Any, **more: Any) -> None:
        notes = getattr(_notes, "list", None)
        if notes is None:
            shown(message, category, *rest, **more)
        elif issubclass(category, UserWarning):
            notes.append(message)

    with warnings.catch_warnings():
        shown = warnings.showwarning
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        yield
