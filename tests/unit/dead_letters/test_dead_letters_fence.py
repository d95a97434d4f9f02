"""An owner that lost its partition does not act on what it learned since, so a retry stays exact."""

import asyncio
from dataclasses import dataclass, field

import pytest

from runbus.kafka.commit_metadata import Intent
from runbus.kafka.model import Fenced, TopicIdPartition
from runbus.schemas.avsc import AvroSchema, schema
from runbus.schemas.batch import encode
from runbus.schemas.codec import CONFLUENT_MARK, Codec, RegistryId, SchemaRef
from runbus.schemas.errors import UnknownSchema
from runbus.sink.api import Lease, OffsetRange
from runbus.sink.dead_letters.eligibility import LetterOrigin, RetryEligibility
from runbus.sink.dead_letters.retry import RetryContext, store_again
from runbus.sink.memory import LocalSchemas
from runbus.sink.protocol import FENCE_S
from tests.unit.dead_letters.retry_setup import batch
from tests.unit.sink.sink_setup import AT, STEPS, SinkSetup, first_delivery

SESSION_S = 10.0


@dataclass
class Pause:
    """A place at which a process is stopped, once."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    awake: asyncio.Event = field(default_factory=asyncio.Event)

    async def here(self) -> None:
        """Be stopped."""
        self.reached.set()
        await self.awake.wait()


@dataclass(frozen=True)
class StoppedLease:
    """A lease whose owner is stopped right behind a commit: it took effect, and its answer waits to be seen."""

    lease: Lease
    pause: Pause

    @property
    def source(self) -> TopicIdPartition:
        """The partition."""
        return self.lease.source

    async def commit(self, offset: int, intent: Intent) -> None:
        """Commit, and be stopped."""
        await self.lease.commit(offset, intent)
        await self.pause.here()

    async def confirm(self) -> None:
        """Confirm."""
        await self.lease.confirm()


class LearningSchemas(LocalSchemas):
    """The package's schemas, and from some moment on schema id 7; `pause` stops the caller that asks for an id."""

    def __init__(self, knows: list[bool], pause: Pause | None = None) -> None:
        super().__init__()
        self._knows = knows
        self._pause = pause

    async def resolve(self, ref: SchemaRef) -> AvroSchema:
        """Return the writer schema."""
        if not isinstance(ref, RegistryId):
            return await super().resolve(ref)
        if self._pause is not None:
            await self._pause.here()
        if not self._knows:
            raise UnknownSchema(f"{ref} is not known")
        return schema("StepBatch")


def values() -> list[bytes | None]:
    """Return three records of two steps; the one in the middle names a schema that is not known yet."""
    bodies = [encode(batch(first, 2)) for first in (0, 2, 4)]
    first, last = (Codec().frame("steps", schema("StepBatch"), body) for body in (bodies[0], bodies[2]))
    return [first, CONFLUENT_MARK + (7).to_bytes(4, "big") + bodies[1], last]


@pytest.mark.parametrize("where", ["behind its announcement", "while it asks for a schema"])
def test_an_owner_that_learns_a_schema_after_its_partition_is_gone_stores_nothing(where: str) -> None:
    """It is stopped; its successor makes a dead letter; the schema is learned; a retry stores it; then it goes on."""

    async def scene() -> None:
        setup, knows, pause = SinkSetup(values()), list[bool](), Pause()
        setup.schemas = LearningSchemas(knows)
        context, lease = setup.context(), setup.log.lease(AT)
        offsets = OffsetRange(0, 2, tuple(setup.log.records[AT]))
        stopped: Lease = lease
        if where == "behind its announcement":
            stopped = StoppedLease(lease, pause)
        else:
            context.schemas = LearningSchemas(knows, pause)
        old = asyncio.create_task(first_delivery(context, stopped, STEPS, offsets))
        await pause.reached.wait()
        setup.clock.seconds += SESSION_S
        await setup.sink(setup.context())
        assert [letter.record.offset for letter in setup.log.dead_letters] == [1]

        knows.append(True)
        origin = LetterOrigin("steps", "id-1", AT.partition, 1)
        assert RetryEligibility({"steps": STEPS}, setup.log.topic_ids, setup.log.committed).obstacle(origin) == ""
        retrying = RetryContext(setup.store, setup.schemas, setup.clock)
        assert await store_again(retrying, STEPS, origin.source, setup.log.records[AT][1])
        pause.awake.set()
        with pytest.raises(Fenced):
            await old
        assert setup.stored() == dict.fromkeys(range(6), 1)

    asyncio.run(scene())


def test_an_intent_is_old_before_a_session_can_end() -> None:
    """Brokers refuse sessions below 6 s, unless configured otherwise."""
    assert FENCE_S < 6.0 < SESSION_S
