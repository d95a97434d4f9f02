"""The promise: every range of the log is stored once, whoever dies when.

`deliver` is the protocol as numbered steps. It knows a lease, a log, a store and a clock (api.py) and nothing else, so
it can be stopped at every `await` and a later owner can be started: tests do exactly that.

Why it holds. The intent is committed before the insert, under the group's fence, so a range [lo, hi] is fixed for
every owner there will ever be: an owner that dies leaves it, the next one repeats it. Repeating is safe because the
deduplication token names the range, and enough because an answer that may come from the token's log alone is never
believed: rows are counted. What is missing goes in under `token#number`, and the number is in the intent, so two owners
cannot repair under two names.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from runbus.clickhouse.errors import Ambiguous, DataError
from runbus.config.errors import InvalidValue
from runbus.kafka.commit_metadata import Intent
from runbus.kafka.dead_letter_rate import NONE_YET, DeadLetterRate
from runbus.kafka.model import DeadLetter, TopicIdPartition
from runbus.schemas.avsc import AvroSchema
from runbus.schemas.codec import SchemaRef
from runbus.schemas.errors import RegistryMissing, RegistryUnavailable, UnknownSchema
from runbus.sink import values
from runbus.sink.api import KIND, FramedRecord, Lease, OffsetRange, Route
from runbus.sink.container import Container, Framed
from runbus.sink.context import ProtocolContext, answered, pause, resume, retrying_log
from runbus.sink.retry import CAPACITY, STUCK
from runbus.sink.schema_group import SchemaGroup

log = logging.getLogger(__name__)
T = TypeVar("T")

# An intent older than this is committed again before an attempt: an owner that was stopped or cut off for longer than a
# session finds out here that it is fenced, while the store still remembers the range's token. And what it learned since
# (a schema) it does not act on: its successor may have made a dead letter of the record, and a person may have retried
# that (docs/decisions/0009). So it is shorter than any session: brokers allow 6 s and more.
FENCE_S = 5.0


class _TooMuch(Exception):
    """Too many values cannot be stored."""


async def deliver(
    world: ProtocolContext, lease: Lease, route: Route, offsets: OffsetRange, intent: Intent
) -> DeadLetterRate:
    """Announce one range and store it exactly once.

    A normal return promises: every record of [lo, hi] is in the target table once, or is a dead letter that the log
    has. It does not promise that the log knows: the next intent (or `complete`) says so.

    Args:
        world: what it acts on.
        lease: the ownership.
        route: the tables.
        offsets: the range.
        intent: what to announce of it.

    Returns:
        What the records up to `hi` are like; the next intent carries it.

    Raises:
        Fenced: the partition is not ours any more.
    """
    delivery = _Delivery(world, lease, route, offsets, intent)
    await delivery.confirm()  # 1. the records are of the topic whose id will be in the token
    await delivery.announce()  # 2. the fenced intent; it also completes the range before
    return await delivery.finish(doubtful=intent.overlaps)  # 3. and 4.


async def replay(
    world: ProtocolContext, lease: Lease, route: Route, offsets: OffsetRange, intent: Intent
) -> DeadLetterRate:
    """Store the range that an earlier owner announced: the steps of `deliver` behind its announcement.

    The range is exactly what `intent` says. Returns and raises like `deliver`.
    """
    world.tally.replays += 1
    return await _Delivery(world, lease, route, offsets, intent).finish(doubtful=True)


async def complete(world: ProtocolContext, lease: Lease, offset: int, poison: DeadLetterRate = NONE_YET) -> None:
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
    offsets: OffsetRange
    intent: Intent
    announced_at: float = 0.0

    @property
    def token(self) -> str:
        """Names this announcement for ever; with the topic's id, because a re-created topic uses its offsets again."""
        at = self.lease.position
        return f"{self.lease.topic_id}:{at.partition}:{self.offsets.lo}-{self.offsets.hi}:{self.intent.salt}"

    async def confirm(self) -> None:
        await retrying_log(self.world, self.lease, self.lease.confirm)

    async def announce(self) -> None:
        began = self.world.clock.now()  # not when the answer was seen: that may be much later
        await _commit(self.world, self.lease, self.offsets.lo, self.intent)
        self.announced_at = began

    async def finish(self, *, doubtful: bool) -> DeadLetterRate:
        """Do the steps behind the announcement, and count the range; return what its records are like."""
        letters, poison = await self.settle(doubtful=doubtful)  # 3. each record that can be stored is stored, once
        await self.dead_letter(letters)  # 4. the others are dead letters, in the log before any commit passes them
        tally, steps = self.world.tally, self.offsets.steps
        tally.ranges += 1
        tally.records += len(self.offsets.records)
        tally.events += steps
        tally.steps += steps if self.route.batched else 0
        return poison

    async def settle(self, *, doubtful: bool) -> tuple[list[DeadLetter], DeadLetterRate]:
        """Store what can be stored; return the rest, and what the records up to `hi` are like.

        Where too much cannot be stored it waits, and tries all of it again: what was stored is counted first, and what
        was mended meanwhile (a schema that the registry knows now) is no dead letter any more.
        """
        attempt = 0
        while True:
            letters = await self._place(doubtful=doubtful or attempt > 0)
            bad = {letter.record.offset for letter in letters}
            read = [record.offset for record in self.offsets.records]
            poison, broken = self.intent.poison.after(read, bad, self.world.poison)
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

    async def _sort(self) -> tuple[list[SchemaGroup], list[DeadLetter]]:
        """Return the records by what their framing names, and the ones that nobody can read.

        A group's token depends on nothing but the range, so that every owner sends the same records under it, also one
        that knows more schemas: the first schema that the range names has the range's own token.
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
        return [SchemaGroup(writers[ref], self._token_of(ref), tuple(records[ref])) for ref in records], letters

    def _token_of(self, ref: SchemaRef) -> str:
        first = next((record.ref for record in self.offsets.records if record.ref is not None), None)
        return self.token if ref == first else f"{self.token}/{ref}"

    async def _writer(self, record: FramedRecord) -> tuple[SchemaRef, AvroSchema]:
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

    async def _store(self, group: SchemaGroup, *, doubtful: bool) -> list[DeadLetter]:
        """Insert a group and see to it that it is there. Returns what turned out to be unstorable.

        1. Where rows may be there already, count: this makes a replay independent of how long the store remembers
        tokens. 2. Insert; no answer, or "not now": wait, and send the same token again. 3. Where the answer proves
        nothing, because the token was ever sent before: count, and repair.
        """
        letters: list[DeadLetter] = []
        if doubtful:
            group, missing, letters = await self._incomplete(group)
            if not missing:
                return letters
        if not self.intent.overlaps:
            group, refused, several = await self._land(group)
            letters += refused
            doubtful |= several
        return letters + (await self._verify(group) if doubtful else [])

    async def _land(self, group: SchemaGroup) -> tuple[SchemaGroup, list[DeadLetter], bool]:
        """Insert a group under its token. Returns what is left of it, the rest, and if it took several attempts."""
        letters: list[DeadLetter] = []
        several = False
        while group.records:
            try:
                several |= await self._insert(group)
                self.world.tally.inserted_steps += group.steps if self.route.batched else 0
                break
            except DataError as error:
                several = True
                group, refused = await self._isolate(group, error)
                letters += refused
        if not several:
            self.world.pace.accepted()
        return group, letters, several

    async def _insert(self, group: SchemaGroup, part: tuple[AvroSchema, Iterable[Framed]] | None = None) -> bool:
        """Insert until acknowledged. Returns whether the acknowledgement is in doubt (it took several attempts).

        An insert that takes the store longer than we wait is never acknowledged, however often it is sent. So behind
        an attempt without an answer rows are counted first: it is over, too, once all its records are whole.

        Args:
            group: whose token it is.
            part: what to insert of it, and the schema of that; None = all of it.
        """
        writer, framed = part or (group.writer, group.framed())
        container = Container(writer, self.lease.topic_id, self.lease.position.partition, framed)
        unanswered = False

        async def insert() -> None:
            nonlocal unanswered
            if unanswered and await self._has(group):
                return
            began = self.world.clock.now()
            try:
                await self.world.store.insert(self.route.landing, container, group.token)
            except Ambiguous:
                unanswered = True
                raise
            self.world.tally.inserts.observe(self.world.clock.now() - began)

        await self._refresh()
        return (await self._ask(insert))[1]

    async def _has(self, group: SchemaGroup) -> bool:
        """Return whether every row of a group is stored; a record that does not say how many it has is not."""
        try:
            expected = {record.offset: values.rows(self.route, record, group.writer) for record in group.records}
        except InvalidValue:
            return False
        stored = await self._count()
        return all(stored.get(offset, 0) >= rows for offset, rows in expected.items())

    async def _count(self) -> dict[int, int]:
        """Return offset -> stored rows, of the range."""
        return (
            await self._ask(partial(self.world.store.rows, self.route, self.lease, self.offsets.lo, self.offsets.hi))
        )[0]

    async def _ask(self, call: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """Call the store until answered; an intent that has grown old meanwhile is committed again."""
        return await answered(self.world, self.lease, call, self._refresh)

    async def _refresh(self) -> None:
        if self.world.clock.now() - self.announced_at > FENCE_S:
            await self.announce()

    async def _isolate(self, group: SchemaGroup, error: DataError) -> tuple[SchemaGroup, list[DeadLetter]]:
        """Return the group without the records that do not decode, and these.

        Where every one of them decodes, the store's complaint is not about the data as the wire format defines it:
        nothing may be skipped, so the partition waits and asks again.
        """
        bad = await group.undecodable(self.route)
        if not bad:
            log.error(
                "sink.refused partition=%s token=%s: every value decodes: %s", self.lease.position, group.token, error
            )
            await pause(self.world, self.lease, "refused", STUCK, 5, error)
        return group.without(bad), self._letters(group, bad)

    async def _incomplete(self, group: SchemaGroup) -> tuple[SchemaGroup, dict[int, int], list[DeadLetter]]:
        """Count the stored rows of a group.

        Returns:
            The group without the records that do not say how many rows they make; offset -> rows that are stored, for
            each record of it that is not complete; the other records.
        """
        expected: dict[int, int] = {}
        bad: dict[int, InvalidValue] = {}
        for record in group.records:
            try:
                expected[record.offset] = values.rows(self.route, record, group.writer)
            except InvalidValue as error:
                bad[record.offset] = error
        stored = await self._count()
        self.world.tally.verified += 1
        missing = {offset: stored.get(offset, 0) for offset, rows in expected.items() if stored.get(offset, 0) < rows}
        return group.without(bad), missing, self._letters(group, bad)

    async def _verify(self, group: SchemaGroup) -> list[DeadLetter]:
        """Count the rows of each offset; insert what is missing, until nothing is. Returns what cannot be stored."""
        repairs, letters = 0, list[DeadLetter]()
        why = "not stored before" if self.intent.overlaps else "acknowledged, but not stored"
        while True:
            group, missing, refused = await self._incomplete(group)
            letters += refused
            if not missing:
                return letters
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
                group, refused = await self._isolate(group, error)
                letters += refused

    async def _repair(self, group: SchemaGroup, missing: Mapping[int, int]) -> None:
        token = f"{group.token}#{self.intent.repair}"
        whole = group.part(token, [offset for offset, stored in missing.items() if not stored])
        if whole.records:
            await self._insert(whole)
            self.world.tally.repaired_rows += whole.steps
        for offset, stored in missing.items():
            if stored:
                await self._complete_record(group.part(f"{token}/{offset}", [offset]))

    async def _complete_record(self, group: SchemaGroup) -> None:
        """Insert the steps of a record, the only one of its group, of which only some are stored."""
        (record,) = group.records
        present, _ = await self._ask(partial(self.world.store.sequence, self.route, self.lease, record.offset))
        await self._insert(group, values.missing(self.route, record, group.writer, present))
        self.world.tally.repaired_rows += record.steps - len(present)

    def _letters(self, group: SchemaGroup, bad: Mapping[int, InvalidValue]) -> list[DeadLetter]:
        return [self._letter(record, bad[record.offset]) for record in group.records if record.offset in bad]

    def _letter(self, record: FramedRecord, error: Exception) -> DeadLetter:
        at = self.lease.position
        source = TopicIdPartition(at.topic, self.lease.topic_id, at.partition)
        return DeadLetter(KIND, source, record.unframed, str(error), record.schema_id)

    async def dead_letter(self, letters: list[DeadLetter]) -> None:
        """Write the dead letters to the log. From there they are stored like every other record."""
        for letter in letters:
            log.error(
                "sink.dead_letter partition=%s offset=%d: %s", self.lease.position, letter.record.offset, letter.error
            )
            await retrying_log(self.world, self.lease, partial(self.world.log.dead_letter, letter))
        self.world.tally.dead_letters += len(letters)
