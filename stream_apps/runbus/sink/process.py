"""Builds the sink process: all its wiring is here."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable

from runbus.config.sources import Sources
from runbus.kafka.clients import (
    choose_protocol,
    new_bounds_reader,
    new_dead_letter_producer,
    new_offsets_reader,
    new_sink_consumer,
)
from runbus.kafka.offsets import KafkaOffsets, LogBounds
from runbus.kafka.start import Needs
from runbus.kafka.threads import in_thread
from runbus.kafka.topic_ids import kafka_ids
from runbus.kafka.topics import DEAD_LETTERS
from runbus.probes import Health, Sample
from runbus.schemas.avsc import AvroSchema
from runbus.schemas.codec import Codec, Fingerprint, SchemaRef
from runbus.schemas.registry import codec as codec_of
from runbus.service.component import ProcessSpec, Start
from runbus.sink.api import KIND
from runbus.sink.context import ProtocolContext
from runbus.sink.health import SinkHealth
from runbus.sink.insert_interval import InsertInterval
from runbus.sink.log import KafkaLog, KafkaMember
from runbus.sink.metrics import SinkMetrics
from runbus.sink.routes import ROUTES
from runbus.sink.session import Session, serve
from runbus.sink.settings import SinkSettings
from runbus.sink.start import open_store
from runbus.sink.store import ClickHouseStore
from runbus.sink.topics import TopicIds

log = logging.getLogger(__name__)
# For closing each of two clients. Nothing depends on it (a dead letter is acknowledged before its range is committed).
# If the broker is away, an end costs, after SIGTERM: 8 s for ranges under way (the grace), 13 s to leave the group
# (session.py), 6 s here, 2 s for heartbeats and probes: 29 of the 30 s before SIGKILL.
_CLOSE_S = 3.0


class WallClock:
    """Tells and waits for real time."""

    def now(self) -> float:
        """Return monotonic seconds; they go on while the process is stopped."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class CodecSchemas:
    """Finds schemas: those of the package at once, those of a registry in a thread."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec

    async def resolve(self, ref: SchemaRef) -> AvroSchema:
        """Return the writer schema; see api.SchemaResolver."""
        if isinstance(ref, Fingerprint):
            return self._codec.resolve(ref)
        return await in_thread(lambda: self._codec.resolve(ref), "runbus-sink-registry")


def sink_process(sources: Sources) -> ProcessSpec:
    """Return the process for its host. Raises ConfigError naming the variable and the bad value."""
    settings, codec = SinkSettings.load(sources), codec_of(sources)
    return ProcessSpec(
        kind=KIND,
        settings=settings,
        codec=codec,
        needs=Needs("sink", settings.group),
        topics=tuple(settings.kafka.topic_prefix + route.topic for route in ROUTES),
        new_component=lambda name: Sink(settings, codec, name),
        watched=(),  # its session does: it knows the topic id of each partition
        credential_files=(*settings.kafka.credential_files, *settings.clickhouse.credential_files),
    )


class Sink:
    """Stores the log in ClickHouse; see service.component.Component.

    Args:
        settings: of the process.
        codec: of the values.
        component_id: in heartbeats and logs.
    """

    def __init__(self, settings: SinkSettings, codec: Codec, component_id: str) -> None:
        self._settings = settings
        self._codec = codec
        self._component_id = component_id
        self._metrics = SinkMetrics()
        self._insert_interval = InsertInterval(settings.limits.seconds, settings.limits.most_seconds)
        self._health = SinkHealth(self._metrics, self._insert_interval)

    def health(self) -> Health:
        """Return its health now."""
        return self._health.health()

    def metrics(self) -> Iterable[Sample]:
        """Return its metrics now."""
        return self._health.samples()

    async def run(self, start: Start) -> None:
        """Store until stopped. Raises RunBusError if a person has to act (tables, a lost range)."""
        settings, health = self._settings, self._health
        async with contextlib.AsyncExitStack() as resources:
            offsets = KafkaOffsets(new_offsets_reader(settings.kafka, settings.group))
            resources.push_async_callback(offsets.close, _CLOSE_S)
            kafka_log = KafkaLog(
                lambda: new_dead_letter_producer(settings.kafka), settings.kafka.topic_prefix + DEAD_LETTERS.name
            )
            resources.push_async_callback(kafka_log.close, _CLOSE_S)
            bounds = LogBounds(new_bounds_reader(settings.kafka))
            resources.push_async_callback(bounds.close, _CLOSE_S)
            resources.callback(asyncio.create_task(health.follow(bounds)).cancel)
            health.waits_for = "ClickHouse"
            client = await open_store(settings, start.stop)
            if client is None:
                return
            health.waits_for = ""
            resources.callback(client.close)
            store = ClickHouseStore(client, settings.group, settings.parallel_inserts)
            await self._store(start, kafka_log, store, offsets)

    async def _store(self, start: Start, kafka_log: KafkaLog, store: ClickHouseStore, offsets: KafkaOffsets) -> None:
        settings, metrics = self._settings, self._metrics
        protocol = await in_thread(lambda: choose_protocol(start.admin, settings.membership), "runbus-sink-start")
        membership = settings.membership._replace(protocol=protocol)
        routes = {settings.kafka.topic_prefix + route.topic: route for route in ROUTES}
        clock = WallClock()
        schemas = CodecSchemas(self._codec)
        context = ProtocolContext(
            kafka_log, store, schemas, clock, metrics, settings.dead_letter_limits, self._insert_interval
        )
        log.info("sink.started group=%s protocol=%s as %s", settings.group, protocol, self._component_id)

        def new_session() -> Session:
            topics = TopicIds(lambda: kafka_ids(start.admin, list(routes)), clock)
            member = KafkaMember(new_sink_consumer(settings.kafka, membership), routes)
            session = Session(settings, context, member, topics, offsets, routes, start.stop)
            self._health.session = session
            metrics.sessions += 1
            return session

        await serve(new_session, start.stop, clock)
        log.info("sink.stopped")
