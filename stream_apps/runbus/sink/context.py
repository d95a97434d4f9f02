"""What the protocol acts on, and how it waits: every call is repeated until the other side has answered."""

from __future__ import annotations

import logging
import random
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from runbus.clickhouse.errors import TOO_MANY_PARTS, Ambiguous, Capacity, Configuration, DataError, StoreError
from runbus.kafka.dead_letter_rate import DeadLetterLimits
from runbus.kafka.model import LogUnavailable
from runbus.sink.api import Clock, Lease, Log, SchemaResolver, Store
from runbus.sink.insert_interval import InsertInterval
from runbus.sink.metrics import SinkMetrics
from runbus.sink.retry import AMBIGUOUS, CAPACITY, STUCK, Backoff

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(slots=True)
class ProtocolContext:
    """What the protocol acts on; one per process, shared by all partitions."""

    log: Log
    store: Store
    schemas: SchemaResolver
    clock: Clock
    tally: SinkMetrics = field(default_factory=SinkMetrics)
    poison: DeadLetterLimits = field(default_factory=DeadLetterLimits)
    pace: InsertInterval = field(default_factory=InsertInterval)
    rng: random.Random = field(default_factory=random.SystemRandom)
    new_salt: Callable[[], str] = field(default=lambda: secrets.token_hex(4))


async def retrying_log(world: ProtocolContext, lease: Lease, call: Callable[[], Awaitable[T]]) -> T:
    """Return the call's result; while the log does not answer, ask again. Every such call may be repeated safely."""
    attempt = 0
    while True:
        try:
            result = await call()
        except LogUnavailable as error:
            attempt += 1
            await pause(world, lease, "log", AMBIGUOUS, attempt, error)
        else:
            if attempt:
                resume(world, lease)
            return result


async def retrying_store(world: ProtocolContext, lease: Lease, call: Callable[[], Awaitable[T]]) -> T:
    """Return the call's result; while the store does not answer or refuses, ask again. Raises DataError."""
    result, _ = await answered(world, lease, call)
    return result


async def answered(
    world: ProtocolContext,
    lease: Lease,
    call: Callable[[], Awaitable[T]],
    between: Callable[[], Awaitable[None]] | None = None,
) -> tuple[T, bool]:
    """Return the result of a call to the store, and whether it took several attempts. Raises DataError.

    Args:
        world: for waits and counters.
        lease: whose partition waits meanwhile.
        call: may be repeated safely.
        between: called before each further attempt.
    """
    attempt = 0
    while True:
        try:
            result = await call()
        except DataError:
            world.tally.retries["data"] += 1
            if attempt:
                resume(world, lease)
            raise
        except StoreError as error:
            attempt += 1
            if error.code == TOO_MANY_PARTS:
                world.pace.refused()
            kind, policy = _policy(error)
            await pause(world, lease, kind, policy, attempt, error)
            if between is not None:
                await between()
        else:
            if attempt:
                resume(world, lease)
            return result, attempt > 0


async def pause(
    world: ProtocolContext, lease: Lease, kind: str, policy: Backoff, attempt: int, error: Exception
) -> None:
    """Wait before the next attempt; say why, once per reason and not once per attempt."""
    reason = f"{kind}: {error}"
    world.tally.retries[kind] += 1
    if world.tally.paused.get(lease.position) != reason:
        log.warning("sink.paused partition=%s reason=%s", lease.position, reason)
        world.tally.paused[lease.position] = reason
    await world.clock.sleep(policy.wait(attempt, world.rng))


def resume(world: ProtocolContext, lease: Lease) -> None:
    """Take note that the partition moves again."""
    if world.tally.paused.pop(lease.position, None) is not None:
        log.info("sink.resumed partition=%s", lease.position)


def _policy(error: StoreError) -> tuple[str, Backoff]:
    if isinstance(error, Ambiguous):
        return "ambiguous", AMBIGUOUS
    if isinstance(error, Capacity):
        return "capacity", CAPACITY
    return ("configuration" if isinstance(error, Configuration) else "unknown"), STUCK
