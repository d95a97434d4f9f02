"""What a sink process shows while it runs: a heartbeat every second, and its probes."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Iterator, Mapping

from runbus.config.errors import RunBusError
from runbus.probes import Limits, Probe, Sample, Standing, catalogue
from runbus.schemas.avsc import schema
from runbus.schemas.codec import Codec
from runbus.schemas.topics import HEARTBEATS
from runbus.sink.api import LogUnavailable, Position
from runbus.sink.flow import Flow
from runbus.sink.heartbeat import Pulse
from runbus.sink.log import KafkaLog
from runbus.sink.offsets import KafkaOffsets
from runbus.sink.pace import Pace
from runbus.sink.session import Session
from runbus.sink.settings import SinkSettings
from runbus.sink.tally import Tally
from runbus.sink.threads import in_thread

log = logging.getLogger(__name__)
_BEAT_S = 1.0


class Report:
    """What one process shows. The process says where it is; nothing here can stop it.

    Args:
        settings: of the process.
        tally: its counters.
        component_id: its name.
        pace: of its ranges.
        stop: set once it was asked to end.
    """

    def __init__(
        self, settings: SinkSettings, tally: Tally, component_id: str, pace: Pace, stop: asyncio.Event
    ) -> None:
        self._settings = settings
        self._pace = pace
        self._tally = tally
        self._component_id = component_id
        self._stop = stop
        self._pulse = Pulse(component_id, time.time_ns() // 1000)
        self._ends: dict[Position, int] = {}
        self._no_answer = ""
        self.waits_for = ""
        self.session: Session | None = None

    @property
    def _flows(self) -> Mapping[Position, Flow]:
        return {} if self.session is None else self.session.flows

    # --- heartbeats -----------------------------------------------------------------------------------------------

    async def beat(self, kafka_log: KafkaLog, offsets: KafkaOffsets, codec: Codec) -> None:
        """Send a heartbeat every second, until cancelled."""
        topic = self._settings.kafka.topic_prefix + HEARTBEATS.name
        while True:
            await asyncio.sleep(_BEAT_S)
            await self._look(offsets)
            try:
                beat = self._pulse.beat(self._flows, self._ends, self._tally)
                frame = functools.partial(codec.frame, topic, schema("Heartbeat"), beat.encode())
                kafka_log.send(topic, self._component_id, await in_thread(frame, "runbus-sink-beat"))
            except RunBusError as error:
                log.debug("sink.heartbeat was not sent: %s", error)

    async def _look(self, offsets: KafkaOffsets) -> None:
        """Ask how far the logs go now; where nobody answers, what was known stays."""
        try:
            self._ends = await offsets.ends(list(self._flows))
            self._no_answer = ""
        except (LogUnavailable, RunBusError) as error:
            self._no_answer = f"Kafka: {error}"

    # --- probes ---------------------------------------------------------------------------------------------------

    def probe(self) -> Probe:
        """Return what the process serves."""
        return Probe("sink", self.standing, self.samples, Limits(self._settings.ready_lag_seconds))

    def standing(self) -> Standing:
        """Return where the process stands now."""
        lags = self._pulse.lags(self._flows, self._ends).values()
        session = self.session
        return Standing(
            joined=session is not None and session.joined,
            waits_for=self.waits_for or self._no_answer,
            recovering=[str(position) for position, flow in self._flows.items() if flow.replaying],
            paused=self._tally.alarms(),
            lag_ms=max((lag.milliseconds for lag in lags), default=0),
            lag_events=sum(lag.events for lag in lags),
            silent_seconds=0.0 if session is None or self._stop.is_set() else time.monotonic() - session.turned_at,
            stopping=self._stop.is_set(),
        )

    def samples(self) -> Iterator[Sample]:
        """Yield the metrics of the process."""
        tally, standing = self._tally, self.standing()
        yield catalogue.RECORDS.now(tally.records)
        yield catalogue.STEPS.now(tally.steps)
        yield catalogue.DEAD_LETTERS.now(tally.dead_letters)
        yield catalogue.SKIPPED_OFFSETS.now(tally.lost_records)
        yield catalogue.COMMITS.now(tally.commits.count)
        yield catalogue.COMMIT_SECONDS.now(tally.commits)
        yield catalogue.INSERTS.now(tally.inserts.count)
        yield catalogue.INSERTED_STEPS.now(tally.inserted_steps)
        yield catalogue.INSERT_SECONDS.now(tally.inserts)
        yield catalogue.REPLAYS.now(tally.replays)
        yield catalogue.VERIFIED.now(tally.verified)
        yield catalogue.REPAIRS.now(tally.repairs)
        yield catalogue.REPAIRED_ROWS.now(tally.repaired_rows)
        for reason, count in tally.retries.items():
            yield catalogue.RETRIES.now(count, reason)
        for reason, count in tally.paused_by_reason().items():
            yield catalogue.PAUSED.now(count, reason)
        yield catalogue.RANGE_SECONDS.now(self._pace.interval)
        yield catalogue.PARTITIONS.now(len(self._flows))
        yield catalogue.RECOVERING.now(len(standing.recovering))
        yield catalogue.LAG_SECONDS.now(standing.lag_ms / 1000)
        for position, lag in self._pulse.lags(self._flows, self._ends).items():
            yield catalogue.LAG_EVENTS.now(lag.events, position.topic, str(position.partition))
