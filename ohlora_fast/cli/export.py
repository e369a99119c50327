"""`ohlora-fast export`: write a student as safetensors or as an ONNX graph."""

from __future__ import annotations

import argparse
from pathlib import Path

SUFFIXES = (".onnx", ".safetensors")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `export` and its options."""
    parser = subparsers.add_parser("export", help="write a student as an ONNX graph or as safetensors")
    parser.add_argument("-o", "--out", required=True, metavar="FILE", help=f"ends in {' or '.join(SUFFIXES)}")
    parser.add_argument(
        "--checkpoint", action="append", metavar="FILE",
        help="the student's weights (default: the bundled ones); given several times, their average",
    )  # fmt: skip
    parser.add_argument(
        "--int8", metavar="PHOTOS",
        help="a graph of 8-bit integers, scaled by up to 100 photos: a folder of the kind that the student will see",
    )  # fmt: skip
    parser.add_argument("--half", action="store_true", help="store safetensors in float16")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the file, and return the exit code."""
    from ohlora_fast.errors import InputError
    from ohlora_fast.media.files import written_whole
    from ohlora_fast.student.weights import average_students, load_student, save_student

    out = Path(args.out)
    if out.suffix not in SUFFIXES:
        raise InputError(f"{out}: the suffix must be {' or '.join(SUFFIXES)}")
    if args.int8 and out.suffix != ".onnx":
        raise InputError(f"--int8: writes .onnx alone, got {out}")
    model = average_students(args.checkpoint) if args.checkpoint else load_student()
    if out.suffix == ".onnx":
        from ohlora_fast.student.export import export_onnx

        graph = export_onnx(model)
        if args.int8:
            graph = in_int8(graph, args.int8)
        with written_whole(out) as file:
            file.write(graph)
    else:
        save_student(model, out, half=args.half)
    print(f"{out}: {model.encoder_name}, head stride {model.head_stride}, {out.stat().st_size:,} bytes")
    return 0


def in_int8(graph: bytes, folder: str) -> bytes:
    """A graph in 8-bit integers, scaled by photos spread evenly over a folder's."""
    from ohlora_fast.errors import InputError
    from ohlora_fast.media.images import FORMATS, read_photo
    from ohlora_fast.student.preprocess import squash
    from ohlora_fast.student.quantize import PHOTOS, quantized

    if not Path(folder).is_dir():
        raise InputError(f"--int8 {folder}: no such folder")
    found = sorted(path for path in Path(folder).iterdir() if path.suffix.lower() in FORMATS)
    if not found:
        raise InputError(f"--int8 {folder}: holds no photos")
    chosen = [found[index * len(found) // PHOTOS] for index in range(PHOTOS)] if len(found) > PHOTOS else found
    return quantized(graph, (squash(read_photo(path).pixels) for path in chosen))
