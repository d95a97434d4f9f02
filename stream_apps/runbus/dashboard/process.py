"""Builds the dashboard's process: all its wiring is here."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from runbus.config.sources import Sources
from runbus.dashboard.app import create_app
from runbus.dashboard.parts import Parts
from runbus.dashboard.server import listen, serve
from runbus.dashboard.settings import DashboardSettings
from runbus.kafka.principals import Role
from runbus.kafka.start import Needs
from runbus.kafka.topics import EPISODES, HEARTBEATS, LIVE_METRICS, RUNS, STEPS
from runbus.probes import Health, Sample
from runbus.schemas.registry import codec
from runbus.service.component import ProcessSpec, Start

log = logging.getLogger(__name__)
KIND: Role = "dashboard"


def dashboard_process(sources: Sources) -> ProcessSpec:
    """Return the process for its host. Raises ConfigError naming the variable and the bad value."""
    settings = DashboardSettings.load(sources)
    topics = tuple(
        settings.kafka.topic_prefix + topic.name for topic in (HEARTBEATS, RUNS, STEPS, EPISODES, LIVE_METRICS)
    )
    return ProcessSpec(
        kind=KIND,
        settings=settings,
        codec=codec(sources),
        needs=Needs(KIND, settings.names.sink_group),
        topics=topics,
        new_component=lambda _: Dashboard(settings),
        watched=topics,
        credential_files=settings.credential_files,
    )


class Dashboard:
    """Serves the page; see service.component.Component.

    Args:
        settings: of the process.
    """

    def __init__(self, settings: DashboardSettings) -> None:
        self._settings = settings
        self._serves = False

    async def run(self, start: Start) -> None:
        """Serve until stopped. Raises RunBusError if the port cannot be had."""
        parts = Parts(self._settings)
        # The port is there once answers are: a browser gives up for good on a stream that was refused once.
        listener = listen(*self._settings.listens_at)
        host, port = listener.getsockname()[:2]
        log.info("dashboard.listening on http://%s:%d", f"[{host}]" if ":" in host else host, port)
        self._serves = True
        await serve(create_app(parts), listener, start.stop)

    def health(self) -> Health:
        """Return its health now."""
        return Health(joined=self._serves)

    def metrics(self) -> Iterator[Sample]:
        """Yield its metrics now."""
        yield from ()
