"""Remembers which rows the courier's queue had no room for, and fetches them from the journals in their order."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from runbus.recorder.counts import Kept, StreamCounts
from runbus.recorder.events import StepsRecorded

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Stretch:
    """Rows [first, end) of a stream that lie in its journal and in no queue."""

    counts: StreamCounts
    journal: Kept
    first: int
    end: int
    oldest: float
    events: int = 1
    reader: Iterator[StepsRecorded] | None = None


@dataclass(slots=True)
class Fetched:
    """What was fetched.

    Attributes:
        batches: in their order.
        events: how many events of the queue are done with, because their stretch has ended.
        lost: (stream, first row, rows) that the journal does not have any more.
    """

    batches: list[StepsRecorded] = field(default_factory=list)
    events: int = 0
    lost: list[tuple[StreamCounts, int, int]] = field(default_factory=list)


class Spilled:
    """Stretches by stream, the oldest first. Publishers add; the courier's thread fetches."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_stream: dict[int, deque[_Stretch]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_stream)

    def add(self, event: StepsRecorded) -> None:
        """Remember a batch that its journal has; those of a stream come in their order."""
        assert event.journal is not None, "only its journal has it"
        end = event.first_seq + event.count
        with self._lock:
            stretches = self._by_stream.setdefault(id(event.counts), deque())
            last = stretches[-1] if stretches else None
            if last is not None and last.end == event.first_seq:
                last.end, last.events = end, last.events + 1
            else:
                stretches.append(_Stretch(event.counts, event.journal, event.first_seq, end, event.closed_at))

    @property
    def oldest(self) -> float | None:
        """When the oldest of these batches was closed, monotonic seconds."""
        with self._lock:
            return min((stretches[0].oldest for stretches in self._by_stream.values()), default=None)

    def fetch(self, limit: int, before: StepsRecorded | None = None) -> Fetched:
        """Return the next batches, at most `limit`: those of its stream before a batch, or of any stream."""
        found = Fetched()
        with self._lock:
            if before is None:
                stretches = next(iter(self._by_stream.values()), None)
            else:
                stretches = self._by_stream.get(id(before.counts))
            if stretches is None or (before is not None and stretches[0].first >= before.first_seq):
                return found
            stretch = stretches[0]
        while len(found.batches) < limit and not self._ended(stretch, found):
            batch = self._next(stretch)
            if batch is None:
                end = self._end(stretch)
                found.lost.append((stretch.counts, stretch.first, end - stretch.first))
                stretch.first = end
                continue
            if batch.first_seq > stretch.first:
                found.lost.append((stretch.counts, stretch.first, batch.first_seq - stretch.first))
            stretch.first = batch.first_seq + batch.count
            found.batches.append(batch)
        return found

    def _ended(self, stretch: _Stretch, found: Fetched) -> bool:
        with self._lock:
            if stretch.first < stretch.end:
                return False
            stretches = self._by_stream[id(stretch.counts)]
            stretches.popleft()
            if not stretches:
                del self._by_stream[id(stretch.counts)]
            found.events += stretch.events
            return True

    def _end(self, stretch: _Stretch) -> int:
        with self._lock:
            return stretch.end

    def _next(self, stretch: _Stretch) -> StepsRecorded | None:
        """Return the next batch; None if the journal has none of the stretch."""
        for again in (False, True):
            if again or stretch.reader is None:  # a reader ends at what was there when it opened its last segment
                stretch.reader = stretch.journal.read(stretch.counts, stretch.first)
            try:
                batch = next(stretch.reader, None)
            except OSError as error:
                log.warning("the journal of %s cannot be read: %s", stretch.counts.id, error)
                batch = None
            if batch is not None and batch.first_seq < self._end(stretch):
                return batch
        return None
