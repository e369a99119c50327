"""Reading CSV files."""

from __future__ import annotations

import csv
from pathlib import Path

from ohlora_fast.errors import InputError


def read_csv(file: Path) -> list[list[str]]:
    """The rows of a CSV file in UTF-8; an empty line is an empty row.

    Raises:
        InputError: it cannot be read.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "x.csv"
    >>> _ = file.write_text('path,label\\n"a, b.png",1\\n')
    >>> read_csv(file)
    [['path', 'label'], ['a, b.png', '1']]
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            return list(csv.reader(stream, strict=True))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{file}: not readable as CSV ({error})") from error
