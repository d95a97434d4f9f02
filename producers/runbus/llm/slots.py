"""Gives out env indices, so that episodes which run at the same time have one each."""

from __future__ import annotations

import heapq
import os
import threading


class Slots:
    """The env indices of one process: who asks gets the lowest that is free, and how many episodes it has had."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: Numbers wait in a recorder for its next row, which has to be that of the episode that said them.
        self.row = threading.RLock()
        self._free: list[int] = []
        self._episodes: list[int] = []

    def take(self) -> int:
        """Return an index that nobody has."""
        with self._lock:
            if self._free:
                return heapq.heappop(self._free)
            self._episodes.append(0)
            return len(self._episodes) - 1

    def begun(self, env: int) -> int:
        """Count an episode of an index; return its number."""
        self._episodes[env] += 1
        return self._episodes[env] - 1

    def give_back(self, env: int) -> None:
        """Let another episode have an index."""
        with self._lock:
            heapq.heappush(self._free, env)


class SlotsOfProcess:
    """The slots of each process: in a forked child the recorder begins a stream of its own, and all are free."""

    def __init__(self) -> None:
        self._pid = 0
        self._slots = Slots()
        self._lock = threading.Lock()

    def now(self) -> Slots:
        """Return the slots of this process."""
        if self._pid != os.getpid():
            with self._lock:
                if self._pid != os.getpid():
                    self._slots, self._pid = Slots(), os.getpid()
        return self._slots
