"""The promise: every range of the log is stored once, whoever dies when.

`deliver` is the protocol as numbered steps. It knows a lease, a log, a store and a clock (api.py) and nothing else, so
it can be stopped at every `await` and a later owner can be started: tests do exactly that.

Why it holds. The intent is committed before the insert, under the group's fence, so a range [lo, hi] is fixed for
every owner there will ever be: an owner that dies leaves it, the next one repeats it. Repeating is safe because the
deduplication token names the range, and enough because an answer that may come from the token's log alone is never
believed: rows are counted. What is missing goes in through the repair landing under `token#number`, and the number is
in the intent, so two owners cannot repair under two names.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from runbus.clickhouse.errors import Ambiguous, DataError
from runbus.schemas.avsc import AvroSchema
from runbus.schemas.codec import SchemaRef
from runbus.schemas.errors import InvalidValue, RegistryMissing, RegistryUnavailable, UnknownSchema
from runbus.sink import values
from runbus.sink.api import DeadLetter, Intent, Lease, Record, Route, Span
from runbus.sink.container import Container, Framed
from runbus.sink.context import ProtocolContext, answered, pause, resume, retrying_log
from runbus.sink.poison import NONE_YET, Poison
from runbus.sink.retry import CAPACITY, STUCK

log = logging.getLogger(__name__)
T = TypeVar("T")

# An intent older than this is committed again before an attempt: an owner that was stopped or cut off for longer than a
# session finds out here that it is fenced, while the store still remembers the range's token. And what it learned since
# (a schema) it does not act on: its successor may have made a dead letter of the record, and a person may have retried
# that (docs/decisions/0009). So it is shorter than any session: brokers allow 6 s and more.
FENCE_S = 5.0


class _TooMuch(Exception):
    """Too many values cannot be stored."""


@dataclass(slots=True)
class _Group:
    """Records of a range with one writer schema: one insert."""

    writer: AvroSchema
    token: str
    records: list[Record]


@dataclass(frozen=True, slots=True)
class Work:
    """One range to store.

    Attributes:
        span: the range; with `pending` it must be exactly what the intent announced.
        poison: what the records before it were like.
        pending: the intent that an earlier owner left.
        overlaps: rows of it were stored under other ranges; see Intent.
    """

    span: Span
    poison: Poison = NONE_YET
    pending: Intent | None = None
    overlaps: bool = False

    def intent(self, topic_id: str, salt: str) -> Intent:
        """Return what to announce, or what was announced."""
        return self.pending or Intent(topic_id, self.span.hi, salt, self.poison, self.overlaps)


async def deliver(world: ProtocolContext, lease: Lease, route: Route, work: Work) -> Poison:
    """Store one range exactly once.

    A normal return promises: every record of [lo, hi] is in the target table once, or is a dead letter that the log
    has. It does not promise that the log knows: the next intent (or `complete`) says so.

    Returns:
        What the records up to `hi` are like; the next intent carries it.

    Raises:
        Fenced: the partition is not ours any more.
    """
    span, intent = work.span, work.intent(lease.topic_id, world.new_salt())
    delivery = _Delivery(world, lease, route, span, intent)
    doubtful = work.pending is not None or intent.overlaps
    if work.pending is None:
        await delivery.confirm()  # 1. the records are of the topic whose id will be in the token
        await delivery.announce()  # 2. the fenced intent; it also completes the range before
    else:
        world.tally.replays += 1
    letters, poison = await delivery.settle(doubtful=doubtful)  # 3. each record that can be stored is stored, once
    await delivery.bury(letters)  # 4. the others are dead letters, in the log before any commit passes them
    world.tally.ranges += 1
    world.tally.records += len(span.records)
    world.tally.events += span.steps
    world.tally.steps += span.steps if route.batched else 0
    return poison


async def complete(world: ProtocolContext, lease: Lease, offset: int, poison: Poison = NONE_YET) -> None:
    """Commit `offset` with nothing pending: what a partition says when it is idle or given away. Raises Fenced."""
    await _commit(world, lease, offset, Intent(lease.topic_id, poison=poison))


async def _commit(world: ProtocolContext, lease: Lease, offset: int, intent: Intent) -> None:
    async def commit() -> None:
        began = world.clock.now()
        await lease.commit(offset, intent)
        world.tally.commits.observe(world.clock.now() - began)

    await retrying_log(world, lease, commit)


@dataclass(slots=True)
class _Delivery:
    """One range on its way."""

    world: ProtocolContext
    lease: Lease
    route: Route
    span: Span
    intent: Intent
    announced_at: float = 0.0

    @property
    def token(self) -> str:
        """Names this announcement for ever; with the topic's id, because a re-created topic uses its offsets again."""
        at = self.lease.position
        return f"{self.lease.topic_id}:{at.partition}:{self.span.lo}-{self.span.hi}:{self.intent.salt}"

    async def confirm(self) -> None:
        await retrying_log(self.world, self.lease, self.lease.confirm)

    async def announce(self) -> None:
        began = self.world.clock.now()  # not when the answer was seen: that may be much later
        await _commit(self.world, self.lease, self.span.lo, self.intent)
        self.announced_at = began

    async def settle(self, *, doubtful: bool) -> tuple[list[DeadLetter], Poison]:
        """Store what can be stored; return the rest, and what the records up to `hi` are like.

        Where too much cannot be stored it waits, and tries all of it again: what was stored is counted first, and what
        was mended meanwhile (a schema that the registry knows now) is no dead letter any more.
        """
        attempt = 0
        while True:
            letters = await self._place(doubtful=doubtful or attempt > 0)
            bad = {letter.record.offset for letter in letters}
            offsets = [record.offset for record in self.span.records]
            poison, broken = self.intent.poison.after(offsets, bad, self.world.poison)
            if not broken:
                break
            attempt += 1
            await pause(self.world, self.lease, "poison", STUCK, attempt, _TooMuch(f"{broken}: {letters[-1].error}"))
            await self._refresh()
        resume(self.world, self.lease)
        return letters, poison

    async def _place(self, *, doubtful: bool) -> list[DeadLetter]:
        groups, letters = await self._sort()
        for group in groups:
            letters += await self._store(group, doubtful=doubtful)
        return letters

    async def _sort(self) -> tuple[list[_Group], list[DeadLetter]]:
        """Return the records by what their framing names, and the ones that nobody can read.

        A group's token depends on nothing but the range, so that every owner sends the same records under it, also one
        that knows more schemas: the first schema that the range names has the range's own token.
        """
        groups: dict[SchemaRef, _Group] = {}
        letters: list[DeadLetter] = []
        first = next((record.ref for record in self.span.records if record.ref is not None), None)
        for record in self.span.records:
            known = None if record.ref is None else groups.get(record.ref)
            if known is None:
                try:
                    ref, writer = await self._writer(record)
                except (InvalidValue, UnknownSchema) as error:
                    letters.append(self._letter(record, error))
                    continue
                token = self.token if record.ref == first else f"{self.token}/{record.ref}"
                known = groups[ref] = _Group(writer, token, [])
            known.records.append(record)
        return list(groups.values()), letters

    async def _writer(self, record: Record) -> tuple[SchemaRef, AvroSchema]:
        """Return what the record's framing names, and that schema. Raises InvalidValue, UnknownSchema."""
        ref = values.named(record)
        writer = await self._resolve(ref)
        values.expect(self.route, writer)
        return ref, writer

    async def _resolve(self, ref: SchemaRef) -> AvroSchema:
        """Return the schema; waits while no registry can be asked. Raises UnknownSchema, InvalidValue."""
        attempt = 0
        while True:
            attempt += 1
            try:
                writer = await self.world.schemas.resolve(ref)
            except RegistryUnavailable as error:
                await pause(self.world, self.lease, "registry", CAPACITY, attempt, error)
            except RegistryMissing as error:
                # the settings are wrong, not the value: it waits until a sink that has a registry takes over
                await pause(self.world, self.lease, "configuration", STUCK, attempt, error)
            else:
                if attempt > 1:
                    resume(self.world, self.lease)
                return writer

    async def _store(self, group: _Group, *, doubtful: bool) -> list[DeadLetter]:
        """Insert a group and see to it that it is there. Returns what turned out to be unstorable.

        1. Where rows may be there already, count: this makes a replay independent of how long the store remembers
        tokens. 2. Insert; no answer, or "not now": wait, and send the same token again. 3. Where the answer proves
        nothing, because the token was ever sent before: count, and repair.
        """
        letters: list[DeadLetter] = []
        if doubtful and not await self._missing(group, letters):
            return letters
        if not self.intent.overlaps:
            doubtful |= await self._land(group, letters)
        if doubtful:
            await self._verify(group, letters)
        return letters

    async def _land(self, group: _Group, letters: list[DeadLetter]) -> bool:
        """Insert a group under its token. Returns whether it took more than one attempt."""
        several = False
        while group.records:
            try:
                framed = _framed(group.records)
                several |= await self._insert(self.route.landing, group.writer, framed, group.token, group.records)
                if self.route.batched:
                    self.world.tally.inserted_steps += sum(record.steps for record in group.records)
                break
            except DataError as error:
                several = True
                await self._set_apart(group, letters, error)
        if not several:
            self.world.pace.accepted()
        return several

    async def _insert(
        self, table: str, writer: AvroSchema, framed: Iterable[Framed], token: str, records: Sequence[Record]
    ) -> bool:
        """Insert until acknowledged. Returns whether the acknowledgement is in doubt (it took several attempts).

        An insert that takes the store longer than we wait is never acknowledged, however often it is sent. So behind
        an attempt without an answer rows are counted first: it is over, too, once all of `records` are whole.
        """
        container = Container(writer, self.lease.topic_id, self.lease.position.partition, framed)
        unanswered = False

        async def insert() -> None:
            nonlocal unanswered
            if unanswered and await self._has(writer, records):
                return
            began = self.world.clock.now()
            try:
                await self.world.store.insert(table, container, token)
            except Ambiguous:
                unanswered = True
                raise
            self.world.tally.inserts.observe(self.world.clock.now() - began)

        await self._refresh()
        return (await self._ask(insert))[1]

    async def _has(self, writer: AvroSchema, records: Sequence[Record]) -> bool:
        """Return whether every row of some records is stored; a record that does not say how many it has is not."""
        try:
            expected = {record.offset: values.rows(self.route, record, writer) for record in records}
        except InvalidValue:
            return False
        stored = await self._count()
        return all(stored.get(offset, 0) >= rows for offset, rows in expected.items())

    async def _count(self) -> dict[int, int]:
        """Return offset -> stored rows, of the range."""
        return (await self._ask(partial(self.world.store.rows, self.route, self.lease, self.span.lo, self.span.hi)))[0]

    async def _ask(self, call: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """Call the store until answered; an intent that has grown old meanwhile is committed again."""
        return await answered(self.world, self.lease, call, self._refresh)

    async def _refresh(self) -> None:
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
            await pause(self.world, self.lease, "refused", STUCK, 5, error)
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
        stored = await self._count()
        self.world.tally.verified += 1
        return {offset: stored.get(offset, 0) for offset, rows in expected.items() if stored.get(offset, 0) < rows}

    async def _verify(self, group: _Group, letters: list[DeadLetter]) -> None:
        """Count the rows of each offset; insert what is missing through the repair landing, until nothing is."""
        repairs = 0
        why = "not stored before" if self.intent.overlaps else "acknowledged, but not stored"
        while missing := await self._missing(group, letters):
            if repairs:  # the repair itself was acknowledged and is not there: it needs another, agreed, name
                self.intent = self.intent.again()
                await self.announce()
            repairs += 1
            log.warning(
                "sink.repair partition=%s token=%s repair=%d records=%d: %s",
                *(self.lease.position, group.token, self.intent.repair, len(missing), why),
            )
            self.world.tally.repairs += 1
            try:
                await self._repair(group, missing)
            except DataError as error:
                await self._set_apart(group, letters, error)

    async def _repair(self, group: _Group, missing: dict[int, int]) -> None:
        token = f"{group.token}#{self.intent.repair}"
        whole = [record for record in group.records if missing.get(record.offset) == 0]
        if whole:
            await self._insert(self.route.repair, group.writer, _framed(whole), token, whole)
            self.world.tally.repaired_rows += sum(record.steps for record in whole)
        for record in group.records:
            if missing.get(record.offset):
                await self._complete_record(group, record, f"{token}/{record.offset}")

    async def _complete_record(self, group: _Group, record: Record, token: str) -> None:
        """Insert the steps of a record of which only some are stored."""
        present, _ = await self._ask(partial(self.world.store.sequence, self.route, self.lease, record.offset))
        writer, framed = values.missing(self.route, record, group.writer, present)
        await self._insert(self.route.repair, writer, framed, token, [record])
        self.world.tally.repaired_rows += record.steps - len(present)

    def _letter(self, record: Record, error: Exception) -> DeadLetter:
        at = self.lease.position
        return DeadLetter(at.topic, self.lease.topic_id, at.partition, record, str(error), _schema_id(record))

    async def bury(self, letters: list[DeadLetter]) -> None:
        """Write the dead letters to the log. From there they are stored like every other record."""
        for letter in letters:
            log.error(
                "sink.dead_letter partition=%s offset=%d: %s", self.lease.position, letter.record.offset, letter.error
            )
            await retrying_log(self.world, self.lease, partial(self.world.log.dead_letter, letter))
        self.world.tally.dead_letters += len(letters)


def _framed(records: list[Record]) -> Iterable[Framed]:
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
