"""A consumer is used until it is of no use: whose fetches nobody answers, or whose error says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka.errors import KafkaError, NodeNotReadyError, UnknownError

from runbus.kafka.model import TopicPartition
from runbus.kafka.next_step import NextStep
from runbus.kafka.settings import KafkaSettings
from runbus.streams import membership as module
from runbus.streams.client_errors import next_step
from runbus.streams.membership import GroupMembership
from runbus.streams.settings import StreamSettings

PLACE = TopicPartition("steps", 0)


class Fetching:
    """A consumer that fetches one partition."""

    def __init__(self) -> None:
        self.answered_ms = 0
        self.error: BaseException | None = None
        self.hangs = False
        self.pausing: set[TopicPartition] = set()
        self._fetcher = self
        self.error_future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.listener: Any = None

    def assignment(self) -> set[TopicPartition]:
        """Return its partitions."""
        return {PLACE}

    def paused(self) -> set[TopicPartition]:
        """Return those that are not fetched."""
        return self.pausing

    def last_poll_timestamp(self, _: TopicPartition) -> int:
        """Return when a fetch was answered last."""
        return self.answered_ms

    async def getmany(self, **_: Any) -> dict[TopicPartition, list[Any]]:
        """Return nothing, or raise."""
        if self.error is not None:
            raise self.error
        if self.hangs:
            await asyncio.Event().wait()
        return {}

    async def start(self) -> None:
        """Start, or raise."""
        if self.error is not None:
            raise self.error
        if self.hangs:
            await asyncio.Event().wait()

    def subscribe(self, _: list[str], listener: Any) -> None:
        """Subscribe."""
        self.listener = listener

    async def stop(self) -> None:
        """Stop."""


class Clock:
    """Time that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """Return seconds."""
        return self.now


def _run(
    monkeypatch: pytest.MonkeyPatch, story: Callable[[GroupMembership, Clock, list[Fetching], list[str]], Any]
) -> None:
    clock, made, heard = Clock(), list[Fetching](), list[str]()

    def new_consumer(*_: object) -> Fetching:
        made.append(Fetching())
        return made[-1]

    async def run() -> None:
        settings = StreamSettings(KafkaSettings("memory:1"))
        await story(GroupMembership(settings, "group"), clock, made, heard)

    monkeypatch.setattr(module, "member", new_consumer)
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(module, "AGAIN_S", 0.0)
    asyncio.run(run())


async def _join(member: GroupMembership, heard: list[str]) -> None:
    """Join the group; what is heard of partitions is written down."""

    async def revoked(_: set[TopicPartition]) -> None:
        heard.append("revoked")

    await member.join("steps", lambda _: heard.append("assigned"), revoked)


def test_a_consumer_that_nobody_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its metadata may name a broker only that is gone: a new one begins at the configured addresses."""

    async def story(member: GroupMembership, clock: Clock, made: list[Fetching], heard: list[str]) -> None:
        await _join(member, heard)
        for second in range(200):  # each fetch is answered
            clock.now += 1
            made[0].answered_ms = second + 1
            assert await member.read(0.0, 1) == {}
        clock.now += module._SILENT_S
        assert await member.read(0.0, 1) == {}
        clock.now += 1
        with pytest.raises(KafkaError, match="no fetch was answered"):
            await member.read(0.0, 1)

    _run(monkeypatch, story)


def test_a_consumer_that_fetches_nothing_waits_for_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A partition that waits for a schema, or for its state, is paused for as long as that takes."""

    async def story(member: GroupMembership, clock: Clock, made: list[Fetching], heard: list[str]) -> None:
        await _join(member, heard)
        made[0].pausing = {PLACE}
        clock.now += 10 * module._SILENT_S
        assert await member.read(0.0, 1) == {}
        made[0].pausing = set()
        clock.now += module._SILENT_S
        assert await member.read(0.0, 1) == {}

    _run(monkeypatch, story)


