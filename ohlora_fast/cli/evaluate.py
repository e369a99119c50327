"""`ohlora-fast evaluate`: score students' masks."""

from __future__ import annotations

import argparse
import csv
import io
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ohlora_fast.cli.options import add_engine_options, add_tiles_option
from ohlora_fast.errors import InputError
from ohlora_fast.media.unfinished import unfinished

if TYPE_CHECKING:
    from ohlora_fast.distill.data import Pair
    from ohlora_fast.distill.metrics import Counts
    from ohlora_fast.distill.report import Run
    from ohlora_fast.distill.scenes import Scenes
    from ohlora_fast.media.convert import Pixels

DESCRIPTION = """\
Score masks on the pairs DATA/images/NAME.jpg and DATA/masks/NAME.png (or on what `label` wrote), each source (NAME up
to the first underscore) apart: prediction > 0.5 against mask >= 128 at the photo's own size; both empty counts as 1.
Several students are compared. DIR gets report/ (tables and curves, no photos), scores.csv (every photo) and photos/:
overlays (green: the student's mask, blue: the true one, sky blue: both) and worst.jpg, the 24 photos of lowest IoU. An
earlier evaluation there is replaced.
If DATA holds ccp/val/images and hair, people/faces.json and nothing/val, photos that are no portraits are scored
instead: IoU of whole figures, heads found and hair far from them, and photos without people in which hair is found."""

WORST = 24
ACROSS = 3
"""Columns of photos on the sheet of the worst."""
MADE = re.compile(r"scores\.csv|report/(report\.(md|html)|curves\.(png|svg))|photos/([^/]+/)?(worst\.jpg|overlays/.+)")
"""What an evaluation's folder holds."""
STAGE = ".ohlora-"


@dataclass(frozen=True)
class Student:
    """What is scored: a checkpoint (None: the bundled student), with what is known of its training."""

    name: str
    checkpoint: Path | None
    settings: Mapping[str, Any]
    log: Sequence[Mapping[str, str]] = ()


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `evaluate` and its options."""
    parser = subparsers.add_parser("evaluate", help="score students' masks", description=DESCRIPTION)
    parser.add_argument("data", metavar="DATA", help="folder of images/ and masks/")
    parser.add_argument(
        "--run", action="append", dest="runs", default=[], metavar="RUN",
        help="score the best student of a run, a folder that `distill` wrote; may be repeated",
    )  # fmt: skip
    parser.add_argument("-o", "--out", metavar="DIR", help="folder for a report, the scores and the photos")
    parser.add_argument("--csv", metavar="FILE", help="also write the scores of every pair")
    parser.add_argument("--refine", action="store_true", help="score refined masks, as `dye` makes of large pictures")
    parser.add_argument("--whole", action="store_true", help="score the student's maps of whole photos, without heads")
    add_tiles_option(parser)
    add_engine_options(parser, several=True)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the scores, write what was asked for, and return the exit code."""
    from ohlora_fast.distill.curves import figure_class
    from ohlora_fast.distill.data import find_pairs
    from ohlora_fast.distill.metrics import summarise
    from ohlora_fast.distill.report import scores_table, table_markdown, write_report
    from ohlora_fast.distill.scenes import find_scenes
    from ohlora_fast.media.files import written_whole
    from ohlora_fast.stylist import HairStylist

    scenes = find_scenes(args.data)
    if scenes is not None and (args.out is not None or args.csv is not None):
        raise InputError(f"--out, --csv: one came for {args.data}, whose scores are printed alone; allowed is neither")
    pairs = [] if scenes is not None else find_pairs(args.data)
    students = find_students(args.runs, args.checkpoint or [])
    if args.out is not None:
        figure_class()  # that matplotlib is missing shall not come out at the end
        check_folder(Path(args.out))
    how = {name: True for name in ("refine", "whole") if getattr(args, name)}
    students = [replace(one, settings={**one.settings, **how}) for one in students]
    stylists = [HairStylist(one.checkpoint, args.engine, args.device, args.threads) for one in students]
    heads = "whole" if args.whole else "auto"
    segments = [partial(stylist.segment, refine=args.refine, heads=heads) for stylist in stylists]
    if scenes is not None:
        asked = len(scenes)
        scenes = readable(scenes)
        print_scenes(students, segments, scenes)
        return int(len(scenes) < asked)
    asked = len(pairs)
    if args.out is None:
        pairs, counts = score(segments, pairs, [None] * len(students))
    else:
        with folder_written(Path(args.out)) as folder:
            several = len(students) > 1
            folders = [folder / "photos" / (one.name.replace("/", "_") if several else "") for one in students]
            pairs, counts = score(segments, pairs, folders)
            for photos, each in zip(folders, counts, strict=True):
                write_worst(photos, pairs, each)
            with written_whole(folder / "scores.csv") as file:
                file.write(scores_csv(students, pairs, counts))
            write_report(folder / "report", as_runs(students, pairs, counts))
    if args.csv:
        with written_whole(args.csv) as file:
            file.write(scores_csv(students, pairs, counts))
    for one, each in zip(students, counts, strict=True):
        if len(students) > 1:
            print(f"{one.name}:")
        for source, summary in summarise(pairs, each).items():
            print(f"{source}: mean IoU {summary.mean.iou:.4f} over {summary.photos} photos")
    print(f"\n{table_markdown(scores_table(as_runs(students, pairs, counts)))}")
    if args.out is not None:
        print(f"\n{Path(args.out, 'report', 'report.html')}")
    return int(len(pairs) < asked)


