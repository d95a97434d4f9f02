"""The protocol, killed at every step, refused, lied to and fenced, on a log and a store in memory."""

import asyncio
import contextlib
import logging
from collections.abc import Callable

import pytest

from runbus.clickhouse.errors import Ambiguous, Capacity, Configuration, DataError, Unknown
from runbus.schemas.avsc import AvroSchema, schema
from runbus.schemas.batch import StepBatch, encode
from runbus.schemas.codec import Codec, SchemaRef
from runbus.schemas.errors import RegistryUnavailable, UnknownSchema
from runbus.sink.api import Committed, Fenced, Intent, LogUnavailable, Record, Span
from runbus.sink.memory import LocalSchemas, MemoryStore, Script, no_faults
from runbus.sink.poison import Poison
from runbus.sink.protocol import FENCE_S, Work, deliver
from runbus.sink.ranges import read
from tests.unit.sink.rig import AT, STEPS, Crash, MakeValue, Rig, run

EXACT = dict.fromkeys(range(25), 1)


def test_every_step_is_stored_once_and_the_offset_follows(rig: Rig) -> None:
    """Without faults: all rows once, the last commit behind the last record with nothing pending, no counting."""
    world = rig.world()
    run(rig.sink(world))
    assert rig.stored() == EXACT
    assert rig.log.committed[AT] == Committed(5, Intent("id-1", poison=Poison(0, 0, 5)))
    assert (world.tally.ranges, world.tally.steps, world.tally.records, world.tally.verified) == (3, 25, 5, 0)


def test_the_intent_is_committed_before_its_insert(rig: Rig) -> None:
    """At each insert the group's committed offset names exactly the range that is inserted."""
    seen = []

    def watch(operation: str, moment: str) -> None:
        if operation == "insert steps_landing" and moment == "before":
            committed = rig.log.committed[AT]
            assert committed.intent is not None
            seen.append((committed.offset, committed.intent.hi))

    rig.script(watch)
    run(rig.sink(rig.world()))
    assert seen == [(0, 1), (2, 3), (4, 4)]
    assert {token.rsplit(":", 1)[0] for _, token, _ in rig.store.tokens} == {"id-1:3:0-1", "id-1:3:2-3", "id-1:3:4-4"}


def operations(rig: Rig) -> int:
    """Return how many moments a run without faults has."""
    count = 0

    def tick(operation: str, moment: str) -> None:
        nonlocal count
        count += 1

    rig.script(tick)
    run(rig.sink(rig.world()))
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
    total = operations(Rig(values))
    for first in range(total):
        for second in range(total + 8):
            rig = Rig(values)
            rig.store.torn = torn
            for moment in (first, second):
                rig.script(crash_at(moment))
                with contextlib.suppress(Crash):
                    run(rig.sink(rig.world()))
            rig.script(no_faults)
            run(rig.sink(rig.world()))
            assert rig.stored() == dict.fromkeys(range(20), 1), f"{first=} {second=}"


def test_a_replay_that_is_acknowledged_and_lost_is_repaired_under_another_token(rig: Rig) -> None:
    """The rows of a pending range vanish while its token stays: the new owner counts, and repairs."""
    rig.script(_crash_when("insert steps_landing", "after"))
    with pytest.raises(Crash):
        run(rig.sink(rig.world()))
    rig.store.rows_kept.clear()
    rig.script(no_faults)
    world = rig.world()
    run(rig.sink(world))
    assert rig.stored() == EXACT
    assert (world.tally.replays, world.tally.repairs, world.tally.repaired_rows) == (1, 1, 10)
    assert any("#" in token for _, token, _ in rig.store.tokens)


def test_a_repair_that_is_lost_too_gets_a_new_name_through_the_fence(rig: Rig) -> None:
    """Each further repair has a name that was committed before it was used."""
    rig.script(_crash_when("insert steps_landing", "before"))
    with pytest.raises(Crash):
        run(rig.sink(rig.world()))
    rig.store.lose = 3  # the replay and two repairs
    rig.script(no_faults)
    world = rig.world()
    run(rig.sink(world))
    numbers = {token.split("#")[1] for _, token, _ in rig.store.tokens if "#" in token}
    assert rig.stored() == EXACT
    assert (world.tally.repairs, numbers) == (3, {"0", "1", "2"})


def test_a_record_of_which_half_is_lost_gets_only_the_missing_steps(rig: Rig) -> None:
    """A record on two parts of a table can lose one of them: the other steps are not stored twice."""
    rig.script(_crash_when("insert steps_landing", "after"))
    with pytest.raises(Crash):
        run(rig.sink(rig.world()))
    for row in [row for row in rig.store.rows_kept if row[4] in (1, 2, 4)]:
        del rig.store.rows_kept[row]
    rig.script(no_faults)
    run(rig.sink(rig.world()))
    assert rig.stored() == EXACT


def _crash_when(operation: str, moment: str) -> Script:
    def script(at: str, when: str) -> None:
        if (at, when) == (operation, moment):
            raise Crash

    return script


