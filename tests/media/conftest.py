"""What the tests of files need of the platform."""

from __future__ import annotations

import pytest


@pytest.fixture
def symlinks(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skip where symbolic links cannot be made, as on Windows without the privilege."""
    try:
        (tmp_path_factory.mktemp("links") / "link").symlink_to("nothing")
    except OSError as error:
        pytest.skip(f"no symbolic links here: {error}")
