"""Connects the host to Kafka: waits for the broker, watches topics, gives heartbeats an outlet."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from runbus.config.waiting import Patience, ask_until_answered
from runbus.kafka.clients import admin_client
from runbus.kafka.start import BROKER_S, needed_topics
from runbus.service.component import ProcessSpec, Start
from runbus.service.heartbeat import HeartbeatOutlet, HeartbeatTopic
from runbus.service.topic_watch import TopicIdUnknown, ids_to_watch, watch_topics

log = logging.getLogger(__name__)


class HostBroker(Protocol):
    """The broker of one round. KafkaBroker is the real one; tests of the host have their own."""

    async def ready(self, stop: asyncio.Event) -> Start | None:
        """Return once all that the process declared is there; None if `stop` was set before. Raises RunBusError."""

    async def watch(self, start: Start) -> None:
        """Never return. Raises TopicReplaced."""

    def heartbeats(self) -> HeartbeatOutlet:
        """Return the outlet of heartbeats; called once the broker is ready."""


class KafkaBroker:
    """The broker of a process's settings. Its clients are made with it.

    Args:
        process: what it needs.
    """

    def __init__(self, process: ProcessSpec) -> None:
        self._process = process
        self._kafka = process.settings.kafka
        self._admin = admin_client(self._kafka)

    async def ready(self, stop: asyncio.Event) -> Start | None:
        """Wait for an answer, the topics and the rights; see HostBroker."""
        process = self._process
        partitions = await needed_topics(self._kafka, self._admin, process.topics, stop, process.needs)
        ids = await self._topic_ids(stop)
        return None if partitions is None or ids is None else Start(stop, self._admin, partitions, ids)

    async def watch(self, start: Start) -> None:
        """Look at the topics that the process wants watched; see HostBroker."""
        await watch_topics(self._admin, start.topic_ids)

    def heartbeats(self) -> HeartbeatOutlet:
        """Return the topic of heartbeats."""
        return HeartbeatTopic(self._kafka, self._process.codec)

    async def _topic_ids(self, stop: asyncio.Event) -> dict[str, str] | None:
        def log_waiting(error: TopicIdUnknown) -> None:
            log.warning("start.waiting for Kafka: %s", error)

        return await ask_until_answered(
            lambda: ids_to_watch(self._admin, self._process.watched),
            stop,
            Patience((TopicIdUnknown,), log_waiting, BROKER_S),
        )
