"""Stores every range of the log exactly once, whichever process dies at whichever moment.

`deliver` is the protocol as numbered steps. It uses api.py only, so tests stop it at every `await` and start a later
owner.

Why it holds. The intent is committed before the insert, under the group's fence, so a range [lo, hi] is fixed for
every later owner: if one dies, the next repeats the range. Repeating is safe because the deduplication token names the
range. It is enough because an answer that may come from the log of tokens alone is never believed: rows are counted.
Missing rows are inserted under `token#number`; the number is in the intent, so two owners never repair under two names.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from runbus.clickhouse.errors import Ambiguous, DataError
from runbus.clickhouse.tables import STEPS
from runbus.config.errors import InvalidValue
from runbus.kafka.commit_metadata import Intent
from runbus.kafka.dead_letter_rate import NONE_YET, DeadLetterRate
from runbus.kafka.model import DeadLetter
from runbus.schemas.avsc import AvroSchema
from runbus.schemas.codec import SchemaRef
from runbus.schemas.errors import RegistryMissing, RegistryUnavailable, UnknownSchema
from runbus.sink import values
from runbus.sink.api import KIND, FramedRecord, Lease, OffsetRange, Route
from runbus.sink.backoff import CAPACITY, STUCK
from runbus.sink.container import Container, Framed
from runbus.sink.context import ProtocolContext, answered, pause, resume, retrying_log
from runbus.sink.schema_group import SchemaGroup

log = logging.getLogger(__name__)
T = TypeVar("T")

# An intent older than this is committed again before an attempt. So an owner that was stopped or cut off for longer
# than a session is fenced while the store still remembers the range's token, and does not act on what it learned since
# (a schema): its successor may have made a dead letter of the record, and a person may have retried that
# (docs/decisions/0009). It is shorter than any session: brokers allow 6 s and more.
FENCE_S = 5.0


class _TooManyDeadLetters(Exception):
    """The dead-letter rate is past a limit."""


async def deliver(
    context: ProtocolContext, lease: Lease, route: Route, offsets: OffsetRange, intent: Intent
) -> DeadLetterRate:
    """Announce one range and store it exactly once.

    On return every record of [lo, hi] is in the target table once, or is a dead letter in the log. That the range is
    done is committed by the next intent, or by `complete`.

    Args:
        context: the log, the store and the limits.
        lease: the ownership.
        route: the tables.
        offsets: the range.
        intent: to announce.

    Returns:
        The dead-letter rate up to `hi`; the next intent carries it.

    Raises:
        Fenced: the partition has another owner.
    """
    delivery = _Delivery(context, lease, route, offsets, intent)
    await delivery.confirm()  # 1. the records are of the topic whose id will be in the token
    await delivery.announce()  # 2. the fenced intent; it also completes the range before
    return await delivery.finish(maybe_stored=intent.overlaps)  # 3. and 4.


async def replay(
    context: ProtocolContext, lease: Lease, route: Route, offsets: OffsetRange, intent: Intent
) -> DeadLetterRate:
    """Store exactly the range that an earlier owner announced: the steps of `deliver` behind the announcement.

    Returns and raises like `deliver`.
    """
    context.metrics.replays += 1
    return await _Delivery(context, lease, route, offsets, intent).finish(maybe_stored=True)


async def complete(context: ProtocolContext, lease: Lease, offset: int, rate: DeadLetterRate = NONE_YET) -> None:
    """Commit `offset` with nothing pending, for a partition that is idle or given away. Raises Fenced."""
    await _commit(context, lease, offset, Intent(lease.source.topic_id, rate=rate))


async def _commit(context: ProtocolContext, lease: Lease, offset: int, intent: Intent) -> None:
    async def commit() -> None:
        began = context.clock.now()
        await lease.commit(offset, intent)
        context.metrics.commits.observe(context.clock.now() - began)

    await retrying_log(context, lease, commit)


@dataclass(slots=True)
class _Delivery:
    """Delivers one range."""

    context: ProtocolContext
    lease: Lease
    route: Route
    offsets: OffsetRange
    intent: Intent
    announced_at: float = 0.0

    @property
    def token(self) -> str:
        """Name of this announcement; with the topic's id, because a re-created topic uses its offsets again."""
        source = self.lease.source
        return f"{source.topic_id}:{source.partition}:{self.offsets.lo}-{self.offsets.hi}:{self.intent.salt}"

    async def confirm(self) -> None:
        await retrying_log(self.context, self.lease, self.lease.confirm)

    async def announce(self) -> None:
        began = self.context.clock.now()  # before the request: the answer may be seen much later
        await _commit(self.context, self.lease, self.offsets.lo, self.intent)
        self.announced_at = began

    async def finish(self, *, maybe_stored: bool) -> DeadLetterRate:
        """Do the steps behind the announcement; return the dead-letter rate up to `hi`."""
        letters, rate = await self.store_all(maybe_stored=maybe_stored)  # 3. store each record that can be, once
        await self.dead_letter(letters)  # 4. log the others before any commit passes them
        metrics, steps = self.context.metrics, self.offsets.steps
        metrics.ranges += 1
        metrics.records += len(self.offsets.records)
        metrics.events += steps
        metrics.steps += steps if self.route.topic == STEPS.topic else 0
        return rate

    async def store_all(self, *, maybe_stored: bool) -> tuple[list[DeadLetter], DeadLetterRate]:
        """Store what can be stored; return the dead letters, and their rate up to `hi`.

        If the rate is past a limit it waits and tries everything again: stored rows are counted first, and a record
        that became readable (the registry knows its schema now) is no dead letter any more.
        """
        attempt = 0
        while True:
            groups, letters = await self._sort()
            for group in groups:
                letters += await self._store_group(group, maybe_stored=maybe_stored or attempt > 0)
            bad = {letter.record.offset for letter in letters}
            read = [record.offset for record in self.offsets.records]
            rate, broken = self.intent.rate.after(read, bad, self.context.limits)
            if not broken:
                break
            attempt += 1
            error = _TooManyDeadLetters(f"{broken}: {letters[-1].error}")
            await pause(self.context, self.lease, "poison", STUCK, attempt, error)
            await self._refresh()
        resume(self.context, self.lease)
        return letters, rate

    async def _sort(self) -> tuple[list[SchemaGroup], list[DeadLetter]]:
        """Return the records by writer schema, and dead letters of those without one.

        A group's token depends on the announcement and on what the framing names, never on the other records: a later
        owner may know more schemas, and retention may have deleted the first records of the range meanwhile.
        """
        writers: dict[SchemaRef, AvroSchema] = {}
        records: dict[SchemaRef, list[FramedRecord]] = {}
        letters: list[DeadLetter] = []
        for record in self.offsets.records:
            known = None if record.ref is None else records.get(record.ref)
            if known is None:
                try:
                    ref, writers[ref] = await self._writer(record)
                except (InvalidValue, UnknownSchema) as error:
                    letters.append(self._letter(record, error))
                    continue
                known = records[ref] = []
            known.append(record)
        return [SchemaGroup(writers[ref], f"{self.token}/{ref}", tuple(records[ref])) for ref in records], letters

    async def _writer(self, record: FramedRecord) -> tuple[SchemaRef, AvroSchema]:
        """Return the reference of a record's schema, and the schema. Raises InvalidValue, UnknownSchema."""
        ref = values.named(record)
        writer = await self._resolve(ref)
        values.expect(self.route, writer)
        return ref, writer

    async def _resolve(self, ref: SchemaRef) -> AvroSchema:
        """Return a schema; wait while the registry does not answer. Raises UnknownSchema, InvalidValue."""
        attempt = 0
        while True:
            attempt += 1
            try:
                writer = await self.context.schemas.resolve(ref)
            except RegistryUnavailable as error:
                await pause(self.context, self.lease, "registry", CAPACITY, attempt, error)
            except RegistryMissing as error:
                # the settings are wrong, not the value: wait until a sink that has a registry takes over
                await pause(self.context, self.lease, "configuration", STUCK, attempt, error)
            else:
                if attempt > 1:
                    resume(self.context, self.lease)
                return writer

    async def _store_group(self, group: SchemaGroup, *, maybe_stored: bool) -> list[DeadLetter]:
        """Insert a group and make sure that its rows are there. Returns dead letters of what cannot be stored.

        1. If rows may be stored already, count: so a replay does not depend on how long the store remembers tokens.
        2. Insert; without an answer, or refused for now, wait and send the same token again. 3. If the token may have
        been sent before, the answer proves nothing: count, and repair.
        """
        letters: list[DeadLetter] = []
        if maybe_stored:
            group, missing, letters = await self._find_missing(group)
            if not missing:
                return letters
        if not self.intent.overlaps:
            group, refused, repeated = await self._insert_group(group)
            letters += refused
            maybe_stored |= repeated
        return letters + (await self._verify(group) if maybe_stored else [])

    async def _insert_group(self, group: SchemaGroup) -> tuple[SchemaGroup, list[DeadLetter], bool]:
        """Insert a group under its token. Returns what was inserted, dead letters, and if the token was repeated."""
        letters: list[DeadLetter] = []
        repeated = False
        while group.records:
            try:
                repeated |= await self._insert(group)
                self.context.metrics.inserted_steps += group.steps if self.route.topic == STEPS.topic else 0
                break
            except DataError as error:
                repeated = True
                group, refused = await self._isolate(group, error)
                letters += refused
        if not repeated:
            self.context.insert_interval.accepted()
        return group, letters, repeated

    async def _insert(self, group: SchemaGroup, part: tuple[AvroSchema, Iterable[Framed]] | None = None) -> bool:
        """Insert until acknowledged. Returns whether it took several attempts, so that the answer proves nothing.

        An insert that takes the store longer than we wait is never acknowledged, however often it is sent. So behind
        an attempt without an answer rows are counted first: the insert is over, too, once all its records are whole.

        Args:
            group: names the token.
            part: values to insert and their schema; None = all of the group.
        """
        writer, framed = part or (group.writer, group.framed())
        source = self.lease.source
        container = Container(writer, source.topic_id, source.partition, framed)
        unanswered = False

        async def insert() -> None:
            nonlocal unanswered
            if unanswered and await self._is_stored(group):
                return
            began = self.context.clock.now()
            try:
                await self.context.store.insert(self.route.landing, container, group.token)
            except Ambiguous:
                unanswered = True
                raise
            self.context.metrics.inserts.observe(self.context.clock.now() - began)

        await self._refresh()
        return (await self._call_store(insert))[1]

    async def _is_stored(self, group: SchemaGroup) -> bool:
        """Return whether every row of a group is stored; False if a record does not say how many it has."""
        try:
            expected = {record.offset: values.rows(self.route, record, group.writer) for record in group.records}
        except InvalidValue:
            return False
        stored = await self._stored_rows()
        return all(stored.get(offset, 0) >= rows for offset, rows in expected.items())

    async def _stored_rows(self) -> dict[int, int]:
        """Return offset -> stored rows, for the range."""
        lo, hi = self.offsets.lo, self.offsets.hi
        return (await self._call_store(partial(self.context.store.rows, self.route, self.lease.source, lo, hi)))[0]

    async def _call_store(self, call: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """Call the store until answered; between attempts an old intent is committed again."""
        return await answered(self.context, self.lease, call, self._refresh)

    async def _refresh(self) -> None:
        if self.context.clock.now() - self.announced_at > FENCE_S:
            await self.announce()

    async def _isolate(self, group: SchemaGroup, error: DataError) -> tuple[SchemaGroup, list[DeadLetter]]:
        """Return the group without the records that do not decode, and dead letters of these.

        If all of them decode, the store's error is not about the data as the wire format defines it: nothing may be
        skipped, so the partition waits and tries again.
        """
        bad = await group.undecodable(self.route)
        if not bad:
            log.error(
                "sink.refused partition=%s token=%s: every value decodes: %s", self.lease.source, group.token, error
            )
            await pause(self.context, self.lease, "refused", STUCK, 5, error)
        return group.without(bad), self._letters(group, bad)

    async def _find_missing(self, group: SchemaGroup) -> tuple[SchemaGroup, dict[int, int], list[DeadLetter]]:
        """Count the stored rows of a group.

        Returns:
            The group without the records that do not say how many rows they have; offset -> stored rows of each
            incomplete record; dead letters of the records that were taken out.
        """
        expected: dict[int, int] = {}
        bad: dict[int, InvalidValue] = {}
        for record in group.records:
            try:
                expected[record.offset] = values.rows(self.route, record, group.writer)
            except InvalidValue as error:
                bad[record.offset] = error
        stored = await self._stored_rows()
        self.context.metrics.verified += 1
        missing = {offset: stored.get(offset, 0) for offset, rows in expected.items() if stored.get(offset, 0) < rows}
        return group.without(bad), missing, self._letters(group, bad)

    async def _verify(self, group: SchemaGroup) -> list[DeadLetter]:
        """Count the rows of each offset and insert the missing ones, until none is. Returns dead letters."""
        repairs, letters = 0, list[DeadLetter]()
        why = "not stored before" if self.intent.overlaps else "acknowledged, but not stored"
        while True:
            group, missing, refused = await self._find_missing(group)
            letters += refused
            if not missing:
                return letters
            if repairs:  # it was acknowledged and is not there: it needs another number, which is committed first
                self.intent = self.intent.again()
                await self.announce()
            repairs += 1
            log.warning(
                "sink.repair partition=%s token=%s repair=%d records=%d: %s",
                self.lease.source,
                group.token,
                self.intent.repair,
                len(missing),
                why,
            )
            self.context.metrics.repairs += 1
            try:
                await self._repair(group, missing)
            except DataError as error:
                group, refused = await self._isolate(group, error)
                letters += refused

    async def _repair(self, group: SchemaGroup, missing: Mapping[int, int]) -> None:
        token = f"{group.token}#{self.intent.repair}"
        whole = group.part(token, [offset for offset, stored in missing.items() if not stored])
        if whole.records:
            await self._insert(whole)
            self.context.metrics.repaired_rows += whole.steps
        for offset, stored in missing.items():
            if stored:
                await self._complete_record(group.part(f"{token}/{offset}", [offset]))

    async def _complete_record(self, group: SchemaGroup) -> None:
        """Insert the missing steps of the only record of a group."""
        (record,) = group.records
        present, _ = await self._call_store(
            partial(self.context.store.sequence, self.route, self.lease.source, record.offset)
        )
        await self._insert(group, values.missing(self.route, record, group.writer, present))
        self.context.metrics.repaired_rows += record.steps - len(present)

    def _letters(self, group: SchemaGroup, bad: Mapping[int, InvalidValue]) -> list[DeadLetter]:
        return [self._letter(record, bad[record.offset]) for record in group.records if record.offset in bad]

    def _letter(self, record: FramedRecord, error: Exception) -> DeadLetter:
        return DeadLetter(KIND, self.lease.source, record.unframed, str(error), record.schema_id)

    async def dead_letter(self, letters: list[DeadLetter]) -> None:
        """Append dead letters to the log. From there they are stored like every other record."""
        for letter in letters:
            log.error(
                "sink.dead_letter partition=%s offset=%d: %s", self.lease.source, letter.record.offset, letter.error
            )
            await retrying_log(self.context, self.lease, partial(self.context.log.dead_letter, letter))
        self.context.metrics.dead_letters += len(letters)
