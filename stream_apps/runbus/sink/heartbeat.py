"""What the sink says about itself, every second, on the heartbeats topic."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from importlib import metadata

from runbus.kafka.model import Lag, TopicPartition
from runbus.schemas.events import Heartbeat
from runbus.sink.api import KIND
from runbus.sink.flow import Flow
from runbus.sink.tally import Tally

VERSION = metadata.version("runbus")


class Pulse:
    """Makes the heartbeats of one process.

    Args:
        component_id: its name.
        started_at: microseconds since the epoch.
    """

    def __init__(self, component_id: str, started_at: int) -> None:
        self._component_id = component_id
        self._started_at = started_at
        self._caught_up_ms: dict[TopicPartition, int] = {}

    def lags(
        self, flows: Mapping[TopicPartition, Flow], ends: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, Lag]:
        """Return the lag of each partition.

        Args:
            flows: the partitions that the process owns.
            ends: offset up to which each log can be read; absent = not known.
        """
        now_ms = time.time_ns() // 1_000_000
        self._caught_up_ms = {at: since for at, since in self._caught_up_ms.items() if at in flows}
        return {at: self._lag(at, flow, ends.get(at, -1), now_ms) for at, flow in flows.items()}

    def beat(self, flows: Mapping[TopicPartition, Flow], ends: Mapping[TopicPartition, int], tally: Tally) -> Heartbeat:
        """Return where the sink stands now. `dropped_events` are records that retention deleted first."""
        lags = self.lags(flows, ends).values()
        return Heartbeat(
            component_id=self._component_id,
            kind=KIND,
            sent_at=time.time_ns() // 1000,
            started_at=self._started_at,
            version=VERSION,
            total_events=tally.events,
            dropped_events=tally.lost_records,
            lag_ms=max((lag.milliseconds for lag in lags), default=0),
            lag_events=sum(lag.events for lag in lags),
            last_seq_id={str(position): flow.stored for position, flow in flows.items()},
            committed={str(position): flow.lease.committed for position, flow in flows.items()},
            detail=json.dumps(tally.detail()),
        )

    def _lag(self, position: TopicPartition, flow: Flow, end: int, now_ms: int) -> Lag:
        behind = max(0, end - flow.stored, len(flow.backlog))
        if not behind:
            self._caught_up_ms[position] = now_ms
            return Lag(0, 0)
        oldest = flow.oldest_ms
        since = self._caught_up_ms.setdefault(position, now_ms) if oldest is None else oldest
        return Lag(behind, max(0, now_ms - since))
