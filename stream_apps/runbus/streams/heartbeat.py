"""What a stream app says about itself, every second, on the heartbeats topic."""

from __future__ import annotations

import json
import time
from importlib import metadata

from runbus.schemas.events import Heartbeat
from runbus.streams.engine import StreamEngine

VERSION = metadata.version("runbus")


class Pulse:
    """Makes the heartbeats of one engine."""

    def __init__(self, engine: StreamEngine) -> None:
        self._engine = engine
        self._started_at = time.time_ns() // 1000

    def beat(self) -> Heartbeat:
        """Return where it stands. `dropped_events`: offsets deleted before they were read, and what was not sent."""
        engine, counters = self._engine, self._engine.counters
        lags = engine.lags()
        return Heartbeat(
            component_id=engine.component_id,
            kind=engine.app.kind,
            sent_at=time.time_ns() // 1000,
            started_at=self._started_at,
            version=VERSION,
            total_events=counters.steps,
            dropped_events=counters.skipped_offsets + engine.outbox.dropped,
            lag_ms=max((lag.milliseconds for lag in lags.values()), default=0),
            lag_events=sum(lag.events for lag in lags.values()),
            last_seq_id={str(p.shard.source): p.shard.next_offset for p in engine.partitions.values()},
            committed={str(p.shard.source): p.committed for p in engine.partitions.values()},
            detail=json.dumps(self._detail(), separators=(",", ":")),
        )

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
            "recovering": sorted(str(p.shard.source) for p in engine.partitions.values() if not p.opened),
            "paused": engine.waits_for,
            "state": engine.sizes(),
        }
