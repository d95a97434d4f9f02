"""A transaction of which nobody knows whether it was committed, and consumers that gave up: the process goes on."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    LeaderNotAvailableError,
    NodeNotReadyError,
    TopicAuthorizationFailedError,
    UnknownError,
)

from runbus.config.errors import RunBusError
from runbus.episodes.finaliser import EpisodesCore
from runbus.episodes.policy import FinaliserPolicy
from runbus.kafka.admin import apply_topics
from runbus.kafka.clients import admin_client
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.stream_apps import EPISODES_APP, LIVE_METRICS_APP
from runbus.kafka.topic_ids import topic_ids
from runbus.kafka.topics import STEPS
from runbus.live_metrics.core import LiveMetricsCore
from runbus.schemas.codec import Codec
from runbus.streams.api import StreamApp
from runbus.streams.engine import StreamEngine
from runbus.streams.settings import StreamSettings
from runbus.streams.start import SourceTopic
from tests.faults.load import Load, make_load
from tests.faults.results import settle
from tests.faults.stream_workers import KINDS, PARTITIONS, Cursor, Feed

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


def live_metrics(source: str) -> LiveMetricsCore:
    """Return the core of a partition."""
    return LiveMetricsCore(source)


POLICY = FinaliserPolicy(idle_ms=20_000, grace_ms=600_000)
APPS = {
    "episodes": StreamApp(EPISODES_APP, lambda _: EpisodesCore(POLICY), "transaction", 0.2),
    "live-metrics": StreamApp(LIVE_METRICS_APP, live_metrics, "at once", 0.2),
}
FAULTS = 10
#: As aiokafka raises them when brokers go: the first is what is left of whatever ended its sender.
ERRORS = (KafkaError("Unexpected error during batch delivery"), LeaderNotAvailableError(), KafkaConnectionError())


class Doubt:
    """Commits that fail now and then, half of them behind the broker's back."""

    def __init__(self, original: Callable[[Any], Any]) -> None:
        self._original = original
        self._calls = itertools.count()
        self.times = 0

    async def commit(self, producer: AIOKafkaProducer) -> None:
        """Commit, or raise before or after it was done."""
        call = next(self._calls)
        fails = call >= PARTITIONS and call % 5 == 0 and self.times < FAULTS
        self.times += fails
        if fails and self.times % 2:
            raise ERRORS[self.times % len(ERRORS)]
        await self._original(producer)
        if fails:
            raise ERRORS[self.times % len(ERRORS)]


class Reads:
    """Reads of the group's consumers, some of which raise."""

    def __init__(self, original: Callable[..., Any], errors: Iterator[Exception]) -> None:
        self._original = original
        self._errors = errors
        self._calls = itertools.count()
        self.members: set[int] = set()

    async def getmany(self, consumer: AIOKafkaConsumer, **options: Any) -> Any:
        """Read, or raise."""
        if consumer._group_id is not None:
            self.members.add(id(consumer))
            if next(self._calls) % 30 == 29 and (error := next(self._errors, None)) is not None:
                raise error
        return await self._original(consumer, **options)


@pytest.fixture
def settings(kafka_settings: KafkaSettings) -> KafkaSettings:
    """Return a broker that has this test's topics."""
    apply_topics(kafka_settings, partitions=PARTITIONS)
    return kafka_settings


def source(settings: KafkaSettings) -> SourceTopic:
    """Return the topic of steps as the host would."""
    name = settings.topic_prefix + STEPS.name
    return SourceTopic(name, topic_ids(admin_client(settings), [name])[name], PARTITIONS)


async def _run(kind: str, settings: KafkaSettings, load: Load) -> StreamEngine:
    """Run the app on the whole log; return its engine once it ended."""
    stop, own = asyncio.Event(), StreamSettings(settings, session_seconds=3.0)
    engine = StreamEngine(APPS[kind], own, Codec(), source(settings))
    cursor, feed = Cursor(settings, engine.group), Feed(settings, load.records, 8.0)
    feed.start()
    feed.allow(1.0)
    task = asyncio.create_task(engine.run(stop))
    try:
        while not (feed.idle and await asyncio.to_thread(cursor.at_end)):
            await asyncio.wait([task], timeout=0.2)
            if task.done():
                task.result()
        await asyncio.to_thread(settle, kind, settings, load, 80.0)
    finally:
        await asyncio.to_thread(feed.abandon)
        stop.set()
        await task
        cursor.close()
    return engine


@pytest.mark.parametrize("kind", KINDS)
def test_a_transaction_in_doubt_opens_its_partition_anew(
    kind: str, settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Ten commits fail, half of them after they were done: the state says which, and everything is exact."""
    doubt = Doubt(AIOKafkaProducer.commit_transaction)

    async def commit(producer: AIOKafkaProducer) -> None:
        await doubt.commit(producer)

    monkeypatch.setattr(AIOKafkaProducer, "commit_transaction", commit)
    engine = asyncio.run(_run(kind, settings, make_load(11, 40_000)))
    assert doubt.times == FAULTS
    assert sum("streams.taken_back" in record.getMessage() for record in caplog.records) >= FAULTS - 1
    assert engine.ownership.waits_for == {}


def test_a_consumer_of_no_use_is_replaced(settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What may pass is read again by the same consumer; what ended it, or is not known, by the next one."""
    errors = iter([NodeNotReadyError(), UnknownError(), KafkaError("Unexpected error during coordination")])
    reads = Reads(AIOKafkaConsumer.getmany, errors)

    async def getmany(consumer: AIOKafkaConsumer, **options: Any) -> Any:
        return await reads.getmany(consumer, **options)

    monkeypatch.setattr(AIOKafkaConsumer, "getmany", getmany)
    asyncio.run(_run("episodes", settings, make_load(12, 40_000)))
    assert next(errors, None) is None
    assert len(reads.members) == 3


def test_a_right_that_is_missing_ends_the_process(settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence, as for everything that a person has to change."""
    reads = Reads(AIOKafkaConsumer.getmany, iter([TopicAuthorizationFailedError("steps")]))

    async def getmany(consumer: AIOKafkaConsumer, **options: Any) -> Any:
        return await reads.getmany(consumer, **options)

    monkeypatch.setattr(AIOKafkaConsumer, "getmany", getmany)

    async def run() -> None:
        own = StreamSettings(settings, session_seconds=3.0)
        await StreamEngine(APPS["episodes"], own, Codec(), source(settings)).run(asyncio.Event())

    with pytest.raises(RunBusError, match=r"Kafka refuses it for good: .*TopicAuthorizationFailedError"):
        asyncio.run(run())
