"""Reads what a worker prints on a thread of its own, so that the worker never waits for it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from runbus.ingest.reading import Reading


class Beside:
    """Hands chunks to a reading, in order, on another thread.

    Args:
        reading: gets them.
        most: bytes that wait; what comes above it is not read, and counted.
        failed: is told once if reading ends with an error: a fault of ours must not reach the worker.
    """

    def __init__(self, reading: Reading, most: int, failed: Callable[[Exception], None]) -> None:
        self._reading = reading
        self._most = most
        self._failed = failed
        self._chunks: deque[bytes | int] = deque()  # a number: so many bytes are missing
        self._waiting = 0
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="runbus-ingest", daemon=True)
        self._thread.start()

    def take(self, chunk: bytes) -> None:
        """Take a chunk, or count it as lost; never waits."""
        with self._changed:
            if self._waiting + len(chunk) <= self._most:
                self._chunks.append(chunk)
                self._waiting += len(chunk)
            elif self._chunks and isinstance(last := self._chunks[-1], int):
                self._chunks[-1] = last + len(chunk)
            else:
                self._chunks.append(len(chunk))
            self._changed.notify()

    def end(self) -> None:
        """Wait until all is read."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        try:
            while (chunk := self._next()) is not None:
                if isinstance(chunk, int):
                    self._reading.lose(chunk)
                else:
                    self._reading.feed(chunk)
            self._reading.end()
        except Exception as error:  # noqa: BLE001 - whatever it is, the worker goes on
            self._failed(error)
            self._most = 0

    def _next(self) -> bytes | int | None:
        with self._changed:
            while not self._chunks and not self._ended:
                self._changed.wait()
            if not self._chunks:
                return None
            chunk = self._chunks.popleft()
            if isinstance(chunk, bytes):
                self._waiting -= len(chunk)
            return chunk
