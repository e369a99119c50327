"""`ohlora-fast web`, from its start to its end."""

import os
import signal
import subprocess
import sys
import urllib.request

import pytest

pytest.importorskip("gradio", reason="pip install 'ohlora-fast[web]'")


@pytest.mark.skipif(os.name == "nt", reason="Windows ends a process without asking it")
def test_the_page_is_served_until_it_is_stopped_and_leaves_no_files(tmp_path):
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "ohlora_fast.cli", "web", "--port", "0", "--threads", "1"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as server:
        line = server.stdout.readline()
        assert urllib.request.urlopen(line.split()[0], timeout=60).status == 200
        assert list(tmp_path.glob("ohlora-web-*"))
        server.send_signal(signal.SIGTERM)
        out, err = server.communicate(timeout=60)
    assert (server.returncode, out, err) == (0, "stopped; no photo is kept\n", "")
    assert not list(tmp_path.glob("ohlora-web-*"))
