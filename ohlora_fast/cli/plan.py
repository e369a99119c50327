"""Which picture becomes which file: settled, and refused if it cannot go well, before any work starts."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ohlora_fast.cli.console import complain
from ohlora_fast.errors import InputError
from ohlora_fast.media.globs import matches
from ohlora_fast.media.images import FORMATS


@dataclass(frozen=True)
class Job:
    """A picture and the files made from it."""

    source: Path
    outputs: tuple[Path, ...]


@dataclass(frozen=True)
class Naming:
    """How outputs are called.

    Attributes:
        as_file: the file that OUT names → the outputs. It raises InputError if OUT's suffix does not fit.
        in_folder: a picture's path below the output folder → the outputs' paths there.
        apart: the same for pictures that would share an output; None if they have no other names.
    """

    as_file: Callable[[Path], tuple[Path, ...]]
    in_folder: Callable[[Path], tuple[Path, ...]]
    apart: Callable[[Path], tuple[Path, ...]] | None = None


def with_endings(as_file: Callable[[Path], tuple[Path, ...]], *endings: str) -> Naming:
    """An output an ending: in a folder they begin with the picture's name, without its suffix unless they are apart.

    >>> naming = with_endings(lambda out: (out,), "_mask.png", "_overlay.png")
    >>> [path.name for path in naming.in_folder(Path("a.jpg"))]
    ['a_mask.png', 'a_overlay.png']
    >>> [path.name for path in naming.apart(Path("a.jpg"))]
    ['a.jpg_mask.png', 'a.jpg_overlay.png']
    """

    def named(below: Path, name: str) -> tuple[Path, ...]:
        return tuple(below.with_name(f"{name}{ending}") for ending in endings)

    return Naming(as_file, lambda below: named(below, below.stem), lambda below: named(below, below.name))


def plan_jobs(
    inputs: Sequence[str],
    out: str,
    naming: Naming,
    recursive: bool = False,
    overwrite: bool = False,
    skip_existing: bool = False,
) -> list[Job]:
    """Return the jobs for files, globs and folders, in the order given, names within a folder sorted.

    OUT is a folder if it exists as one, ends in a slash or has no suffix, or if a folder or several pictures
    came; then it is made, with the folders below it. Pictures keep their names, those from a folder also
    their place below it; where outputs would share a name, `naming.apart` names them.

    Raises:
        InputError: nothing to do, no match, several pictures for one output file, two pictures that share
            an output whatever they are called, an output that is one of the inputs, or one that exists and
            neither flag was given.
    """
    arguments, pictures = _found(inputs, out, recursive)
    folder = Path(out)
    several = len(pictures) > 1 or any(path.is_dir() for path in arguments)
    slash = out.endswith(tuple(filter(None, (os.sep, os.altsep))))
    if folder.is_dir() or slash or not folder.suffix or (several and folder.suffix.lower() not in FORMATS):
        if folder.exists() and not folder.is_dir():
            raise InputError(f"--out: {out} came, which is a file; allowed is a folder, or a name like x.png")
        jobs = _jobs_in_folder(pictures, folder, naming)
    elif several:
        raise InputError(f"--out: the file {out} came for a folder or several pictures; allowed is a folder")
    else:
        jobs = [Job(source, naming.as_file(folder)) for source, _ in pictures]
    _refuse_shared_outputs(jobs)
    _refuse_inputs_as_outputs(jobs)
    existing = [path for job in jobs for path in job.outputs if os.path.lexists(path)]
    if skip_existing:
        return [job for job in jobs if not all(path.exists() for path in job.outputs)]
    if existing and not overwrite:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise InputError(f"{existing[0]}{more} exists already; give --overwrite or --skip-existing")
    return jobs


def find_pictures(inputs: Sequence[str], out: str, recursive: bool = False) -> list[Path]:
    """The pictures that `plan_jobs` would find, absolute and each once; nothing from the folder OUT.

    Raises:
        InputError: no match, or no pictures.
    """
    return [Path(os.path.abspath(source)) for source, _ in _found(inputs, out, recursive)[1]]


def _found(inputs: Sequence[str], out: str, recursive: bool) -> tuple[list[Path], list[tuple[Path, Path]]]:
    """Files and folders that came, and each picture of them once, with its path below the output folder."""
    if not all((out, *inputs)):
        raise InputError("an empty name came as IMAGE or --out")
    arguments = [pair for text in inputs for pair in _expanded(text)]
    found = [
        (source, place / below) for path, place in arguments for source, below in _pictures(path, recursive, Path(out))
    ]
    pictures = {os.path.abspath(source): (source, below) for source, below in found}
    if not pictures:
        raise InputError(f"no pictures in {', '.join(inputs)}; looked for {', '.join(FORMATS)}")
    return [path for path, _ in arguments], list(pictures.values())


def _expanded(text: str) -> list[tuple[Path, Path]]:
    """A glob becomes its matches, unless a file has that very name; anything else stays, missing or not.

    With each the folder that its pictures have in the output folder: below the glob's part without signs.
    """
    if os.path.lexists(text) or not glob.has_magic(text):
        return [(Path(text), Path())]
    return [(Path(match), place) for match, place in matches(text)]


def _pictures(path: Path, recursive: bool, out: Path) -> Iterator[tuple[Path, Path]]:
    """Yield each picture with its path below the output folder; of a folder, what has a picture's suffix and
    is not hidden, and nothing from the output folder."""
    if not path.is_dir():
        yield path, Path(path.name)
        return
    made = os.path.realpath(out)
    for parent, folders, files in os.walk(path, onerror=_refuse_folder):
        for name in folders if recursive else ():
            if os.path.islink(os.path.join(parent, name)) and not name.startswith("."):
                complain("note", f"{os.path.join(parent, name)}: it is a link to a folder, which is not followed")
        inside = os.path.realpath(parent) == made and os.path.realpath(path) != made
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if recursive else []
        if inside:
            folders.clear()
            continue
        for name in sorted(files):
            if Path(name).suffix.lower() in FORMATS and not name.startswith("."):
                source = Path(parent, name)
                yield source, source.relative_to(path)


def _refuse_folder(error: OSError) -> None:
    raise InputError(f"cannot read {error.filename}: {os.strerror(error.errno or 0)}")


def _jobs_in_folder(pictures: Sequence[tuple[Path, Path]], folder: Path, naming: Naming) -> list[Job]:
    apart: set[Path] = set()
    while True:
        jobs = []
        for source, below in pictures:
            name = naming.apart if naming.apart and source in apart else naming.in_folder
            jobs.append(Job(source, tuple(folder / output for output in name(below))))
        # A new name can be another picture's plain one: then that picture changes its name as well.
        sharing = {source for one, other, _ in _shared_outputs(jobs) for source in (one, other)} - apart
        if not sharing:
            return jobs
        apart |= sharing


def _shared_outputs(jobs: Sequence[Job]) -> Iterator[tuple[Path, Path, Path]]:
    """Yield two pictures and the output that both would become."""
    makers: dict[str, Path] = {}
    for job in jobs:
        for path in job.outputs:
            # Folded, because a.png and A.png are one file on some systems.
            other = makers.setdefault(os.path.abspath(path).casefold(), job.source)
            if other is not job.source:
                yield other, job.source, path


def _refuse_shared_outputs(jobs: Sequence[Job]) -> None:
    for one, other, path in _shared_outputs(jobs):
        raise InputError(f"{one} and {other} would both become {path}; give each a run and an --out of its own")


def _refuse_inputs_as_outputs(jobs: Sequence[Job]) -> None:
    sources = {identity: job.source for job in jobs if (identity := _identity(job.source))}
    for job in jobs:
        for path in job.outputs:
            if (identity := _identity(path)) in sources and identity:
                raise InputError(f"{path} would overwrite the input {sources[identity]}; give another --out")


def _identity(path: Path) -> tuple[int, int] | None:
    """What two names of one file share, through links of both kinds."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
