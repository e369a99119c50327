"""The server's folder: gone at the end, gone at the next start after a kill, and left alone while its server runs."""

import os
import signal
import subprocess
import sys

import pytest

pytest.importorskip("gradio", reason="pip install 'ohlora-fast[web]'")

from ohlora_fast.web.folder import own_folder, remove_leftovers

HELD = """
import sys
from ohlora_fast.web.folder import own_folder
with own_folder() as folder:
    (folder / "photo.jpg").write_bytes(b"private")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder for temporary files."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path.resolve()


def start(root):
    """Another process that holds a folder."""
    return subprocess.Popen(
        [sys.executable, "-c", HELD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(root)},
    )


def test_it_is_this_users_alone_and_goes_with_its_files(root):
    with own_folder() as folder:
        assert folder.parent == root
        assert os.name == "nt" or folder.stat().st_mode & 0o777 == 0o700
        (folder / "a").mkdir()
        (folder / "a" / "b.jpg").write_bytes(b"x")
    assert not list(root.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_what_a_killed_server_left_goes_at_the_next_start(root):
    with start(root) as server:
        left = server.stdout.readline().strip()
        server.send_signal(signal.SIGKILL)
    assert os.path.exists(os.path.join(left, "photo.jpg"))
    with own_folder() as folder:
        assert not os.path.exists(left)
        assert sorted(root.iterdir()) == sorted([folder, folder.with_suffix(".lock")])


def test_a_server_that_runs_keeps_its_files(root):
    with start(root) as server:
        held = server.stdout.readline().strip()
        with own_folder(), own_folder():
            assert os.path.exists(os.path.join(held, "photo.jpg"))
        server.communicate()
    assert not list(root.iterdir())


def test_others_files_are_left(root):
    other = root / "elsewhere"
    other.mkdir()
    (root / "ohlora-web-link.lock").symlink_to(other)
    (root / "ohlora-web-folder.lock").mkdir()
    (root / "ohlora-web-link").symlink_to(other)
    remove_leftovers(root)
    assert other.exists()
    assert len(list(root.iterdir())) == 4
