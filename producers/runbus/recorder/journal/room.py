"""Bounds the bytes that the journals of a process have in one folder."""

from __future__ import annotations

import threading
from pathlib import Path

_SLICE_S = 0.1


class Room:
    """Counts bytes on disk. Thread safe."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._lock = threading.Lock()
        self._freed = threading.Condition(self._lock)
        self._ending = False

    def take(self, count: int) -> None:
        """Count bytes that were written."""
        with self._lock:
            self.used += count

    def give_back(self, count: int) -> None:
        """Count bytes that were deleted."""
        with self._lock:
            self.used -= count
            self._freed.notify_all()

    @property
    def full(self) -> bool:
        """Whether the limit is reached."""
        return self.used >= self.limit

    def wait(self) -> bool:
        """Wait until the limit is not reached any more, or the process ends; return whether there is room."""
        with self._lock:
            while self.full and not self._ending:
                self._freed.wait(_SLICE_S)
            return not self.full

    def end_waits(self, ending: bool) -> None:
        """Let nobody wait as long as this is set."""
        self._ending = ending


class Rooms:
    """The rooms of this process, by folder. The first journal of a folder says how large it is."""

    def __init__(self) -> None:
        self._rooms: dict[Path, Room] = {}

    def of(self, folder: Path, limit: int) -> Room:
        """Return the room of a folder."""
        return self._rooms.setdefault(folder, Room(limit))

    def end_waits(self, ending: bool) -> None:
        """Let nobody wait for room as long as this is set."""
        for room in list(self._rooms.values()):
            room.end_waits(ending)

    def after_fork(self) -> None:
        """Forget everything: a forked child has no journal yet."""
        self._rooms = {}


ROOMS = Rooms()
