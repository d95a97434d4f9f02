"""Stores the record of a dead letter at its own position, exactly once.

Why it holds (docs/decisions/0009). The sink's group has committed past the offset, so only retries insert it any more.
They cannot talk to each other, but they agree on names: the first attempt at a record has the token
`topic-id:partition:offset#retry-1`. A retry uses the next number if the store acknowledged the number before and does
not have the rows. Such a store has the token without the rows and never takes it again. So a late retry with an old
number adds nothing, and two retries with the same number add the rows once.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from runbus.clickhouse.errors import Ambiguous, Capacity, StoreError
from runbus.kafka.model import TopicIdPartition
from runbus.sink import values
from runbus.sink.api import Clock, FramedRecord, Route, SchemaResolver, Store
from runbus.sink.backoff import AMBIGUOUS, CAPACITY
from runbus.sink.container import Container

T = TypeVar("T")

#: Seconds that one letter waits for a store that does not answer, or refuses for now.
PATIENCE_S = 60.0


@dataclass(slots=True)
class RetryContext:
    """The store and the schemas that retries use.

    Attributes:
        store: the tables.
        schemas: that are known now.
        clock: for waits.
        patience: seconds that one letter waits at most.
        rng: for the jitter of waits.
    """

    store: Store
    schemas: SchemaResolver
    clock: Clock
    patience: float = PATIENCE_S
    rng: random.Random = field(default_factory=random.SystemRandom)


async def store_again(context: RetryContext, route: Route, source: TopicIdPartition, record: FramedRecord) -> bool:
    """Store the record of a dead letter; return whether rows were missing before.

    May be stopped anywhere and called again, by several processes at once. The caller has made sure that no sink will
    ever insert this offset (eligibility.py).

    Args:
        context: the store and the schemas.
        route: the tables of its topic.
        source: the partition that it was in.
        record: with its offset there.

    Raises:
        InvalidValue, UnknownSchema: it still cannot be read.
        RegistryMissing, RegistryUnavailable: its schema cannot be looked up.
        StoreError: Ambiguous or Capacity if the patience has ended, DataError if the store refuses this record. After
            any of them the same call can be made again.
    """
    writer = await context.schemas.resolve(values.named(record))
    values.expect(route, writer)
    values.check(route, record, writer)
    rows, give_up_at = values.rows(route, record, writer), context.clock.now() + context.patience

    async def ask(call: Callable[[], Awaitable[T]]) -> T:
        return await _answered(context, give_up_at, call)

    attempts = 0
    while (stored := await ask(partial(_rows, context.store, route, source, record.offset))) < rows:
        attempts += 1
        present = await ask(partial(context.store.sequence, route, source, record.offset)) if stored else set[int]()
        of, framed = values.missing(route, record, writer, present)
        container = Container(of, source.topic_id, source.partition, framed)
        await ask(partial(context.store.insert, route.landing, container, token(source, record.offset, attempts)))
    return attempts > 0


def token(source: TopicIdPartition, offset: int, attempt: int) -> str:
    """Return the token of an attempt at one record, the same in every process."""
    return f"{source.topic_id}:{source.partition}:{offset}#retry-{attempt}"


async def _rows(store: Store, route: Route, source: TopicIdPartition, offset: int) -> int:
    return (await store.rows(route, source, offset, offset)).get(offset, 0)


async def _answered(context: RetryContext, give_up_at: float, call: Callable[[], Awaitable[T]]) -> T:
    """Return the result of a call; without an answer, or refused for now, repeat it while there is time.

    The time is checked before each call: a process that was stopped must not act on what it read before, because the
    store forgets a token after some thousand inserts.
    """
    attempt, last = 0, StoreError("no time was left; nothing was lost, the same retry can be made again")
    while (left := give_up_at - context.clock.now()) > 0:
        try:
            return await call()
        except (Ambiguous, Capacity) as error:
            attempt, last = attempt + 1, error
        policy = AMBIGUOUS if isinstance(last, Ambiguous) else CAPACITY
        await context.clock.sleep(min(left, policy.wait(attempt, context.rng)))
    raise last
