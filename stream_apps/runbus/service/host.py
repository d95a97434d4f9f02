"""Hosts one process: everything around a component's work, in one order for all of them.

One **round** is a component from its making to its end, in this order: credential files are looked at, the component is
made, the probes are served, Kafka is waited for (an answer, the topics, the rights), heartbeats begin, the component
runs. Clients read certificates and passwords when they are made, so new credentials mean another round: everything is
given up in order, as at SIGTERM, and made again. What happens in between loses nothing, like any restart.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from confluent_kafka.admin import AdminClient

from runbus.config.rotation import CredentialFiles
from runbus.config.waiting import Patience, ask_until_answered
from runbus.probes import Health, Limits, Probe, serving
from runbus.schemas.admin import admin_client
from runbus.schemas.start import BROKER_S, needed_topics
from runbus.service.component import Component, ProcessSpec, Start
from runbus.service.heartbeat import HeartbeatBuilder, HeartbeatTopic, heartbeats
from runbus.service.identity import component_id
from runbus.service.topics import TopicIdUnknown, topic_ids, watch_topics

log = logging.getLogger(__name__)


async def serve(process: ProcessSpec, asked: asyncio.Event) -> None:
    """Run a process until it is asked to end. Raises RunBusError if a person has to act."""
    name = component_id(process.kind, process.settings.instance_id)
    builder = HeartbeatBuilder(process.kind, name, time.time_ns() // 1000)
    while await _Round(process, name, builder, asked).run():
        log.warning("service.restart with the new credentials")


class _Round:
    """One component, from its making to its end.

    Args:
        process: what to run.
        name: its component id.
        builder: of its heartbeats.
        asked: set once the process is asked to end.
    """

    def __init__(self, process: ProcessSpec, name: str, builder: HeartbeatBuilder, asked: asyncio.Event) -> None:
        self._files = CredentialFiles(
            process.credential_files
        )  # first: what changes while clients are made is a change
        self._process = process
        self._builder = builder
        self._asked = asked
        self._renewed = False
        self._stop = asyncio.Event()
        self._waits_for = "Kafka"
        self._component: Component = process.new_component(name)

    async def run(self) -> bool:
        """Return once the component has ended, and whether another one has to follow with new credentials."""
        settings = self._process.settings
        limits = Limits(lag_seconds=settings.ready_lag_seconds)
        probe = Probe(self._process.kind, self._health, self._component.metrics, limits)
        watches = [asyncio.create_task(watch) for watch in (self._pass_on(), self._watch_credentials())]
        try:
            async with serving(settings.probes_address, probe):
                await self._work()
        finally:
            await _end(watches)
        return self._renewed and not self._asked.is_set()

    async def _work(self) -> None:
        process, kafka = self._process, self._process.settings.kafka
        admin = admin_client(kafka)
        partitions = await needed_topics(kafka, admin, process.topics, self._stop, process.needs)
        ids = await self._topic_ids(admin)
        if partitions is None or ids is None:
            return
        self._waits_for = ""
        start = Start(self._stop, admin, partitions, ids)
        async with heartbeats(HeartbeatTopic(kafka, process.codec), self._builder, self._health):
            await _first(self._component.run(start), watch_topics(admin, ids))

    async def _topic_ids(self, admin: AdminClient) -> dict[str, str] | None:
        def say(error: TopicIdUnknown) -> None:
            log.warning("start.waiting for Kafka: %s", error)

        return await ask_until_answered(
            lambda: asyncio.to_thread(topic_ids, admin, self._process.watched),
            self._stop,
            Patience((TopicIdUnknown,), say, BROKER_S),
        )

    def _health(self) -> Health:
        """Return where the component stands, with what only the host knows.

        One that is ending waits for what it has under way, and is not stuck: its end is bounded by SIGKILL.
        """
        health = self._component.health()
        if self._waits_for:
            health = replace(health, waits_for=self._waits_for)
        return replace(health, stopping=True, silent_seconds=0.0) if self._stop.is_set() else health

    async def _pass_on(self) -> None:
        await self._asked.wait()
        self._stop.set()

    async def _watch_credentials(self) -> None:
        changed = await self._files.wait()
        log.warning("service.credentials changed: %s", ", ".join(map(str, changed)))
        self._renewed = True
        self._stop.set()


async def _first(*works: Coroutine[Any, Any, None]) -> None:
    """Return, or raise, as the first of them does; the others are cancelled and waited for."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _end(tasks)
    for task in tasks:
        if task in ended:
            task.result()


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
