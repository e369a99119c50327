"""Published weights from a hub on this machine.

In processes of their own: the hub package reads its environment when it is imported.
"""

from __future__ import annotations

import hashlib
import io
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from ohlora_fast.errors import InputError
from ohlora_fast.hub import FILES, fetch
from ohlora_fast.student.model import EffiSegNet

NAME = f"{FILES['ohlora-v4'].repo}/{FILES['ohlora-v4'].file}"


def python(code: str, hub, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], env=hub.environment | environment, capture_output=True, text=True, check=False,
        timeout=100,
    )  # fmt: skip


FETCH = "from ohlora_fast.hub import fetch; print(fetch('ohlora-v4'))"


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    """The InputError with which a process ended."""
    assert done.returncode == 1, done.stderr
    return done.stderr.splitlines()[-1]


def test_the_repositories_are_the_published_ones():
    assert {name: (file.repo, file.file) for name, file in FILES.items()} == {
        "facexformer": ("kartiknarayan/facexformer", "ckpts/model.pt"),
        "ohlora-v4": ("daebakgazua/250624_OhLoRA_Hair_Segmentation", "segmentation_model_ohlora_v4.pth"),
    }


def test_a_file_is_downloaded_once(hub):
    hub.files[NAME] = b"weights"
    digest = hashlib.sha256(hub.files[NAME]).hexdigest()
    first = python(FETCH, hub)
    assert f"size=7, sha256='{digest}', confirmed=True" in first.stdout, first.stderr
    hub.asked.clear()
    second = python(FETCH, hub)
    assert second.stdout == first.stdout
    assert hub.asked
    assert all(request.startswith("HEAD ") for request in hub.asked)


def test_the_cache_serves_when_the_hub_does_not(hub):
    hub.files[NAME] = b"weights"
    first = python(FETCH, hub)
    assert first.returncode == 0, first.stderr
    hub.files.clear()
    hub.asked.clear()
    offline = python(FETCH, hub, HF_HUB_OFFLINE="1")
    assert (offline.returncode, offline.stdout, hub.asked) == (0, first.stdout, [])
    assert python(FETCH, hub).stdout == first.stdout  # it answers, but has the file no more
    assert python(FETCH, hub, HF_ENDPOINT="http://127.0.0.1:9").stdout == first.stdout  # nobody listens there


@pytest.mark.parametrize("offline", ["0", "1"])
def test_a_damaged_file_in_the_cache_is_refused(hub, offline):
    hub.files[NAME] = b"weights"
    python(FETCH, hub)
    (blob,) = hub.cache.glob("*/blobs/*")
    blob.write_bytes(b"weighty")
    line = last_line(python(FETCH, hub, HF_HUB_OFFLINE=offline))
    assert (
        "ohlora-v4 (daebakgazua/250624_OhLoRA_Hair_Segmentation, segmentation_model_ohlora_v4.pth): damaged: " in line
    )
    assert str(blob) in line
    assert f"the hub states {blob.name}; delete the file" in line


def test_an_etag_that_is_no_sha256_confirms_nothing(hub):
    hub.files[NAME] = b"weights"
    hub.etags[NAME] = 40 * "a"  # as Git has it
    assert "confirmed=False" in python(FETCH, hub).stdout


def test_storage_that_refuses(hub):
    hub.files[NAME], hub.broken = b"weights", True
    assert "ohlora_v4.pth): the download failed, run it again: HfHubHTTPError: " in last_line(python(FETCH, hub))


def test_a_hub_without_the_file(hub):
    line = last_line(python(FETCH, hub))
    assert f"not in the cache {hub.cache}, and cannot be downloaded: RepositoryNotFoundError: 404" in line


def test_an_answer_from_something_else(hub):
    hub.files[NAME] = b"please log in"
    line = last_line(python(FETCH, hub, HF_ENDPOINT=f"{hub.url}/storage"))
    assert line.endswith("cannot be downloaded: what answered is no hub")


def test_a_hub_that_does_not_answer(hub):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = time.monotonic()
        line = last_line(python(FETCH, hub, HF_ENDPOINT=f"http://127.0.0.1:{silent.getsockname()[1]}"))
        assert time.monotonic() - start < 60  # it would try again and again for minutes
    assert "cannot be downloaded: ReadTimeout" in line


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(
        InputError, match=r'^downloads need the package huggingface_hub: pip install "ohlora_fast\[train\]"$'
    ):
        fetch("ohlora-v4")


def test_an_unknown_name():
    with pytest.raises(InputError, match=r"^name: got 'v5', allowed are facexformer, ohlora-v4$"):
        fetch("v5")


def test_students_come_from_the_hub(hub, tmp_path: Path):
    model = EffiSegNet("efficientnet-b0", head_stride=1)
    stream = io.BytesIO()
    torch.save(model.state_dict(), stream)
    hub.files[NAME] = stream.getvalue()
    code = (
        "from ohlora_fast.student.model import EffiSegNet\n"
        "model = EffiSegNet.from_pretrained('ohlora-v4')\n"
        "print(model.encoder_name, model.head_stride, model.training, model.conv6.weight.sum().item())"
    )
    done = python(code, hub, OMP_NUM_THREADS="1")
    assert done.stdout == f"efficientnet-b0 1 False {model.conv6.weight.sum().item()}\n", done.stderr


def test_facexformer_comes_from_the_hub(hub):
    hub.files["kartiknarayan/facexformer/ckpts/model.pt"] = b"no pickle"
    code = "from ohlora_fast.teacher.facexformer import FaceXFormer; FaceXFormer.from_pretrained()"
    line = last_line(python(code, hub))
    assert os.path.join("ckpts", "model.pt") + ": not loadable as a weights-only pickle" in line
    assert hub.asked
