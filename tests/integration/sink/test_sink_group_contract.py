"""One contract, two groups: what a session relies on holds for the group in memory and for Kafka's."""

import asyncio
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka import TopicPartition as ClientPartition

from runbus.config.catalogue import GroupProtocol
from runbus.kafka.admin import apply_topics
from runbus.kafka.clients import admin_client, new_offsets_reader, new_sink_consumer
from runbus.kafka.commit_metadata import Committed, Intent
from runbus.kafka.model import Fenced, LogUnavailable, TopicPartition
from runbus.kafka.offsets import KafkaOffsets
from runbus.kafka.settings import KafkaSettings, Membership
from runbus.sink.api import FramedRecord
from runbus.sink.group import GroupMember, GroupOffsets, ReadBatch, Restart
from runbus.sink.log import KafkaMember
from runbus.sink.memory import ManualClock, MemoryGroup, MemoryLog, MemoryMember
from runbus.sink.routes import ROUTES

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
PARTITIONS = 4


class GroupSetup:
    """A topic with one group; `topic` is its full name."""

    topic: str
    offsets: GroupOffsets

    def member(self) -> GroupMember:
        """Return a new member."""
        raise NotImplementedError

    def append(self, partition: int, count: int) -> None:
        """Append records."""
        raise NotImplementedError

    def delete(self, partition: int, below: int) -> None:
        """Delete the records below an offset."""
        raise NotImplementedError


class MemoryGroupSetup(GroupSetup):
    """In memory."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.topic = "steps"
        self.log.topic_ids[self.topic] = "id-1"
        self.group = MemoryGroup(self.log, {self.topic: PARTITIONS})
        self.offsets = _MemoryOffsets(self.log)

    def member(self) -> GroupMember:
        """Return a new member."""
        return MemoryMember(self.group, ManualClock())

    def append(self, partition: int, count: int) -> None:
        """Append records."""
        position = TopicPartition(self.topic, partition)
        for offset in range(self.log.high(position), self.log.high(position) + count):
            self.log.records[position].append(FramedRecord(offset, b"k", b"v", 0))

    def delete(self, partition: int, below: int) -> None:
        """Delete the records below an offset."""
        self.log.delete(TopicPartition(self.topic, partition), below)


class _MemoryOffsets:
    def __init__(self, log: MemoryLog) -> None:
        self.committed = log.offsets
        self.bounds = log.bounds


class KafkaGroupSetup(GroupSetup):
    """On a broker."""

    def __init__(self, kafka: KafkaSettings, protocol: GroupProtocol) -> None:
        self.topic = f"{kafka.topic_prefix}steps"
        self._settings = kafka
        self._membership = Membership(f"group-{uuid.uuid4().hex[:8]}", protocol, session_seconds=6)
        self._producer = Producer({**kafka.client_config(), "linger.ms": 0})
        self._admin = admin_client(kafka)
        self.offsets = KafkaOffsets(new_offsets_reader(kafka, self._membership.group))

    def member(self) -> GroupMember:
        """Return a new member."""
        return KafkaMember(new_sink_consumer(self._settings, self._membership), {self.topic: ROUTES[0]})

    def append(self, partition: int, count: int) -> None:
        """Append records."""
        for _ in range(count):
            self._producer.produce(self.topic, key=b"k", value=b"v", partition=partition)
        assert self._producer.flush(30) == 0

    def delete(self, partition: int, below: int) -> None:
        """Delete the records below an offset."""
        for future in self._admin.delete_records([ClientPartition(self.topic, partition, below)]).values():
            future.result(30)


@dataclass
class Part:
    """A member and what it was told."""

    setup: GroupSetup
    name: str
    told: list[tuple[str, str, list[int]]] = field(default_factory=list)
    owned: set[int] = field(default_factory=set)
    read: dict[int, list[int]] = field(default_factory=dict)
    reached: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.member = self.setup.member()

    async def subscribe(self) -> None:
        """Join; reading starts at what the group committed, or at the start of the log."""

        async def opened(positions: list[TopicPartition]) -> dict[TopicPartition, int]:
            self.told.append((self.name, "opened", sorted(p.partition for p in positions)))
            self.owned |= {p.partition for p in positions}
            if not positions:
                return {}
            committed = await asked(lambda: self.setup.offsets.committed(positions))
            bounds = await asked(lambda: self.setup.offsets.bounds(positions))
            return {p: found.offset if (found := committed[p]) else bounds[p][0] for p in positions}

        async def closed(positions: list[TopicPartition], lost: bool) -> None:
            self.told.append((self.name, "lost" if lost else "closed", sorted(p.partition for p in positions)))
            self.owned -= {p.partition for p in positions}

        await self.member.subscribe([self.setup.topic], opened, closed)

    async def turn(self) -> ReadBatch:
        """Read once."""
        batch = await self.member.read(500, 0.05)
        for position, records in batch.records.items():
            self.read.setdefault(position.partition, []).extend(record.offset for record in records)
        self.reached |= {position.partition: offset for position, offset in batch.reached.items()}
        return batch

    async def commit(self, partition: int, offset: int, intent: Intent) -> None:
        """Commit; again where the coordinator has no time."""
        await asked(lambda: self.member.commit(TopicPartition(self.setup.topic, partition), offset, intent))


async def asked(call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Return the answer; ask again while there is none."""
    for _ in range(100):
        try:
            return await call()
        except LogUnavailable:
            await asyncio.sleep(0.1)
    pytest.fail("no answer")


