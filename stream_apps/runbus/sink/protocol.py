"""The promise: every range of the log is stored once, whoever dies when.

`deliver` is the protocol as numbered steps. It knows a lease, a log, a store and a clock (api.py) and nothing else, so
it can be stopped at every `await` and a later owner can be started: tests do exactly that.

Why it holds. The intent is committed before the insert, under the group's fence, so a range [lo, hi] is fixed for
every owner there will ever be: an owner that dies leaves it, the next one repeats it. Repeating is safe because the
deduplication token names the range, and enough because an answer that may come from the token's log alone is never
believed: rows are counted. What is missing goes in through the repair landing under `token#salt`, and the salt is in
the intent, so two owners cannot repair under two names.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from runbus.clickhouse.errors import Ambiguous, Capacity, Configuration, DataError, StoreError
from runbus.schemas.avsc import AvroSchema, schema
from runbus.schemas.errors import InvalidValue, RegistryMissing, RegistryUnavailable, UnknownSchema
from runbus.sink import values
from runbus.sink.api import (
    Clock,
    DeadLetter,
    Intent,
    Lease,
    Log,
    LogUnavailable,
    Record,
    Route,
    Schemas,
    Span,
    Store,
)
from runbus.sink.container import build
from runbus.sink.retry import AMBIGUOUS, CAPACITY, STUCK, Backoff
from runbus.sink.tally import Tally

log = logging.getLogger(__name__)
T = TypeVar("T")

# An intent older than this is committed again before the next attempt: an owner that was stopped or cut off for longer
# than a session finds out here that it is fenced, while the store still remembers the range's token.
FENCE_S = 20.0


@dataclass(slots=True)
class World:
    """What the protocol acts on; one per process, shared by all partitions."""

    log: Log
    store: Store
    schemas: Schemas
    clock: Clock
    tally: Tally = field(default_factory=Tally)
    rng: random.Random = field(default_factory=random.SystemRandom)
    new_salt: Callable[[], str] = field(default=lambda: secrets.token_hex(4))


@dataclass(slots=True)
class _Group:
    """Records of a range with one writer schema: one insert."""

    writer: AvroSchema
    token: str
    records: list[Record]


async def deliver(world: World, lease: Lease, route: Route, span: Span, pending: Intent | None = None) -> None:
    """Store one range exactly once.

    A normal return promises: every record of [lo, hi] is in the target table once, or is a dead letter that the log
    has. It does not promise that the log knows: the next intent (or `complete`) says so.

    Args:
        world: log, store, clock, counters.
        lease: the partition.
        route: the tables of its topic.
        span: the range; with `pending` it must be exactly what the intent announced.
        pending: the intent that an earlier owner left.

    Raises:
        Fenced: the partition is not ours any more.
    """
    delivery = _Delivery(world, lease, route, span, pending or Intent(lease.topic_id, span.hi, world.new_salt()))
    if pending is None:
        await delivery.confirm()  # 1. the records are of the topic whose id will be in the token
        await delivery.announce()  # 2. the fenced intent; it also completes the range before
    else:
        world.tally.replays += 1
    groups, letters = await delivery.sort()  # 3. what nobody can decode is set apart
    for group in groups:
        # 4. insert, the same token at every attempt; 5. where an answer proves nothing: count, and repair
        letters += await delivery.store(group, doubtful=pending is not None)
    await delivery.bury(letters)  # 6. dead letters are in the log before any commit passes them
    world.tally.ranges += 1
    world.tally.records += len(span.records)
    world.tally.events += span.steps
    world.tally.steps += span.steps if route.batched else 0


async def complete(world: World, lease: Lease, offset: int) -> None:
    """Commit `offset` with nothing pending: what a partition says when it is idle or given away. Raises Fenced."""
    await _commit(world, lease, offset, Intent(lease.topic_id))


async def _commit(world: World, lease: Lease, offset: int, intent: Intent) -> None:
    async def commit() -> None:
        began = world.clock.now()
        await lease.commit(offset, intent)
        world.tally.commits.observe(world.clock.now() - began)

    await retrying_log(world, lease, commit)


async def retrying_log(world: World, lease: Lease, call: Callable[[], Awaitable[T]]) -> T:
    """Return the call's result; while the log does not answer, ask again. Every such call may be repeated safely."""
    attempt = 0
    while True:
        try:
            result = await call()
        except LogUnavailable as error:
            attempt += 1
            await _pause(world, lease, "log", AMBIGUOUS, attempt, error)
        else:
            _resume(world, lease)
            return result


async def _pause(world: World, lease: Lease, kind: str, policy: Backoff, attempt: int, error: Exception) -> None:
    """Wait before the next attempt; say why, once per reason and not once per attempt."""
    reason = f"{kind}: {error}"
    world.tally.retries[kind] += 1
    if world.tally.paused.get(lease.position) != reason:
        log.warning("sink.paused partition=%s reason=%s", lease.position, reason)
        world.tally.paused[lease.position] = reason
    await world.clock.sleep(policy.wait(attempt, world.rng))


