"""The protocol, killed at every step, refused, lied to and fenced, on a log and a store in memory."""

import asyncio
import contextlib
import itertools
from collections import Counter

import pytest

from runbus.clickhouse.errors import Ambiguous, Capacity, Configuration, StoreError, Unknown
from runbus.kafka.commit_metadata import Committed, Intent
from runbus.kafka.dead_letter_rate import DeadLetterRate
from runbus.kafka.model import Fenced, LogUnavailable
from runbus.sink.api import FramedRecord, OffsetRange
from runbus.sink.container import Container
from runbus.sink.memory import MemoryStore, Script, no_faults
from runbus.sink.protocol import FENCE_S
from runbus.sink.records import read
from tests.unit.sink.sink_setup import AT, STEPS, Crash, MakeValue, SinkSetup, crash_when, first_delivery, run

EXACT = dict.fromkeys(range(25), 1)


def test_every_step_is_stored_once_and_the_offset_follows(setup: SinkSetup) -> None:
    """Without faults: all rows once, the last commit behind the last record with nothing pending, no counting."""
    context = setup.context()
    run(setup.sink(context))
    assert setup.stored() == EXACT
    assert setup.log.committed[AT] == Committed(5, Intent("id-1", rate=DeadLetterRate(0, 0, 5)))
    assert (context.metrics.ranges, context.metrics.steps, context.metrics.records, context.metrics.verified) == (
        3,
        25,
        5,
        0,
    )


def test_the_intent_is_committed_before_its_insert(setup: SinkSetup) -> None:
    """At each insert the group's committed offset names exactly the range that is inserted."""
    seen = []

    def watch(operation: str, moment: str) -> None:
        if operation == "insert steps_landing" and moment == "before":
            committed = setup.log.committed[AT]
            assert committed.intent is not None
            seen.append((committed.offset, committed.intent.hi))

    setup.script(watch)
    run(setup.sink(setup.context()))
    assert seen == [(0, 1), (2, 3), (4, 4)]
    assert {token.rsplit(":", 1)[0] for _, token, _ in setup.store.tokens} == {"id-1:3:0-1", "id-1:3:2-3", "id-1:3:4-4"}


def operations(setup: SinkSetup) -> int:
    """Return how many moments a run without faults has."""
    count = 0

    def tick(operation: str, moment: str) -> None:
        nonlocal count
        count += 1

    setup.script(tick)
    run(setup.sink(setup.context()))
    return count


def crash_at(moment_number: int) -> Script:
    """Die at the n-th moment, before or after an effect."""
    left = moment_number

    def script(operation: str, moment: str) -> None:
        nonlocal left
        if left == 0:
            raise Crash
        left -= 1

    return script


@pytest.mark.parametrize("torn", [False, True])
def test_a_death_at_any_moment_loses_and_doubles_nothing(make_value: MakeValue, torn: bool) -> None:
    """Two owners die at every pair of moments; with `torn` the server dies too, and keeps the token but no rows."""
    values: list[bytes | None] = [make_value(i * 5, 5) for i in range(4)]
    total = operations(SinkSetup(values))
    for first in range(total):
        for second in range(total + 8):
            setup = SinkSetup(values)
            setup.store.torn = torn
            for moment in (first, second):
                setup.script(crash_at(moment))
                with contextlib.suppress(Crash):
                    run(setup.sink(setup.context()))
            setup.script(no_faults)
            run(setup.sink(setup.context()))
            assert setup.stored() == dict.fromkeys(range(20), 1), f"{first=} {second=}"


def test_a_replay_that_is_acknowledged_and_lost_is_repaired_under_another_token(setup: SinkSetup) -> None:
    """The rows of a pending range vanish while its token stays: the new owner counts, and repairs."""
    setup.script(crash_when("insert steps_landing", "after"))
    with pytest.raises(Crash):
        run(setup.sink(setup.context()))
    setup.store.rows_kept.clear()
    setup.script(no_faults)
    context = setup.context()
    run(setup.sink(context))
    assert setup.stored() == EXACT
    assert (context.metrics.replays, context.metrics.repairs, context.metrics.repaired_rows) == (1, 1, 10)
    assert any("#" in token for _, token, _ in setup.store.tokens)


def test_a_repair_that_is_lost_too_gets_a_new_name_through_the_fence(setup: SinkSetup) -> None:
    """Each further repair has a name that was committed before it was used."""
    setup.script(crash_when("insert steps_landing", "before"))
    with pytest.raises(Crash):
        run(setup.sink(setup.context()))
    setup.store.lose = 3  # the replay and two repairs
    setup.script(no_faults)
    context = setup.context()
    run(setup.sink(context))
    numbers = {token.split("#")[1] for _, token, _ in setup.store.tokens if "#" in token}
    assert setup.stored() == EXACT
    assert (context.metrics.repairs, numbers) == (3, {"0", "1", "2"})


def test_a_record_of_which_half_is_lost_gets_only_the_missing_steps(setup: SinkSetup) -> None:
    """A record on two parts of a table can lose one of them: the other steps are not stored twice."""
    setup.script(crash_when("insert steps_landing", "after"))
    with pytest.raises(Crash):
        run(setup.sink(setup.context()))
    for row in [row for row in setup.store.rows_kept if row[4] in (1, 2, 4)]:
        del setup.store.rows_kept[row]
    setup.script(no_faults)
    run(setup.sink(setup.context()))
    assert setup.stored() == EXACT


