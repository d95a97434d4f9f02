"""Reports the health and the metrics of one sink process."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Mapping

from runbus.kafka.model import TopicPartition
from runbus.kafka.offsets import LogBounds
from runbus.probes import Health, Sample, catalogue
from runbus.sink.flow import Flow
from runbus.sink.insert_interval import InsertInterval
from runbus.sink.lag import LagTracker
from runbus.sink.metrics import SinkMetrics
from runbus.sink.session import Session

# As often as heartbeats are sent, so a shown lag is at most this old.
_ENDS_S = 1.0


class SinkHealth:
    """Reports what one process does. Nothing here can stop it.

    Args:
        metrics: its counters.
        insert_interval: of its ranges.
    """

    def __init__(self, metrics: SinkMetrics, insert_interval: InsertInterval) -> None:
        self._metrics = metrics
        self._insert_interval = insert_interval
        self._lag = LagTracker()
        self._ends: dict[TopicPartition, int] = {}
        self._no_answer = ""
        self.waits_for = ""
        self.session: Session | None = None

    @property
    def _flows(self) -> Mapping[TopicPartition, Flow]:
        return {} if self.session is None else self.session.flows

    async def follow(self, bounds: LogBounds) -> None:
        """Ask every second for the ends of the logs, until cancelled; without an answer the last ones stay."""
        while True:
            try:
                self._ends = {at: end for at, (_, end) in (await bounds.now(list(self._flows))).items()}
                self._no_answer = ""
            except Exception as error:  # noqa: BLE001 - /ready says it, and the next answer comes in a second
                self._no_answer = f"Kafka: {error}"
            await asyncio.sleep(_ENDS_S)

    def health(self) -> Health:
        """Return the health now. `dropped_events` are records that retention deleted before they were stored."""
        lags = self._lag.lags(self._flows, self._ends).values()
        session, metrics = self.session, self._metrics
        return Health(
            joined=session is not None and session.joined,
            waits_for=self.waits_for or self._no_answer,
            recovering=[str(position) for position, flow in self._flows.items() if flow.replaying],
            paused=metrics.alarms(),
            lag_ms=max((lag.milliseconds for lag in lags), default=0),
            lag_events=sum(lag.events for lag in lags),
            silent_seconds=0.0 if session is None else time.monotonic() - session.turned_at,
            total_events=metrics.events,
            dropped_events=metrics.lost_records,
            last_seq_id={str(position): flow.stored for position, flow in self._flows.items()},
            committed={str(position): flow.lease.committed for position, flow in self._flows.items()},
            detail=json.dumps(metrics.detail()),
        )

    def samples(self) -> Iterator[Sample]:
        """Yield the metrics of the process."""
        metrics, lags = self._metrics, self._lag.lags(self._flows, self._ends)
        yield catalogue.RECORDS.now(metrics.records)
        yield catalogue.STEPS.now(metrics.steps)
        yield catalogue.DEAD_LETTERS.now(metrics.dead_letters)
        yield catalogue.SKIPPED_OFFSETS.now(metrics.lost_records)
        yield catalogue.COMMITS.now(metrics.commits.count)
        yield catalogue.COMMIT_SECONDS.now(metrics.commits)
        yield catalogue.INSERTS.now(metrics.inserts.count)
        yield catalogue.INSERTED_STEPS.now(metrics.inserted_steps)
        yield catalogue.INSERT_SECONDS.now(metrics.inserts)
        yield catalogue.REPLAYS.now(metrics.replays)
        yield catalogue.VERIFIED.now(metrics.verified)
        yield catalogue.REPAIRS.now(metrics.repairs)
        yield catalogue.REPAIRED_ROWS.now(metrics.repaired_rows)
        for reason, count in metrics.retries.items():
            yield catalogue.RETRIES.now(count, reason)
        for reason, count in metrics.paused_by_reason().items():
            yield catalogue.PAUSED.now(count, reason)
        yield catalogue.RANGE_SECONDS.now(self._insert_interval.current)
        yield catalogue.PARTITIONS.now(len(self._flows))
        yield catalogue.RECOVERING.now(sum(flow.replaying for flow in self._flows.values()))
        yield catalogue.LAG_SECONDS.now(max((lag.milliseconds for lag in lags.values()), default=0) / 1000)
        for position, lag in lags.items():
            yield catalogue.LAG_EVENTS.now(lag.events, position.topic, str(position.partition))