def _resume(world: World, lease: Lease) -> None:
    if world.tally.paused.pop(lease.position, None) is not None:
        log.info("sink.resumed partition=%s", lease.position)


@dataclass(slots=True)
class _Delivery:
    """One range on its way."""

    world: World
    lease: Lease
    route: Route
    span: Span
    intent: Intent
    announced_at: float = 0.0

    @property
    def token(self) -> str:
        """Names the range for ever: the topic's id, because a re-created topic uses its offsets again."""
        return f"{self.lease.topic_id}:{self.lease.position.partition}:{self.span.lo}-{self.span.hi}"

    async def confirm(self) -> None:
        await retrying_log(self.world, self.lease, self.lease.confirm)

    async def announce(self) -> None:
        await _commit(self.world, self.lease, self.span.lo, self.intent)
        self.announced_at = self.world.clock.now()

    async def sort(self) -> tuple[list[_Group], list[DeadLetter]]:
        """Return the records by writer schema, and the ones that have none. Waits while no registry can be asked."""
        groups: dict[object, _Group] = {}
        letters: list[DeadLetter] = []
        for record in self.span.records:
            known = groups.get(record.ref)
            if known is None:
                try:
                    writer = await self._writer(record)
                except (InvalidValue, UnknownSchema) as error:
                    letters.append(self._letter(record, error))
                    continue
                token = self.token if not groups else f"{self.token}/{writer.fingerprint.hex()}"
                known = groups[record.ref] = _Group(writer, token, [])
            known.records.append(record)
        return list(groups.values()), letters

    async def _writer(self, record: Record) -> AvroSchema:
        if record.ref is None:
            start = "no value" if not record.value else f"starts with {record.value[:4].hex()}"
            raise InvalidValue(f"neither Avro single-object encoding nor Confluent framing: {start}")
        attempt = 0
        while True:
            try:
                writer = await self.world.schemas.resolve(record.ref)
            except RegistryUnavailable as error:
                attempt += 1
                await _pause(self.world, self.lease, "registry", CAPACITY, attempt, error)
            except RegistryMissing as error:
                # the settings are wrong, not the value: it waits until a sink that has a registry takes over
                attempt += 1
                await _pause(self.world, self.lease, "configuration", STUCK, attempt, error)
            else:
                break
        if writer.name != self.route.schema:
            raise InvalidValue(f"a {writer.name} where a {self.route.schema} is expected")
        return writer

    async def store(self, group: _Group, *, doubtful: bool) -> list[DeadLetter]:
        """Insert a group and see to it that it is there. Returns what turned out to be unstorable."""
        letters: list[DeadLetter] = []
        # Counting first makes a replay independent of how long the store remembers tokens.
        if doubtful and not await self._missing(group, letters):
            return letters
        while group.records:
            try:
                doubtful |= await self._insert(self.route.landing, group.writer, _framed(group.records), group.token)
                if self.route.batched:
                    self.world.tally.inserted_steps += sum(record.steps for record in group.records)
                break
            except DataError as error:
                doubtful = True
                await self._set_apart(group, letters, error)
        if doubtful:
            await self._verify(group, letters)
        return letters

    async def _insert(
        self, table: str, writer: AvroSchema, framed: Iterable[tuple[int, bytes, int]], token: str
    ) -> bool:
        """Insert until acknowledged. Returns whether the acknowledgement is in doubt (it took several attempts)."""
        container = build(writer, self.lease.topic_id, self.lease.position.partition, framed)

        async def insert() -> None:
            began = self.world.clock.now()
            await self.world.store.insert(table, container, token)
            self.world.tally.inserts.observe(self.world.clock.now() - began)

        return await self._persist(insert)

    async def _persist(self, call: Callable[[], Awaitable[None]]) -> bool:
        """Repeat a call to the store until answered; returns whether it took several. DataError is the caller's."""
        attempt = 0
        while True:
            try:
                await call()
            except DataError:
                self.world.tally.retries["data"] += 1
                raise
            except StoreError as error:
                attempt += 1
                await self._back_off(error, attempt)
            else:
                _resume(self.world, self.lease)
                return attempt > 0

    async def _back_off(self, error: StoreError, attempt: int) -> None:
        kind, policy = _policy(error)
        await _pause(self.world, self.lease, kind, policy, attempt, error)
        if self.world.clock.now() - self.announced_at > FENCE_S:
            await self.announce()

    async def _set_apart(self, group: _Group, letters: list[DeadLetter], error: DataError) -> None:
        """Move the records that do not decode from the group to the letters.

        Where every one of them decodes, the store's complaint is not about the data as the wire format defines it:
        nothing may be skipped, so the partition waits and asks again.
        """
        bad = await _undecodable(self.route, group)
        if not bad:
            log.error(
                "sink.refused partition=%s token=%s: every value decodes: %s", self.lease.position, group.token, error
            )
            await _pause(self.world, self.lease, "refused", STUCK, 5, error)
            return
        self._remove(group, bad, letters)

    def _remove(self, group: _Group, bad: dict[int, InvalidValue], letters: list[DeadLetter]) -> None:
        letters += [self._letter(record, bad[record.offset]) for record in group.records if record.offset in bad]
        group.records = [record for record in group.records if record.offset not in bad]

    async def _missing(self, group: _Group, letters: list[DeadLetter]) -> dict[int, int]:
        """Return offset -> rows that are stored, for each record of the group that is not complete."""
        expected: dict[int, int] = {}
        bad: dict[int, InvalidValue] = {}
        for record in group.records:
            try:
                expected[record.offset] = values.rows(self.route, record, group.writer)
            except InvalidValue as error:
                bad[record.offset] = error
        self._remove(group, bad, letters)
        stored: dict[int, int] = {}

        async def count() -> None:
            stored.update(await self.world.store.rows(self.route, self.lease, self.span.lo, self.span.hi))

        await self._persist(count)
        self.world.tally.verified += 1
        return {offset: stored.get(offset, 0) for offset, rows in expected.items() if stored.get(offset, 0) < rows}

    async def _verify(self, group: _Group, letters: list[DeadLetter]) -> None:
        """Count the rows of each offset; insert what is missing through the repair landing, until nothing is."""
        repairs = 0
        while missing := await self._missing(group, letters):
            if repairs:  # the repair itself was acknowledged and is not there: it needs another, agreed, name
                self.intent = self.intent.resalted(self.world.new_salt())
                await self.announce()
            repairs += 1
            log.warning(
                "sink.repair partition=%s token=%s salt=%s records=%d: acknowledged, but not stored",
                *(self.lease.position, group.token, self.intent.salt, len(missing)),
            )
            self.world.tally.repairs += 1
            await self._repair(group, missing)

    async def _repair(self, group: _Group, missing: dict[int, int]) -> None:
        token = f"{group.token}#{self.intent.salt}"
        whole = [record for record in group.records if missing.get(record.offset) == 0]
        if whole:
            await self._insert(self.route.repair, group.writer, _framed(whole), token)
            self.world.tally.repaired_rows += sum(record.steps for record in whole)
        for record in group.records:
            if missing.get(record.offset):
                await self._complete_record(group, record, f"{token}/{record.offset}")

    async def _complete_record(self, group: _Group, record: Record, token: str) -> None:
        """Insert the steps of a record of which only some are stored."""
        present: set[int] = set()

        async def read() -> None:
            present.update(await self.world.store.sequence(self.route, self.lease, record.offset))

        await self._persist(read)
        pieces = values.without(record, group.writer, present)
        framed = [(record.offset, piece, 0) for piece in pieces]
        await self._insert(self.route.repair, schema(self.route.schema), framed, token)
        self.world.tally.repaired_rows += record.steps - len(present)

    def _letter(self, record: Record, error: Exception) -> DeadLetter:
        at = self.lease.position
        return DeadLetter(at.topic, self.lease.topic_id, at.partition, record, str(error), _schema_id(record))

    async def bury(self, letters: list[DeadLetter]) -> None:
        """Write the dead letters to the log, then to the store."""
        for letter in letters:
            log.error(
                "sink.dead_letter partition=%s offset=%d: %s", self.lease.position, letter.record.offset, letter.error
            )
            await retrying_log(self.world, self.lease, partial(self.world.log.dead_letter, letter))
        if letters:
            await self._persist(lambda: self.world.store.record_dead_letters(letters))
            self.world.tally.dead_letters += len(letters)


def _framed(records: list[Record]) -> Iterable[tuple[int, bytes, int]]:
    return ((record.offset, record.value or b"", record.start) for record in records)


def _schema_id(record: Record) -> str:
    return "" if record.ref is None else str(record.ref)


async def _undecodable(route: Route, group: _Group) -> dict[int, InvalidValue]:
    """Return offset -> why, for each record that does not decode; lets others run between records."""
    bad: dict[int, InvalidValue] = {}
    for record in group.records:
        try:
            values.check(route, record, group.writer)
        except InvalidValue as error:
            bad[record.offset] = error
        await asyncio.sleep(0)
    return bad


def _policy(error: StoreError) -> tuple[str, Backoff]:
    if isinstance(error, Ambiguous):
        return "ambiguous", AMBIGUOUS
    if isinstance(error, Capacity):
        return "capacity", CAPACITY
    return ("configuration" if isinstance(error, Configuration) else "unknown"), STUCK
