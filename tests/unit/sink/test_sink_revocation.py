"""Many partitions are taken away at once while the log or the store hangs: one deadline for all of them."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from runbus.kafka.commit_metadata import Intent
from runbus.kafka.model import TopicPartition
from runbus.probes import server
from runbus.service import heartbeat
from runbus.sink import process
from runbus.sink import session as module
from runbus.sink.context import ProtocolContext
from runbus.sink.memory import LocalSchemas, MemoryGroup, MemoryLog, MemoryMember, MemoryStore
from runbus.sink.process import WallClock
from runbus.sink.records import read
from runbus.sink.routes import ROUTES
from runbus.sink.session import Session
from runbus.sink.topics import TopicIds
from tests.support.waiting import until_holds
from tests.unit.sink.sink_setup import SETTINGS, STEPS, MakeValue, Positions

TOPIC = "steps"
PARTITIONS = 24
EACH = 5  # steps of a record
REVOKE_S = 0.5
SLACK_S = 1.5  # of a busy machine; one after the other, 24 partitions would take 12 s at least


class HangingStore(MemoryStore):
    """Tables whose inserts hang while `hangs` is set."""

    hangs = False
    waiting = 0

    async def insert(self, *args: Any) -> None:
        """Insert, or wait for ever."""
        if self.hangs:
            self.waiting += 1
            await asyncio.Event().wait()
        await super().insert(*args)


class HangingMember(MemoryMember):
    """A member of which the commits that complete a range hang while `hangs` is set."""

    hangs = False
    waiting = 0

    async def commit(self, position: TopicPartition, offset: int, intent: Intent) -> None:
        """Commit, or wait for ever."""
        if self.hangs and not intent.pending:
            self.waiting += 1
            await asyncio.Event().wait()
        await super().commit(position, offset, intent)


class Scene:
    """A log with one record in each partition, a store, and members of one group, one after the other."""

    def __init__(self, value: bytes) -> None:
        self.log, self.store, self.clock = MemoryLog(), HangingStore(ROUTES), WallClock()
        self.log.topic_ids[TOPIC] = "id"
        self.places = [TopicPartition(TOPIC, number) for number in range(PARTITIONS)]
        self.group = MemoryGroup(self.log, {TOPIC: PARTITIONS})
        self.value = value

    def append(self) -> None:
        """Append a record to each partition."""
        for place in self.places:
            self.log.records[place] = [read(0, b"k", self.value, 0, batched=True)]

    @contextlib.asynccontextmanager
    async def member(self) -> AsyncIterator[tuple[Session, HangingMember]]:
        """Run one membership inside the block; it owns everything."""
        context = ProtocolContext(self.log, self.store, LocalSchemas(), self.clock, rng=random.Random(1))
        member = HangingMember(self.group, self.clock)
        topics, routes = TopicIds(self.log.ids, self.clock), {TOPIC: STEPS}
        session = Session(SETTINGS, context, member, topics, Positions(self.log), routes, asyncio.Event())
        task = asyncio.create_task(session.run())
        try:
            await until_holds(lambda: len(session.flows) == PARTITIONS == len(self.log.committed))
            yield session, member
        finally:
            for name in list(self.group.members):
                self.group.expel(name)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def revoked(self, session: Session) -> float:
        """Take every partition away in one callback; return how long it took."""
        began = self.clock.now()
        await session._revoke(self.places, False)
        assert not session.flows
        return self.clock.now() - began

    def stored(self) -> int:
        """Return how many rows are stored; fail if one is stored twice."""
        assert set(self.store.rows_kept.values()) <= {1}
        return len(self.store.rows_kept)

    async def replayed(self) -> int:
        """Let the next owner take everything over; return how many ranges it replayed."""
        async with self.member() as (session, _):
            await until_holds(
                lambda: all(c.intent is not None and not c.intent.pending for c in self.log.committed.values())
            )
            assert {committed.offset for committed in self.log.committed.values()} == {1}
            return session._context.metrics.replays


@pytest.fixture
def scene(make_value: MakeValue, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Return a log with partitions that are empty."""
    monkeypatch.setattr(module, "REVOKE_S", REVOKE_S)
    return Scene(make_value(0, EACH))


def test_a_log_that_hangs_holds_up_a_revocation_for_one_deadline_only(scene: Scene) -> None:
    """All ranges are stored and none can be completed: the next owner replays each, and no row is there twice."""

    async def story() -> None:
        async with scene.member() as (session, member):
            member.hangs = True
            scene.append()
            await until_holds(lambda: scene.stored() == PARTITIONS * EACH and member.waiting >= PARTITIONS)
            assert await scene.revoked(session) < REVOKE_S + SLACK_S
        assert await scene.replayed() == PARTITIONS
        assert scene.stored() == PARTITIONS * EACH

    asyncio.run(story())


def test_a_store_that_hangs_does_not_hold_up_a_revocation(scene: Scene) -> None:
    """An insert is under way in each partition: what is announced stays, the next owner stores it once."""

    async def story() -> None:
        async with scene.member() as (session, _):
            scene.store.hangs = True
            scene.append()
            await until_holds(lambda: scene.store.waiting >= PARTITIONS)
            assert await scene.revoked(session) < REVOKE_S + SLACK_S
            assert scene.stored() == 0
        scene.store.hangs = False
        assert await scene.replayed() == PARTITIONS
        assert scene.stored() == PARTITIONS * EACH

    asyncio.run(story())


def test_what_is_delivered_is_completed_where_the_log_answers(scene: Scene) -> None:
    """Nothing is left to replay: every completion of the one callback is committed."""

    async def story() -> None:
        async with scene.member() as (session, member):
            member.hangs = True
            scene.append()
            await until_holds(lambda: scene.stored() == PARTITIONS * EACH and member.waiting >= PARTITIONS)
            member.hangs = False
            assert await scene.revoked(session) < REVOKE_S + SLACK_S
        assert await scene.replayed() == 0

    asyncio.run(story())


def test_the_deadline_is_smaller_than_the_session_and_the_poll_interval() -> None:
    """The constants keep the order that their comment gives: callback < leaving < 60 s, SIGTERM within 30 s."""
    assert SETTINGS.session_seconds / 2 >= module.REVOKE_S
    assert module.REVOKE_S < module._CLOSE_S < 60
    others = 2 * process._CLOSE_S + heartbeat._FLUSH_S + server._CLOSE_S
    assert SETTINGS.grace_seconds + module._CLOSE_S + module._LEFT_S + others < 30


@pytest.mark.parametrize("turns", range(6))
def test_a_flow_ends_when_it_is_cancelled_however_new_its_records_are(scene: Scene, turns: int) -> None:
    """A revocation may come while records wake the flow: one that went on would deliver what is another owner's."""

    async def story() -> None:
        async with scene.member() as (session, _):
            place = scene.places[0]
            await asyncio.sleep(0.01)  # it waits for records
            task = session._tasks[place]
            session.flows[place].add([read(0, b"k", scene.value, 0, batched=True)])
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task], timeout=1)
            assert task.cancelled()

    asyncio.run(story())


def test_a_watch_that_fails_ends_the_session(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a topic that is created anew while it is idle would never be noticed."""
    monkeypatch.setattr(module, "_TOPICS_S", 0.01)

    async def fail(_: float) -> dict[str, str]:
        raise ValueError("no such thing")

    async def story() -> None:
        async with scene.member() as (session, _):
            monkeypatch.setattr(session._topics, "ids", fail)
            await until_holds(lambda: session._background.error is not None)
            with pytest.raises(ValueError, match="no such thing"):
                session._background.raise_error()

    asyncio.run(story())
