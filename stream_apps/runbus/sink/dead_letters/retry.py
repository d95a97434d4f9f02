"""Store the value of a dead letter at the position that it had, exactly once.

Why it holds (docs/decisions/0009). The sink's group has committed past the offset, so no sink inserts it any more; only
retries do. They cannot talk to each other, but they agree on names: the first attempt at a record has the token
`topic-id:partition:offset#retry-1`, and the next number is used by whoever saw that the store acknowledged the one
before and does not have the rows. Such a store has the token without the rows and will never take it again, so whoever
comes late with an old number adds nothing, and two who use the same number add it once.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from runbus.clickhouse.errors import Ambiguous, Capacity, StoreError
from runbus.sink import values
from runbus.sink.api import Clock, FramedRecord, Route, SchemaResolver, Source, Store
from runbus.sink.container import Container
from runbus.sink.retry import AMBIGUOUS, CAPACITY

T = TypeVar("T")

#: A command answers: how long one letter waits for a store that is away, or refuses for now.
PATIENCE_S = 60.0


@dataclass(slots=True)
class RetryContext:
    """What a retry acts on.

    Attributes:
        store: the tables.
        schemas: as they are known now.
        clock: for waits.
        patience: seconds that one letter waits at the most.
        rng: for the jitter of waits.
    """

    store: Store
    schemas: SchemaResolver
    clock: Clock
    patience: float = PATIENCE_S
    rng: random.Random = field(default_factory=random.SystemRandom)


async def store_again(context: RetryContext, route: Route, source: Source, record: FramedRecord) -> bool:
    """Store a record of which a dead letter tells; return whether rows of it were missing before.

    May be stopped anywhere and called again, by several at once. The caller has made sure that no sink will ever
    insert this offset (gate.py).

    Args:
        context: what it acts on.
        route: the tables of its topic.
        source: its partition, of the topic that it was in.
        record: with the offset that it had.

    Raises:
        InvalidValue, UnknownSchema: it still cannot be read.
        RegistryMissing, RegistryUnavailable: nobody can say whether it can be read.
        StoreError: Ambiguous or Capacity where the patience has ended, DataError where the store refuses this record;
            whatever it is, the same call can be made again.
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
        container = Container(of, source.topic_id, source.position.partition, framed)
        await ask(partial(context.store.insert, route.landing, container, token(source, record.offset, attempts)))
    return attempts > 0


def token(source: Source, offset: int, attempt: int) -> str:
    """Return the name of an attempt at one record, the same for everybody who makes it."""
    return f"{source.topic_id}:{source.position.partition}:{offset}#retry-{attempt}"


async def _rows(store: Store, route: Route, source: Source, offset: int) -> int:
    return (await store.rows(route, source, offset, offset)).get(offset, 0)


async def _answered(context: RetryContext, give_up_at: float, call: Callable[[], Awaitable[T]]) -> T:
    """Return the call's result; where no answer comes, or "not now", make the same call again while there is time.

    The time is looked at before each call: a process that was stopped must not act on what it saw before. The store
    forgets a token after some thousand inserts.
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