def readable(scenes: Scenes) -> Scenes:
    """Leave out the photos that cannot be read, each named on stderr.

    Raises:
        InputError: a kind of photos is left with none.
    """
    from ohlora_fast.cli.console import complain
    from ohlora_fast.distill.scenes import read_rgb

    def can(load: Callable[[], object]) -> bool:
        try:
            load()
        except InputError as error:
            complain("error", f"left out: {error}")
            return False
        return True

    left = replace(
        scenes,
        figures=tuple(pair for pair in scenes.figures if can(pair.load)),
        people=tuple(one for one in scenes.people if can(partial(read_rgb, one[0]))),
        nothing=tuple(path for path in scenes.nothing if can(partial(read_rgb, path))),
    )
    for name in ("figures", "people", "nothing"):
        if not getattr(left, name):
            raise InputError(f"{name}: none of {len(getattr(scenes, name))} photos can be read")
    return left


def print_scenes(students: Sequence[Student], segments: Sequence[Callable[[Pixels], Any]], scenes: Scenes) -> None:
    """Score each student on photos that are no portraits, and print it."""
    from ohlora_fast.distill.scenes import score_scenes

    for one, segment in zip(students, segments, strict=True):
        found = score_scenes(segment, scenes)
        if len(students) > 1:
            print(f"{one.name}:")
        print(f"ccp/val: mean IoU {found.iou:.4f}, below 0.3 {found.lost:.1%} of {len(scenes.figures)} photos")
        print(f"people: heads found {found.heads:.2%}, spill {found.spill:.5f} over {len(scenes.people)} photos")
        print(f"nothing/val: hair in {found.nothing:.1%} of {len(scenes.nothing)} photos", flush=True)


def find_students(runs: Sequence[str], checkpoints: Sequence[str]) -> list[Student]:
    """The students of runs, then those of checkpoints; without either, the bundled one.

    Raises:
        InputError: a run's folder is none or damaged, or has no student yet, or a student came twice.
    """
    from ohlora_fast.distill.report import read_run

    names = short_names([Path(text) for text in (*runs, *checkpoints)])
    students: list[Student] = []
    for text in runs:
        settings, log = read_run(text)
        checkpoint = Path(text, "best.safetensors")
        if not checkpoint.is_file():
            raise InputError(f"--run: {text} has no best.safetensors yet")
        students.append(Student(names[len(students)], checkpoint, settings, log))
    for text in checkpoints:
        students.append(Student(names[len(students)], Path(text), {"checkpoint": Path(text).name}))
    return students or [Student("bundled", None, {"checkpoint": "bundled"})]


