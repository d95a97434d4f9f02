"""Runs owners on a log and a store in memory, for the tests of the protocol."""

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.secret import Secret
from runbus.kafka.commit_metadata import Committed, Intent
from runbus.kafka.dead_letter_rate import NONE_YET, DeadLetterRate
from runbus.kafka.model import TopicIdPartition, TopicPartition
from runbus.kafka.settings import KafkaSettings
from runbus.sink.api import Lease, OffsetRange, Route
from runbus.sink.context import ProtocolContext
from runbus.sink.memory import (
    LocalSchemas,
    ManualClock,
    MemoryGroup,
    MemoryLease,
    MemoryLog,
    MemoryMember,
    MemoryStore,
    Script,
)
from runbus.sink.protocol import complete, deliver, replay
from runbus.sink.ranges import Backlog, RangeLimits
from runbus.sink.records import read
from runbus.sink.routes import ROUTES
from runbus.sink.settings import SinkSettings

MakeValue = Callable[..., bytes]
AT = TopicPartition("steps", 3)
SOURCE = TopicIdPartition("steps", "id-1", 3)
STEPS = next(route for route in ROUTES if route.topic == "steps")
LIMITS = RangeLimits(steps=10, seconds=0.0)


SETTINGS = SinkSettings(
    kafka=KafkaSettings("memory:1"),
    clickhouse=ClickHouseSettings("http://memory", "u", Secret(""), "d"),
    group="sink",
    limits=RangeLimits(steps=10_000, seconds=0.02, most_seconds=0.02),
)


class Crash(BaseException):
    """The process dies here; not an Exception, so nothing in the code under test can catch it."""


class Positions:
    """What the group committed and what the log has."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self.bounds = log.bounds

    async def committed(self, positions: Sequence[TopicPartition]) -> dict[TopicPartition, Committed | None]:
        """Return what the group committed for each partition."""
        return await self._log.offsets(positions)


class Owner(MemoryMember):
    """A member that owns the partition whatever a group says; its commits go straight to the log."""

    def __init__(self, log: MemoryLog) -> None:
        super().__init__(MemoryGroup(log, {}), ManualClock())
        self._lease = log.lease(AT)
        self.commits: list[tuple[int, Intent]] = []

    async def commit(self, position: TopicPartition, offset: int, intent: Intent) -> None:
        """Commit, and remember it."""
        assert position == AT
        await self._lease.commit(offset, intent)
        self.commits.append((offset, intent))


class SinkSetup:
    """A log, a store and sinks that come and go."""

    def __init__(self, values: list[bytes | None]) -> None:
        self.log, self.store, self.clock = MemoryLog(), MemoryStore(ROUTES), ManualClock()
        self.schemas = LocalSchemas()
        self.limits = LIMITS
        self.log.records[AT] = [read(i, b"k", value, 0, batched=True) for i, value in enumerate(values)]

    def context(self) -> ProtocolContext:
        """Return what one process has: it shares log and store, not its counters."""
        return ProtocolContext(self.log, self.store, self.schemas, self.clock, rng=random.Random(1))

    def limit_steps(self, steps: int) -> None:
        """Cut ranges of at most that many steps from now on."""
        self.limits = RangeLimits(steps=steps, seconds=0.0)

    def script(self, script: Script) -> None:
        """Put faults into both."""
        self.log.script = self.store.script = script

    async def sink(self, context: ProtocolContext, lease: MemoryLease | None = None) -> None:
        """Be an owner of the partition until everything is stored, as flow.py is."""
        lease = lease or self.log.lease(AT)
        committed = self.log.committed.get(AT)
        intent = committed.intent if committed else None
        pending = intent if intent is not None and intent.pending else None
        lo = committed.offset if committed else 0
        rate = intent.rate if intent else NONE_YET
        backlog = Backlog(self.limits, lo, pending.hi if pending else None)
        for record in self.log.records[AT]:
            backlog.add(record, 0.0)
        while offsets := backlog.take(1.0):
            if pending is not None:
                rate = await replay(context, lease, STEPS, offsets, pending)
            else:
                rate = await first_delivery(context, lease, STEPS, offsets, rate)
            pending, lo = None, offsets.hi + 1
        await complete(context, lease, lo, rate)

    def stored(self) -> dict[int, int]:
        """Return seq -> number of rows."""
        found: dict[int, int] = {}
        for row, count in self.store.rows_kept.items():
            found[row[4]] = found.get(row[4], 0) + count
        return found


async def first_delivery(
    context: ProtocolContext, lease: Lease, route: Route, offsets: OffsetRange, rate: DeadLetterRate = NONE_YET
) -> DeadLetterRate:
    """Deliver a range that was not announced before."""
    return await deliver(
        context, lease, route, offsets, Intent(lease.source.topic_id, offsets.hi, context.new_salt(), rate)
    )


def run(work: Coroutine[Any, Any, object]) -> None:
    """Run one process; a Crash ends it."""
    asyncio.run(work)


def crash_when(operation: str, moment: str) -> Script:
    """Die at each such moment."""

    def script(at: str, when: str) -> None:
        if (at, when) == (operation, moment):
            raise Crash

    return script
