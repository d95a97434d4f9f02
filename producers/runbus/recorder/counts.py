"""Counts what a stream recorded, and what became of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from runbus.kafka.model import StreamId
from runbus.kafka.topics import STEPS, Topic

if TYPE_CHECKING:
    from runbus.recorder.events import StepsRecorded


class Kept(Protocol):
    """The journal of a stream's steps, as the courier uses it: see journal/journal.py."""

    def delivered(self, first: int, count: int, partition: int, offset: int) -> None:
        """Note that Kafka has rows."""

    def given_up(self, first: int, count: int) -> None:
        """Note that rows were dropped."""

    def read(self, counts: StreamCounts, first: int) -> Iterator[StepsRecorded]:
        """Yield the batches from row `first` on."""

    def sync(self) -> None:
        """Ask the disk to have what was written, if it is time."""

    def remove(self) -> None:
        """Delete it: Kafka has all of the stream."""

    def stats(self) -> dict[str, int]:
        """Return its counts."""


class StreamCounts:
    """Counts the rows of a stream: produced, delivered, dropped.

    Counts only grow. Thread safe; no other lock is taken under its lock.

    Args:
        id_: of the stream; a recorder's steps and its metrics have the same one.
        topic: which of the two it counts.

    Attributes:
        journal: has its rows until they are delivered; None = memory alone.
    """

    def __init__(self, id_: StreamId, topic: Topic = STEPS) -> None:
        self.id = id_
        self.topic = topic
        self.produced = 0  # written by the stream when it closes a batch: rows that were published or given up
        self._dropped = 0
        self._delivered = 0
        self._left_out: dict[str, int] = {}
        self.journal: Kept | None = None
        self._lock = threading.Lock()

    def drop(self, count: int) -> None:
        """Count rows that were given up."""
        with self._lock:
            self._dropped += count

    def deliver(self, count: int) -> None:
        """Count rows that Kafka acknowledged."""
        with self._lock:
            self._delivered += count

    def leave_out(self, part: str, count: int = 1) -> None:
        """Count values of a part (`observation`, `info`, ...) that their rows had to leave out."""
        with self._lock:
            self._left_out[part] = self._left_out.get(part, 0) + count

    @property
    def left_out(self) -> dict[str, int]:
        """Values that their rows had to leave out so far, by part."""
        with self._lock:
            return dict(self._left_out)

    @property
    def dropped(self) -> int:
        """Rows that were given up so far."""
        return self._dropped

    @property
    def delivered(self) -> int:
        """Rows that Kafka acknowledged so far."""
        return self._delivered

    @property
    def ended(self) -> tuple[int, int]:
        """Rows delivered and dropped, both of one moment."""
        with self._lock:
            return self._delivered, self._dropped

    @property
    def in_flight(self) -> int:
        """Published rows that are neither delivered nor dropped yet."""
        with self._lock:
            return self.produced - self._dropped - self._delivered
