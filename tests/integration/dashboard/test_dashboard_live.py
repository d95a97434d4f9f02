"""The log as it is now, on a real broker: what pages get before ClickHouse has it, and after a dashboard died."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import pytest

from runbus.config.sources import Sources
from runbus.cursors.own_groups import Names
from runbus.dashboard.live.api import Place, View
from runbus.dashboard.live.live import Live
from runbus.dashboard.settings import DashboardSettings
from runbus.kafka.admin import apply_topics
from runbus.kafka.clients import admin_client
from runbus.kafka.model import StreamId
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import STEPS, TOPICS, run_event_key, stream_key
from runbus.recorder.encoding import framed
from runbus.schemas.codec import Codec
from runbus.schemas.events import EpisodeFinalized, Event, Heartbeat, RunEvent
from tests.integration.reader.log import AGENT, ATTEMPT, RUN, Log, batch

pytestmark = pytest.mark.integration

PARTITIONS = 3
PATIENCE_S = 60.0
STREAM = StreamId(RUN, AGENT, ATTEMPT)
T = TypeVar("T")


@pytest.fixture
def settings(kafka_settings: KafkaSettings) -> DashboardSettings:
    """Return a dashboard's settings for this test's topics."""
    apply_topics(kafka_settings, partitions=PARTITIONS)
    names = Names(kafka_settings.topic_prefix, f"{kafka_settings.topic_prefix}sink")
    return dataclasses.replace(DashboardSettings.load(Sources({}, {})), kafka=kafka_settings, names=names)


@pytest.fixture
def log(settings: DashboardSettings) -> Log:
    """Return what appends to this test's topics."""
    return Log(settings.kafka)


def on_live(settings: DashboardSettings, story: Callable[[Live], Awaitable[T]]) -> T:
    """Tell a story on a log that was read to its end."""

    async def told() -> T:
        counts = {settings.kafka.topic_prefix + topic.name: PARTITIONS if topic.partitioned else 1 for topic in TOPICS}
        live = Live(settings, Codec(), counts)
        reading = asyncio.create_task(live.run())
        try:
            async with asyncio.timeout(PATIENCE_S):
                await live.ready()
                return await story(live)
        finally:
            live.close()
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    return asyncio.run(told())


class Follower:
    """A page: rows by channel and key, and the id of its last frame."""

    def __init__(self, frames: AsyncIterator[bytes]) -> None:
        self._frames = frames
        self.id = ""
        self.wholes = 0
        self.rows: dict[str, dict[str, Any]] = {}

    async def until(self, holds: Callable[[], bool]) -> None:
        """Take frames until something holds."""
        while not holds():
            self._take(await anext(self._frames))

    def channel(self, name: str) -> dict[str, Any]:
        """Return the rows of a channel."""
        return self.rows.get(name, {})

    def _take(self, frame: bytes) -> None:
        lines = dict(line.split(": ", 1) for line in frame.decode().strip().split("\r\n"))
        if "data" not in lines:
            return
        self.id, body = lines["id"], json.loads(lines["data"])
        if body.get("whole"):
            self.rows, self.wholes = {}, self.wholes + 1
        for channel, rows in body.get("up", {}).items():
            self.rows.setdefault(channel, {}).update(rows)


def value(event: Event) -> bytes:
    """Return the value of an event."""
    return framed(event, "topic", Codec())


def started() -> tuple[bytes, bytes]:
    """Return the record that begins the stream."""
    event = RunEvent(
        run_id=RUN,
        agent_id=AGENT,
        attempt=ATTEMPT,
        kind="STARTED",
        sent_at=ATTEMPT,
        started_at=ATTEMPT,
        host="h",
        pid=1,
    )
    return run_event_key(RUN, AGENT, ATTEMPT), value(event)


def finalised(*numbers: int) -> list[tuple[bytes, bytes]]:
    """Return records of finalised episodes; each return is the episode's number."""
    return [
        (
            stream_key(RUN, AGENT),
            value(
                EpisodeFinalized(
                    id=str(n),
                    revision=0,
                    run_id=RUN,
                    agent_id=AGENT,
                    attempt=ATTEMPT,
                    env=0,
                    episode=n,
                    reason="terminated",
                    complete=True,
                    missing_from=[],
                    missing_to=[],
                    return_=float(n),
                    length=3,
                    first_seq=4 * n,
                    last_seq=4 * n + 3,
                    first_ts=ATTEMPT,
                    last_ts=ATTEMPT,
                    min_reward=0.0,
                    max_reward=1.0,
                )
            ),
        )
        for n in numbers
    ]


def beat(component: str, kind: str, **more: Any) -> tuple[bytes, bytes]:
    """Return a heartbeat."""
    event = Heartbeat(component_id=component, kind=kind, sent_at=ATTEMPT, started_at=ATTEMPT, version="1", **more)
    return component.encode(), value(event)


