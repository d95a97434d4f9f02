"""Delivers what was read of one partition, one range at a time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from functools import partial

from runbus.kafka.commit_metadata import Intent
from runbus.kafka.dead_letter_rate import DeadLetterRate
from runbus.kafka.model import Fenced
from runbus.sink.api import DeletedRange, FramedRecord, LostRange, OffsetRange, Route
from runbus.sink.context import ProtocolContext, retrying_store
from runbus.sink.group import GroupMember
from runbus.sink.lease import MemberLease
from runbus.sink.opening import Opening
from runbus.sink.protocol import complete, deliver, replay
from runbus.sink.ranges import Backlog, RangeLimits, consecutive

log = logging.getLogger(__name__)
UNCOUNTED = "announced, and rows are stored; deleted by retention before they could be counted"


class Flow:
    """Delivers the records of one lease, as one task.

    Args:
        context: of the protocol.
        member: to pause and resume the partition.
        lease: the ownership.
        route: the tables.
        start: the start of this owner.
        limits: of a range; at most two ranges of bytes are kept: one is delivered, one grows.
        skip_lost: go on if records were deleted before they were stored.
    """

    def __init__(
        self,
        context: ProtocolContext,
        member: GroupMember,
        lease: MemberLease,
        route: Route,
        start: Opening,
        limits: RangeLimits,
        *,
        skip_lost: bool,
    ) -> None:
        self._context = context
        self._member = member
        self.lease = lease
        self._route = route
        self._start = start
        self._limits = limits
        self._skip_lost = skip_lost
        self.backlog = Backlog(limits, start.lo, start.intent.hi if start.intent else None, context.insert_interval)
        self.stored = start.lo
        self._changed = asyncio.Event()
        self._paused = False
        self._stopping = False
        self._pending = start.intent
        self._rate = start.rate
        self._stored_up_to = -1  # last offset of the rows that were not announced
        self._unfinished = False  # a range was taken from the backlog and is not known to be stored
        self.delivering = False
        self._under_way_ms: int | None = None

    def add(self, records: list[FramedRecord]) -> None:
        """Take what was read; pause the partition if enough waits."""
        now = self._context.clock.now()
        self.lease.read_at = now
        for record in records:
            self.backlog.add(record, now)
        if not self._paused and self.backlog.bytes > self._limits.bytes:
            self._paused = True
            self._member.pause(self.lease.source.position)
        self._changed.set()

    def reached(self, offset: int) -> None:
        """Note that the log was read up to `offset`, whether or not the offset before it has a record."""
        self.backlog.reached(offset)
        self._advance()

    def _advance(self) -> None:
        """Move `stored` to the begin of the next range: everything readable before it is stored.

        Not after a failed delivery: the backlog is past its range, the store may not be.
        """
        if not self._unfinished:
            self.stored = self.backlog.lo

    @property
    def replaying(self) -> bool:
        """Whether the range that an earlier owner announced is not stored yet."""
        return self._pending is not None

    @property
    def oldest_ms(self) -> int | None:
        """Timestamp of the oldest record that was read and is not stored, or None."""
        return self._under_way_ms if self.delivering else self.backlog.oldest_ms

    def stop(self) -> None:
        """Begin no further range."""
        self._stopping = True
        self._changed.set()

    async def run(self) -> None:
        """Deliver range after range until stopped. Raises Fenced, LostRange."""
        await self._report_lost()
        await self._commit_start()
        await self._find_unannounced()
        while not self._stopping:
            offsets = self.backlog.take(self._context.clock.now())
            if offsets is None:
                await self._idle()
                continue
            self._resume_reading()
            self._unfinished = self.delivering = True
            self._under_way_ms = offsets.records[0].timestamp_ms if offsets.records else None
            try:
                self._rate = await self._store(offsets)
            finally:
                self.delivering = False
            self._pending, self._unfinished = None, False
            self._advance()

    async def _store(self, offsets: OffsetRange) -> DeadLetterRate:
        if self._pending is not None:
            return await replay(self._context, self.lease, self._route, offsets, self._pending)
        return await deliver(self._context, self.lease, self._route, offsets, self._intent(offsets))

    def _intent(self, offsets: OffsetRange) -> Intent:
        salt, overlaps = self._context.new_salt(), offsets.lo <= self._stored_up_to
        return Intent(self.lease.source.topic_id, offsets.hi, salt, self._rate, overlaps)

    async def finish(self) -> None:
        """Commit what is delivered, so that the next owner has nothing to replay."""
        if self.stored > self.lease.committed >= 0 and not self.delivering:
            with contextlib.suppress(Fenced):
                await complete(self._context, self.lease, self.stored, self._rate)

    def _resume_reading(self) -> None:
        if self._paused and self.backlog.bytes <= self._limits.bytes // 2:
            self._paused = False
            self._member.resume(self.lease.source.position)

    async def _idle(self) -> None:
        """Wait for records, or until the waiting ones are old enough; complete a quiet partition."""
        due = self.backlog.due()
        wait = self._limits.seconds if due is None else max(0.0, due - self._context.clock.now())
        self._changed.clear()
        try:
            async with asyncio.timeout(wait):
                await self._changed.wait()
        except TimeoutError:
            if due is None:
                await self.finish()

    async def _report_lost(self) -> None:
        """Record what retention deleted before it was stored; go on only if that is configured."""
        if self._start.deleted is None:
            return
        at = self.lease.source
        lost, uncounted = await self._split_deleted(*self._start.deleted)
        for lo, hi in lost:
            self._context.metrics.lost_records += hi - lo + 1
            log.error("sink.lost_range partition=%s first=%d last=%d: deleted before it was stored", at, lo, hi)
            await self._record_lost(DeletedRange(at.topic, at.topic_id, at.partition, lo, hi))
        for lo, hi in uncounted:
            await self._record_lost(DeletedRange(at.topic, at.topic_id, at.partition, lo, hi, UNCOUNTED))
        if lost and not self._skip_lost:
            raise LostRange(
                f"{at}: offsets {lost[0][0]} to {lost[-1][1]} were deleted by retention before they were stored (kept "
                "in lost_ranges); set RUNBUS_SINK_LOST_RANGE=continue to go on without them"
            )

    async def _record_lost(self, deleted: DeletedRange) -> None:
        await retrying_store(self._context, self.lease, partial(self._context.store.record_lost, deleted))

    async def _split_deleted(self, lo: int, hi: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Split deleted offsets into ranges without rows, which are lost, and ranges with rows.

        Rows cannot be counted any more: a killed server may have kept some rows of a record only, if the others were
        in another part. In a topic that is written in transactions a gap between rows is a marker; in `steps` it is a
        record without rows.
        """
        found = await retrying_store(
            self._context, self.lease, partial(self._context.store.rows, self._route, self.lease.source, lo, hi)
        )
        stored = consecutive(sorted(found)) if self._route.batched or not found else [(lo, max(found))]
        edges = [lo - 1, *(edge for run in stored for edge in run), hi + 1]  # of the stored ranges, and of all offsets
        between = zip(edges[::2], edges[1::2], strict=True)
        return [(last + 1, first - 1) for last, first in between if last + 1 < first], stored

    async def _commit_start(self) -> None:
        """Commit the first offset of a group in a topic: what retention deletes behind it from now on is lost."""
        if self.lease.committed < 0:
            await complete(self._context, self.lease, self._start.lo)

    async def _find_unannounced(self) -> None:
        """Find rows behind the committed offset: it was moved back, or an older commit overwrote a later one.

        Those rows came in ranges with other bounds, so tokens do not help: their offsets are delivered by counting.
        """
        lo = self._start.lo if self._pending is None else self._pending.hi + 1
        self._stored_up_to = await retrying_store(
            self._context, self.lease, partial(self._context.store.newest, self._route, self.lease.source, lo)
        )
        if self._stored_up_to >= lo:
            log.warning(
                "sink.overlap partition=%s first=%d last=%d: rows are stored of offsets that the group did not commit; "
                "each record is counted, and only what is missing is inserted",
                self.lease.source,
                lo,
                self._stored_up_to,
            )
