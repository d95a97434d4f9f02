"""What the sink says about itself, every second, on the heartbeats topic."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from importlib import metadata

from runbus.schemas.events import Heartbeat
from runbus.sink.api import Position
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
        self._caught_up_ms: dict[Position, int] = {}

    def beat(self, flows: Mapping[Position, Flow], ends: Mapping[Position, int], tally: Tally) -> Heartbeat:
        """Return where the sink stands now. `dropped_events` are records that retention deleted first.

        Args:
            flows: the partitions it owns.
            ends: offset after the last of each log, -1 = not known.
            tally: the counters.
        """
        now_ms = time.time_ns() // 1_000_000
        lags = [self._lag(position, flow, ends.get(position, -1), now_ms) for position, flow in flows.items()]
        return Heartbeat(
            component_id=self._component_id,
            kind="sink",
            sent_at=now_ms * 1000,
            started_at=self._started_at,
            version=VERSION,
            total_events=tally.steps,
            dropped_events=tally.lost_records,
            lag_ms=max((age for _, age in lags), default=0),
            lag_events=sum(count for count, _ in lags),
            last_seq_id={str(position): flow.stored for position, flow in flows.items()},
            committed={str(position): flow.lease.committed for position, flow in flows.items()},
            detail=json.dumps(tally.detail()),
        )

    def _lag(self, position: Position, flow: Flow, end: int, now_ms: int) -> tuple[int, int]:
        """Return (records not stored, age of the oldest in milliseconds); the age grows while nothing moves."""
        behind = max(0, end - flow.stored, len(flow.backlog))
        if not behind:
            self._caught_up_ms[position] = now_ms
            return 0, 0
        oldest = flow.oldest_ms
        since = self._caught_up_ms.setdefault(position, now_ms) if oldest is None else oldest
        return behind, max(0, now_ms - since)
