"""Folders of pictures, numbered, each determined by the checkpoint, a seed, its number and the settings alone."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from ohlora_fast.errors import InputError
from ohlora_fast.media.images import FORMATS, write_photo
from ohlora_fast.media.run_folder import SETTINGS, claim
from ohlora_fast.runtime import usable_cores
from ohlora_fast.stylegan.drawing import Labels, latents, noise_source
from ohlora_fast.stylegan.ensemble import fingerprint
from ohlora_fast.stylegan.generator import NoiseKind
from ohlora_fast.stylegan.painter import Painter


@dataclass(frozen=True)
class Settings:
    """What the pictures of a folder have in common; with the checkpoint's checksum its ``settings.json``.

    Attributes:
        seed: another one gives other pictures; 0 to 2³² − 1.
        labels: which label each picture has.
        noise: ``"stored"``, the checkpoint's, or ``"fresh"``, each picture's own.
        suffix: of the files: ``".png"``, ``".jpg"`` …
    """

    seed: int = 0
    labels: Labels = field(default_factory=Labels)
    noise: NoiseKind = "stored"
    suffix: str = ".png"


def plan(folder: str | Path, indices: Sequence[int], settings: Settings, painter: Painter) -> list[tuple[int, Path]]:
    """Make the folder these settings' own, and list the pictures that it lacks: numbers and files.

    Raises:
        InputError: it holds pictures of other settings or another checkpoint, or other files; or the labels have no row
            for a picture.
    """
    folder = Path(folder)
    settings.labels.of(settings.seed, [max(indices)])
    wanted: dict[str, Any] = {
        "checkpoint": fingerprint([painter.checkpoint]), "seed": settings.seed, "psi": painter.psi,
        "truncation_layers": painter.truncation_layers, "labels": settings.labels.name, "noise": settings.noise,
        "suffix": settings.suffix,
    }  # fmt: skip
    if folder.is_dir() and not (folder / SETTINGS).exists():
        for other in sorted(folder.iterdir()):
            if other.suffix.lower() in FORMATS:
                raise InputError(f"{folder}: holds {other.name}, of which no {SETTINGS} tells; choose another folder")
    try:
        claim(folder, wanted)
        for left in folder.glob(".ohlora-*.tmp"):  # by a run that was killed while it wrote
            left.unlink()
    except OSError as error:
        raise InputError(f"cannot make the folder {folder}: {os.strerror(error.errno or 0)}") from error
    files = [(index, folder / f"{index:06}{settings.suffix}") for index in indices]
    return [(index, file) for index, file in files if not file.exists()]


def generate(todo: Sequence[tuple[int, Path]], settings: Settings, painter: Painter, batch: int = 8) -> Iterator[Path]:
    """Make the pictures that `plan` listed; give each one's file when it is written.

    Args:
        todo: numbers and files.
        settings, painter: as for `plan`.
        batch: pictures at a time, which a GPU makes together.

    Raises:
        InputError: a picture holds values that are not finite, or a file cannot be written.
    """
    waiting = iter(todo)
    with ThreadPoolExecutor(usable_cores()) as pool:
        while some := list(islice(waiting, batch)):
            indices, files = zip(*some, strict=True)
            w = painter.latent(latents(settings.seed, indices), settings.labels.of(settings.seed, indices))
            noises = [noise_source(settings.seed, index) for index in indices] if settings.noise == "fresh" else None
            for file, _ in zip(files, pool.map(write_photo, files, painter.paint(w, noises)), strict=True):
                yield file
