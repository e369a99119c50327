"""Published weights from the Hugging Face hub, downloaded once and kept in its cache folder."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ohlora_fast.errors import InputError


@dataclass(frozen=True)
class Published:
    """A file on the hub."""

    repo: str
    file: str


@dataclass(frozen=True)
class Fetched:
    """A file of the hub on this disk; ``confirmed`` tells whether the hub states this very SHA-256."""

    path: Path
    size: int
    sha256: str
    confirmed: bool


FILES = {
    "facexformer": Published("kartiknarayan/facexformer", "ckpts/model.pt"),
    "ohlora-v4": Published("daebakgazua/250624_OhLoRA_Hair_Segmentation", "segmentation_model_ohlora_v4.pth"),
}


def sha256_of(path: str | Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def fetch(name: str, cache_dir: str | Path | None = None) -> Fetched:
    """Find a published file in the cache, or download it, and check its SHA-256 where the hub states one.

    The hub is asked once for what it holds now. If it does not answer, a file that is in the cache is taken. The
    hub package's environment variables hold, such as HF_HUB_OFFLINE, HF_HUB_ETAG_TIMEOUT (10 seconds) and HF_ENDPOINT.

    Args:
        name: a key of `FILES`.
        cache_dir: the folder to keep files in; None for the hub's own (HF_HUB_CACHE).

    Raises:
        InputError: unknown name, `huggingface_hub` not installed, no such file in reach, or it is damaged.
    """
    if name not in FILES:
        raise InputError(f"name: got {name!r}, allowed are {', '.join(FILES)}")
    try:
        import huggingface_hub as hub
    except ModuleNotFoundError:
        raise InputError('downloads need the package huggingface_hub: pip install "ohlora_fast[train]"') from None
    wanted = FILES[name]
    what = f"{name} ({wanted.repo}, {wanted.file})"
    cache = str(cache_dir) if cache_dir is not None else None
    metadata, refusal = None, "what answered is no hub"
    try:
        answer = hub.get_hf_file_metadata(hub.hf_hub_url(wanted.repo, wanted.file))
        metadata = answer if answer.commit_hash else None
    except Exception as error:  # of several HTTP packages, depending on the hub package's version
        refusal = reason_for(error)
    try:
        # After a failure the cache alone is searched: the hub package would go on trying for minutes.
        path = Path(hub.hf_hub_download(wanted.repo, wanted.file, cache_dir=cache, local_files_only=metadata is None))
    except Exception as error:
        if metadata is None:
            folder = cache or hub.constants.HF_HUB_CACHE
            raise InputError(f"{what}: not in the cache {folder}, and cannot be downloaded: {refusal}") from error
        raise InputError(f"{what}: the download failed, run it again: {reason_for(error)}") from error
    stated = metadata.etag if metadata is not None else kept_etag(path)
    digest = sha256_of(path)
    confirmed = re.fullmatch("[0-9a-f]{64}", stated or "") is not None
    if confirmed and stated != digest:
        raise InputError(
            f"{what}: damaged: {os.path.realpath(path)} has the SHA-256 {digest}, the hub states {stated}; "
            "delete the file and download it again"
        )
    return Fetched(path, path.stat().st_size, digest, confirmed)


def kept_etag(path: Path) -> str | None:
    """The etag under which the cache keeps a file, where it keeps files under their etags: behind links."""
    return Path(os.readlink(path)).name if path.is_symlink() else None


def reason_for(error: Any) -> str:
    """One line on an exception of the hub package: its kind and its first line."""
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__
