"""What an engine shows while it runs: a heartbeat every second, and its probes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Iterator

from runbus.config.errors import RunBusError
from runbus.probes import Limits, Probe, Sample, Standing, catalogue, serving
from runbus.schemas.avsc import schema
from runbus.schemas.topics import EPISODES, HEARTBEATS, LIVE_METRICS
from runbus.streams.engine import StreamEngine
from runbus.streams.heartbeat import Pulse
from runbus.streams.kafka import Message

log = logging.getLogger(__name__)
_BEAT_S = 1.0


@contextlib.asynccontextmanager
async def reported(engine: StreamEngine) -> AsyncIterator[None]:
    """Report on the engine while the context is entered. Nothing that goes wrong here stops it.

    Raises:
        RunBusError: RUNBUS_PROBES_ADDRESS cannot be listened on.
    """
    report = Report(engine)
    limits = Limits(lag_seconds=engine.settings.ready_lag_seconds)
    probe = Probe(engine.app.kind, report.standing, report.samples, limits)
    async with serving(engine.settings.probes_address, probe):
        beats = asyncio.create_task(_beat(engine))
        try:
            yield
        finally:
            beats.cancel()
            await asyncio.gather(beats, return_exceptions=True)


async def _beat(engine: StreamEngine) -> None:
    pulse = Pulse(engine)
    topic = engine.settings.kafka.topic_prefix + HEARTBEATS.name
    while True:
        await asyncio.sleep(_BEAT_S)
        try:
            beat = pulse.beat()
            value = await asyncio.to_thread(engine.codec.frame, topic, schema("Heartbeat"), beat.encode())
        except RunBusError as error:
            log.debug("streams.heartbeat was not sent: %s", error)
            continue
        engine.outbox.put(Message(topic, beat.component_id.encode(), value))


class Report:
    """Where an engine stands, and its metrics."""

    def __init__(self, engine: StreamEngine) -> None:
        self._engine = engine

    def standing(self) -> Standing:
        """Return what readiness depends on."""
        engine = self._engine
        lags = engine.lags().values()
        return Standing(
            joined=engine.joined,
            recovering=[str(p.shard.source) for p in engine.partitions.values() if not p.opened],
            paused=engine.waits_for,
            lag_ms=max((lag.milliseconds for lag in lags), default=0),
            lag_events=sum(lag.events for lag in lags),
            silent_seconds=time.monotonic() - engine.turned_at,
        )

    def samples(self) -> Iterator[Sample]:
        """Yield the metrics."""
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
        yield catalogue.RECOVERING.now(sum(not p.opened for p in engine.partitions.values()))
        lags = engine.lags()
        for place, partition in engine.partitions.items():
            lag = lags[str(partition.shard.source)]
            yield catalogue.LAG_EVENTS.now(lag.events, place.topic, str(place.partition))
        yield catalogue.LAG_SECONDS.now(max((lag.milliseconds for lag in lags.values()), default=0) / 1000)
        for name, number in engine.sizes().items():
            yield catalogue.STATE_ENTRIES.now(number, name)
