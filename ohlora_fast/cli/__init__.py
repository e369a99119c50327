"""The command `ohlora-fast`: one file a subcommand, each with `add_parser(subparsers)`, `run(args) -> int`.

Subcommands import what they need when they run, so that help and version come at once. Exit codes: 0 all
done, 1 something failed, 2 wrong usage, 130 interrupted, by Ctrl-C, SIGTERM or SIGHUP. Errors and warnings are one
line each on stderr.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from ohlora_fast import __version__
from ohlora_fast.cli.console import PROGRAM, complain, show_warning
from ohlora_fast.cli.ending import INTERRUPTED, end, interruptible
from ohlora_fast.cli.streams import open_missing, plain_streams
from ohlora_fast.errors import InputError

SUBCOMMANDS = (
    "dye", "heads", "segment", "animate", "video", "webcam", "web", "download", "label", "demo", "gallery", "distill",
    "evaluate", "export", "stylegan", "benchmark", "info",
)  # fmt: skip


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        complain("error", f"{message}; see '{self.prog} --help'")
        sys.exit(2)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser with every subcommand."""
    parser = Parser(prog=PROGRAM, description="Find hair in photos and dye it.")
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in SUBCOMMANDS:
        import_module(f"ohlora_fast.cli.{name}").add_parser(subparsers)
    for subparser in subparsers.choices.values():
        subparser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        argv: the arguments. None for those of this program, which then is the process: it handles signals, and after an
            error ends itself.

    >>> main(["--version"])  # doctest: +ELLIPSIS
    ohlora-fast ...
    0
    """
    if argv is not None:
        return _main(argv)
    open_missing()
    with interruptible() as interrupted:
        code = _main(None)
        if code or interrupted():
            end(code)
        return code


def _main(argv: Sequence[str] | None) -> int:
    with plain_streams(), warnings.catch_warnings():
        warnings.showwarning = show_warning
        try:
            args = build_parser().parse_args(argv)
        except SystemExit as stop:
            return int(stop.code or 0)
        except KeyboardInterrupt:
            complain("interrupted", "nothing was begun")
            return INTERRUPTED
        return _run(args)


def _run(args: argparse.Namespace) -> int:
    try:
        code: int = args.run(args)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt as stop:
        complain("interrupted", str(stop) or "nothing was left half-written")
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # the last stop: whatever it is, it becomes one line
        if args.debug:
            traceback.print_exc()
        known = isinstance(error, InputError)
        complain("error", str(error) if known else f"{type(error).__name__}: {error} (--debug shows where)")
        return 1
