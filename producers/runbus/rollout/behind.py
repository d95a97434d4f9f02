"""Does work behind the loop's back, in order, on a thread of its own."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Callable
from queue import Queue


class Behind:
    """A thread that begins with its first work, and a queue before it.

    A forked child has neither: its first work begins a thread of its own. At the end of the process the work is done
    before the recorders close, which were there first.

    Args:
        waiting: how much work may wait; `hand` waits where there is more.
    """

    def __init__(self, waiting: int) -> None:
        self._waiting = waiting
        self._pid = -1
        self._work: Queue[Callable[[], None] | None] = Queue(waiting)

    def hand(self, work: Callable[[], None]) -> None:
        """Have work done; it must not raise."""
        if self._pid != os.getpid():
            self._begin()
        self._work.put(work)

    def finish(self) -> None:
        """Wait until all that was handed over is done."""
        if self._pid == os.getpid():
            self._work.join()

    def close(self) -> None:
        """Finish, and end the thread."""
        if self._pid == os.getpid():
            self._work.join()
            self._work.put(None)
            self._pid = -1

    def _begin(self) -> None:
        self._work, self._pid = Queue(self._waiting), os.getpid()
        threading.Thread(target=_run, args=(self._work,), name="runbus-rollout", daemon=True).start()
        atexit.register(_finish, weakref.ref(self))


def _finish(owner: weakref.ref[Behind]) -> None:
    behind = owner()
    if behind is not None:
        behind.finish()


def _run(work: Queue[Callable[[], None] | None]) -> None:
    while (task := work.get()) is not None:
        try:
            task()
        finally:
            work.task_done()
    work.task_done()
