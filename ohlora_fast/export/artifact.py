"""What an exporter hands over: the files' bytes, and a way to run them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ohlora_fast.export.check import Run
from ohlora_fast.media.files import written_whole


@dataclass(frozen=True)
class Artifact:
    """An export that is not written yet.

    Args:
        files: suffix → content; the first is the file that a user names.
        run: runs the very bytes of `files` on arrays.
    """

    files: dict[str, bytes]
    run: Run

    def write(self, path: Path) -> None:
        """Write the files whole, the first one last: where it stands, the others do.

        Args:
            path: of the first file; the others differ from it by their suffix.

        Raises:
            InputError: a file cannot be written.
        """
        for suffix, content in reversed(list(self.files.items())):
            with written_whole(path.with_suffix(suffix)) as file:
                file.write(content)
