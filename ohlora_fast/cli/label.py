"""`ohlora-fast label`: soft labels by a teacher, to train a student on."""

from __future__ import annotations

import argparse
import sys

from ohlora_fast.cli.options import count
from ohlora_fast.errors import InputError

DESCRIPTION = """\
Write face_000000.png, each picture squashed to 224x224, and parsing_hair_label_000000.png, grey, 255 times the
teacher's hair probability; labels.csv tells which picture has which index. The same command goes on where it stopped,
and labels pictures that are new."""
ONNX_HELP = """\
An .onnx teacher has one input, float or uint8, (N, 3, H, W) or (N, H, W, 3), with N being 1 or free; where H and W are
free, they are 224. Its first output is (N, C, H, W) or (N, H, W)."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `label` and its options."""
    parser = subparsers.add_parser("label", help="write a teacher's soft labels", description=DESCRIPTION)
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="picture files, globs and folders")
    parser.add_argument("-o", "--out", required=True, metavar="DIR", help="folder of the labels")
    parser.add_argument("--recursive", action="store_true", help="go into the folders of a folder")
    parser.add_argument(
        "--teacher", default="facexformer", metavar="NAME|FILE",
        help="facexformer, downloaded once (default); an .onnx file; a checkpoint of FaceXFormer or of a student",
    )  # fmt: skip
    parser.add_argument("--batch", type=count, default=8, metavar="N", help="pictures at a time (default 8)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    group = parser.add_argument_group("an .onnx teacher", ONNX_HELP)
    group.add_argument(
        "--hair-channel", metavar="NAME|INDEX",
        help="which channel is hair, by index or by a name in the file's metadata (default: the only one, or 'hair')",
    )  # fmt: skip
    group.add_argument(
        "--input-range", choices=("imagenet", "unit", "minus-one-one", "byte"),
        help="how pixels are scaled (default: byte, 0 to 255, for uint8; else imagenet)",
    )  # fmt: skip
    group.add_argument(
        "--activation", choices=("softmax", "sigmoid", "none"),
        help="what makes outputs probabilities (default: softmax for several channels, none for one)",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Label what `args` names and return the exit code."""
    from tqdm import tqdm

    from ohlora_fast.cli.console import complain
    from ohlora_fast.cli.plan import find_pictures
    from ohlora_fast.teacher.engines import open_teacher
    from ohlora_fast.teacher.soft_labels import plan_labels, write_labels

    sources = find_pictures(args.images, args.out, args.recursive)
    teacher = open_teacher(args.teacher, args.hair_channel, args.input_range, args.activation, args.device)
    asked, todo = plan_labels(sources, args.out, teacher)
    failures: list[str] = []
    done = len(asked) - len(todo)
    bar = tqdm(total=len(asked), initial=done, unit="picture", file=sys.stderr, disable=None)
    try:
        with bar:
            for outcome in write_labels(todo, args.out, teacher, args.batch):
                bar.update()
                for note in outcome.notes:
                    complain("note", f"{outcome.row.path}: {note}")
                if outcome.failure is not None:
                    failures.append(outcome.failure)
                else:
                    done += 1
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{done} of {len(asked)} labelled; their files are whole, and the same command goes on from there"
        ) from None
    except InputError as error:
        raise InputError(f"{error}; {done} of {len(asked)} labelled, the same command goes on from there") from error
    for failure in failures:
        complain("error", failure)
    print(f"{args.out}: {done} of {len(asked)} labelled by {teacher.name}, {done - len(asked) + len(todo)} of them now")
    return 1 if failures else 0
