"""Makes a stream app a process: runs its engine as the host's component, and shows its health and metrics."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterable, Iterator

from runbus.config.waiting import Patience, ask_until_answered
from runbus.kafka.start import Needs
from runbus.kafka.threads import in_thread
from runbus.kafka.user_apps import principal_of
from runbus.probes import Health, Sample, catalogue
from runbus.schemas.avsc import schema
from runbus.schemas.codec import Codec
from runbus.schemas.errors import RegistryUnavailable
from runbus.service.component import ProcessSpec, Start
from runbus.streams.api import StreamApp
from runbus.streams.engine import StreamEngine
from runbus.streams.settings import StreamSettings
from runbus.streams.shell import run_in_faust
from runbus.streams.start import needed_names, source_name, source_topic

log = logging.getLogger(__name__)


def stream_process(app: StreamApp, settings: StreamSettings, codec: Codec) -> ProcessSpec:
    """Return a stream app for the host."""
    return ProcessSpec(
        kind=app.kind,
        settings=settings,
        codec=codec,
        needs=Needs(principal_of(app.topics)),
        topics=needed_names(settings.kafka, app),
        new_component=lambda _: StreamComponent(app, settings, codec),
        watched=(source_name(settings.kafka),),
        credential_files=settings.kafka.credential_files,
        runner=run_in_faust,
    )


class StreamComponent:
    """Runs the engine of one app; see service.component.Component.

    The engine is made once it can run: it makes its clients, and only an engine that runs closes them. Before that
    there is nothing to count.
    """

    def __init__(self, app: StreamApp, settings: StreamSettings, codec: Codec) -> None:
        self._app = app
        self._settings = settings
        self._codec = codec
        self._engine: StreamEngine | None = None
        self._waits_for = ""

    async def run(self, start: Start) -> None:
        """Work until stopped. Raises RunBusError if a person has to act."""
        source = source_topic(start, self._settings.kafka, self._app)
        if not await self._output_id_known(start.stop):
            return
        self._engine = StreamEngine(self._app, self._settings, self._codec, source)
        await self._engine.run(start.stop)

    def health(self) -> Health:
        """Return its health now."""
        return Health(waits_for=self._waits_for) if self._engine is None else health_of(self._engine)

    def metrics(self) -> Iterable[Sample]:
        """Return its metrics now."""
        return () if self._engine is None else metrics_of(self._engine)

    async def _output_id_known(self, stop: asyncio.Event) -> bool:
        """Ask the registry, if there is one, for the id of what the app writes: later its loop would wait for that.

        Return False if it was stopped meanwhile. Raises UnknownSchema.
        """
        topic = self._app.output
        name = self._settings.kafka.topic_prefix + topic.name
        written = topic.schema
        if written is None:
            return True

        def frame() -> bytes:
            return self._codec.frame(name, schema(written), b"")

        def say(error: RegistryUnavailable) -> None:
            self._waits_for = "the schema registry"
            log.warning("start.waiting for the schema registry: %s", error)

        patience = Patience((RegistryUnavailable,), say)
        return await ask_until_answered(lambda: in_thread(frame, "runbus-registry"), stop, patience) is not None


def health_of(engine: StreamEngine) -> Health:
    """Return an engine's health. `dropped_events`: offsets deleted before they were read, and what was not sent."""
    ownership, lags = engine.ownership, engine.lags().values()
    partitions = ownership.partitions.values()
    return Health(
        joined=ownership.joined,
        recovering=_recovering(engine),
        paused=ownership.waits_for,
        lag_ms=max((lag.milliseconds for lag in lags), default=0),
        lag_events=sum(lag.events for lag in lags),
        silent_seconds=time.monotonic() - engine.turned_at,
        total_events=engine.metrics.steps,
        dropped_events=engine.metrics.skipped_offsets + engine.best_effort.dropped,
        last_seq_id={str(p.shard.source): p.shard.next_offset for p in partitions},
        committed={str(p.shard.source): p.committed for p in partitions},
        detail=json.dumps(_detail(engine), separators=(",", ":")),
    )


def metrics_of(engine: StreamEngine) -> Iterator[Sample]:
    """Yield the metrics of an engine."""
    metrics, prefix, lags = engine.metrics, engine.settings.kafka.topic_prefix, engine.lags()
    partitions = engine.ownership.partitions
    yield catalogue.RECORDS.now(metrics.records)
    yield catalogue.STEPS.now(metrics.steps)
    yield catalogue.EMITTED.now(metrics.emitted, prefix + engine.app.output.name)
    yield catalogue.DEAD_LETTERS.now(metrics.dead_letters)
    yield catalogue.REFUSED_STEPS.now(metrics.refused_steps)
    yield catalogue.SKIPPED_OFFSETS.now(metrics.skipped_offsets)
    yield catalogue.COMMITS.now(metrics.commits)
    yield catalogue.COMMIT_SECONDS.now(engine.commit_seconds)
    yield catalogue.PARTITIONS.now(len(partitions))
    yield catalogue.RECOVERING.now(len(_recovering(engine)))
    for partition, owned in partitions.items():
        events = lags[str(owned.shard.source)].events
        yield catalogue.LAG_EVENTS.now(events, partition.topic, str(partition.partition))
    yield catalogue.LAG_SECONDS.now(max((lag.milliseconds for lag in lags.values()), default=0) / 1000)
    for name, number in engine.sizes().items():
        yield catalogue.STATE_ENTRIES.now(number, name)


def _recovering(engine: StreamEngine) -> list[str]:
    return sorted(str(p.shard.source) for p in engine.ownership.partitions.values() if not p.opened)


def _detail(engine: StreamEngine) -> dict[str, object]:
    counts = ("records", "emitted", "dead_letters", "refused_steps", "commits", "skipped_offsets")
    return {name: getattr(engine.metrics, name) for name in counts} | {
        "not_sent": engine.best_effort.dropped,
        "recovering": _recovering(engine),
        "paused": engine.ownership.waits_for,
        "state": engine.sizes(),
    }
