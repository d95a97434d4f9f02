"""Hosts one process: does everything around its component's work, in the same order for all processes.

A **round** is the life of one component, in this order: credential files are read, the component is made, the probes
are served, Kafka is waited for (an answer, the topics, the rights), heartbeats begin, the component runs. Clients read
certificates and passwords when they are made, so new credentials mean another round: everything is given up in order,
as at SIGTERM, and made again. That loses nothing, like any restart.

A component that **hangs**, as `/live` has it, ends the process: whoever supervises it starts it again, and all is in
the log. Nothing is closed in order then: what hangs is a call of a library that may never return (a commit of
librdkafka 2.16 whose group was lost under a busy broker never did).
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from runbus.config.rotation import CredentialFiles
from runbus.probes import Health, Limits, Probe, serving, stuck
from runbus.service.background import error_of
from runbus.service.broker import HostBroker, KafkaBroker
from runbus.service.component import Component, ProcessSpec
from runbus.service.heartbeat import HeartbeatBuilder, heartbeats
from runbus.service.identity import component_id

log = logging.getLogger(__name__)

#: A process that was stopped (SIGSTOP) and goes on looks as if it hung, until its loop has turned: so it is looked at
#: again.
HANG_LOOK_S = 5.0
_HANG_LOOKS = 3


def _die() -> None:
    """End the process here and now."""
    os._exit(1)


async def serve(
    process: ProcessSpec,
    asked: asyncio.Event,
    new_broker: Callable[[ProcessSpec], HostBroker] = KafkaBroker,
    die: Callable[[], None] = _die,
) -> None:
    """Run a process until it is asked to end. Raises RunBusError if a person has to act.

    Args:
        process: what to run.
        asked: is set when it has to end.
        new_broker: makes what is waited for.
        die: ends a process that hangs.
    """
    name = component_id(process.kind, process.settings.instance_id)
    builder = HeartbeatBuilder(process.kind, name, time.time_ns() // 1000)
    again = True
    while again:
        files = CredentialFiles(process.credential_files)  # first: a change while clients are made counts
        round_ = _Round(process, process.new_component(name), new_broker(process), builder, die)
        again = await round_.run(files, asked)


class _Round:
    """One component, from its making to its end.

    Args:
        process: what to run.
        component: of the process.
        broker: to be waited for.
        builder: of its heartbeats.
        die: ends the process.
    """

    def __init__(
        self,
        process: ProcessSpec,
        component: Component,
        broker: HostBroker,
        builder: HeartbeatBuilder,
        die: Callable[[], None],
    ) -> None:
        self._process = process
        self._component = component
        self._broker = broker
        self._builder = builder
        self._die = die
        self._stop = asyncio.Event()
        self._waits_for = "Kafka"

    async def run(self, files: CredentialFiles, asked: asyncio.Event) -> bool:
        """Return once the component has ended: True if another one has to follow with new credentials."""
        settings = self._process.settings
        limits = Limits(lag_seconds=settings.ready_lag_seconds)
        probe = Probe(self._process.kind, self._health, self._component.metrics, limits)
        ending, rotation = asyncio.create_task(self._stop_after(asked)), asyncio.create_task(self._rotated(files))
        hanging = asyncio.create_task(self._end_if_it_hangs(limits))
        try:
            async with serving(settings.probes_address, probe):
                await self._work()
        finally:
            await _end([ending, rotation, hanging])
        return not (rotation.cancelled() or asked.is_set())

    async def _work(self) -> None:
        start = await self._broker.ready(self._stop)
        if start is None:
            return
        self._waits_for = ""
        async with heartbeats(self._broker.heartbeats(), self._builder, self._health, start.beat):
            await _first(self._component.run(start), self._broker.watch(start))

    def _health(self) -> Health:
        """Return the health of the component, with what only the host knows.

        A component that is ending finishes what it has under way and is not stuck: SIGKILL bounds its end.
        """
        health = self._component.health()
        if self._waits_for:
            health = replace(health, waits_for=self._waits_for)
        return replace(health, stopping=True, silent_seconds=0.0) if self._stop.is_set() else health

    async def _stop_after(self, asked: asyncio.Event) -> None:
        await asked.wait()
        self._stop.set()

    async def _end_if_it_hangs(self, limits: Limits) -> None:
        looks = 0
        while looks < _HANG_LOOKS:
            await asyncio.sleep(HANG_LOOK_S)
            reason = stuck(self._health(), limits)
            looks = looks + 1 if reason else 0
        log.critical("service.hangs %s: the process ends, to be started again", reason)
        self._die()

    async def _rotated(self, files: CredentialFiles) -> None:
        """Set `stop` once the content of a file has changed."""
        changed = await files.wait()
        log.warning("service.credentials changed: %s: new clients are made", ", ".join(map(str, changed)))
        self._stop.set()


async def _first(*works: Coroutine[Any, Any, None]) -> None:
    """Return, or raise, as the first of them does; the others are cancelled and waited for."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _end(tasks)
    for task in tasks:
        if task in ended and (error := error_of(task)) is not None:
            raise error


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
