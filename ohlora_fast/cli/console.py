"""What the command line prints beside its results: one line each, on stderr."""

from __future__ import annotations

import sys
from typing import TextIO

from ohlora_fast.cli.streams import plain

PROGRAM = "ohlora-fast"


def complain(kind: str, message: str) -> None:
    """Print `ohlora-fast: kind: message` as one line on stderr, above a progress bar if there is one."""
    line = plain(f"{PROGRAM}: {kind}: {' '.join(message.split())}")
    if "tqdm" in sys.modules:
        from tqdm import tqdm

        tqdm.write(line, file=sys.stderr)
    else:
        print(line, file=sys.stderr)


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning as one line, without the source line that Python adds."""
    complain("warning", str(message))
