"""Repeats the protocol's calls to log and store until they are answered, and says why a partition waits."""

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
from runbus.sink.backoff import AMBIGUOUS, CAPACITY, STUCK, Backoff
from runbus.sink.insert_interval import InsertInterval
from runbus.sink.metrics import SinkMetrics

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(slots=True)
class ProtocolContext:
    """The log, the store and the limits that the protocol works with; one per process, shared by all partitions."""

    log: Log
    store: Store
    schemas: SchemaResolver
    clock: Clock
    metrics: SinkMetrics = field(default_factory=SinkMetrics)
    limits: DeadLetterLimits = field(default_factory=DeadLetterLimits)
    insert_interval: InsertInterval = field(default_factory=InsertInterval)
    rng: random.Random = field(default_factory=random.SystemRandom)
    new_salt: Callable[[], str] = field(default=lambda: secrets.token_hex(4))


async def retrying_log(context: ProtocolContext, lease: Lease, call: Callable[[], Awaitable[T]]) -> T:
    """Return the result of a call that can be repeated safely; repeat it while the log does not answer."""
    attempt = 0
    while True:
        try:
            result = await call()
        except LogUnavailable as error:
            attempt += 1
            await pause(context, lease, "log", AMBIGUOUS, attempt, error)
        else:
            if attempt:
                resume(context, lease)
            return result


async def retrying_store(context: ProtocolContext, lease: Lease, call: Callable[[], Awaitable[T]]) -> T:
    """Return the result of a call that can be repeated safely; repeat it until the store takes it. Raises DataError."""
    result, _ = await answered(context, lease, call)
    return result


async def answered(
    context: ProtocolContext,
    lease: Lease,
    call: Callable[[], Awaitable[T]],
    between: Callable[[], Awaitable[None]] | None = None,
) -> tuple[T, bool]:
    """Return the result of a call to the store, and whether it took more than one attempt. Raises DataError.

    Args:
        context: for waits and counters.
        lease: of the partition that waits meanwhile.
        call: can be repeated safely.
        between: called before each further attempt.
    """
    attempt = 0
    while True:
        try:
            result = await call()
        except DataError:
            context.metrics.retries["data"] += 1
            if attempt:
                resume(context, lease)
            raise
        except StoreError as error:
            attempt += 1
            if error.code == TOO_MANY_PARTS:
                context.insert_interval.refused()
            kind, policy = _policy(error)
            await pause(context, lease, kind, policy, attempt, error)
            if between is not None:
                await between()
        else:
            if attempt:
                resume(context, lease)
            return result, attempt > 0


async def pause(
    context: ProtocolContext, lease: Lease, kind: str, policy: Backoff, attempt: int, error: Exception
) -> None:
    """Wait before the next attempt; log a reason once, not at each attempt."""
    reason = f"{kind}: {error}"
    context.metrics.retries[kind] += 1
    if context.metrics.paused.get(lease.source.position) != reason:
        log.warning("sink.paused partition=%s reason=%s", lease.source.position, reason)
        context.metrics.paused[lease.source.position] = reason
    await context.clock.sleep(policy.wait(attempt, context.rng))


def resume(context: ProtocolContext, lease: Lease) -> None:
    """Note that the partition goes on."""
    if context.metrics.paused.pop(lease.source.position, None) is not None:
        log.info("sink.resumed partition=%s", lease.source.position)


def _policy(error: StoreError) -> tuple[str, Backoff]:
    if isinstance(error, Ambiguous):
        return "ambiguous", AMBIGUOUS
    if isinstance(error, Capacity):
        return "capacity", CAPACITY
    return ("configuration" if isinstance(error, Configuration) else "unknown"), STUCK
