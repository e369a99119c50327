"""`ohlora-fast export`: a student for other runtimes, alone or with what comes before and after it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ohlora_fast.cli.options import fraction
from ohlora_fast.errors import InputError

if TYPE_CHECKING:
    from ohlora_fast.student.model import EffiSegNet

SUFFIXES = {"onnx": ".onnx", "torch-export": ".pt2", "openvino": ".xml", "safetensors": ".safetensors"}
OUTPUTS = ("map", "prob", "alpha", "mask", "dye")
DESCRIPTION = """\
Write a student as a file for another runtime. With `--with map` it is the student alone: uint8 photos
(N, 224, 224, 3) in, the 224×224 map out, as .onnx or, for training on, as .safetensors. Otherwise the file takes
photos of any size and number, and gives, at their size: prob, the hair probability; alpha, the ombre's opacity,
clip(4·prob − 3, 0, 1); mask, 0 or 255 in uint8, cut at --threshold; dye, the dyed photo, its settings being
inputs. Such a file is compared with this package's own result first, and written only if it agrees. It takes the
whole photo as one head that fills it, as `heads="whole"` does in Python: heads are not looked for."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `export` and its options."""
    parser = subparsers.add_parser(
        "export", help="write a student for ONNX, torch.export or OpenVINO, with masks or the dye of a whole photo",
        description=DESCRIPTION,
    )  # fmt: skip
    parser.add_argument(
        "-o", "--out", type=Path, metavar="FILE",
        help=f"ends in {', '.join(SUFFIXES.values())} (default: hair-WITH and the format's suffix, here)",
    )  # fmt: skip
    parser.add_argument("--format", choices=SUFFIXES, help="default: by the suffix of FILE, else onnx")
    parser.add_argument(
        "--with", dest="output", choices=OUTPUTS, help="what the file gives (default map; prob for .pt2 and .xml)"
    )
    parser.add_argument(
        "--threshold", type=fraction, metavar="P", help="for --with mask: hair from this probability on, 0 to 1 (0.5)"
    )
    parser.add_argument(
        "--layout", choices=("nhwc", "nchw"), help="of photos: (N, H, W, 3) or (N, 3, H, W) (default nhwc)"
    )
    parser.add_argument(
        "--dtype", choices=("uint8", "float32"), help="of photos; float32 is in 0–255, too (default uint8)"
    )
    parser.add_argument(
        "--checkpoint", action="append", metavar="FILE",
        help="the student's weights (default: the bundled ones); given several times, their average",
    )  # fmt: skip
    parser.add_argument(
        "--int8", metavar="PHOTOS",
        help="for --with map in ONNX, a graph of 8-bit integers, scaled by up to 100 photos: a folder of the kind that "
        "the student will see",
    )  # fmt: skip
    parser.add_argument("--half", action="store_true", help="store safetensors in float16")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the file, and return the exit code."""
    form = form_of(args.out, args.format)
    output = args.output or ("map" if form in ("onnx", "safetensors") else "prob")
    refuse_misfits(args, form, output)
    out = args.out or Path(f"hair-{output}{SUFFIXES[form]}")

    from ohlora_fast.student.weights import average_students, load_student, save_student

    model = average_students(args.checkpoint) if args.checkpoint else load_student()
    if form == "safetensors":
        save_student(model, out, half=args.half)
        said = "weights"
    else:
        said = write_map(model, out, args) if output == "map" else write_pipeline(model, out, output, args)
        said = f"{output} {said}"
    size = out.stat().st_size
    print(f"{out}: {model.encoder_name}, head stride {model.head_stride}, {size:,} bytes; {said}")
    return 0


def form_of(out: Path | None, form: str | None) -> str:
    """The format that the options ask for.

    >>> form_of(Path("a.pt2"), None), form_of(None, None)
    ('torch-export', 'onnx')

    Raises:
        InputError: the file's suffix is that of another format, or of none.
    """
    if out is None:
        return form or "onnx"
    found = next((name for name, suffix in SUFFIXES.items() if suffix == out.suffix), None)
    if found is None or form not in (None, found):
        allowed = SUFFIXES[form] if form else ", ".join(SUFFIXES.values())
        raise InputError(f"--out {out}: got the suffix {out.suffix!r}, allowed is {allowed}")
    return found


def refuse_misfits(args: argparse.Namespace, form: str, output: str) -> None:
    """Raise an `InputError` for options that the format or the output does not take."""
    if (output == "map" and form in ("torch-export", "openvino")) or (output != "map" and form == "safetensors"):
        allowed = "map" if form == "safetensors" else "prob, alpha, mask and dye"
        raise InputError(f"--with: got {output} for {form}, allowed is {allowed}")
    if args.int8 and (form, output) != ("onnx", "map"):
        raise InputError(f"--int8: got {form} with {output}, allowed is onnx with map")
    if args.half and form != "safetensors":
        raise InputError(f"--half: got {form}, allowed is safetensors")
    if args.threshold is not None and output != "mask":
        raise InputError(f"--threshold: got {output}, allowed is --with mask")
    if output == "map" and (args.layout or args.dtype):
        raise InputError("--layout, --dtype: got map, allowed is --with prob, alpha, mask or dye")


def write_map(model: EffiSegNet, out: Path, args: argparse.Namespace) -> str:
    """Export the student alone to ONNX; return how near to the library's result it is."""
    from ohlora_fast.export.check import check_map
    from ohlora_fast.export.metadata import describe
    from ohlora_fast.export.to_onnx import with_metadata
    from ohlora_fast.media.files import written_whole
    from ohlora_fast.student.export import export_onnx
    from ohlora_fast.telemetry import onnx_runtime

    graph = export_onnx(model)
    session = onnx_runtime().InferenceSession(graph, providers=["CPUExecutionProvider"])
    said = str(check_map(lambda photos: session.run(None, {"image": photos})[0], model))
    if args.int8:
        graph, said = in_int8(graph, args.int8, model.size), "in 8-bit integers"
    with written_whole(out) as file:
        file.write(with_metadata(graph, describe(model, args.checkpoint or ())))
    return said


def in_int8(graph: bytes, folder: str, size: int) -> bytes:
    """A graph of a student of that size in 8-bit integers, scaled by photos spread evenly over a folder's."""
    from ohlora_fast.media.images import FORMATS, read_photo
    from ohlora_fast.student.preprocess import squash
    from ohlora_fast.student.quantize import PHOTOS, quantized

    if not Path(folder).is_dir():
        raise InputError(f"--int8 {folder}: no such folder")
    found = sorted(path for path in Path(folder).iterdir() if path.suffix.lower() in FORMATS)
    if not found:
        raise InputError(f"--int8 {folder}: holds no photos")
    chosen = [found[index * len(found) // PHOTOS] for index in range(PHOTOS)] if len(found) > PHOTOS else found
    return quantized(graph, (squash(read_photo(path).pixels, size=size) for path in chosen))


def write_pipeline(model: EffiSegNet, out: Path, output: str, args: argparse.Namespace) -> str:
    """Export the student with what comes before and after it; return how near to the library's result it is."""
    from ohlora_fast.export.pipeline import PipelineSettings
    from ohlora_fast.export.write import write_export

    chosen: dict[str, Any] = {"threshold": args.threshold, "layout": args.layout, "kind": args.dtype}
    given = {name: value for name, value in chosen.items() if value is not None}
    settings = PipelineSettings(output, **given)  # type: ignore[arg-type]  # argparse knows the choices
    return str(write_export(model, out, settings, args.checkpoint or ()))
