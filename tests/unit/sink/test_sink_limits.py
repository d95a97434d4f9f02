"""Too many dead letters stop a partition before the first of them is written, until a person mends what is wrong."""

import asyncio

import pytest

from runbus.kafka.dead_letter_rate import DeadLetterLimits
from runbus.schemas.avsc import AvroSchema, schema
from runbus.schemas.batch import encode
from runbus.schemas.codec import Codec
from runbus.schemas.errors import UnknownSchema
from runbus.sink.context import ProtocolContext
from runbus.sink.memory import LocalSchemas
from tests.unit.sink.conftest import MakeBatch
from tests.unit.sink.sink_setup import AT, MakeValue, SinkSetup, run


class Learning:
    """A registry that knows id 7 once it was told."""

    def __init__(self) -> None:
        self.knows = False

    def id_of(self, topic: str, writer: AvroSchema) -> int:
        """Return 7."""
        assert (topic, writer.name) == ("steps", "StepBatch")
        return 7

    def schema(self, schema_id: int) -> AvroSchema:
        """Return StepBatch, or say that it is not known."""
        if not self.knows:
            raise UnknownSchema(f"schema id {schema_id} is not known")
        return schema("StepBatch")


def strict(setup: SinkSetup, limits: DeadLetterLimits) -> ProtocolContext:
    """Return the context of one process with these limits."""
    context = setup.context()
    context.limits = limits
    return context


async def turns(context: ProtocolContext, attempts: int) -> None:
    """Let the sink come back to its limit some times."""
    for _ in range(20_000):
        if context.metrics.retries["poison"] >= attempts:
            return
        await asyncio.sleep(0)
    pytest.fail(f"it never waited: {context.metrics}")


async def stopped(setup: SinkSetup, context: ProtocolContext, attempts: int = 3) -> None:
    """Run a sink into its limit, look at it, and take it away."""
    sink = asyncio.create_task(setup.sink(context))
    await turns(context, attempts)
    sink.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sink


def test_a_run_of_unstorable_values_stops_before_the_first_letter_of_its_range(make_value: MakeValue) -> None:
    """What is good of the range is stored, nothing is skipped, the reason says how many and why, and alarms."""
    setup = SinkSetup([make_value(0, 2), b"x", b"x", b"x", make_value(2, 2)])
    context = strict(setup, DeadLetterLimits(run=2))
    run(stopped(setup, context))
    assert setup.stored() == dict.fromkeys(range(4), 1)
    assert (setup.log.dead_letters, setup.log.committed[AT].offset) == ([], 0)
    (reason,) = context.metrics.alarms().values()
    assert reason.startswith("poison: more than 2 values in a row cannot be stored: neither Avro single-object")


def test_a_restart_forgets_nothing(make_value: MakeValue) -> None:
    """The run is counted across ranges and owners: the commits carry it."""
    setup = SinkSetup([b"x", b"x", b"x", make_value(0, 2)])
    setup.limit_steps(1)  # a range a record
    for _ in range(3):
        context = strict(setup, DeadLetterLimits(run=2))
        run(stopped(setup, context))
        assert [letter.record.offset for letter in setup.log.dead_letters] == [0, 1]
        assert setup.log.committed[AT].offset == 2
    run(setup.sink(strict(setup, DeadLetterLimits(run=3))))
    assert {letter.record.offset for letter in setup.log.dead_letters} == {0, 1, 2}
    assert setup.stored() == {0: 1, 1: 1}


def test_a_schema_that_is_registered_meanwhile_is_enough(make_batch: MakeBatch) -> None:
    """The sink goes on by itself, and what it could not read before is stored once and is no dead letter."""
    registry = Learning()
    codec = Codec(registry)
    setup = SinkSetup([codec.frame("steps", schema("StepBatch"), encode(make_batch(i * 5, 5))) for i in range(5)])
    setup.schemas = LocalSchemas(codec)
    context = strict(setup, DeadLetterLimits(run=1))

    async def scene() -> None:
        sink = asyncio.create_task(setup.sink(context))
        await turns(context, 3)
        registry.knows = True
        await sink

    run(scene())
    assert setup.stored() == dict.fromkeys(range(25), 1)
    assert (setup.log.dead_letters, context.metrics.paused) == ([], {})


def test_a_share_of_unstorable_values_stops_too(make_value: MakeValue) -> None:
    """Every third value of enough of them is too many."""
    setup = SinkSetup([b"x" if i % 3 == 0 else make_value(i * 2, 2) for i in range(30)])
    context = strict(setup, DeadLetterLimits(run=0, share=0.2, window=12))
    run(stopped(setup, context))
    assert next(iter(context.metrics.alarms().values())).startswith("poison: more than 20% of the last 1")
    assert 0 < len(setup.log.dead_letters) < 10


def test_without_limits_everything_becomes_a_dead_letter() -> None:
    """Run 0 and share 1 are the old behaviour."""
    setup = SinkSetup([b"x"] * 3000)
    run(setup.sink(strict(setup, DeadLetterLimits(run=0, share=1.0))))
    assert len(setup.log.dead_letters) == 3000
    assert setup.log.committed[AT].offset == 3000
