"""Cuts the records of a partition into ranges: up to a number of steps, of bytes, of seconds, of schemas.

A range may hold several writer schemas, each an insert of its own under the one intent: if recorders of two
versions write to one partition in turn, a cut at each change would make every record a commit and an insert.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from runbus.config import catalogue as c
from runbus.config.setting import of
from runbus.schemas.codec import SchemaRef
from runbus.sink.api import FramedRecord, OffsetRange
from runbus.sink.insert_interval import InsertInterval

#: below ClickHouse's max_insert_block_size (1,048,449): the landing's rows stay one block
MAX_RECORDS = 500_000
#: Inserts behind one intent. Few versions write at the same time; more names are mostly no schemas at all.
MAX_SCHEMAS = 8


@dataclass(frozen=True, slots=True)
class RangeLimits:
    """A range closes when one of these is reached; `seconds` to `most_seconds` is its insert interval."""

    steps: int = of(c.SINK_RANGE_STEPS)
    bytes: int = of(c.SINK_RANGE_MB)
    seconds: float = of(c.SINK_RANGE_SECONDS)
    most_seconds: float = of(c.SINK_RANGE_SECONDS_MAX)


@dataclass(slots=True)
class _Open:
    """The range that still grows."""

    count: int = 0
    steps: int = 0
    bytes: int = 0
    schemas: set[SchemaRef] = field(default_factory=set)
    newest: SchemaRef | None = None

    def add(self, record: FramedRecord) -> None:
        self.count += 1
        self.steps += record.steps
        self.bytes += record.size
        if record.ref is not None and record.ref is not self.newest:  # mostly the same as before
            self.newest = record.ref
            self.schemas.add(record.ref)


class Backlog:
    """Holds the records of one partition that were read and are in no range yet, and cuts them into ranges.

    Args:
        limits: when a range is full.
        lo: the next offset to store.
        pending: last offset of a range that an earlier owner announced: the first range is exactly [lo, pending].
        insert_interval: how long a range grows; shared by all partitions of a process. Default: the limits' own.
    """

    def __init__(
        self, limits: RangeLimits, lo: int, pending: int | None = None, insert_interval: InsertInterval | None = None
    ) -> None:
        self._limits = limits
        self._insert_interval = insert_interval or InsertInterval(limits.seconds, limits.most_seconds)
        self._taken_at = -math.inf
        self._pending = pending
        self._records: deque[tuple[FramedRecord, float]] = deque()
        self._closed: deque[int] = deque()  # numbers of records of the ranges that are complete
        self._open = _Open()
        self.lo = lo
        self.next_offset = lo
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._records)

    def reached(self, offset: int) -> None:
        """Note that everything readable below `offset` was read.

        Offsets of transaction markers and of aborted records are never delivered, so the last record alone does not
        say how far the log was read.
        """
        self.next_offset = max(self.next_offset, offset)
        if self._pending is None:
            self._skip_unreadable()

    def _skip_unreadable(self) -> None:
        """Let the next range begin at the next offset that may hold a record, if nothing waits."""
        if not self._records:
            self.lo = self.next_offset

    @property
    def oldest_ms(self) -> int | None:
        """Timestamp of the oldest waiting record."""
        return self._records[0][0].timestamp_ms if self._records else None

    def add(self, record: FramedRecord, now: float) -> bool:
        """Keep a record. Returns False for one that is here already (read again after a resume)."""
        if record.offset < self.next_offset:
            return False
        if self._ends_before(record):
            self._closed.append(self._open.count)
            self._open = _Open()
        self._records.append((record, now))
        self._open.add(record)
        self.next_offset = record.offset + 1
        self.bytes += record.size
        return True

    def take(self, now: float) -> OffsetRange | None:
        """Return the next range once it is full, old enough, or followed by one schema too many."""
        if self._pending is not None:
            return self._take_pending(self._pending)
        if self._closed:
            self._taken_at = now
            return self._take(self._closed.popleft())
        due = self.due()
        if due is None or now < due:
            return None
        self._taken_at = now
        count, self._open = self._open.count, _Open()
        return self._take(count)

    def due(self) -> float | None:
        """Return the time at which `take` has a range even if nothing more is read; None = nothing waits."""
        if self._pending is not None or not self._records:
            return None
        return self._insert_interval.due(self._records[0][1], self._taken_at)

    def _ends_before(self, record: FramedRecord) -> bool:
        if self._pending is not None and not self._closed:  # announced: its end is fixed, whatever the limits
            return record.offset > self._pending
        part = self._open
        if not part.count:
            return False
        full = (
            part.steps + record.steps > self._limits.steps
            or part.bytes + record.size > self._limits.bytes
            or part.count >= MAX_RECORDS
        )
        return full or (len(part.schemas) >= MAX_SCHEMAS and record.ref is not None and record.ref not in part.schemas)

    def _take_pending(self, hi: int) -> OffsetRange | None:
        """Return the announced range once all of it was read. Compaction may have removed `hi` itself."""
        if self.next_offset <= hi:
            return None
        self._pending = None
        if not self._closed:
            self._closed.append(self._open.count)
            self._open = _Open()
        return self._take(self._closed.popleft(), hi)

    def _take(self, count: int, hi: int | None = None) -> OffsetRange:
        records = tuple(self._records.popleft()[0] for _ in range(count))
        self.bytes -= sum(record.size for record in records)
        taken = OffsetRange(self.lo, records[-1].offset if hi is None else hi, records)
        self.lo = taken.hi + 1
        self._skip_unreadable()
        return taken


def consecutive(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return ascending numbers as ranges (first, last) of consecutive ones."""
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found
