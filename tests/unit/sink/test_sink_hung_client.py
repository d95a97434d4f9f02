"""A consumer that never returns from a call, as librdkafka's commit may: its session ends, and the next one goes on."""

from __future__ import annotations

import asyncio
import random

import pytest

from runbus.kafka.model import LogUnavailable, TopicPartition
from runbus.sink import session as module
from runbus.sink.context import ProtocolContext
from runbus.sink.group import ReadBatch, Restart
from runbus.sink.memory import LocalSchemas, MemoryGroup, MemoryLog, MemoryMember, MemoryStore
from runbus.sink.process import WallClock
from runbus.sink.routes import ROUTES
from runbus.sink.session import Session
from runbus.sink.topics import TopicIds
from tests.support.waiting import until_holds
from tests.unit.sink.sink_setup import SETTINGS, STEPS, Positions

TOPIC = "steps"
PLACE = TopicPartition(TOPIC, 0)


class HungMember(MemoryMember):
    """A member whose reads never return while `hangs` is set."""

    hangs = False

    async def read(self, limit: int, seconds: float) -> ReadBatch:
        """Read, or wait for ever."""
        if self.hangs:
            await asyncio.Event().wait()
        return await super().read(limit, seconds)


class Scene:
    """A membership over a log in memory, whose broker may be away."""

    def __init__(self) -> None:
        self.log, clock = MemoryLog(), WallClock()
        self.log.topic_ids[TOPIC] = "id"
        self.away = False
        self.asked = 0
        context = ProtocolContext(self.log, MemoryStore(ROUTES), LocalSchemas(), clock, rng=random.Random(1))
        self.member = HungMember(MemoryGroup(self.log, {TOPIC: 1}), clock)
        topics, offsets = TopicIds(self._ids, clock), Positions(self.log)
        self.session = Session(SETTINGS, context, self.member, topics, offsets, {TOPIC: STEPS}, asyncio.Event())

    async def _ids(self) -> dict[str, str]:
        self.asked += 1
        if self.away:
            raise LogUnavailable("away")
        return await self.log.ids()

    async def looked(self, times: int) -> None:
        """Return once the session has looked at the topics so many times more."""
        before = self.asked
        await until_holds(lambda: self.asked >= before + times)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TOPICS_S", 0.002)
    monkeypatch.setattr(module, "_READ_S", 0.0002)


def test_a_consumer_that_hangs_while_the_broker_answers_ends_its_session() -> None:
    """And what it calls when it comes back finds nothing to open: another session has its partitions."""

    async def story() -> None:
        scene = Scene()
        running = asyncio.create_task(scene.session.run())
        await until_holds(lambda: PLACE in scene.session.flows)
        scene.member.hangs = True
        with pytest.raises(Restart, match="has not returned"):
            await running
        assert await scene.session._open([PLACE]) == {}
        assert not scene.session.flows

    asyncio.run(story())


def test_a_consumer_may_wait_for_a_broker_that_is_away() -> None:
    """However long; once the broker answers again, the looks are counted anew."""

    async def story() -> None:
        scene = Scene()
        running = asyncio.create_task(scene.session.run())
        await until_holds(lambda: PLACE in scene.session.flows)
        scene.away = scene.member.hangs = True
        await scene.looked(3 * module._HUNG_LOOKS)
        assert not running.done()
        scene.away = False
        with pytest.raises(Restart):
            await running

    asyncio.run(story())


def test_a_consumer_that_returns_is_left_alone() -> None:
    """As long as it reads, the session goes on, whatever it looks at."""

    async def story() -> None:
        scene = Scene()
        running = asyncio.create_task(scene.session.run())
        await scene.looked(4 * module._HUNG_LOOKS)
        assert not running.done()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(story())