def short_names(paths: Sequence[Path]) -> list[str]:
    """The ends of paths, as long as it takes to tell them apart.

    Raises:
        InputError: two are the same.

    >>> short_names([Path("runs/a/best.pth"), Path("runs/b/best.pth")])
    ['a/best.pth', 'b/best.pth']
    """
    parts = [path.resolve().parts for path in paths]
    for length in range(1, max(map(len, parts), default=0) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    if paths:
        raise InputError(f"--run, --checkpoint: {', '.join(map(str, paths))} came, two of which are the same")
    return []


def score(
    segments: Sequence[Callable[[Pixels], Any]], pairs: Sequence[Pair], folders: Sequence[Path | None]
) -> tuple[list[Pair], list[list[Counts]]]:
    """Score each student on each pair, with a progress bar on a terminal; overlays go into the folders, if any.

    Returns:
        The pairs that can be read, each other one being named on stderr, and each student's counts for these.

    Raises:
        InputError: no pair can be read.
    """
    import numpy as np
    from tqdm import tqdm

    from ohlora_fast.cli.console import complain
    from ohlora_fast.distill.metrics import count_pixels
    from ohlora_fast.media.images import write_photo
    from ohlora_fast.media.overlay import overlay_pixels

    left = list(pairs)
    counts: list[list[Counts]] = [[] for _ in segments]
    for folder in folders:
        if folder is not None:
            (folder / "overlays").mkdir(parents=True)
    with tqdm(total=len(segments) * len(pairs), unit="photo", disable=None) as bar:
        for segment, folder, scored in zip(segments, folders, counts, strict=True):
            for pair in list(left):
                bar.update()
                try:
                    image, mask = pair.load()
                except InputError as error:
                    if scored is not counts[0]:  # it could be read a moment ago
                        raise
                    complain("error", f"left out: {error}")
                    left.remove(pair)
                    continue
                prob = segment(image)
                scored.append(count_pixels(prob, mask))
                if folder is not None:
                    ours, truth = (np.where(hair, 255, 0).astype(np.uint8) for hair in (prob > 0.5, mask >= 128))
                    write_photo(overlay_file(folder, pair), overlay_pixels(image, ours, truth))
            if not left:
                raise InputError(f"photos: none of {len(pairs)} can be read")
    return left, counts


def overlay_file(folder: Path, pair: Pair) -> Path:
    return folder / "overlays" / f"{pair.name}.png"


def write_worst(folder: Path, pairs: Sequence[Pair], counts: Sequence[Counts]) -> None:
    """Write the sheet of the photos with the lowest IoU, beside the overlays that lie there already."""
    from ohlora_fast.media.images import read_photo, write_photo

    scored = [(one.scores().iou, pair) for one, pair in zip(counts, pairs, strict=True)]
    worst = sorted(scored, key=lambda each: each[0])[:WORST]
    pictures = [[pair.load()[0], read_photo(overlay_file(folder, pair)).pixels] for _, pair in worst]
    labels = [f"{pair.name}\nIoU {value:.3f}" for value, pair in worst]
    write_photo(folder / "worst.jpg", worst_sheet(pictures, labels), quality=90)


def worst_sheet(pictures: Sequence[Sequence[Pixels]], labels: Sequence[str], across: int = ACROSS) -> Pixels:
    """Lay out rows of a photo and its overlay, each with its label, in columns filled one after the other.

    >>> import numpy as np
    >>> photo = np.zeros((9, 9, 3), np.uint8)
    >>> tall, wide = (worst_sheet([[photo, photo]] * 4, ["x"] * 4, across).shape for across in (1, 2))
    >>> tall[0] > wide[0], tall[1] < wide[1]
    (True, True)
    """
    import numpy as np

    from ohlora_fast.media.sheet import contact_sheet

    rows = -(-len(pictures) // across)
    columns = ("photo", "green: student\nblue: true mask")
    parts = [
        contact_sheet(pictures[start : start + rows], columns, labels[start : start + rows])
        for start in range(0, len(pictures), rows)
    ]
    height = max(len(part) for part in parts)
    filled = [np.pad(part, ((0, height - len(part)), (0, 0), (0, 0)), constant_values=255) for part in parts]
    return np.hstack(filled)


def scores_csv(students: Sequence[Student], pairs: Sequence[Pair], counts: Sequence[Sequence[Counts]]) -> bytes:
    """Every pair's scores and counts, a row a student and pair."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(csv_header())
    for student, each in zip(students, counts, strict=True):
        for pair, one in zip(pairs, each, strict=True):
            scores = [f"{value:.6f}" for value in asdict(one.scores()).values()]
            *whole, squared_error = asdict(one).values()
            writer.writerow([student.name, pair.name, pair.source, *scores, *whole, f"{squared_error:.6f}"])
    return stream.getvalue().encode()


def csv_header() -> list[str]:
    from ohlora_fast.distill.metrics import Counts, Scores

    return ["student", "name", "source", *(field.name for kind in (Scores, Counts) for field in fields(kind))]


def as_runs(students: Sequence[Student], pairs: Sequence[Pair], counts: Sequence[Sequence[Counts]]) -> list[Run]:
    """Students with their scores, as the report takes them."""
    from ohlora_fast.distill.metrics import summarise
    from ohlora_fast.distill.report import Run

    return [
        Run(one.name, one.settings, one.log, summarise(pairs, each)) for one, each in zip(students, counts, strict=True)
    ]


def check_folder(folder: Path) -> None:
    """Make sure that nothing but an earlier evaluation stands where the results go.

    Raises:
        InputError: a file, or a folder that holds something else.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out: {folder} came, which is a file; allowed is a folder")
    found = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()]
    found = [name for name in found if not name.startswith(STAGE)]
    foreign = sorted(name for name in found if not MADE.fullmatch(name))
    scores = folder / "scores.csv"
    if found and not foreign and not (scores.is_file() and is_ours(scores)):
        foreign = found
    if foreign:
        raise InputError(
            f"--out: {folder} holds {foreign[0]}, which no evaluation wrote there; allowed are a new or empty folder, "
            "or that of an earlier evaluation"
        )


def is_ours(scores: Path) -> bool:
    """Whether a scores.csv begins as an evaluation's."""
    header = ",".join(csv_header()).encode() + b"\n"
    with scores.open("rb") as file:
        return file.read(len(header)) == header


@contextmanager
def folder_written(folder: Path) -> Iterator[Path]:
    """Give an empty folder inside `folder` whose contents move up only when the block ends well.

    What they replace, of an earlier evaluation, goes; after an exception, Ctrl-C included, all is as before.
    """
    made = not folder.exists()
    stage = folder / f"{STAGE}{secrets.token_hex(6)}.tmp"
    try:
        with unfinished(stage):
            try:
                stage.mkdir(parents=True)
            except OSError as error:
                raise InputError(f"--out: cannot make the folder {folder}: {os.strerror(error.errno or 0)}") from error
            yield stage
            for path in list(stage.iterdir()):
                if (folder / path.name).exists():
                    (folder / path.name).rename(stage / f"old-{path.name}")
                path.rename(folder / path.name)
    finally:
        if made:
            with suppress(OSError):  # it stays if it was filled
                folder.rmdir()
