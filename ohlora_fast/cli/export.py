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
    model = average_students(args.checkpoint) if args.checkpoint else load_student()
    if out.suffix == ".onnx":
        from ohlora_fast.student.export import export_onnx

        graph = export_onnx(model)
        with written_whole(out) as file:
            file.write(graph)
    else:
        save_student(model, out, half=args.half)
    print(f"{out}: {model.encoder_name}, head stride {model.head_stride}, {out.stat().st_size:,} bytes")
    return 0
