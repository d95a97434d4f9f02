"""Hashes files beside the loop: on a thread that is there only while something waits."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from runbus.config.deadline import Deadline
from runbus.recorder.file_reference import FileReference, hashed, located

log = logging.getLogger(__name__)

#: so many wait at most; what is more is handed on without a hash
MAX_WAITING = 10_000

#: gets a reference, and why it has no hash although it could have one ("" = it has)
Found = Callable[[FileReference, str], None]


class Hashing:
    """Hands on a reference to each file once it is hashed, in the order in which they came. Never raises."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[_Job] = deque()
        self._now: _Job | None = None  # is hashed, and not given up
        self._busy = False
        self._thread: threading.Thread | None = None

    def add(self, given: str | PathLike[str], found: Found) -> None:
        """Hand on the reference to a path or URI: at once if it is not on this machine, else from the thread."""
        reference, path = located(given)
        if path is None:
            found(reference, "")
        elif not self._queued(_Job(reference, path, found)):
            found(reference, f"{MAX_WAITING} files wait to be hashed")

    def _queued(self, job: _Job) -> bool:
        with self._changed:
            if len(self._waiting) >= MAX_WAITING:
                return False
            self._waiting.append(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="runbus-hashing", daemon=True)
                self._thread.start()
            return True

    def _run(self) -> None:
        while (job := self._next()) is not None:
            reference, why = job.hash()
            with self._changed:
                given_up, self._now = self._now is not job, None
            if not given_up:
                job.hand_on(reference, why)
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _next(self) -> _Job | None:
        with self._changed:
            if not self._waiting:
                self._thread = None
                return None
            self._busy = True
            self._now = self._waiting.popleft()
            return self._now

    def wait(self, timeout: float) -> bool:
        """Wait until everything was handed on; return whether it was within `timeout` seconds."""
        deadline = Deadline.after(timeout, time.monotonic())
        with self._changed:
            while self._waiting or self._busy:
                left = deadline.remaining(time.monotonic())
                if not left:
                    return False
                self._changed.wait(left)
        return True

    def give_up(self) -> None:
        """Hand on what is not hashed yet without a hash."""
        with self._changed:
            jobs = [*([self._now] if self._now is not None else ()), *self._waiting]
            self._now = None
            self._waiting.clear()
        for job in jobs:
            job.hand_on(job.reference, "the recorder was closed before it was hashed")


@dataclass(frozen=True, eq=False)
class _Job:
    reference: FileReference
    path: Path
    found: Found

    def hash(self) -> tuple[FileReference, str]:
        """Return the reference with size and hash; or as it is, and why."""
        try:
            return hashed(self.reference, self.path), ""
        except Exception as error:  # noqa: BLE001 - the disk's, or a file that changes
            return self.reference, str(error)

    def hand_on(self, reference: FileReference, why: str) -> None:
        """Tell who asked; whatever that does, the next ones are hashed."""
        try:
            self.found(reference, why)
        except Exception:
            log.exception("recording %s failed", reference.uri)
