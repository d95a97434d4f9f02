"""Too many dead letters stop a partition before the first of them is written, until somebody mends what is wrong."""

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
from tests.unit.sink.rig import AT, MakeValue, SinkSetup, run


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


def strict(rig: SinkSetup, limits: DeadLetterLimits) -> ProtocolContext:
    """Return the world of one process with these limits."""
    world = rig.world()
    world.poison = limits
    return world


async def turns(world: ProtocolContext, attempts: int) -> None:
    """Let the sink come back to its limit some times."""
    for _ in range(20_000):
        if world.tally.retries["poison"] >= attempts:
            return
        await asyncio.sleep(0)
    pytest.fail(f"it never waited: {world.tally}")


async def stopped(rig: SinkSetup, world: ProtocolContext, attempts: int = 3) -> None:
    """Run a sink into its limit, look at it, and take it away."""
    sink = asyncio.create_task(rig.sink(world))
    await turns(world, attempts)
    sink.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sink


def test_a_run_of_poison_stops_before_the_first_letter_of_its_range(make_value: MakeValue) -> None:
    """What is good of the range is stored, nothing is skipped, the reason says how many and why, and alarms."""
    rig = SinkSetup([make_value(0, 2), b"x", b"x", b"x", make_value(2, 2)])
    world = strict(rig, DeadLetterLimits(run=2))
    run(stopped(rig, world))
    assert rig.stored() == dict.fromkeys(range(4), 1)
    assert (rig.log.dead_letters, rig.log.committed[AT].offset) == ([], 0)
    (reason,) = world.tally.alarms().values()
    assert reason.startswith("poison: more than 2 values in a row cannot be stored: neither Avro single-object")


def test_a_restart_forgets_nothing(make_value: MakeValue) -> None:
    """The run is counted across ranges and owners: the commits carry it."""
    rig = SinkSetup([b"x", b"x", b"x", make_value(0, 2)])
    rig.limit_steps(1)  # a range a record
    for _ in range(3):
        world = strict(rig, DeadLetterLimits(run=2))
        run(stopped(rig, world))
        assert [letter.record.offset for letter in rig.log.dead_letters] == [0, 1]
        assert rig.log.committed[AT].offset == 2
    run(rig.sink(strict(rig, DeadLetterLimits(run=3))))
    assert {letter.record.offset for letter in rig.log.dead_letters} == {0, 1, 2}
    assert rig.stored() == {0: 1, 1: 1}


def test_a_schema_that_is_registered_meanwhile_is_enough(make_batch: MakeBatch) -> None:
    """The sink goes on by itself, and what it could not read before is stored once and is no dead letter."""
    registry = Learning()
    codec = Codec(registry)
    rig = SinkSetup([codec.frame("steps", schema("StepBatch"), encode(make_batch(i * 5, 5))) for i in range(5)])
    rig.schemas = LocalSchemas(codec)
    world = strict(rig, DeadLetterLimits(run=1))

    async def scene() -> None:
        sink = asyncio.create_task(rig.sink(world))
        await turns(world, 3)
        registry.knows = True
        await sink

    run(scene())
    assert rig.stored() == dict.fromkeys(range(25), 1)
    assert (rig.log.dead_letters, world.tally.paused) == ([], {})


def test_a_share_of_poison_stops_too(make_value: MakeValue) -> None:
    """Every third value of enough of them is too many."""
    rig = SinkSetup([b"x" if i % 3 == 0 else make_value(i * 2, 2) for i in range(30)])
    world = strict(rig, DeadLetterLimits(run=0, share=0.2, window=12))
    run(stopped(rig, world))
    assert next(iter(world.tally.alarms().values())).startswith("poison: more than 20% of the last 1")
    assert 0 < len(rig.log.dead_letters) < 10


def test_without_limits_everything_becomes_a_dead_letter() -> None:
    """Run 0 and share 1 are the old behaviour."""
    rig = SinkSetup([b"x"] * 3000)
    run(rig.sink(strict(rig, DeadLetterLimits(run=0, share=1.0))))
    assert len(rig.log.dead_letters) == 3000
    assert rig.log.committed[AT].offset == 3000
