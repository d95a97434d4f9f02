"""One partition on its way into the store: what was read waits here, one range at a time is delivered."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from functools import partial

from runbus.kafka.commit_metadata import Intent
from runbus.kafka.dead_letter_rate import DeadLetterRate
from runbus.kafka.model import Fenced
from runbus.sink.api import FramedRecord, Gone, LostRange, OffsetRange, Route
from runbus.sink.group import Member
from runbus.sink.lease import MemberLease
from runbus.sink.opening import Opening
from runbus.sink.protocol import complete, deliver, replay
from runbus.sink.ranges import Backlog, RangeLimits
from runbus.sink.world import World, retrying_store

log = logging.getLogger(__name__)
UNCOUNTED = "announced, and rows are stored; deleted by retention before they could be counted"


class Flow:
    """The work of one lease, as one task.

    Args:
        world: what the protocol acts on.
        member: to pause and resume the partition.
        lease: the ownership.
        route: the tables.
        start: where to begin.
        limits: of a range; two ranges of bytes are kept at most: one under way, one growing.
        skip_lost: go on where records are gone.
    """

    def __init__(
        self,
        world: World,
        member: Member,
        lease: MemberLease,
        route: Route,
        start: Opening,
        limits: RangeLimits,
        *,
        skip_lost: bool,
    ) -> None:
        self._world = world
        self._member = member
        self.lease = lease
        self._route = route
        self._start = start
        self._limits = limits
        self._skip_lost = skip_lost
        self.backlog = Backlog(limits, start.lo, start.intent.hi if start.intent else None, world.pace)
        self.stored = start.lo
        self._news = asyncio.Event()
        self._paused = False
        self._stopping = False
        self._pending = start.intent
        self._poison = start.poison
        self._rows_up_to = -1  # rows that nobody announced: see _look_ahead
        self._owed = False  # a range was taken from the backlog that is not known to be stored
        self.delivering = False
        self._under_way_ms: int | None = None

    def add(self, records: list[FramedRecord]) -> None:
        """Take what was read; pause the partition when enough waits."""
        now = self._world.clock.now()
        self.lease.read_at = now
        for record in records:
            self.backlog.add(record, now)
        if not self._paused and self.backlog.bytes > self._limits.bytes:
            self._paused = True
            self._member.pause(self.lease.position)
        self._news.set()

    def reached(self, offset: int) -> None:
        """Take note that the log was read up to `offset`, whether or not a record stands right before it."""
        self.backlog.reached(offset)
        self._advance()

    def _advance(self) -> None:
        """Move `stored` to where the next range begins: all that can be read before it is stored.

        Never after a delivery that failed: the backlog is past its range, the store may not be.
        """
        if not self._owed:
            self.stored = self.backlog.lo

    @property
    def replaying(self) -> bool:
        """Whether the range that an owner before announced is not stored yet."""
        return self._pending is not None

    @property
    def oldest_ms(self) -> int | None:
        """Timestamp of the oldest record that was read and is not stored, or None."""
        return self._under_way_ms if self.delivering else self.backlog.oldest_ms

    def stop(self) -> None:
        """Begin no further range."""
        self._stopping = True
        self._news.set()

    async def run(self) -> None:
        """Deliver range after range until stopped. Raises Fenced, LostRange."""
        await self._report_lost()
        await self._begin()
        await self._look_ahead()
        while not self._stopping:
            offsets = self.backlog.take(self._world.clock.now())
            if offsets is None:
                await self._idle()
                continue
            self._relieve()
            self._owed = self.delivering = True
            self._under_way_ms = offsets.records[0].timestamp_ms if offsets.records else None
            try:
                self._poison = await self._store(offsets)
            finally:
                self.delivering = False
            self._pending, self._owed = None, False
            self._advance()

    async def _store(self, offsets: OffsetRange) -> DeadLetterRate:
        if self._pending is not None:
            return await replay(self._world, self.lease, self._route, offsets, self._pending)
        return await deliver(self._world, self.lease, self._route, offsets, self._intent(offsets))

    def _intent(self, offsets: OffsetRange) -> Intent:
        salt, overlaps = self._world.new_salt(), offsets.lo <= self._rows_up_to
        return Intent(self.lease.topic_id, offsets.hi, salt, self._poison, overlaps)

    async def finish(self) -> None:
        """Say that everything delivered is delivered, so that the next owner has nothing to replay."""
        if self.stored > self.lease.committed >= 0 and not self.delivering:
            with contextlib.suppress(Fenced):
                await complete(self._world, self.lease, self.stored, self._poison)

    def _relieve(self) -> None:
        if self._paused and self.backlog.bytes <= self._limits.bytes // 2:
            self._paused = False
            self._member.resume(self.lease.position)

    async def _idle(self) -> None:
        """Wait for news, or until the waiting records are old enough; a quiet partition is completed."""
        due = self.backlog.due()
        wait = self._limits.seconds if due is None else max(0.0, due - self._world.clock.now())
        self._news.clear()
        try:
            await asyncio.wait_for(self._news.wait(), wait)
        except TimeoutError:
            if due is None:
                await self.finish()

    async def _report_lost(self) -> None:
        """Count and keep what retention deleted before it was stored; go on only if that is configured."""
        if self._start.gone is None:
            return
        at = self.lease.position
        lost, uncounted = await self._lost(*self._start.gone)
        for lo, hi in lost:
            self._world.tally.lost_records += hi - lo + 1
            log.error("sink.lost_range partition=%s first=%d last=%d: deleted before it was stored", at, lo, hi)
            await self._keep(Gone(at.topic, self.lease.topic_id, at.partition, lo, hi))
        for lo, hi in uncounted:
            await self._keep(Gone(at.topic, self.lease.topic_id, at.partition, lo, hi, UNCOUNTED))
        if lost and not self._skip_lost:
            raise LostRange(
                f"{at}: offsets {lost[0][0]} to {lost[-1][1]} were deleted by retention before they were stored (kept "
                "in lost_ranges); set RUNBUS_SINK_LOST_RANGE=continue to go on without them"
            )

    async def _keep(self, gone: Gone) -> None:
        await retrying_store(self._world, self.lease, partial(self._world.store.record_lost, gone))

    async def _lost(self, lo: int, hi: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Return the ranges without rows, and those with rows, of offsets that are not in the log any more.

        What was announced and is stored is not lost. But a server that was killed may have kept some rows of a record
        only (the others were in another part), and nobody can tell any more. In a topic that is written in
        transactions a hole between rows is a marker; in `steps` it is a record of which nothing is stored.
        """
        found = await retrying_store(
            self._world, self.lease, partial(self._world.store.rows, self._route, self.lease, lo, hi)
        )
        stored = _runs(sorted(found)) if self._route.batched or not found else [(lo, max(found))]
        edges = [lo - 1, *(edge for run in stored for edge in run), hi + 1]  # ends of what is stored, and of the whole
        between = zip(edges[::2], edges[1::2], strict=True)
        return [(last + 1, first - 1) for last, first in between if last + 1 < first], stored

    async def _begin(self) -> None:
        """Commit where a group begins with a topic: what retention deletes from now on is a loss, and no beginning."""
        if self.lease.committed < 0:
            await complete(self._world, self.lease, self._start.lo)

    async def _look_ahead(self) -> None:
        """Find rows behind what the group committed: somebody moved its offset back, or a commit was overtaken.

        Whatever was cut out of the log then was cut at other places, so its tokens are no help: those ranges are
        delivered by counting alone.
        """
        lo = self._start.lo if self._pending is None else self._pending.hi + 1
        self._rows_up_to = await retrying_store(
            self._world, self.lease, partial(self._world.store.newest, self._route, self.lease, lo)
        )
        if self._rows_up_to >= lo:
            log.warning(
                "sink.overlap partition=%s first=%d last=%d: rows are stored of offsets that the group did not commit; "
                "each record is counted, and only what is missing is inserted",
                *(self.lease.position, lo, self._rows_up_to),
            )


def _runs(offsets: Iterable[int]) -> list[tuple[int, int]]:
    """Return ascending offsets as ranges (first, last)."""
    runs: list[tuple[int, int]] = []
    for offset in offsets:
        if runs and runs[-1][1] == offset - 1:
            runs[-1] = (runs[-1][0], offset)
        else:
            runs.append((offset, offset))
    return runs