def test_a_rebalance_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A read waits for it, and the client's own task may be the one that hangs."""
    monkeypatch.setattr(module, "_SILENT_S", 0.05)

    async def story(member: GroupMembership, _: Clock, made: list[Fetching], heard: list[str]) -> None:
        await _join(member, heard)
        made[0].hangs = True
        with pytest.raises(KafkaError, match="the group gave no partitions") as found:
            await member.read(0.0, 1)
        assert next_step(found.value) is NextStep.NEW_CLIENT

    _run(monkeypatch, story)


def test_an_error_that_passes_brings_nothing_and_another_ends_the_consumer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table says which."""

    async def story(member: GroupMembership, _: Clock, made: list[Fetching], heard: list[str]) -> None:
        await _join(member, heard)
        made[0].error = NodeNotReadyError()
        assert await member.read(0.0, 1) == {}
        made[0].error = UnknownError()
        with pytest.raises(UnknownError):
            await member.read(0.0, 1)

    _run(monkeypatch, story)


def test_a_consumer_that_left_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it still hears of the group is not about the partitions of the next one."""

    async def story(member: GroupMembership, _: Clock, made: list[Fetching], heard: list[str]) -> None:
        await _join(member, heard)
        await made[0].listener.on_partitions_assigned({PLACE})
        member.end()
        await member.close()
        await made[0].listener.on_partitions_revoked({PLACE})
        await _join(member, heard)
        await made[0].listener.on_partitions_assigned({PLACE})
        await made[1].listener.on_partitions_assigned({PLACE})
        await made[1].listener.on_partitions_revoked({PLACE})
        assert heard == ["assigned", "assigned", "revoked"]

    _run(monkeypatch, story)


def test_a_consumer_that_cancels_its_own_start_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine makes another one; as a cancellation it would have ended the engine, and nobody would have heard."""

    async def story(member: GroupMembership, _: Clock, made: list[Fetching], heard: list[str]) -> None:
        made[0].error = asyncio.CancelledError()
        with pytest.raises(KafkaError):
            await _join(member, heard)

    _run(monkeypatch, story)


def test_a_read_that_waits_for_the_group_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another member may be dead, and the group waits for it longer than SIGKILL; other reads are let be."""
    monkeypatch.setattr(module, "_HURRY_S", 0.02)

    async def story(member: GroupMembership, _: Clock, made: list[Fetching], heard: list[str]) -> None:
        member.hurry()
        await _join(member, heard)
        assert await member.read(0.0, 1) == {}
        member.hurry()
        assert await member.read(0.0, 1) == {}
        made[0].hangs = True
        reading = asyncio.create_task(member.read(0.0, 1))
        await asyncio.sleep(0)
        member.hurry()
        async with asyncio.timeout(10):
            with pytest.raises(KafkaError, match="the group gave no partitions"):
                await reading

    _run(monkeypatch, story)


def test_a_start_that_waits_for_a_broker_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stopped broker takes connections and answers nothing: aiokafka tries each for as long as a request may take."""
    monkeypatch.setattr(module, "_HURRY_S", 0.02)

    async def story(member: GroupMembership, _: Clock, made: list[Fetching], heard: list[str]) -> None:
        made[0].hangs = True
        joining = asyncio.create_task(_join(member, heard))
        await asyncio.sleep(0)
        member.hurry()
        async with asyncio.timeout(10):
            with pytest.raises(TimeoutError):
                await joining

    _run(monkeypatch, story)


def test_what_a_callback_raises_ends_the_consumer(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiokafka only logs it: the group would give this member partitions that nobody here works on."""

    async def story(member: GroupMembership, _: Clock, made: list[Fetching], heard: list[str]) -> None:
        def assigned(_: set[TopicPartition]) -> None:
            raise FileNotFoundError("a certificate that is being replaced")

        async def revoked(_: set[TopicPartition]) -> None:
            """Give nothing away."""

        await member.join("steps", assigned, revoked)
        with pytest.raises(FileNotFoundError):
            await made[0].listener.on_partitions_assigned({PLACE})
        with pytest.raises(FileNotFoundError):
            await member.read(0.0, 1)
        member.end()
        await _join(member, heard)
        assert await member.read(0.0, 1) == {}

    _run(monkeypatch, story)
