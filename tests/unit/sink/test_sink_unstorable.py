"""The protocol among values that cannot be stored, or not yet, on a log and a store in memory."""

import asyncio
import logging
from collections.abc import Callable

import pytest

from runbus.clickhouse.errors import DataError
from runbus.kafka.commit_metadata import Committed, Intent
from runbus.kafka.dead_letter_rate import DeadLetterRate
from runbus.schemas.avsc import AvroSchema, schema
from runbus.schemas.batch import StepBatch, encode
from runbus.schemas.codec import Codec, SchemaRef
from runbus.schemas.errors import RegistryUnavailable, UnknownSchema
from runbus.sink.memory import LocalSchemas, no_faults
from tests.unit.sink.sink_setup import AT, Crash, MakeValue, SinkSetup, crash_when, run

EXACT = dict.fromkeys(range(25), 1)


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
    setup = SinkSetup([make_value(0, 2), POISON[name], make_value(2, 2)])
    setup.schemas = LocalSchemas(Codec(OneSchema()))
    run(setup.sink(setup.context()))
    assert setup.stored() == dict.fromkeys(range(4), 1)
    (letter,) = setup.log.dead_letters
    assert (letter.key, letter.record.value) == ("steps-3-1", POISON[name])
    assert dict(letter.headers)["component"] == b"sink"
    assert setup.log.committed[AT].offset == 3


@pytest.mark.parametrize("damage", ["truncated", "trailing", "flipped"])
def test_a_value_that_contradicts_its_schema_is_found_by_decoding(make_value: MakeValue, damage: str) -> None:
    """The store refuses the range; the bad value is isolated, the others go in under the same token."""
    good = make_value(2, 2)
    bad = {"truncated": good[:-3], "trailing": good + b"x", "flipped": good[:-40]}[damage]
    setup = SinkSetup([make_value(0, 2), bad, make_value(4, 2)])
    context = setup.context()
    run(setup.sink(context))
    assert setup.stored() == dict.fromkeys((0, 1, 4, 5), 1)
    assert [letter.record.offset for letter in setup.log.dead_letters] == [1]
    assert context.metrics.dead_letters == 1
    assert {token.rsplit(":", 1)[0] for _, token, _ in setup.store.tokens} == {"id-1:3:0-2"}


def test_a_range_of_unstorable_values_passes() -> None:
    """Every value becomes a dead letter and the offset moves behind them."""
    setup = SinkSetup([None, b"x", b""])
    run(setup.sink(setup.context()))
    assert len(setup.log.dead_letters) == 3
    assert setup.log.committed[AT].offset == 3


def test_a_death_after_a_dead_letter_repeats_it_and_loses_nothing(make_value: MakeValue) -> None:
    """Dead letters are written at least once, under a key that tells the copies."""
    setup = SinkSetup([make_value(0, 2), b"x"])
    setup.script(crash_when("dead_letter", "after"))
    with pytest.raises(Crash):
        run(setup.sink(setup.context()))
    setup.script(no_faults)
    run(setup.sink(setup.context()))
    assert setup.stored() == {0: 1, 1: 1}
    assert {letter.key for letter in setup.log.dead_letters} == {"steps-3-1"}


def test_a_refusal_of_good_values_is_never_a_dead_letter(setup: SinkSetup) -> None:
    """A store that calls decodable data bad is asked again and again, and the log says why."""
    refusals = 3

    def script(operation: str, moment: str) -> None:
        nonlocal refusals
        if operation == "insert steps_landing" and moment == "before" and refusals:
            refusals -= 1
            raise DataError("do not like it", 395)

    setup.script(script)
    run(setup.sink(setup.context()))
    assert setup.stored() == EXACT
    assert setup.log.dead_letters == []


def test_a_registry_that_does_not_answer_is_waited_for(setup: SinkSetup) -> None:
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

    setup.schemas = Away()
    context = setup.context()
    run(setup.sink(context))
    assert setup.stored() == EXACT
    assert setup.log.dead_letters == []
    assert context.metrics.retries["registry"] == 3


def test_schema_ids_without_a_registry_pause_until_a_sink_that_has_one(
    make_batch: Callable[..., StepBatch], caplog: pytest.LogCaptureFixture
) -> None:
    """A missing setting is no fault of the values: none is skipped, none judged; a sink with the setting stores all."""
    codec = Codec(OneSchema())
    setup = SinkSetup([codec.frame("steps", schema("StepBatch"), encode(make_batch(i * 5, 5))) for i in range(5)])
    context = setup.context()

    async def scene() -> None:
        sink = asyncio.create_task(setup.sink(context))
        for _ in range(500):  # time is the setup's: many times as many turns as a delivery without a pause takes
            await asyncio.sleep(0)
        assert context.metrics.retries["configuration"] > 100
        sink.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sink

    with caplog.at_level(logging.WARNING):
        run(scene())
    reason = "configuration: no registry is set: a value names schema id 7; set SCHEMA_REGISTRY_URL and start again"
    assert context.metrics.paused == {AT: reason}
    assert [record.getMessage() for record in caplog.records] == [f"sink.paused partition={AT} reason={reason}"]
    assert setup.log.committed[AT].offset == 0
    assert (setup.stored(), setup.log.dead_letters) == ({}, [])
    setup.schemas = LocalSchemas(codec)
    configured = setup.context()
    run(setup.sink(configured))
    assert (setup.stored(), setup.log.dead_letters, configured.metrics.replays) == (EXACT, [], 1)
    assert setup.log.committed[AT] == Committed(5, Intent("id-1", rate=DeadLetterRate(0, 0, 5)))
