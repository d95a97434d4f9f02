"""Runs retries of one record on tables in memory; they die, stop or meet."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field

from runbus.kafka.model import TopicIdPartition
from runbus.schemas.avsc import schema
from runbus.schemas.batch import StepBatch, encode
from runbus.schemas.codec import Codec
from runbus.sink.api import FramedRecord, Route
from runbus.sink.container import Container
from runbus.sink.dead_letters.eligibility import LetterOrigin
from runbus.sink.dead_letters.retry import RetryContext, store_again
from runbus.sink.memory import LocalSchemas, ManualClock, MemoryStore
from runbus.sink.records import read
from runbus.sink.routes import ROUTES
from tests.support.batches import batch_of_months

STEPS, RUNS = (next(route for route in ROUTES if route.topic == name) for name in ("steps", "runs"))
AT = LetterOrigin("steps", "id-1", 3, 7)


def batch(first: int = 0, count: int = 6) -> StepBatch:
    """Return a batch whose two halves lie in two months: two parts of the table."""
    return batch_of_months(first, count, across=True)


def value(codec: Codec | None = None) -> bytes:
    """Return the framed value of six steps."""
    return (codec or Codec()).frame("steps", schema("StepBatch"), encode(batch()))


EXACT = dict.fromkeys(range(6), 1)


@dataclass
class RetrySetup:
    """Tables that outlive the retries."""

    content: bytes | None = field(default_factory=value)
    store: MemoryStore = field(default_factory=lambda: MemoryStore(ROUTES))
    clock: ManualClock = field(default_factory=ManualClock)
    schemas: LocalSchemas = field(default_factory=LocalSchemas)

    @property
    def record(self) -> FramedRecord:
        """The record, as the table of dead letters has it."""
        return read(AT.offset, b"r/a", self.content, 0, batched=True)

    def context(self, store: MemoryStore | None = None) -> RetryContext:
        """Return what one retry acts on."""
        return RetryContext(store or self.store, self.schemas, self.clock, patience=60.0, rng=random.Random(1))

    def retry(self) -> bool:
        """Be one retry, from its start to its end."""
        return asyncio.run(store_again(self.context(), STEPS, AT.source, self.record))

    def stored(self) -> dict[int, int]:
        """Return seq -> number of rows of the record."""
        found: Counter[int] = Counter()
        for row, count in self.store.rows_kept.items():
            assert row[:4] == (STEPS.target, AT.topic_id, AT.partition, AT.offset)
            found[row[4]] += count
        return {seq: count for seq, count in found.items() if count}

    def tokens(self) -> list[str]:
        """Return the names that were used."""
        return sorted({token for _, token, _ in self.store.tokens})


class Stopping(MemoryStore):
    """Stops a process right before, or right behind, one of its calls to the store."""

    def __init__(self, store: MemoryStore, moment: int) -> None:
        super().__init__(store.routes, store.script, store.rows_kept, store.tokens)
        self.reached, self.awake = asyncio.Event(), asyncio.Event()
        self._store = store
        self._left = moment

    async def insert(self, table: str, container: Container, token: str) -> None:
        """Insert."""
        await self._stop()
        await self._store.insert(table, container, token)  # what is lost is the server's doing, not this process's
        await self._stop()

    async def rows(self, route: Route, partition: TopicIdPartition, lo: int, hi: int) -> dict[int, int]:
        """Count."""
        await self._stop()
        found = await super().rows(route, partition, lo, hi)
        await self._stop()
        return found

    async def sequence(self, route: Route, partition: TopicIdPartition, offset: int) -> set[int]:
        """Read the seq of a record."""
        await self._stop()
        found = await super().sequence(route, partition, offset)
        await self._stop()
        return found

    async def _stop(self) -> None:
        if self._left == 0:
            self.reached.set()
            await self.awake.wait()
        self._left -= 1
