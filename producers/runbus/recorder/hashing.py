"""Hashes files beside the loop: on a thread that is there only while something waits."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from os import PathLike
from pathlib import Path

from runbus.config.deadline import Deadline
from runbus.recorder.file_reference import FileReference, hashed, located

#: so many wait at most; what is more is handed on without a hash
MAX_WAITING = 10_000

#: gets a reference, and why it has no hash although it could have one ("" = it has)
Found = Callable[[FileReference, str], None]


class Hashing:
    """Hands on a reference to each file once it is hashed, in the order in which they came. Never raises.

    A forked child has nothing of what its parent waits for.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[tuple[FileReference, Path, Found]] = deque()
        self._busy = False
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()

    def add(self, given: str | PathLike[str], found: Found) -> None:
        """Hand on the reference to a path or URI: at once if it is not on this machine, else from the thread."""
        reference, path = located(given)
        if path is None:
            found(reference, "")
        elif not self._queued(reference, path, found):
            found(reference, f"{MAX_WAITING} files wait to be hashed")

    def _queued(self, reference: FileReference, path: Path, found: Found) -> bool:
        self._forget_the_parents()
        with self._changed:
            if len(self._waiting) >= MAX_WAITING:
                return False
            self._waiting.append((reference, path, found))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="runbus-hashing", daemon=True)
                self._thread.start()
            return True

    def _forget_the_parents(self) -> None:
        if self._pid != os.getpid():
            self.__init__()  # type: ignore[misc] # the lock may be held by a thread that is not here

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._thread = None
                    self._changed.notify_all()
                    return
                self._busy = True
                reference, path, found = self._waiting.popleft()
            why = ""
            try:
                reference = hashed(reference, path)
            except Exception as error:  # noqa: BLE001 - the disk's, or a file that changes
                why = str(error)
            found(reference, why)
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def wait(self, timeout: float) -> bool:
        """Wait until everything was handed on; return whether it was within `timeout` seconds."""
        if self._pid != os.getpid():
            return True
        deadline = Deadline.after(timeout, time.monotonic())
        with self._changed:
            while self._waiting or self._busy:
                left = deadline.remaining(time.monotonic())
                if not left:
                    return False
                self._changed.wait(left)
        return True

    def give_up(self) -> None:
        """Hand on what still waits without a hash."""
        while self._pid == os.getpid():
            with self._changed:
                if not self._waiting:
                    return
                reference, _, found = self._waiting.popleft()
            found(reference, "the recorder was closed before it was hashed")
