"""`ohlora-fast download`, from a hub on this machine."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

NAME = "kartiknarayan/facexformer/ckpts/model.pt"


def download(hub, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ohlora_fast.cli", "download", *arguments], env=hub.environment | environment,
        capture_output=True, text=True, encoding="utf-8", check=False, timeout=100,
    )  # fmt: skip


def test_path_size_and_digest_are_printed(hub, tmp_path: Path) -> None:
    hub.files[NAME] = 1234 * b"w"
    done = download(hub, "facexformer", "--cache-dir", str(tmp_path / "mine"))
    assert done.returncode == 0, done.stderr
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert Path(lines["path"]).read_bytes() == hub.files[NAME]
    assert Path(lines["path"]).is_relative_to(tmp_path / "mine")
    assert lines["size"] == "1,234 bytes"
    assert lines["sha256"] == f"{hashlib.sha256(hub.files[NAME]).hexdigest()} (as the hub states)"
    again = download(hub, "facexformer", "--cache-dir", str(tmp_path / "mine"), HF_HUB_OFFLINE="1")
    assert (again.returncode, again.stdout, again.stderr) == (0, done.stdout, "")


def test_no_network_is_one_line(hub) -> None:
    done = download(hub, "facexformer", HF_ENDPOINT="http://127.0.0.1:9")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        "ohlora-fast: error: facexformer (kartiknarayan/facexformer, ckpts/model.pt): not in "
    )
    assert done.stderr.count("\n") == 1


def test_an_unknown_name_is_wrong_usage(hub) -> None:
    done = download(hub, "facexformer-2")
    assert done.returncode == 2
    assert "invalid choice: 'facexformer-2'" in done.stderr
    assert hub.asked == []
