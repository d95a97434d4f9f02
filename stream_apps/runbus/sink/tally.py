"""What a sink did, counted where it happens; the heartbeat shows it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from runbus.sink.api import Position


@dataclass(slots=True)
class Tally:
    """Counters of one process. All are cumulative, except `paused`: why a partition does not move now."""

    steps: int = 0
    records: int = 0
    ranges: int = 0
    replays: int = 0
    verified: int = 0
    repairs: int = 0
    repaired_rows: int = 0
    dead_letters: int = 0
    lost_records: int = 0
    fenced: int = 0
    sessions: int = 0
    retries: Counter[str] = field(default_factory=Counter)
    paused: dict[Position, str] = field(default_factory=dict)

    def detail(self) -> dict[str, object]:
        """Return what a heartbeat carries as JSON."""
        names = ("ranges", "replays", "verified", "repairs", "repaired_rows", "lost_records", "fenced", "sessions")
        return {
            **{name: getattr(self, name) for name in names},
            "records": self.records,
            "retries": dict(self.retries),
            "paused": {str(position): reason for position, reason in self.paused.items()},
        }
