"""Makes a stream app a process: its engine as the host's component, with what it shows of itself."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from runbus.probes import Health, Sample, catalogue
from runbus.schemas.codec import Codec
from runbus.schemas.start import Needs
from runbus.schemas.topics import EPISODES, LIVE_METRICS
from runbus.service.component import ProcessSpec, Start
from runbus.streams.api import App
from runbus.streams.engine import Engine
from runbus.streams.settings import StreamSettings
from runbus.streams.shell import run_in_faust
from runbus.streams.start import needed_names, source_name, source_topic


def stream_process(app: App, settings: StreamSettings, codec: Codec) -> ProcessSpec:
    """Return a stream app for the host."""
    return ProcessSpec(
        kind=app.kind,
        settings=settings,
        codec=codec,
        needs=Needs(app.kind),
        topics=needed_names(settings.kafka, app),
        new_component=lambda _: StreamComponent(app, settings, codec),
        watched=(source_name(settings.kafka),),
        credential_files=settings.kafka.credential_files,
        runner=run_in_faust,
    )


class StreamComponent:
    """Runs the engine of one app; see service.component.Component."""

    def __init__(self, app: App, settings: StreamSettings, codec: Codec) -> None:
        self._engine = Engine(app, settings, codec)

    async def run(self, start: Start) -> None:
        """Work until stopped. Raises RunBusError where a person has to act."""
        engine = self._engine
        await engine.run(start.stop, source_topic(start, engine.settings.kafka, engine.app))

    def health(self) -> Health:
        """Return where it stands. `dropped_events`: offsets deleted before they were read, and what was not sent."""
        engine, counters = self._engine, self._engine.counters
        lags = engine.lags().values()
        return Health(
            joined=engine.joined,
            recovering=self._recovering(),
            paused=engine.waits_for,
            lag_ms=max((lag.milliseconds for lag in lags), default=0),
            lag_events=sum(lag.events for lag in lags),
            silent_seconds=time.monotonic() - engine.turned_at,
            total_events=counters.steps,
            dropped_events=counters.skipped_offsets + engine.outbox.dropped,
            last_seq_id={str(p.shard.source): p.shard.next_offset for p in engine.partitions.values()},
            committed={str(p.shard.source): p.committed for p in engine.partitions.values()},
            detail=json.dumps(self._detail(), separators=(",", ":")),
        )

    def metrics(self) -> Iterator[Sample]:
        """Yield its metrics now."""
        engine, counters, prefix = self._engine, self._engine.counters, self._engine.settings.kafka.topic_prefix
        output = EPISODES if engine.app.kind == "episodes" else LIVE_METRICS
        yield catalogue.RECORDS.now(counters.records)
        yield catalogue.STEPS.now(counters.steps)
        yield catalogue.EMITTED.now(counters.emitted, prefix + output.name)
        yield catalogue.DEAD_LETTERS.now(counters.dead_letters)
        yield catalogue.REFUSED_STEPS.now(counters.refused_steps)
        yield catalogue.SKIPPED_OFFSETS.now(counters.skipped_offsets)
        yield catalogue.COMMITS.now(counters.commits)
        yield catalogue.COMMIT_SECONDS.now(engine.commit_seconds)
        yield catalogue.PARTITIONS.now(len(engine.partitions))
        yield catalogue.RECOVERING.now(len(self._recovering()))
        lags = engine.lags()
        for place, partition in engine.partitions.items():
            lag = lags[str(partition.shard.source)]
            yield catalogue.LAG_EVENTS.now(lag.events, place.topic, str(place.partition))
        yield catalogue.LAG_SECONDS.now(max((lag.milliseconds for lag in lags.values()), default=0) / 1000)
        for name, number in engine.sizes().items():
            yield catalogue.STATE_ENTRIES.now(number, name)

    def _recovering(self) -> list[str]:
        return [str(p.shard.source) for p in self._engine.partitions.values() if not p.opened]

    def _detail(self) -> dict[str, object]:
        engine, counters = self._engine, self._engine.counters
        return {
            "records": counters.records,
            "emitted": counters.emitted,
            "dead_letters": counters.dead_letters,
            "refused_steps": counters.refused_steps,
            "commits": counters.commits,
            "skipped_offsets": counters.skipped_offsets,
            "not_sent": engine.outbox.dropped,
            "recovering": sorted(self._recovering()),
            "paused": engine.waits_for,
            "state": engine.sizes(),
        }