def test_a_replay_does_not_need_the_token_to_be_remembered(rig: Rig) -> None:
    """A store that forgot its tokens gets no second insert of a range that is there."""
    rig.script(_crash_when("insert steps_landing", "after"))
    with pytest.raises(Crash):
        run(rig.sink(rig.world()))
    rig.store.tokens.clear()
    rig.script(no_faults)
    run(rig.sink(rig.world()))
    assert rig.stored() == EXACT


@pytest.mark.parametrize("error", [Ambiguous, Capacity, Configuration, Unknown])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_store_that_fails_gets_the_same_token_until_it_answers(rig: Rig, error: type[Ambiguous], moment: str) -> None:
    """Each class waits and repeats; nothing is skipped; the committed offset never passes; then rows are counted."""
    failures = 4

    def script(operation: str, when: str) -> None:
        nonlocal failures
        if operation == "insert steps_landing" and when == moment and failures:
            failures -= 1
            assert rig.log.committed[AT].offset == 0
            raise error("no", 1)

    rig.script(script)
    world = rig.world()
    run(rig.sink(world))
    assert rig.stored() == EXACT
    assert sum(world.tally.retries.values()) == 4
    assert world.tally.verified == 1
    assert world.tally.paused == {}
    assert rig.clock.seconds > 0


def test_an_old_intent_is_fenced_before_the_next_attempt(rig: Rig) -> None:
    """An owner that kept failing for longer than a session finds out that it lost the partition, and stops."""
    zombie = rig.log.lease(AT)

    def script(operation: str, moment: str) -> None:
        if operation == "insert steps_landing" and moment == "before":
            rig.clock.seconds += FENCE_S
            rig.log.lease(AT)  # somebody else
            raise Capacity("later", 252)

    rig.script(script)
    with pytest.raises(Fenced):
        run(rig.sink(rig.world(), zombie))
    assert rig.stored() == {}


class SlowStore(MemoryStore):
    """The same store, seen by a process that is stopped right before each insert."""

    def __init__(self, store: MemoryStore, awake: asyncio.Event) -> None:
        super().__init__(store.routes, store.script, store.rows_kept, store.tokens)
        self.awake = awake

    async def insert(self, table: str, container: memoryview, token: str) -> None:
        """Insert once awake."""
        await self.awake.wait()
        await super().insert(table, container, token)


def test_a_zombie_that_wakes_up_adds_nothing(rig: Rig) -> None:
    """An owner stopped right before its insert goes on after the partition was taken over and finished."""

    async def scene() -> None:
        world, lease, awake = rig.world(), rig.log.lease(AT), asyncio.Event()
        world.store = SlowStore(rig.store, awake)
        zombie = asyncio.create_task(rig.sink(world, lease))
        await asyncio.sleep(0.01)
        await rig.sink(rig.world())
        awake.set()
        with pytest.raises(Fenced):
            await zombie

    run(scene())
    assert rig.stored() == EXACT


def test_a_log_that_does_not_answer_is_asked_again(rig: Rig) -> None:
    """Commits and dead letters are repeated; an unanswered commit that did happen changes nothing."""
    failing = {"commit": 3, "confirm": 2}

    def script(operation: str, moment: str) -> None:
        if failing.get(operation) and moment == ("after" if operation == "commit" else "before"):
            failing[operation] -= 1
            raise LogUnavailable("no coordinator")

    rig.script(script)
    world = rig.world()
    run(rig.sink(world))
    assert rig.stored() == EXACT
    assert world.tally.retries["log"] == 5


POISON = {
    "null": None,
    "empty": b"",
    "unframed": b"hello",
    "unknown schema": b"\xc3\x01" + b"?" * 8 + b"body",
    "unknown id": b"\x00\x00\x00\x00\x09body",
    "half a schema id": b"\x00\x00\x00\x07",
}


class OneSchema:
    """A registry that knows StepBatch as 7."""

    def id_of(self, topic: str, schema: AvroSchema) -> int:
        """Return 7."""
        return {("steps", "StepBatch"): 7}[topic, schema.name]

    def schema(self, schema_id: int) -> AvroSchema:
        """Return StepBatch, for 7 only."""
        if schema_id != 7:
            raise UnknownSchema(f"schema id {schema_id} is not known")
        return schema("StepBatch")


@pytest.mark.parametrize("name", POISON)
def test_a_value_that_nobody_can_read_is_a_dead_letter(make_value: MakeValue, name: str) -> None:
    """It goes to the dead letters with its bytes, and the rest of its range is stored."""
    rig = Rig([make_value(0, 2), POISON[name], make_value(2, 2)])
    rig.schemas = LocalSchemas(Codec(OneSchema()))
    run(rig.sink(rig.world()))
    assert rig.stored() == dict.fromkeys(range(4), 1)
    (letter,) = rig.log.dead_letters
    assert (letter.key, letter.record.value) == ("steps-3-1", POISON[name])
    assert dict(letter.headers)["component"] == b"sink"
    assert rig.log.committed[AT].offset == 3


