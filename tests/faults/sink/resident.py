"""The memory of a process, watched from outside (Linux)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tests.support.waiting import until

MIB = 1024 * 1024
_EVERY_S = 0.5


class Resident:
    """Samples of a process's resident memory; bytes over seconds since the first."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self._began = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.samples: list[tuple[float, int]] = []

    @property
    def seconds(self) -> float:
        """How long it has been watched."""
        return time.monotonic() - self._began

    def now(self) -> int:
        """Return bytes."""
        line = next(line for line in self._status.read_text().splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024

    def peak(self) -> int:
        """Return the highest sample."""
        return max(size for _, size in self.samples)

    def slope(self, after: float) -> float:
        """Return bytes a minute: least squares over the samples from `after` seconds on."""
        seconds, sizes = np.array([sample for sample in self.samples if sample[0] >= after]).T
        return float(np.polyfit(seconds / 60, sizes, 1)[0])

    def settles(self, seconds: float) -> None:
        """Return once it has not grown by a MiB for that long."""

        def settled() -> bool:
            now = self.seconds
            recent = [size for at, size in self.samples if at >= now - seconds]
            return now >= seconds and len(recent) > 1 and max(recent) - recent[0] < MIB

        until("its memory settles", settled, 300.0)

    def _run(self) -> None:
        while not self._stop.wait(_EVERY_S):
            self.samples.append((self.seconds, self.now()))

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def end(self) -> None:
        """Watch no longer."""
        self._stop.set()
        self._thread.join()


@contextmanager
def watched(pid: int) -> Iterator[Resident]:
    """Yield the memory of a process that outlives the block."""
    resident = Resident(pid)
    resident.start()
    try:
        yield resident
    finally:
        resident.end()
