"""Offsets without records: transaction markers and aborted records, at every place of a range."""

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbus.sink.api import FramedRecord, LostRange, OffsetRange
from runbus.sink.context import ProtocolContext
from runbus.sink.flow import UNCOUNTED, Flow
from runbus.sink.insert_interval import InsertInterval
from runbus.sink.lease import MemberLease
from runbus.sink.memory import ManualClock, MemoryLog, MemoryStore
from runbus.sink.opening import Opening
from runbus.sink.ranges import Backlog, RangeLimits
from runbus.sink.topics import TopicIds
from tests.unit.sink.sink_setup import AT, SOURCE, STEPS, Crash, MakeValue, Owner, SinkSetup, run

AT_ONCE = RangeLimits(steps=10, seconds=0.0)


def plain(offset: int) -> FramedRecord:
    """Return a record of one step."""
    return FramedRecord(offset, None, b"", 0, 1)


def bounds(span: OffsetRange | None) -> tuple[int, int] | None:
    """Return (lo, hi) of a range."""
    return None if span is None else (span.lo, span.hi)


def test_the_next_range_begins_behind_a_marker() -> None:
    """What holds no record belongs to no range, whether the end is reached before or after the range is taken."""
    backlog = Backlog(AT_ONCE, 0)
    backlog.add(plain(0), 0.0)
    assert bounds(backlog.take(1.0)) == (0, 0)
    backlog.reached(2)  # a marker at 1
    assert backlog.lo == 2
    backlog.add(plain(2), 0.0)
    backlog.reached(4)  # a marker at 3, while the record before it waits
    assert backlog.lo == 2
    assert bounds(backlog.take(1.0)) == (2, 2)
    assert backlog.lo == 4


def test_an_end_that_is_reported_late_moves_nothing_back() -> None:
    """Records that came after the end was reached stand, and none of them is dropped."""
    backlog = Backlog(AT_ONCE, 0)
    for offset in (0, 1, 2):
        backlog.add(plain(offset), 0.0)
    backlog.reached(1)
    assert backlog.add(plain(3), 0.0)
    assert bounds(backlog.take(1.0)) == (0, 3)


def test_a_pending_range_whose_records_are_gone_ends_with_the_log() -> None:
    """Compaction removed all of it: that the log was read past it is enough, and it keeps its own bounds."""
    backlog = Backlog(AT_ONCE, 5, pending=7)
    backlog.reached(7)
    assert backlog.take(1.0) is None
    assert backlog.lo == 5
    backlog.reached(9)
    span = backlog.take(1.0)
    assert span == OffsetRange(5, 7, ())
    assert backlog.lo == 9


@given(st.lists(st.sampled_from(["record", "gap", "end", "take"]), max_size=60))
def test_whatever_the_order_each_record_is_in_one_range(events: list[str]) -> None:
    """Ranges are disjoint and ascending, and `lo` never passes a record that waits."""
    backlog, offset, now = Backlog(AT_ONCE, 0), 0, 0.0
    made: list[int] = []
    taken: list[int] = []
    last = -1
    for event in [*events, "take", "take"]:
        now += 1.0
        if event == "record":
            assert backlog.add(plain(offset), now)
            made.append(offset)
        elif event == "end":
            backlog.reached(offset)
        elif event == "take" and (span := backlog.take(now)) is not None:
            assert span.lo > last
            last = span.hi
            taken += [record.offset for record in span.records]
        offset += event in ("record", "gap")
        assert backlog.lo <= min(set(made) - set(taken), default=offset)
    while (span := backlog.take(now + 9)) is not None:
        taken += [record.offset for record in span.records]
    assert taken == made


def new_flow(store: MemoryStore, log: MemoryLog, member: Owner, start: Opening) -> Flow:
    """Return the flow of one partition."""
    clock = ManualClock()
    log.topic_ids["steps"] = "id-1"
    lease = MemberLease(member, SOURCE, TopicIds(log.ids, clock))
    lease.committed = start.lo
    context = ProtocolContext(
        log, store, SinkSetup([]).schemas, clock, rng=random.Random(1), insert_interval=InsertInterval(seconds=0.0)
    )
    return Flow(context, member, lease, STEPS, start, AT_ONCE, skip_lost=False)


