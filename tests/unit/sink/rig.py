"""A log, a store and owners in memory: what the tests of the protocol have in common."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

from runbus.sink.api import Intent, Position
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
from runbus.sink.poison import NONE_YET
from runbus.sink.protocol import Work, complete, deliver
from runbus.sink.ranges import Backlog, RangeLimits, read
from runbus.sink.routes import ROUTES
from runbus.sink.world import World

MakeValue = Callable[..., bytes]
AT = Position("steps", 3)
STEPS = next(route for route in ROUTES if route.topic == "steps")
LIMITS = RangeLimits(steps=10, seconds=0.0)


class Crash(BaseException):
    """The process dies here; not an Exception, so nothing in the code under test can catch it."""


class Owner(MemoryMember):
    """A member that owns the partition whatever a group says; its commits go straight to the log."""

    def __init__(self, log: MemoryLog) -> None:
        super().__init__(MemoryGroup(log, {}), ManualClock())
        self._lease = log.lease(AT)
        self.commits: list[tuple[int, Intent]] = []

    async def commit(self, position: Position, offset: int, intent: Intent) -> None:
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

    def world(self) -> World:
        """Return what one process has: it shares log and store, not its counters."""
        return World(self.log, self.store, self.schemas, self.clock, rng=random.Random(1))

    def limit_steps(self, steps: int) -> None:
        """Cut ranges of at most that many steps from now on."""
        self.limits = RangeLimits(steps=steps, seconds=0.0)

    def script(self, script: Script) -> None:
        """Put faults into both."""
        self.log.script = self.store.script = script

    async def sink(self, world: World, lease: MemoryLease | None = None) -> None:
        """Be an owner of the partition until everything is stored, as flow.py is."""
        lease = lease or self.log.lease(AT)
        committed = self.log.committed.get(AT)
        intent = committed.intent if committed else None
        pending = intent if intent is not None and intent.pending else None
        lo = committed.offset if committed else 0
        poison = intent.poison if intent else NONE_YET
        backlog = Backlog(self.limits, lo, pending.hi if pending else None)
        for record in self.log.records[AT]:
            backlog.add(record, 0.0)
        while span := backlog.take(1.0):
            poison = await deliver(world, lease, STEPS, Work(span, poison, pending))
            pending, lo = None, span.hi + 1
        await complete(world, lease, lo, poison)

    def stored(self) -> dict[int, int]:
        """Return seq -> number of rows."""
        found: dict[int, int] = {}
        for row, count in self.store.rows_kept.items():
            found[row[4]] = found.get(row[4], 0) + count
        return found


def run(work: Coroutine[Any, Any, object]) -> None:
    """Run one process; a Crash ends it."""
    asyncio.run(work)


def crash_when(operation: str, moment: str) -> Script:
    """Die at each such moment."""

    def script(at: str, when: str) -> None:
        if (at, when) == (operation, moment):
            raise Crash

    return script
