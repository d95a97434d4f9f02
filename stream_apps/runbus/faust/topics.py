"""Gives the topics of RunBus to agents of Faust, with their records as the events of `runbus.reader`.

The values stay bytes in Faust: it would drop or crash on one that it cannot decode. They are decoded in the agent, in
either framing, and what cannot be decoded is an event too (`Unreadable`), so what becomes of it is its author's choice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any, Generic, TypeVar

from runbus.config.errors import InvalidValue
from runbus.faust.app import LogApp
from runbus.faust.stream import LogStream
from runbus.kafka import topics as catalogue
from runbus.kafka.topics import Topic
from runbus.reader.events import (
    KINDS,
    Annotation,
    At,
    EpisodeFinalized,
    Heartbeat,
    Kind,
    LiveMetrics,
    LogEvent,
    RunFinished,
    RunStarted,
    Unreadable,
)
from runbus.reader.metrics import MetricValues
from runbus.reader.steps import Steps
from runbus.schemas.avsc import AvroSchema
from runbus.schemas.codec import SchemaRef, split
from runbus.schemas.errors import RegistryMissing, RegistryUnavailable, UnknownSchema
from runbus.schemas.known_schemas import SchemaNeeded

log = logging.getLogger(__name__)
E = TypeVar("E", bound=LogEvent)

_REGISTRY_S = 1.0  # between two questions to a registry that does not answer


class LogTopic(Generic[E]):
    """One topic of RunBus in an app of Faust.

    Attributes:
        topic: Faust's own, for `app.agent`; its keys and values are bytes.
    """

    def __init__(self, app: LogApp, topic: Topic) -> None:
        name = app.kafka.topic_prefix + topic.name
        app.read.add(name)
        self._app = app
        self._kind: Kind = KINDS[topic.name]
        self.topic: Any = app.topic(
            name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", internal=False
        )

    async def events(self, stream: LogStream) -> AsyncIterator[E | Unreadable]:
        """Yield each record of an agent's stream as an event, and acknowledge it once the agent comes for the next.

        An agent that fails acknowledges nothing: its process ends, and the record comes again. While a schema registry
        does not answer the stream waits.
        """
        async for record in stream.noack().events():
            event: Any = await self._event(record.message)
            yield event
            record.ack()

    async def _event(self, message: Any) -> LogEvent:  # noqa: ANN401
        timestamp_ms = round(message.timestamp * 1000)
        at = At(message.topic, message.partition, message.offset, timestamp_ms, message.key or b"")
        value: bytes | None = message.value
        try:
            if value is None and self._kind.removed is not None:
                return self._kind.removed(at)
            ref, start = split(value)
            return self._kind.make(at, (value or b"")[start:], await self._writer(ref))
        except (InvalidValue, UnknownSchema) as error:
            return Unreadable(at, value, str(error), isinstance(error, UnknownSchema))

    async def _writer(self, ref: SchemaRef) -> AvroSchema:
        schemas = self._app.schemas
        while True:
            try:
                return schemas.find(ref, self._kind.schema)
            except SchemaNeeded as needed:
                try:
                    await schemas.learn(needed.ref)
                except (RegistryMissing, RegistryUnavailable) as error:
                    log.warning("faust.waiting %s: %s", self._kind.topic.name, error)
                    await asyncio.sleep(_REGISTRY_S)


def steps(app: LogApp) -> LogTopic[Steps]:
    """Return the steps: batches of consecutive ones, as arrays. One that was sent again comes again."""
    return LogTopic(app, catalogue.STEPS)


def metrics(app: LogApp) -> LogTopic[MetricValues]:
    """Return metrics and scores: batches of consecutive values of a source. One that was sent again comes again."""
    return LogTopic(app, catalogue.METRICS)


def runs(app: LogApp) -> LogTopic[RunStarted | RunFinished]:
    """Return the beginnings and ends of streams."""
    return LogTopic(app, catalogue.RUNS)


def episodes(app: LogApp) -> LogTopic[EpisodeFinalized]:
    """Return the finalised episodes; committed ones only."""
    return LogTopic(app, catalogue.EPISODES)


def live_metrics(app: LogApp) -> LogTopic[LiveMetrics]:
    """Return the live metrics."""
    return LogTopic(app, catalogue.LIVE_METRICS)


def heartbeats(app: LogApp) -> LogTopic[Heartbeat]:
    """Return the heartbeats. Their topic has one partition: read it in an app that reads nothing else."""
    return LogTopic(app, catalogue.HEARTBEATS)


def annotation_events(app: LogApp) -> LogTopic[Annotation]:
    """Return the notes, tags and pins, and their removals. Their topic has one partition, as that of heartbeats."""
    return LogTopic(app, catalogue.ANNOTATIONS)