async def until(parts: list[Part], condition: Callable[[], bool]) -> None:
    """Let the members read in turn until something holds."""
    for _ in range(600):
        if condition():
            return
        for part in parts:
            await part.turn()
    pytest.fail(f"never held; {[(part.name, part.told, part.read, part.reached) for part in parts]}")


@pytest.fixture(params=["memory", "consumer", "classic"])
def new_setup(request: pytest.FixtureRequest) -> Callable[[], GroupSetup]:
    """Return a maker of worlds."""
    if request.param == "memory":
        return MemoryGroupSetup
    kafka: KafkaSettings = request.getfixturevalue("kafka_settings")
    apply_topics(kafka, partitions=PARTITIONS)
    return lambda: KafkaGroupSetup(kafka, request.param)


def test_one_member_gets_all_and_reads_to_the_end(new_setup: Callable[[], GroupSetup]) -> None:
    """Records come in order, the end is told, and a commit is what the next owner reads, with its intent."""

    async def scene() -> None:
        there, first = (setup := new_setup()), Part(setup, "first")
        await first.subscribe()
        there.append(1, 3)
        await until([first], lambda: first.read.get(1) == [0, 1, 2] and first.reached.get(1) == 3)
        assert first.owned == set(range(PARTITIONS))
        intent = Intent("id", 7, "salt")
        await first.commit(1, 2, intent)
        await first.member.close()
        assert (first.told[-1][1], first.owned) == ("closed", set())
        second = Part(there, "second")
        await second.subscribe()
        await until([second], lambda: second.read.get(1) == [2])
        found = await asked(
            lambda: there.offsets.committed([TopicPartition(there.topic, 1), TopicPartition(there.topic, 2)])
        )
        assert found == {TopicPartition(there.topic, 1): Committed(2, intent), TopicPartition(there.topic, 2): None}
        await second.member.close()

    asyncio.run(scene())


def test_partitions_change_hands_only_after_they_were_given_up(new_setup: Callable[[], GroupSetup]) -> None:
    """Two members share the partitions; none is opened by one before it is closed by the other."""

    async def scene() -> None:
        setup = new_setup()
        first, second = Part(setup, "first"), Part(setup, "second")
        second.told = first.told
        await first.subscribe()
        await until([first], lambda: first.owned == set(range(PARTITIONS)))
        await second.subscribe()
        await until([first, second], lambda: len(first.owned) == len(second.owned) == PARTITIONS // 2)
        assert first.owned | second.owned == set(range(PARTITIONS))
        owner: dict[int, str] = {}
        for name, event, partitions in first.told:
            for partition in partitions:
                if event == "opened":
                    assert partition not in owner
                    owner[partition] = name
                else:
                    assert owner.pop(partition) == name
        await first.member.close()
        await until([second], lambda: second.owned == set(range(PARTITIONS)))
        await second.member.close()

    asyncio.run(scene())


def test_a_member_that_left_commits_nothing(new_setup: Callable[[], GroupSetup]) -> None:
    """After the group let it go, a commit is refused, and what was committed before stands."""

    async def scene() -> None:
        setup = new_setup()
        first, second = Part(setup, "first"), Part(setup, "second")
        await first.subscribe()
        await until([first], lambda: 0 in first.owned)
        await first.commit(0, 0, Intent("id", -1, ""))
        await first.member.close()
        with pytest.raises((Fenced, RuntimeError)):
            await first.commit(0, 5, Intent("id", -1, ""))
        await second.subscribe()
        await until([second], lambda: 0 in second.owned)
        assert (await asked(lambda: setup.offsets.committed([TopicPartition(setup.topic, 0)])))[
            TopicPartition(setup.topic, 0)
        ].offset == 0
        await second.member.close()

    asyncio.run(scene())


def test_a_paused_partition_is_read_on_from_where_it_was(new_setup: Callable[[], GroupSetup]) -> None:
    """Nothing of it comes while it is paused, nothing is missing or twice afterwards."""

    async def scene() -> None:
        setup = new_setup()
        part = Part(setup, "one")
        await part.subscribe()
        setup.append(0, 2)
        await until([part], lambda: part.read.get(0) == [0, 1])
        part.member.pause(TopicPartition(setup.topic, 0))
        setup.append(0, 2)
        setup.append(1, 1)
        await until([part], lambda: part.read.get(1) == [0])
        for _ in range(5):
            await part.turn()
        assert part.read[0] == [0, 1]
        part.member.resume(TopicPartition(setup.topic, 0))
        await until([part], lambda: part.read[0] == [0, 1, 2, 3])
        await part.member.close()

    asyncio.run(scene())


def test_an_offset_that_is_gone_ends_the_membership(new_setup: Callable[[], GroupSetup]) -> None:
    """Where retention passed, nobody is moved on without a word."""

    async def scene() -> None:
        setup = new_setup()
        part = Part(setup, "one")
        await part.subscribe()
        setup.append(0, 3)
        await until([part], lambda: part.read.get(0) == [0, 1, 2])
        await part.commit(0, 1, Intent("id", -1, ""))
        await part.member.close()
        setup.append(0, 2)
        setup.delete(0, 4)
        late = Part(setup, "late")
        await late.subscribe()
        with pytest.raises(Restart):
            await until([late], lambda: False)
        await late.member.close()

    asyncio.run(scene())
