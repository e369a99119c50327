"""ONNX graphs in ONNX Runtime: files that are checked before they run, and sessions that outlive a fork."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ohlora_fast.errors import InputError
from ohlora_fast.runtime import usable_cores
from ohlora_fast.student.graph import outside_of_graph
from ohlora_fast.telemetry import onnx_runtime

Array = np.ndarray[Any, Any]


class Session:
    """A session of ONNX Runtime, made anew in a process that was forked: threads do not live on there.

    Args:
        make: makes an ``onnxruntime.InferenceSession``.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._session, self._process = make(), os.getpid()

    @property
    def session(self) -> Any:
        """That of this process."""
        if self._process != os.getpid():
            with self._lock:
                if self._process != os.getpid():
                    self._leave()
                    self._session, self._process = self._make(), os.getpid()
        return self._session

    def run(self, outputs: Sequence[str], inputs: Mapping[str, Array]) -> list[Array]:
        found: list[Array] = self.session.run(outputs, inputs)
        return found

    def _leave(self) -> None:
        """Keep a session of the parent for ever: to end it would be to wait for threads that are not here."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._session))

    def __del__(self) -> None:
        if self.__dict__.get("_process", os.getpid()) != os.getpid():
            self._leave()


def read_graph(path: Path, what: str) -> bytes:
    """The bytes of a file that messages call ``what``.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{what}: cannot be read ({error.strerror})") from None


def session_of(graph: bytes, threads: int | None, what: str) -> Session:
    """A session on the CPU, whose threads do not spin after a run; ``what`` names the graph in messages.

    Raises:
        InputError: the graph cannot be read, has loops or branches, or refers to other files.
    """
    try:
        outside = outside_of_graph(graph)
    except ValueError as error:
        raise InputError(f"{what}: not a readable ONNX file ({error})") from None
    if outside:
        raise InputError(f"{what}: has {outside}, expected a graph without loops, branches and other files' weights")
    onnxruntime = onnx_runtime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or usable_cores()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads that still spin after a run slow the ombre that follows by 40 % (1.31 against 0.95 ms at 1024²);
    # threads that never spin slow the student by 25 % (11.0 against 8.7 ms).
    options.add_session_config_entry("session.force_spinning_stop", "1")

    def make() -> Any:
        try:
            return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions have no common public base
            raise InputError(f"{what}: not a readable ONNX file ({str(error).splitlines()[0]})") from None

    return Session(make)