def test_a_partition_whose_log_ends_with_markers_has_no_lag_and_commits_past_them(setup: SinkSetup) -> None:
    """`stored` is the end that was reached, and the completed commit says so: retention may delete the markers."""
    member = Owner(setup.log)
    flow = new_flow(setup.store, setup.log, member, Opening(0, 0))

    async def scene() -> None:
        flow.add(setup.log.records[AT][:2])
        flow.reached(4)
        assert flow.stored == 0
        work = asyncio.create_task(flow.run())
        for _ in range(200):  # more turns of the loop than it needs
            await asyncio.sleep(0)
        assert flow.stored == 4
        flow.reached(7)
        assert flow.stored == 7
        flow.stop()
        await work
        await flow.finish()

    asyncio.run(scene())
    assert [(offset, intent.hi) for offset, intent in member.commits] == [(0, 1), (4, -1), (7, -1)]
    assert sum(setup.stored().values()) == 10


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_end_that_is_reached_after_a_failed_insert_completes_nothing(setup: SinkSetup, moment: str) -> None:
    """The range is out of the backlog and perhaps not in the store: neither `stored` nor a commit may pass it."""
    member = Owner(setup.log)
    flow = new_flow(setup.store, setup.log, member, Opening(0, 0))

    def fail(operation: str, when: str) -> None:
        if operation.startswith("insert") and when == moment:
            raise Crash

    async def scene() -> None:
        flow.add(setup.log.records[AT][:2])
        setup.script(fail)
        with pytest.raises(Crash):
            await flow.run()
        flow.reached(9)
        assert flow.stored == 0
        await flow.finish()

    asyncio.run(scene())
    assert [(offset, intent.hi) for offset, intent in member.commits] == [(0, 1)]


def test_ranges_with_gaps_survive_a_death_at_every_moment(make_value: MakeValue) -> None:
    """Offsets 0, 3, 4, 8, 11 hold records: killed before and after each operation, every step is stored once."""
    offsets = (0, 3, 4, 8, 11)
    for kill_at in range(60):
        setup = SinkSetup([make_value(i * 5, 5) for i in range(len(offsets))])
        setup.log.records[AT] = [
            record._replace(offset=offset) for offset, record in zip(offsets, setup.log.records[AT], strict=True)
        ]
        count = iter(range(1000))

        def script(operation: str, when: str, count: object = count, kill_at: int = kill_at) -> None:
            if next(count) == kill_at:  # type: ignore[call-overload]  # an iterator
                raise Crash

        setup.script(script)
        for _ in range(2):
            try:
                run(setup.sink(setup.context()))
                break
            except Crash:
                continue
        assert setup.stored() == dict.fromkeys(range(25), 1), kill_at


@pytest.mark.parametrize(
    ("stored", "lost", "uncounted"),
    [
        ({}, [(3, 9)], []),
        ({3: 1, 4: 1, 8: 2}, [(5, 7), (9, 9)], [(3, 4), (8, 8)]),
        (dict.fromkeys(range(3, 10), 1), [], [(3, 9)]),
    ],
    ids=["nothing is stored", "something is", "everything is"],
)
def test_what_retention_took_is_on_record(
    setup: SinkSetup, stored: dict[int, int], lost: list[tuple[int, int]], uncounted: list[tuple[int, int]]
) -> None:
    """Offsets without rows are lost; those with rows cannot be counted any more, and are said to be so."""
    for offset, rows in stored.items():
        for seq in range(rows):
            setup.store.rows_kept["steps", "id-1", 3, offset, seq] = 1
    flow = new_flow(setup.store, setup.log, Owner(setup.log), Opening(10, 10, None, (3, 9), known=False))
    if lost:
        with pytest.raises(LostRange, match=f"{lost[0][0]} to {lost[-1][1]}"):
            asyncio.run(flow.run())
    else:
        flow.stop()
        asyncio.run(flow.run())
    kept = sorted((deleted.lo, deleted.hi, deleted.reason == UNCOUNTED) for deleted in setup.store.lost.values())
    assert kept == sorted([(lo, hi, False) for lo, hi in lost] + [(lo, hi, True) for lo, hi in uncounted])
