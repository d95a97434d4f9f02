"""Stores the log in a database as the sink does, up to a cut: the sink's own protocol, without its group.

Nobody else writes to the database and a rebuild that dies begins anew, so nothing has to be announced: the lease's
commits go nowhere. A record that cannot be stored is counted, and not put into `dead-letters` again.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from confluent_kafka import Message

from runbus.audit.interval_set import IntervalSet
from runbus.config.errors import RunBusError
from runbus.config.progress import OnProgress
from runbus.kafka.commit_metadata import Intent
from runbus.kafka.dead_letter_rate import DeadLetterLimits
from runbus.kafka.model import DeadLetter, TopicIdPartition, TopicPartition
from runbus.kafka.threads import in_thread
from runbus.kafka.topic_log import TopicLog, headers_of, record_position
from runbus.schemas.codec import Codec
from runbus.sink.api import FramedRecord, OffsetRange, Route
from runbus.sink.context import ProtocolContext
from runbus.sink.process import CodecSchemas
from runbus.sink.protocol import deliver
from runbus.sink.ranges import Backlog, RangeLimits
from runbus.sink.records import framed
from runbus.sink.store import ClickHouseStore

#: All records may be dead letters: the sink has judged them already.
_ANY = DeadLetterLimits(run=0, share=1.0)
_PATIENCE_S = 120.0  # waits without an insert in between; a server that starts again needs less


@dataclass(slots=True)
class Loaded:
    """One partition that was stored again.

    Attributes:
        source: the partition.
        first: first offset that the log has.
        cut: the offsets [first, cut) were stored again.
        records: the offsets among them that have a record.
        refused: how many of these cannot be stored.
    """

    source: TopicIdPartition
    first: int
    cut: int
    records: IntervalSet = field(default_factory=IntervalSet)
    refused: int = 0


class _NoGroup:
    """A lease that nobody else wants; see sink.api.Lease."""

    def __init__(self, source: TopicIdPartition) -> None:
        self.source = source

    async def commit(self, offset: int, intent: Intent) -> None:
        """Nothing has to be kept."""

    async def confirm(self) -> None:
        """The topic is looked at once, at the end."""


class _Letters:
    """Counts dead letters; see sink.api.Log."""

    def __init__(self) -> None:
        self.count = 0

    async def dead_letter(self, letter: DeadLetter) -> None:  # noqa: ARG002 - the contract's
        """Count one."""
        self.count += 1


class _Patient:
    """Waits, but not for ever: a command ends and says why; see sink.api.Clock."""

    def __init__(self) -> None:
        self.context: ProtocolContext | None = None
        self._waited = 0.0
        self._inserts = 0

    def now(self) -> float:
        """Return monotonic seconds."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait. Raises RunBusError if nothing was stored for long."""
        assert self.context is not None
        if self.context.metrics.ranges != self._inserts:
            self._inserts, self._waited = self.context.metrics.ranges, 0.0
        self._waited += seconds
        if self._waited > _PATIENCE_S:
            reasons = "; ".join(self.context.metrics.paused.values())
            raise RunBusError(f"the rebuild cannot go on: {reasons}")
        await asyncio.sleep(seconds)


class Loader:
    """Stores topics in one database.

    Args:
        store: of that database.
        codec: of the values.
        limits: of a range.
        on_progress: takes how many offsets are stored.
    """

    def __init__(self, store: ClickHouseStore, codec: Codec, limits: RangeLimits, on_progress: OnProgress) -> None:
        clock = _Patient()
        self._letters = _Letters()
        self._context = ProtocolContext(self._letters, store, CodecSchemas(codec), clock, limits=_ANY)
        clock.context = self._context
        self._limits = limits
        self._on_progress = on_progress

    async def load(self, log: TopicLog, route: Route, partition: int, cut: int) -> Loaded:
        """Store the records of a partition below `cut`.

        The next range is read while one is stored. Raises RunBusError, LogShrank.
        """
        first, _ = log.bounds(partition)
        source = TopicIdPartition(log.name, log.id, partition)
        done = Loaded(source, min(first, cut), cut)
        before = self._letters.count
        ranges = self._ranges(log, route, done)
        reading = asyncio.create_task(_next(ranges))
        try:
            while (offsets := await reading) is not None:
                reading = asyncio.create_task(_next(ranges))
                intent = Intent(log.id, offsets.hi, self._context.new_salt())
                await deliver(self._context, _NoGroup(source), route, offsets, intent)
                work = f"storing {log.name}:{partition} again"
                self._on_progress(work, min(offsets.hi + 1, cut) - done.first, cut - done.first, "records")
        finally:
            await asyncio.gather(reading, return_exceptions=True)  # a thread ends before its consumer does
        done.refused = self._letters.count - before
        return done

    def _ranges(self, log: TopicLog, route: Route, done: Loaded) -> Iterator[OffsetRange]:
        """Cut the records into ranges, as the sink does: by steps and bytes, not by time."""
        backlog = Backlog(self._limits, done.first)
        at = done.source.position
        for message in log.walk(at.partition, done.first).below(done.cut):
            record = _framed(at, message, route)
            done.records.add(record.offset, record.offset)
            backlog.add(record, now=1.0)
            if (offsets := backlog.take(0.0)) is not None:
                yield offsets
        while (offsets := backlog.take(math.inf)) is not None:
            yield offsets


async def _next(ranges: Iterator[OffsetRange]) -> OffsetRange | None:
    return await in_thread(lambda: next(ranges, None), "runbus-rebuild")


def _framed(at: TopicPartition, message: Message, route: Route) -> FramedRecord:
    offset, key, value, time_ms = record_position(message)[1], message.key(), message.value(), message.timestamp()[1]
    return framed(route, at, offset, key, value, time_ms, lambda: headers_of(message))
