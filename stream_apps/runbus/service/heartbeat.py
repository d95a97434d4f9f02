"""Sends the health of a process to the heartbeats topic every second. Nothing here can stop the process.

The last heartbeats of a process that was asked to end have `"stopping": true` in their detail: so who reads
heartbeats knows an end in order from one that nobody wanted.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from importlib import metadata
from typing import Protocol

from confluent_kafka import KafkaException

from runbus.config.errors import RunBusError
from runbus.kafka.clients import new_heartbeat_producer
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.threads import in_thread
from runbus.kafka.topics import HEARTBEATS
from runbus.probes import Health
from runbus.schemas.avsc import schema
from runbus.schemas.codec import Codec
from runbus.schemas.events import Heartbeat

log = logging.getLogger(__name__)
VERSION = metadata.version("runbus")
# One second, as docs/processes.md says: readers of heartbeats wait for a few of them.
BEAT_S = 1.0
# A heartbeat that the broker did not take in this time is out of date. It bounds what waits for a broker that is away:
# 30 records. The producer has nothing to do with the poll interval.
_DELIVERY_S = 30.0
# The end waits this long for the last heartbeat to be acknowledged: a broker that is away must not use up what is left
# of the 22 s between the end of the grace and SIGKILL.
_FLUSH_S = 1.0


class HeartbeatBuilder:
    """Builds the heartbeats of one process.

    Args:
        kind: of the process.
        component_id: its name.
        started_at: microseconds since the epoch.
    """

    def __init__(self, kind: str, component_id: str, started_at: int) -> None:
        self._kind = kind
        self._component_id = component_id
        self._started_at = started_at

    def build(self, health: Health, sent_at: int) -> Heartbeat:
        """Return the heartbeat of `sent_at`, microseconds since the epoch."""
        return Heartbeat(
            component_id=self._component_id,
            kind=self._kind,
            sent_at=sent_at,
            started_at=self._started_at,
            version=VERSION,
            total_events=health.total_events,
            dropped_events=health.dropped_events,
            lag_ms=health.lag_ms,
            lag_events=health.lag_events,
            last_seq_id=dict(health.last_seq_id),
            committed=dict(health.committed),
            detail=_stopping(health.detail) if health.stopping else health.detail,
        )


def _stopping(detail: str) -> str:
    return json.dumps(json.loads(detail) | {"stopping": True}, separators=(",", ":"))


class HeartbeatOutlet(Protocol):
    """Takes heartbeats; both calls block, and are made in a thread."""

    def send(self, beat: Heartbeat) -> None:
        """Hand one over; see HeartbeatTopic."""

    def close(self) -> None:
        """Wait a moment for what was sent."""


class HeartbeatTopic:
    """Sends heartbeats; one that does not arrive is not sent again.

    Args:
        kafka: of the broker.
        codec: of the values.
    """

    def __init__(self, kafka: KafkaSettings, codec: Codec) -> None:
        self._topic = kafka.topic_prefix + HEARTBEATS.name
        self._codec = codec
        self._producer = new_heartbeat_producer(kafka, _DELIVERY_S)

    def send(self, beat: Heartbeat) -> None:
        """Hand one over; block if a registry has to be asked. Raises RunBusError, BufferError, KafkaException."""
        value = self._codec.frame(self._topic, schema("Heartbeat"), beat.encode())
        self._producer.produce(self._topic, value, beat.component_id.encode())
        self._producer.poll(0)

    def close(self) -> None:
        """Wait a moment for what was sent."""
        self._producer.flush(_FLUSH_S)
        self._producer.purge()  # otherwise the client goes on asking for a broker that is away


@contextlib.asynccontextmanager
async def heartbeats(
    topic: HeartbeatOutlet, builder: HeartbeatBuilder, health: Callable[[], Health], now: asyncio.Event
) -> AsyncIterator[None]:
    """Send a heartbeat every second while the context is entered, whenever `now` is set, and at its end."""
    send = partial(_send, topic, builder, health)
    beats = asyncio.create_task(_beat(send, now))
    try:
        yield
    finally:
        beats.cancel()
        await asyncio.gather(beats, return_exceptions=True)
        await send()
        await in_thread(topic.close, "runbus-heartbeats")


async def _beat(send: Callable[[], Awaitable[None]], now: asyncio.Event) -> None:
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BEAT_S):
                await now.wait()
        now.clear()
        await send()


async def _send(topic: HeartbeatOutlet, builder: HeartbeatBuilder, health: Callable[[], Health]) -> None:
    try:
        beat = builder.build(health(), time.time_ns() // 1000)
        await in_thread(partial(topic.send, beat), "runbus-heartbeats")
    except (RunBusError, BufferError, KafkaException) as error:
        log.debug("service.heartbeat was not sent: %s", error)
    except Exception:
        log.exception("service.heartbeat was not made")
