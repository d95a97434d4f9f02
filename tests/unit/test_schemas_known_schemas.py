"""Schemas of a registry: asked for outside of the loop, and again once it may have learned."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from runbus.kafka.model import TopicPartition
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.stream_apps import EPISODES_APP
from runbus.schemas import known_schemas as module
from runbus.schemas.avsc import AvroSchema, schema
from runbus.schemas.codec import Codec, RegistryId
from runbus.schemas.errors import RegistryUnavailable, UnknownSchema
from runbus.schemas.events import RunEvent
from runbus.schemas.known_schemas import ASK_AGAIN_S, KnownSchemas, SchemaNeeded
from runbus.streams import engine as engine_module
from runbus.streams.api import StreamApp
from runbus.streams.component import StreamComponent
from runbus.streams.engine import StreamEngine
from runbus.streams.run_ends import RunEnds
from runbus.streams.settings import StreamSettings
from runbus.streams.start import SourceTopic
from tests.support.waiting import until_holds

KAFKA = KafkaSettings("127.0.0.1:1")
APP = StreamApp(EPISODES_APP, None, "transaction", 0.2)  # type: ignore[arg-type]


class Registry:
    """A registry that is away, or knows no id, until the test says otherwise."""

    def __init__(self) -> None:
        self.away = False
        self.known: dict[int, AvroSchema] = {}
        self.asked_by: list[str] = []

    def id_of(self, topic: str, schema: AvroSchema) -> int:  # noqa: ARG002 - of the interface
        """Return the only id."""
        self._ask()
        return 7

    def schema(self, schema_id: int) -> AvroSchema:
        """Return what has the id."""
        self._ask()
        if schema_id not in self.known:
            raise UnknownSchema(f"schema id {schema_id} is not known")
        return self.known[schema_id]

    def _ask(self) -> None:
        self.asked_by.append(threading.current_thread().name)
        if self.away:
            raise RegistryUnavailable("no schema registry answers")


def test_an_id_that_was_not_known_is_asked_for_again_after_a_minute() -> None:
    """Its values are dead letters meanwhile; before, they were until the process was started anew."""
    registry, now = Registry(), [0.0]
    schemas = KnownSchemas(Codec(registry), clock=lambda: now[0])
    asyncio.run(schemas.learn(RegistryId(7)))
    now[0] = ASK_AGAIN_S - 1
    with pytest.raises(UnknownSchema, match="schema id 7 is not known"):
        schemas.find(RegistryId(7), "StepBatch")
    registry.known[7] = schema("StepBatch")
    now[0] = ASK_AGAIN_S
    with pytest.raises(SchemaNeeded):
        schemas.find(RegistryId(7), "StepBatch")
    asyncio.run(schemas.learn(RegistryId(7)))
    assert schemas.find(RegistryId(7), "StepBatch") == schema("StepBatch")


def test_ids_that_nobody_knows_take_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged value may name any of them."""
    monkeypatch.setattr(module, "_MOST", 3)
    schemas = KnownSchemas(Codec(Registry()))
    for number in range(10):
        asyncio.run(schemas.learn(RegistryId(number)))
    assert list(schemas._refused) == [RegistryId(7), RegistryId(8), RegistryId(9)]


def test_an_end_waits_for_its_schema_and_the_loop_does_not() -> None:
    """The registry is asked in a thread; while it does not answer nothing is lost."""
    registry, ended = Registry(), list[str]()
    event = RunEvent(run_id="r", agent_id="a", attempt=1, kind="FINISHED", sent_at=1, started_at=1)
    value = b"\x00" + (7).to_bytes(4, "big") + event.encode()
    ends = RunEnds(KAFKA, KnownSchemas(Codec(registry)), 4, lambda _, event, __: ended.append(event.run_id))
    registry.known[7], registry.away = schema("RunEvent"), True

    async def story() -> None:
        ends._take(value, 1000)
        await ends._take_waiting()
        assert ended == []
        registry.away = False
        await ends._take_waiting()

    asyncio.run(story())
    assert ended == ["r"]
    assert set(registry.asked_by) == {"runbus-registry"}


def test_a_partition_that_was_given_up_waits_for_no_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its next owner does, and says so; /ready of this process would name it for ever."""
    monkeypatch.setattr(engine_module, "_REGISTRY_S", 0.01)
    registry = Registry()
    registry.away = True

    async def story() -> None:
        engine = StreamEngine(APP, StreamSettings(KAFKA), Codec(registry), SourceTopic("steps", "id", 1))
        place = TopicPartition("steps", 0)
        owned: Any = SimpleNamespace(partition=place, given_up=False, shard=SimpleNamespace(source="steps:0"))
        engine.ownership.partitions[place] = owned
        learning = asyncio.create_task(engine._learn(owned, SchemaNeeded(RegistryId(7))))
        await until_holds(lambda: bool(engine.ownership.waits_for))
        del engine.ownership.partitions[place]
        engine.ownership.waits_for.clear()
        await asyncio.wait([learning], timeout=10)
        assert learning.done()
        assert engine.ownership.waits_for == {}
        await engine._member.consumer.stop()

    asyncio.run(story())


def test_a_process_waits_at_its_start_for_the_id_of_what_it_writes() -> None:
    """Later the question would stop its loop, and an outage of the registry would end it."""
    registry = Registry()
    registry.away = True
    component = StreamComponent(APP, StreamSettings(KAFKA), Codec(registry))

    async def story() -> None:
        stop = asyncio.Event()
        waiting = asyncio.create_task(component._output_id_known(stop))
        await until_holds(lambda: bool(component.health().waits_for))
        registry.away = False
        async with asyncio.timeout(10):
            assert await waiting

    asyncio.run(story())
    assert set(registry.asked_by) == {"runbus-registry"}
