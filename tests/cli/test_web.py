"""`ohlora-fast web`, from its start to its end."""

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

pytest.importorskip("gradio", reason="pip install 'ohlora-fast[web]'")

from ohlora_fast.cli import main

COMMAND = [sys.executable, "-m", "ohlora_fast.cli", "web", "--port", "0", "--threads", "1"]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows ends a process without asking it")


def start(tmp_path, *options):
    """Start the command; return its process and the page's address."""
    server = subprocess.Popen(
        [*COMMAND, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    return server, server.stdout.readline().split()[0]


def test_the_page_is_served_until_it_is_stopped_and_leaves_no_files(tmp_path):
    server, url = start(tmp_path)
    with server:
        assert urllib.request.urlopen(url, timeout=60).status == 200
        assert list(tmp_path.glob("ohlora-web-*"))
        with urllib.request.urlopen(f"{url}gradio_api/heartbeat/abc", timeout=60) as tab:  # one that is still open
            assert tab.readline()
            server.send_signal(signal.SIGTERM)
            out, err = server.communicate(timeout=60)
    assert (server.returncode, out, err) == (0, "stopped; no photo is kept\n", "")
    assert not list(tmp_path.iterdir())


def test_what_a_killed_server_left_goes_at_the_next_start(tmp_path):
    server, _ = start(tmp_path)
    with server:
        server.kill()
    left = set(tmp_path.glob("ohlora-web-*"))
    assert left
    server, _ = start(tmp_path)
    with server:
        assert not left & set(tmp_path.glob("ohlora-web-*"))
        server.send_signal(signal.SIGINT)
        assert server.wait(60) == 0
    assert not list(tmp_path.iterdir())


def test_a_host_that_is_allowed_is_answered(tmp_path):
    server, url = start(tmp_path, "--allow-host", "hair.example.org")
    with server:
        allowed, other = (
            urllib.request.Request(url, headers={"Host": f"{name}.example.org"}) for name in ("hair", "x")
        )
        assert urllib.request.urlopen(allowed, timeout=60).status == 200
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(other, timeout=60)
        server.terminate()


def test_a_host_that_is_no_name_is_one_line(capsys):
    assert main(["web", "--port", "0", "--allow-host", "http://hair.example.org"]) == 1
    assert capsys.readouterr().err.startswith("ohlora-fast: error: host name: got 'http://hair.example.org', expected")