@pytest.mark.parametrize("damage", ["truncated", "trailing", "flipped"])
def test_a_value_that_contradicts_its_schema_is_found_by_decoding(make_value: MakeValue, damage: str) -> None:
    """The store refuses the range; the bad value is set apart, the others go in under the same token."""
    good = make_value(2, 2)
    bad = {"truncated": good[:-3], "trailing": good + b"x", "flipped": good[:-40]}[damage]
    rig = Rig([make_value(0, 2), bad, make_value(4, 2)])
    world = rig.world()
    run(rig.sink(world))
    assert rig.stored() == dict.fromkeys((0, 1, 4, 5), 1)
    assert [letter.record.offset for letter in rig.log.dead_letters] == [1]
    assert world.tally.dead_letters == 1
    assert {token.rsplit(":", 1)[0] for _, token, _ in rig.store.tokens} == {"id-1:3:0-2"}


def test_a_range_of_nothing_but_poison_passes() -> None:
    """Every value becomes a dead letter and the offset moves behind them."""
    rig = Rig([None, b"x", b""])
    run(rig.sink(rig.world()))
    assert len(rig.log.dead_letters) == 3
    assert rig.log.committed[AT].offset == 3


def test_a_death_after_a_dead_letter_repeats_it_and_loses_nothing(make_value: MakeValue) -> None:
    """Dead letters are written at least once, under a key that tells the copies."""
    rig = Rig([make_value(0, 2), b"x"])
    rig.script(_crash_when("dead_letter", "after"))
    with pytest.raises(Crash):
        run(rig.sink(rig.world()))
    rig.script(no_faults)
    run(rig.sink(rig.world()))
    assert rig.stored() == {0: 1, 1: 1}
    assert {letter.key for letter in rig.log.dead_letters} == {"steps-3-1"}


def test_a_refusal_of_good_values_is_never_a_dead_letter(rig: Rig) -> None:
    """A store that calls decodable data bad is asked again and again, and somebody is told why."""
    refusals = 3

    def script(operation: str, moment: str) -> None:
        nonlocal refusals
        if operation == "insert steps_landing" and moment == "before" and refusals:
            refusals -= 1
            raise DataError("do not like it", 395)

    rig.script(script)
    run(rig.sink(rig.world()))
    assert rig.stored() == EXACT
    assert rig.log.dead_letters == []


def test_a_registry_that_does_not_answer_is_waited_for(rig: Rig) -> None:
    """No value is judged while its schema cannot be asked for."""

    class Away(LocalSchemas):
        """Three questions without an answer."""

        left = 3

        async def resolve(self, ref: SchemaRef) -> AvroSchema:
            """Answer the fourth."""
            if self.left:
                self.left -= 1
                raise RegistryUnavailable("no registry")
            return await super().resolve(ref)

    rig.schemas = Away()
    world = rig.world()
    run(rig.sink(world))
    assert rig.stored() == EXACT
    assert rig.log.dead_letters == []
    assert world.tally.retries["registry"] == 3


def test_schema_ids_without_a_registry_pause_until_a_sink_that_has_one(
    make_batch: Callable[..., StepBatch], caplog: pytest.LogCaptureFixture
) -> None:
    """A missing setting is no fault of the values: none is skipped, none judged; a sink with the setting stores all."""
    codec = Codec(OneSchema())
    rig = Rig([codec.frame("steps", schema("StepBatch"), encode(make_batch(i * 5, 5))) for i in range(5)])
    world = rig.world()

    async def scene() -> None:
        sink = asyncio.create_task(rig.sink(world))
        for _ in range(500):  # time is the rig's: many times as many turns as a delivery without a pause takes
            await asyncio.sleep(0)
        assert world.tally.retries["configuration"] > 100
        sink.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sink

    with caplog.at_level(logging.WARNING):
        run(scene())
    reason = "configuration: no registry is set: a value names schema id 7; set SCHEMA_REGISTRY_URL and start again"
    assert world.tally.paused == {AT: reason}
    assert [record.getMessage() for record in caplog.records] == [f"sink.paused partition={AT} reason={reason}"]
    assert rig.log.committed[AT].offset == 0
    assert (rig.stored(), rig.log.dead_letters) == ({}, [])
    rig.schemas = LocalSchemas(codec)
    configured = rig.world()
    run(rig.sink(configured))
    assert (rig.stored(), rig.log.dead_letters, configured.tally.replays) == (EXACT, [], 1)
    assert rig.log.committed[AT] == Committed(5, Intent("id-1", poison=Poison(0, 0, 5)))


def test_a_recreated_topic_is_another_topic(make_value: MakeValue) -> None:
    """The same offsets under another topic id are other rows, and an old owner does not store under the old id."""
    rig = Rig([make_value(0, 2)])
    run(rig.sink(rig.world()))
    old = rig.log.lease(AT)
    rig.log.topic_ids["steps"] = "id-2"
    with pytest.raises(Fenced):
        run(deliver(rig.world(), old, STEPS, Work(Span(1, 1, (Record(1, None, make_value(2, 2), 0),)))))
    rig.log.committed.clear()
    rig.log.records[AT] = [read(0, None, make_value(2, 2), 0, batched=True)]
    run(rig.sink(rig.world()))
    assert rig.stored() == dict.fromkeys(range(4), 1)
