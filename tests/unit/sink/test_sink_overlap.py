"""The group's offset was moved back: what is stored already is counted, whatever ranges it was stored under."""

import asyncio

import pytest

from runbus.clickhouse.errors import TOO_MANY_PARTS, Capacity
from runbus.kafka.commit_metadata import Committed, Intent
from runbus.kafka.model import TopicPartition
from runbus.sink.context import ProtocolContext
from runbus.sink.flow import Flow
from runbus.sink.insert_interval import InsertInterval
from runbus.sink.lease import MemberLease
from runbus.sink.memory import ManualClock, no_faults
from runbus.sink.opening import Opening, opening
from runbus.sink.ranges import RangeLimits
from runbus.sink.topics import TopicIds
from tests.unit.sink.sink_setup import AT, SOURCE, STEPS, Crash, MakeValue, Owner, SinkSetup, run

EXACT = dict.fromkeys(range(50), 1)


@pytest.fixture
def setup(make_value: MakeValue) -> SinkSetup:
    """Return ten records of five steps, all stored in ranges of two."""
    setup = SinkSetup([make_value(i * 5, 5) for i in range(10)])
    run(setup.sink(setup.context()))
    assert setup.stored() == EXACT
    return setup


async def flow_of(setup: SinkSetup, context: ProtocolContext, steps: int) -> None:
    """Be an owner with the real flow, ranges of at most `steps`, until the log's end."""
    start = opening(setup.log.committed.get(AT), "id-1", 0, 10)
    member = Owner(setup.log)
    lease = MemberLease(member, SOURCE, TopicIds(setup.log.ids, ManualClock()))
    lease.committed = start.lo if start.known else -1
    flow = Flow(context, member, lease, STEPS, start, RangeLimits(steps=steps, seconds=0.0), skip_lost=False)
    flow.add([record for record in setup.log.records[AT] if record.offset >= start.read_from])
    work = asyncio.create_task(flow.run())
    for _ in range(100_000):
        if flow.stored == 10 or work.done():
            break
        await asyncio.sleep(0)
    flow.stop()
    await work
    await flow.finish()


def sink(setup: SinkSetup, steps: int) -> ProtocolContext:
    """Run one owner; return its context."""
    context = setup.context()
    context.insert_interval = InsertInterval(seconds=0.0)
    run(flow_of(setup, context, steps))
    return context


@pytest.mark.parametrize("offset", [0, 1, 5, 9])
@pytest.mark.parametrize("steps", [5, 10, 15, 1000])
def test_nothing_is_stored_twice(setup: SinkSetup, offset: int, steps: int) -> None:
    """Moved back to any offset, cut anywhere: the same rows, no insert."""
    setup.log.committed[AT] = Committed(offset, None)
    context = sink(setup, steps)
    assert setup.stored() == EXACT
    assert (context.metrics.inserts.count, setup.log.committed[AT].offset) == (0, 10)


def test_only_what_is_missing_is_inserted(setup: SinkSetup) -> None:
    """Rows that somebody deleted come back, whole records and single steps."""
    for row in list(setup.store.rows_kept):
        if 12 <= row[4] < 20 or row[4] in (31, 48):
            del setup.store.rows_kept[row]
    setup.log.committed[AT] = Committed(0, None)
    sink(setup, 25)
    assert setup.stored() == EXACT


def test_a_range_that_is_cut_at_its_old_places_is_inserted_under_a_new_token(setup: SinkSetup) -> None:
    """Its old token is spent and its rows are lost: an acknowledgement that came from that token would be believed."""
    last = [row for row in setup.store.rows_kept if row[3] >= 8]
    for row in last:
        del setup.store.rows_kept[row]
    setup.log.committed[AT] = Committed(8, None)
    sink(setup, 10)
    assert setup.stored() == EXACT


def test_deaths_among_overlapping_ranges(setup: SinkSetup) -> None:
    """An owner of a moved-back partition dies at each moment, the next one finishes: the announced way stays."""
    for kill_at in range(120):
        setup.script(no_faults)
        setup.store.rows_kept = type(setup.store.rows_kept)(
            {r: 1 for r in setup.store.rows_kept if r[4] % 7 or kill_at % 2}
        )
        setup.log.committed[AT] = Committed(kill_at % 8, None)
        moments = iter(range(10_000))

        def script(operation: str, when: str, moments: object = moments, kill_at: int = kill_at) -> None:
            if next(moments) == kill_at:  # type: ignore[call-overload]  # an iterator
                raise Crash

        setup.script(script)
        try:
            sink(setup, 15)
        except Crash:
            setup.script(no_faults)
            sink(setup, 20)
        assert all(count == 1 for count in setup.stored().values()), kill_at
        assert set(range(5 * (kill_at % 8), 50)) <= set(setup.stored()), kill_at


def test_the_beginning_of_a_group_is_committed_before_anything_is_stored(make_value: MakeValue) -> None:
    """Else retention could pass what was never announced, and the next owner would begin behind it silently."""
    setup = SinkSetup([make_value(0, 5)])
    seen: list[tuple[int, bool]] = []

    def watch(operation: str, when: str) -> None:
        if operation == "newest" and when == "before":
            committed = setup.log.committed[AT]
            assert committed.intent is not None
            seen.append((committed.offset, committed.intent.pending))

    setup.script(watch)
    context = setup.context()
    context.insert_interval = InsertInterval(seconds=0.0)
    run(_one_turn(setup, context))
    assert seen == [(0, False)]


async def _one_turn(setup: SinkSetup, context: ProtocolContext) -> None:
    member = Owner(setup.log)
    lease = MemberLease(member, SOURCE, TopicIds(setup.log.ids, ManualClock()))
    flow = Flow(context, member, lease, STEPS, Opening(0, 0, known=False), RangeLimits(), skip_lost=False)
    flow.stop()
    await flow.run()


def test_too_many_parts_slow_the_ranges_down_and_nothing_else_does(setup: SinkSetup) -> None:
    """Only that refusal stretches the interval, for all partitions of the process."""
    for code, stretch in ((TOO_MANY_PARTS, 8.0), (241, 1.0)):
        left = 3

        def script(operation: str, when: str, code: int = code) -> None:
            nonlocal left
            if operation.startswith("insert") and when == "before" and left:
                left -= 1
                raise Capacity("not now", code)

        setup.log.committed[AT] = Committed(8, Intent("id-1"))
        setup.store.rows_kept.clear()
        setup.script(script)
        context = setup.context()
        run(setup.sink(context))
        assert context.insert_interval.stretch == stretch
        assert TopicPartition("steps", 3) == AT
