"""`ohlora-fast info`: what was built, what runs here, and why something does not."""

from __future__ import annotations

import argparse
import json
import os
import platform
from importlib import import_module
from typing import Any

from ohlora_fast import __version__
from ohlora_fast.runtime import usable_cores

PACKAGES = {
    "numpy": "numpy",
    "torch": "torch",
    "triton": "triton",
    "onnxruntime": "onnxruntime",
    "opencv": "cv2",
    "pillow": "PIL",
}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `info` and its option."""
    parser = subparsers.add_parser("info", help="what was built, what runs here and why not")
    parser.add_argument("--json", action="store_true", help="for programs: one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print what `gather` finds."""
    facts = gather()
    print(json.dumps(facts, indent=2, default=str) if args.json else as_text(facts))
    return 0


def gather() -> dict[str, Any]:
    """Return all there is to say.

    "backends", "engines" and "devices" map a name to None if it runs here, or else to the reason. A part that
    cannot even be asked is {"error": reason}; nothing that is missing or broken raises.
    """
    return {
        "ohlora-fast": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": {"machine": os.cpu_count(), "usable": usable_cores()},
        "packages": {name: version(module) for name, module in PACKAGES.items()},
        "built": ask("ohlora_fast._core", "build_info"),
        "cuda": ask("ohlora_fast.ops.ombre_cuda", "cuda_build"),
        "backends": ask("ohlora_fast.ombre", "available_backends"),
        "engines": ask("ohlora_fast.student.engines", "available_engines"),
        "devices": ask("ohlora_fast.student.engines", "available_devices"),
    }


def version(module: str) -> str:
    """Return the version of an importable module, or why it cannot be imported.

    >>> version("json_of_tomorrow")
    "not usable: No module named 'json_of_tomorrow'"
    """
    try:
        return str(import_module(module).__version__)
    except Exception as error:  # a broken installation may raise anything
        return f"not usable: {_line(error)}"


def ask(module: str, function: str) -> dict[str, Any]:
    """Call a function that returns a dict; what keeps it from that becomes {"error": reason}.

    >>> ask("math", "answer")
    {'error': "module 'math' has no attribute 'answer'"}
    """
    try:
        return dict(getattr(import_module(module), function)())
    except Exception as error:  # a broken installation may raise anything
        return {"error": _line(error)}


def as_text(facts: dict[str, Any]) -> str:
    """Lay out what `gather` returned for people."""
    cores = facts["cores"]
    lines = [
        f"ohlora-fast {facts['ohlora-fast']}, Python {facts['python']}, {facts['platform']}",
        f"cores: {cores['usable']} usable of {cores['machine']}",
    ]
    for title, key in (("Packages", "packages"), ("Built", "built"), ("CUDA kernels", "cuda")):
        lines += ["", title, *(f"  {name:<16}{_words(value)}" for name, value in facts[key].items())]
    for title, key in (("Ombre backends", "backends"), ("Student engines", "engines"), ("Devices", "devices")):
        lines += ["", title]
        for name, reason in facts[key].items():
            broken = name == "error"
            lines.append(f"  {name:<16}{reason if broken else 'runs' if reason is None else f'no: {reason}'}")
    return "\n".join(lines)


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
