"""Holds the open batch of a stream, and closes it: by size, by age, at the end; an interrupt loses no row of it."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from runbus.config.errors import InvalidValue
from runbus.recorder.counts import StreamCounts


class StreamEnded(InvalidValue):
    """A row came after the end of its stream."""


class Batch(Protocol):
    """What is filled with rows, and published once."""

    count: int
    first_seq: int
    closed_at: float


B = TypeVar("B", bound=Batch)


class BatchedStream(ABC, Generic[B]):
    """Numbers the rows of one stream and publishes them in batches, in order.

    Args:
        counts: of the stream.
        first: the batch to begin with, empty.
        publish: gets each closed batch, under the stream's lock, so that batches stay in order.
    """

    def __init__(self, counts: StreamCounts, first: B, publish: Callable[[B], None]) -> None:
        self.counts = counts
        self.lock = threading.RLock()
        self._open = first
        self._publish = publish
        self._first_seq = 0
        self._ended = False
        self._seen_by_ticker = -1

    @abstractmethod
    def _after(self, batch: B, /) -> B:
        """Complete a batch that is about to be closed, and return the empty one that follows it."""

    @property
    def produced(self) -> int:
        """Rows taken so far: the next seq."""
        with self.lock:
            return self._first_seq + self._open.count

    def close(self) -> None:
        """Publish the open batch, if it has rows."""
        with self.lock:
            batch = self._open
            if batch.count == 0:
                return
            fresh = self._after(batch)
            batch.closed_at = time.monotonic()
            batch.first_seq = self._first_seq
            end, closed = self._first_seq + batch.count, False
            try:  # in one statement without a call: an interrupt comes before all of it, or after
                self._first_seq, self.counts.produced, self._open, closed = end, end, fresh, True
                self._publish(batch)
            except BaseException as error:
                if closed and not isinstance(error, Exception):  # whether it is published cannot be known now;
                    self._publish(batch)  # the courier takes a batch once
                raise

    def end(self) -> None:
        """Publish the open batch and take no more rows: one that still comes raises StreamEnded."""
        with self.lock:
            self.close()
            self._ended = True

    def close_if_old(self) -> None:
        """Publish the open batch if it was already open at the call before. Skips a stream that is busy."""
        if not self.lock.acquire(blocking=False):
            return
        try:
            if self._open.count and self._seen_by_ticker == self._first_seq:
                self.close()
            self._seen_by_ticker = self._first_seq if self._open.count else -1
        finally:
            self.lock.release()
