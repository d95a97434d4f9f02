"""Builds the watchdog's process: all its wiring is here."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from runbus.clickhouse.tables import STORED_TOPICS
from runbus.config.sources import Sources
from runbus.kafka.principals import Role
from runbus.kafka.start import Needs
from runbus.kafka.topics import HEARTBEATS, LIVE_METRICS, STEPS
from runbus.probes import Health, Sample, catalogue
from runbus.schemas.registry import codec
from runbus.service.component import ProcessSpec, Start
from runbus.watchdog.findings import State
from runbus.watchdog.settings import WatchdogSettings
from runbus.watchdog.watch import Watch

KIND: Role = "watchdog"


def watchdog_process(sources: Sources) -> ProcessSpec:
    """Return the process for its host. Raises ConfigError naming the variable and the bad value."""
    settings = WatchdogSettings.load(sources)
    prefix = settings.kafka.topic_prefix
    return ProcessSpec(
        kind=KIND,
        settings=settings,
        codec=codec(sources),
        needs=Needs(KIND, settings.names.sink_group),
        topics=(prefix + LIVE_METRICS.name, *(prefix + stored.topic for stored in STORED_TOPICS)),
        new_component=lambda name: Watchdog(settings, name),
        watched=(prefix + STEPS.name, prefix + HEARTBEATS.name),
        credential_files=(*settings.kafka.credential_files, *settings.clickhouse.credential_files),
    )


class Watchdog:
    """Watches the installation; see service.component.Component.

    Args:
        settings: of the process.
        component_id: in heartbeats and logs; the agent of the canary.
    """

    def __init__(self, settings: WatchdogSettings, component_id: str) -> None:
        self._watch = Watch(settings, component_id)

    async def run(self, start: Start) -> None:
        """Watch until stopped. Raises RunBusError if a person has to act."""
        await self._watch.run(start)

    def health(self) -> Health:
        """Return its health now; the detail of its heartbeat is the report."""
        watch = self._watch
        waits_for = f"Kafka: {watch.broker_says}" if watch.broker_says else "" if watch.looked_at else "Kafka"
        return Health(
            joined=True,
            waits_for=waits_for,
            silent_seconds=time.monotonic() - watch.judged_at,
            total_events=sum(trip.came_back for trip in watch.report.trips),
            detail=json.dumps(watch.report.as_json(), separators=(",", ":")),
        )

    def metrics(self) -> Iterator[Sample]:
        """Yield its metrics now."""
        watch, report = self._watch, self._watch.report
        for state in State:
            count = sum(one.finding.state is state for one in report.findings)
            if state is not State.OK:
                yield catalogue.WATCH_FINDINGS.now(count, state.name)
        yield catalogue.WATCH_ALARMS.now(report.alarms)
        yield catalogue.WATCH_WEBHOOK_FAILED.now(watch.webhook.failed)
        for view in report.groups:
            yield catalogue.WATCH_GROUP_STATE.now(view.state, view.group)
            yield catalogue.WATCH_GROUP_LAG_SECONDS.now(view.lag_ms / 1000, view.group)
            yield catalogue.WATCH_GROUP_UNOWNED.now(view.partitions - view.owned, view.group)
        for trip in report.trips:
            if trip.latency_s is not None:
                yield catalogue.CANARY_SECONDS.now(trip.latency_s, trip.way)
            yield catalogue.CANARY_WAITING_SECONDS.now(trip.waiting_s, trip.way)
