"""Delivers what is left when SIGTERM comes, then does what would have been done without it."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Protocol

from runbus.schemas.events import Outcome

log = logging.getLogger(__name__)

Handler = Callable[[int, FrameType | None], object] | int | None

_PENDING = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
_RETRY_S = 0.002
_PATIENCE_S = 0.1  # a loop that is inside of the recorder for so long after a signal waits there: its wait is ended
_PACKAGE = os.path.dirname(__file__)  # noqa: PTH120 - compared with code objects' file names, which are strings


class Deliverer(Protocol):
    """The process, as the signal needs it."""

    def finish(self, outcome: Outcome, error: str) -> None:
        """Close every stream and deliver what is left."""

    def drain(self) -> None:
        """Deliver what is recorded so far; the streams go on."""

    def release(self) -> None:
        """End waits inside of the recorder."""


class Sigterm:
    """The handler of SIGTERM, in front of the program's own.

    It is put there when a recorder is made and again at its first row: a program may set its own in between.
    """

    def __init__(self, process: Deliverer) -> None:
        self._process = process
        self._before: list[Handler] = []  # the handlers that were there, the latest last
        self._under_way = 0  # a handler of the program may call the one that it replaced, which is this
        self._deferred_at: float | None = None
        self._later = _PENDING(self._install_pending)
        self._asked = False

    def install(self) -> None:
        """Put the handler in front of the one that is there; from another thread, as soon as the main thread can."""
        if threading.current_thread() is not threading.main_thread():
            if not self._asked and signal.getsignal(signal.SIGTERM) is not self:
                self._asked = True
                ctypes.pythonapi.Py_AddPendingCall(self._later, None)
            return
        found = signal.getsignal(signal.SIGTERM)
        if found is self or found is None or found is signal.SIG_IGN:  # not Python's to chain to, or not deadly
            return
        self._before.append(found)
        signal.signal(signal.SIGTERM, self)

    def _install_pending(self, _: object) -> int:
        """Install, called by the interpreter in the main thread, between two instructions."""
        try:
            self._asked = False
            self.install()
        except Exception:  # the program's main thread must not see it
            log.exception("SIGTERM is not handled")
        return 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle the signal."""
        if not self._under_way and _inside(frame):  # the loop may hold a lock of the recorder: again when it left it
            if self._deferred_at is None:
                self._deferred_at = time.monotonic()
            threading.Timer(_RETRY_S, self._again, (number, self._deferred_at)).start()
            return
        self._deferred_at = None
        self._under_way += 1
        try:
            self._handle(number, frame)
        finally:
            self._under_way -= 1

    def _handle(self, number: int, frame: FrameType | None) -> None:
        before = self._before[-self._under_way] if self._under_way <= len(self._before) else signal.SIG_DFL
        if callable(before):  # the program's own handler decides whether this is the end
            if self._under_way == 1:
                self._process.drain()
            before(number, frame)
        else:
            self._process.finish("interrupted", "SIGTERM")
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def _again(self, number: int, since: float) -> None:
        """Send the signal once more, on another thread; if the loop waits in the recorder, end that wait first."""
        if time.monotonic() - since > _PATIENCE_S:
            self._process.release()
        os.kill(os.getpid(), number)


def _inside(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith(_PACKAGE):
            return True
        frame = frame.f_back
    return False
