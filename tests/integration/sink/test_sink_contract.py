"""One contract, two stores: what the protocol relies on holds in memory and in ClickHouse."""

import asyncio
import uuid
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from runbus.clickhouse.client import connect
from runbus.clickhouse.errors import Configuration, DataError
from runbus.config.clickhouse import ClickHouseSettings
from runbus.kafka.model import TopicIdPartition
from runbus.schemas.avsc import schema
from runbus.schemas.batch import encode
from runbus.schemas.codec import SchemaRef
from runbus.sink.api import DeletedRange, FramedRecord, Store
from runbus.sink.container import Container
from runbus.sink.memory import LocalSchemas, MemoryStore
from runbus.sink.records import wrap
from runbus.sink.routes import ROUTES
from runbus.sink.store import ClickHouseStore
from tests.integration.sink.sink_processes import make_batch

pytestmark = pytest.mark.integration
STEPS = next(route for route in ROUTES if route.topic == "steps")
LETTERS = next(route for route in ROUTES if route.topic == "dead-letters")
Use = Callable[[Callable[[Store], Coroutine[Any, Any, None]]], None]


@pytest.fixture(params=["memory", "clickhouse"])
def use(request: pytest.FixtureRequest) -> Use:
    """Return a runner that hands a store to a coroutine."""
    if request.param == "memory":
        return lambda work: asyncio.run(work(MemoryStore(ROUTES)))
    settings: ClickHouseSettings = request.getfixturevalue("migrated")

    def real(work: Callable[[Store], Coroutine[Any, Any, None]]) -> None:
        async def scene() -> None:
            client = connect(settings)
            try:
                await work(ClickHouseStore(client, "group"))
            finally:
                client.close()

        asyncio.run(scene())

    return real


@pytest.fixture
def source() -> TopicIdPartition:
    """Return a partition of a topic that no other test has."""
    return TopicIdPartition("steps", uuid.uuid4().hex, 2)


def container(source: TopicIdPartition, *first: int, cut: int = 0) -> Container:
    """Return records of 10 steps; record n starts at seq `first[n]` and has offset n."""
    bodies = [encode(make_batch("contract", "a", at, 10)) for at in first]
    framed = [(offset, body[: len(body) - cut], 0) for offset, body in enumerate(bodies)]
    return Container(schema("StepBatch"), source.topic_id, source.partition, framed)


def test_the_same_token_stores_once(use: Use, source: TopicIdPartition) -> None:
    """Twice the same insert is one, another token is another one, and rows are counted per offset."""

    async def work(store: Store) -> None:
        token = f"{source.topic_id}:2:0-1"
        assert await store.rows(STEPS, source, 0, 99) == {}
        for _ in range(2):
            await store.insert(STEPS.landing, container(source, 0, 10), token)
        assert await store.rows(STEPS, source, 0, 99) == {0: 10, 1: 10}
        assert await store.rows(STEPS, source, 1, 1) == {1: 10}
        assert await store.sequence(STEPS, source, 1) == set(range(10, 20))
        assert [await store.newest(STEPS, source, lo) for lo in (0, 1, 2)] == [1, 1, -1]

    use(work)


def test_a_landing_takes_the_token_of_a_repair(use: Use, source: TopicIdPartition) -> None:
    """A repair goes through the landing that took the range, and is stored beside it, once per token."""

    async def work(store: Store) -> None:
        token = f"{source.topic_id}:2:0-0:salt"
        await store.insert(STEPS.landing, container(source, 0), token)
        for _ in range(2):
            await store.insert(STEPS.landing, container(source, 10), f"{token}#0")
        assert await store.rows(STEPS, source, 0, 10) == {0: 20}  # both hold steps of offset 0
        assert await store.sequence(STEPS, source, 0) == set(range(20))

    use(work)


def test_a_bad_record_refuses_the_whole_insert_and_leaves_the_token_unused(use: Use, source: TopicIdPartition) -> None:
    """After a data error nothing is stored, and the rest goes in under the same token."""

    async def work(store: Store) -> None:
        token = f"{source.topic_id}:2:0-1"
        with pytest.raises(DataError):
            await store.insert(STEPS.landing, container(source, 0, 10, cut=3), token)
        assert await store.rows(STEPS, source, 0, 99) == {}
        await store.insert(STEPS.landing, container(source, 0), token)
        assert await store.rows(STEPS, source, 0, 99) == {0: 10}

    use(work)


def test_an_unknown_table_is_configuration(use: Use, source: TopicIdPartition) -> None:
    """A table that is not there is a person's to mend, never data."""

    async def work(store: Store) -> None:
        with pytest.raises(Configuration):
            await store.insert("nowhere_landing", container(source, 0), "t")

    use(work)


def test_losses_can_be_said_twice(use: Use, source: TopicIdPartition) -> None:
    """A lost range is kept by its position."""

    async def work(store: Store) -> None:
        for _ in range(2):
            await store.record_lost(DeletedRange("steps", source.topic_id, 2, 5, 9))

    use(work)


def test_dead_letters_are_a_route_like_the_others(use: Use) -> None:
    """Letters of any bytes are stored under a token, once, and counted by their own offset."""

    async def work(store: Store) -> None:
        source = TopicIdPartition("dead-letters", uuid.uuid4().hex, 0)
        odd = {"topic": b"\xff", "offset": b"-1", "": b"\x00"}
        letters = [
            wrap(source.position, 4, None, {}),
            wrap(source.position, 6, b"\xff\x00" * 1_000_000, odd, key=b"\xfe"),
        ]
        writer = await LocalSchemas().resolve(_ref(letters[0]))
        framed = [(letter.offset, letter.value or b"", letter.start) for letter in letters]
        for _ in range(2):
            await store.insert(
                LETTERS.landing, Container(writer, source.topic_id, 0, framed), f"{source.topic_id}:0:4-6"
            )
        assert await store.rows(LETTERS, source, 0, 99) == {4: 1, 6: 1}

    use(work)


def _ref(record: FramedRecord) -> SchemaRef:
    assert record.ref is not None
    return record.ref