def test_a_replay_does_not_need_the_token_to_be_remembered(setup: SinkSetup) -> None:
    """A store that forgot its tokens gets no second insert of a range that is there."""
    setup.script(crash_when("insert steps_landing", "after"))
    with pytest.raises(Crash):
        run(setup.sink(setup.context()))
    setup.store.tokens.clear()
    setup.script(no_faults)
    run(setup.sink(setup.context()))
    assert setup.stored() == EXACT


FAILURES = [
    *itertools.product([Ambiguous, Capacity, Configuration, Unknown], ["before"]),
    *itertools.product([Capacity, Configuration, Unknown], ["after"]),
]


@pytest.mark.parametrize(("error", "moment"), FAILURES)
def test_a_store_that_fails_gets_the_same_token_until_it_answers(
    setup: SinkSetup, error: type[StoreError], moment: str
) -> None:
    """Each class waits and repeats; nothing is skipped; the committed offset never passes; then rows are counted."""
    failures = 4

    def script(operation: str, when: str) -> None:
        nonlocal failures
        if operation == "insert steps_landing" and when == moment and failures:
            failures -= 1
            assert setup.log.committed[AT].offset == 0
            raise error("no", 1)

    setup.script(script)
    context = setup.context()
    run(setup.sink(context))
    assert setup.stored() == EXACT
    assert sum(context.metrics.retries.values()) == 4
    assert context.metrics.verified == 1
    assert context.metrics.paused == {}
    assert setup.clock.seconds > 0


def test_a_store_that_never_answers_in_time_is_asked_for_the_rows(setup: SinkSetup) -> None:
    """Inserts that take longer than anybody waits are carried out: the sink counts, and goes on without an answer."""
    sent = Counter[str]()

    def script(operation: str, moment: str) -> None:
        if operation == "insert steps_landing":
            sent[moment] += 1
            if moment == "after":
                raise Ambiguous("no answer in time")

    setup.script(script)
    context = setup.context()
    run(setup.sink(context))
    assert setup.stored() == EXACT
    assert sent == {"before": 3, "after": 3}  # one attempt a range
    assert context.metrics.repairs == 0
    assert setup.log.committed[AT].offset == 5


def test_an_old_intent_is_fenced_before_the_next_attempt(setup: SinkSetup) -> None:
    """An owner that kept failing for longer than a session finds out that it lost the partition, and stops."""
    zombie = setup.log.lease(AT)

    def script(operation: str, moment: str) -> None:
        if operation == "insert steps_landing" and moment == "before":
            setup.clock.seconds += FENCE_S
            setup.log.lease(AT)  # somebody else
            raise Capacity("later", 252)

    setup.script(script)
    with pytest.raises(Fenced):
        run(setup.sink(setup.context(), zombie))
    assert setup.stored() == {}


class SlowStore(MemoryStore):
    """The same store, seen by a process that is stopped right before each insert."""

    def __init__(self, store: MemoryStore, awake: asyncio.Event) -> None:
        super().__init__(store.routes, store.script, store.rows_kept, store.tokens)
        self.awake = awake

    async def insert(self, table: str, container: Container, token: str) -> None:
        """Insert once awake."""
        await self.awake.wait()
        await super().insert(table, container, token)


def test_a_zombie_that_wakes_up_adds_nothing(setup: SinkSetup) -> None:
    """An owner stopped right before its insert goes on after the partition was taken over and finished."""

    async def scene() -> None:
        context, lease, awake = setup.context(), setup.log.lease(AT), asyncio.Event()
        context.store = SlowStore(setup.store, awake)
        zombie = asyncio.create_task(setup.sink(context, lease))
        await asyncio.sleep(0.01)
        await setup.sink(setup.context())
        awake.set()
        with pytest.raises(Fenced):
            await zombie

    run(scene())
    assert setup.stored() == EXACT


def test_a_log_that_does_not_answer_is_asked_again(setup: SinkSetup) -> None:
    """Commits and dead letters are repeated; an unanswered commit that did happen changes nothing."""
    failing = {"commit": 3, "confirm": 2}

    def script(operation: str, moment: str) -> None:
        if failing.get(operation) and moment == ("after" if operation == "commit" else "before"):
            failing[operation] -= 1
            raise LogUnavailable("no coordinator")

    setup.script(script)
    context = setup.context()
    run(setup.sink(context))
    assert setup.stored() == EXACT
    assert context.metrics.retries["log"] == 5


def test_a_recreated_topic_is_another_topic(make_value: MakeValue) -> None:
    """The same offsets under another topic id are other rows, and an old owner does not store under the old id."""
    setup = SinkSetup([make_value(0, 2)])
    run(setup.sink(setup.context()))
    old = setup.log.lease(AT)
    setup.log.topic_ids["steps"] = "id-2"
    offsets = OffsetRange(1, 1, (FramedRecord(1, None, make_value(2, 2), 0),))
    with pytest.raises(Fenced):
        run(first_delivery(setup.context(), old, STEPS, offsets))
    setup.log.committed.clear()
    setup.log.records[AT] = [read(0, None, make_value(2, 2), 0, batched=True)]
    run(setup.sink(setup.context()))
    assert setup.stored() == dict.fromkeys(range(4), 1)