def returns(page: Follower) -> list[float]:
    """Return the returns of the episodes that a page has, in order."""
    return sorted(row["return"] for row in page.channel("episodes").values())


def test_a_page_has_what_was_there_and_what_comes_and_another_dashboard_goes_on(
    settings: DashboardSettings, log: Log
) -> None:
    """To the next one the page's old id means a snapshot, after which nothing is missing and nothing twice."""
    log.values("runs", [started()])
    log.values("episodes", finalised(0, 1, 2))

    async def first(live: Live) -> str:
        page = Follower(live.follow(View("run", RUN), ""))
        await page.until(lambda: returns(page) == [0, 1, 2])
        log.values("episodes", finalised(3, 4))
        await page.until(lambda: returns(page) == [0, 1, 2, 3, 4])
        assert page.wholes == 1
        assert [row["state"] for row in page.channel("streams").values()] == ["lost"]
        again = Follower(live.follow(View("run", RUN), page.id))
        log.values("episodes", finalised(5))
        await again.until(lambda: bool(again.channel("episodes")))
        assert (returns(again), again.wholes) == ([5], 0)
        return again.id

    id_ = on_live(settings, first)
    log.values("episodes", finalised(6))

    async def second(live: Live) -> None:
        page = Follower(live.follow(View("run", RUN), id_))
        await page.until(lambda: returns(page) == [0, 1, 2, 3, 4, 5, 6])
        assert page.wholes == 1

    on_live(settings, second)


def test_it_joins_no_group_and_says_up_to_where_the_sink_has_the_log(settings: DashboardSettings, log: Log) -> None:
    """No consumer of the installation notices a page."""
    place = f"{settings.kafka.topic_prefix}episodes:1"
    log.values("heartbeats", [beat("sink-h-1", "sink", committed={place: 7}), beat("recorder-h-1", "recorder")])

    async def story(live: Live) -> None:
        page = Follower(live.follow(View("health"), ""))
        await page.until(lambda: len(page.channel("components")) == 2)
        assert live.below("episodes") == {1: 7}
        assert live.below("steps") == {}
        assert live.heartbeats().keys() == {"sink-h-1", "recorder-h-1"}

    on_live(settings, story)
    admin = admin_client(settings.kafka)  # kept: the answer of a client that is gone never comes
    groups = admin.list_consumer_groups().result(30).valid
    assert [group.group_id for group in groups if group.group_id.startswith("runbus-dashboard")] == []


def test_a_stream_that_is_looked_at_is_tailed_from_the_sinks_position_on(settings: DashboardSettings, log: Log) -> None:
    """Another stream's, and another episode's, do not come. Pages that look at the same share one reader."""
    log.batches(batch(0), batch(0, agent="other"), batch(4, episode=1), batch(8))

    async def story(live: Live) -> None:
        view = View("episode", RUN, Place(STREAM, 0, 0))
        page, other = Follower(live.follow(view, "")), Follower(live.follow(view, ""))
        await page.until(lambda: len(page.channel("steps")) == 8)
        log.batches(batch(12))
        for one in (page, other):
            await one.until(lambda one=one: len(one.channel("steps")) == 12)  # type: ignore[misc]
            rows = sorted(one.channel("steps").values(), key=lambda row: row["seq"])
            assert [row["seq"] for row in rows] == [0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15]
            assert [row["reward"] for row in rows] == [float(row["seq"]) for row in rows]

    on_live(settings, story)


def test_only_so_many_streams_are_tailed_at_once(settings: DashboardSettings, log: Log) -> None:
    """Each is a reader. Who comes too late has history, and waits for nobody."""
    agents = [f"agent-{n}" for n in range(9)]
    log.batches(*[batch(0, agent=agent) for agent in agents])

    async def story(live: Live) -> None:
        pages = []
        for agent in agents:
            stream = STREAM._replace(agent_id=agent)
            pages.append(Follower(live.follow(View("episode", RUN, Place(stream, 0, 0)), "")))
        for page in pages[:8]:
            await page.until(lambda page=page: bool(page.channel("steps")))  # type: ignore[misc]
        await pages[8].until(lambda: pages[8].id != "")
        assert pages[8].channel("steps") == {}

    on_live(settings, story)


def test_the_topic_of_steps_is_not_read_while_nobody_looks_closely(settings: DashboardSettings, log: Log) -> None:
    """It is the large one."""
    log.batches(batch(0))

    async def story(live: Live) -> set[str]:
        return {at.topic.removeprefix(settings.kafka.topic_prefix) for at in live.ends()}

    assert STEPS.name not in on_live(settings, story)
