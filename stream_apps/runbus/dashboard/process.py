"""Builds the dashboard's process: all its wiring is here."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Coroutine, Iterator
from typing import Any

from runbus.config.sources import Sources
from runbus.dashboard.annotator import LogAnnotator
from runbus.dashboard.app import create_app
from runbus.dashboard.history.clickhouse import ClickHouseHistory
from runbus.dashboard.identity.watch import IdentityWatch
from runbus.dashboard.live.live import Live
from runbus.dashboard.parts import Parts
from runbus.dashboard.security.door import Door
from runbus.dashboard.server import listen, serve
from runbus.dashboard.settings import DashboardSettings
from runbus.kafka.principals import Role
from runbus.kafka.start import Needs
from runbus.kafka.topics import ANNOTATIONS, EPISODES, HEARTBEATS, LIVE_METRICS, METRICS, RUNS, STEPS
from runbus.probes import Health, Sample, catalogue
from runbus.schemas.codec import Codec
from runbus.schemas.registry import codec
from runbus.service.component import ProcessSpec, Start

log = logging.getLogger(__name__)
KIND: Role = "dashboard"
#: A large log is read on while pages are served already.
_CATCHES_UP_S = 20.0


def dashboard_process(sources: Sources) -> ProcessSpec:
    """Return the process for its host. Raises ConfigError naming the variable and the bad value."""
    settings = DashboardSettings.load(sources)
    topics = tuple(
        settings.kafka.topic_prefix + topic.name
        for topic in (HEARTBEATS, RUNS, STEPS, METRICS, EPISODES, LIVE_METRICS, ANNOTATIONS)
    )
    values = codec(sources)
    return ProcessSpec(
        kind=KIND,
        settings=settings,
        codec=values,
        needs=Needs(KIND, settings.names.sink_group),
        topics=topics,
        new_component=lambda _: Dashboard(settings, values),
        watched=topics,
        credential_files=settings.credential_files,
    )


class Dashboard:
    """Serves the page; see service.component.Component.

    Args:
        settings: of the process.
        codec: of the installation.
    """

    def __init__(self, settings: DashboardSettings, codec: Codec) -> None:
        self._settings = settings
        self._codec = codec
        self._live: Live | None = None
        self._history = ClickHouseHistory(settings.clickhouse)
        self._serves = False
        self._door = Door(settings.clients, settings.clients_per_address)

    async def run(self, start: Start) -> None:
        """Serve until stopped. Raises RunBusError if the port cannot be had, or a person has to act on Kafka."""
        live = self._live = Live(self._settings, self._codec, start.partitions)
        ended = asyncio.Event()
        identity = IdentityWatch(self._settings.kafka, self._codec, start.partitions, live, self._history)
        works = [asyncio.create_task(work) for work in (live.run(), identity.run(), _until(start.stop, live))]
        for work in works:
            work.add_done_callback(lambda _: ended.set())
        try:
            await _either(live.ready(), ended.wait(), _CATCHES_UP_S)
            if not ended.is_set():
                annotator = LogAnnotator(self._settings.kafka, self._codec)
                await self._serve(Parts(self._settings, live, self._history, annotator, start.topic_ids), ended)
            for work in works:
                if work.done():
                    work.result()
        finally:
            for work in works:
                work.cancel()
            await asyncio.gather(*works, return_exceptions=True)

    async def _serve(self, parts: Parts, ended: asyncio.Event) -> None:
        # The port is there once answers are: a browser gives up for good on a stream that was refused once.
        listener = listen(*self._settings.listens_at)
        host, port = listener.getsockname()[:2]
        log.info("dashboard.listening on http://%s:%d", f"[{host}]" if ":" in host else host, port)
        self._serves = True
        try:
            await serve(create_app(parts), listener, ended, self._door)
        finally:
            await self._history.close()

    def health(self) -> Health:
        """Return its health now. It serves on while Kafka or ClickHouse is away: half of a page is more than none."""
        detail = {"connections": self._door.inside, "queries": self._history.running}
        return Health(joined=self._serves, detail=json.dumps(detail, separators=(",", ":")))

    def metrics(self) -> Iterator[Sample]:
        """Yield its metrics now."""
        yield catalogue.PAGE_CONNECTIONS.now(self._door.inside)
        yield catalogue.PAGE_REFUSED.now(self._door.refused)
        yield catalogue.PAGE_QUERIES.now(self._history.running)
        for end in ("answered", "failed", "refused", "cancelled"):
            yield catalogue.PAGE_QUERIES_ENDED.now(self._history.ended[end], end)
        if self._live is not None:
            yield catalogue.PAGE_STREAMS.now(self._live.clients)
            yield catalogue.PAGE_FRAMES.now(self._live.frames_sent)
            yield catalogue.PAGE_ENCODED.now(self._live.frames_encoded)
            yield catalogue.PAGE_SKIPPED.now(self._live.ticks_skipped)
            yield catalogue.PAGE_BEHIND_SECONDS.now(self._live.behind_seconds())


async def _until(stop: asyncio.Event, live: Live) -> None:
    """Let the open streams end by themselves once the process is stopped."""
    await stop.wait()
    live.close()


async def _either(one: Coroutine[Any, Any, Any], other: Coroutine[Any, Any, Any], seconds: float) -> None:
    """Return once one of them has, or after so long."""
    tasks = [asyncio.create_task(work) for work in (one, other)]
    await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
