"""Signals that end the program: after the first, things are put in order; a second one ends it at once."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from ohlora_fast.media.unfinished import remove_unfinished

INTERRUPTED = 130
"""The exit code after Ctrl-C, SIGTERM and SIGHUP."""
DEFAULTS = (signal.SIG_DFL, signal.default_int_handler)


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Let SIGTERM and SIGHUP raise `KeyboardInterrupt` as Ctrl-C does, once; give what tells if one has come.

    A second signal removes what is half written, and ends the process. Signals that somebody ignores or handles
    already are left alone, and so are forked children, which end as they would have.
    """
    owner, asked = os.getpid(), False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if os.getpid() != owner:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        if asked:
            remove_unfinished()
            os._exit(INTERRUPTED)
        asked = True
        raise KeyboardInterrupt

    names = ("SIGINT", "SIGTERM", "SIGHUP")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: handler for number in numbers if (handler := signal.getsignal(number)) in DEFAULTS}
    for number in before:
        signal.signal(number, stop)
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end(code: int) -> None:
    """End the process, whatever its threads are at, after all that was registered for its end.

    Python's own end would abort the process if a daemon thread came back from compiled code meanwhile.
    """
    with suppress(Exception):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    remove_unfinished()
    os._exit(code)
