"""Names this process, and gives out attempts, each of them once."""

from __future__ import annotations

import itertools
import os
import socket
import threading
import time
from functools import cache
from importlib import metadata

#: the kind of this component in heartbeats and dead letters
KIND = "recorder"


def now_us() -> int:
    """Return microseconds since the epoch."""
    return time.time_ns() // 1000


@cache
def version() -> str:
    """Return the version of runbus."""
    try:
        return metadata.version("runbus")
    except metadata.PackageNotFoundError:
        return "unknown"


def host() -> str:
    """Return this machine's name."""
    return socket.gethostname()


class Attempts:
    """Gives out start times in microseconds, each one once in this process, ascending."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def next(self, now: int) -> int:
        """Return `now`, or the first microsecond after it that is not taken."""
        with self._lock:
            self._last = max(now, self._last + 1)
            return self._last

    def after_fork(self) -> None:
        """Forget a lock that another thread of the parent may hold."""
        self._lock = threading.Lock()


_couriers = itertools.count(1)


def component_id(kind: str) -> str:
    """Return `kind-host-pid`, unique in this process: the second gets `-2`."""
    number = next(_couriers)
    return f"{kind}-{host()}-{os.getpid()}" + (f"-{number}" if number > 1 else "")
