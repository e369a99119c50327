"""The connection to a Ray cluster, and Ray kept from talking while it stands."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from ohlora_fast.errors import InputError


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Be connected to a cluster; a connection that stands is left standing.

    Raises:
        InputError: Ray is missing, or nothing answers at the address.
    """
    try:
        import ray
        import ray.data
    except ImportError:
        raise InputError("the Ray runner needs ray; install ohlora-fast[ray]") from None
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # of its C++ parts
    try:
        with _no_stderr():
            # Not None: what a cluster that was killed has left on this machine would be waited for.
            ray.init(
                address or os.environ.get("RAY_ADDRESS") or "local", log_to_driver=False, logging_level=logging.ERROR
            )
    except (ConnectionError, ValueError) as error:
        raise InputError(f"address: got {address}, where no Ray cluster answers ({error})") from None
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _no_stderr() -> Iterator[None]:
    """Drop what C++ writes to standard error: while Ray starts, it says that it will say nothing."""
    kept = os.dup(2)
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Ray Data from writing to the terminal, and from giving up where workers die; its log files are kept."""
    from ray.data import DataContext

    context = DataContext.get_current()
    settings = {"enable_progress_bars": False, "print_on_execution_start": False, "max_errored_blocks": -1}
    before = {name: getattr(context, name) for name in settings}
    handlers = [one for one in logging.getLogger("ray.data").handlers if isinstance(one, logging.StreamHandler)]
    levels = [handler.level for handler in handlers]
    try:
        for name, value in settings.items():
            setattr(context, name, value)
        for handler in handlers:
            handler.setLevel(logging.CRITICAL + 1)
        yield
    finally:
        for name, value in before.items():
            setattr(context, name, value)
        for handler, level in zip(handlers, levels, strict=True):
            handler.setLevel(level)
