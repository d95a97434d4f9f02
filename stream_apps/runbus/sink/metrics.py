"""Counts what a sink process does; its heartbeat and its metrics show it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from runbus.kafka.model import TopicPartition
from runbus.probes import Durations

# A person has to act. Other pauses end by themselves; the lag says how long they take.
ALARMS = ("configuration", "poison", "refused", "unknown")
# The metric has all reasons at all times, so that none vanishes with its last partition.
REASONS = ("ambiguous", "capacity", "log", "registry", *ALARMS)


@dataclass(slots=True)
class SinkMetrics:
    """Counters of one process. All are cumulative, except `paused`: partition -> reason.

    `events` are steps, and the records of the topics that hold one event a record; `steps` are those of `steps`.
    """

    events: int = 0
    steps: int = 0
    inserted_steps: int = 0
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
    commits: Durations = field(default_factory=Durations)
    inserts: Durations = field(default_factory=Durations)
    retries: Counter[str] = field(default_factory=Counter)
    paused: dict[TopicPartition, str] = field(default_factory=dict)

    def alarms(self) -> dict[str, str]:
        """Return partition -> reason of the partitions that wait for a person."""
        return {str(at): why for at, why in self.paused.items() if _kind(why) in ALARMS}

    def paused_by_reason(self) -> Counter[str]:
        """Return the number of paused partitions by kind of reason."""
        found = Counter(dict.fromkeys(REASONS, 0))
        found.update(_kind(why) for why in self.paused.values())
        return found

    def detail(self) -> dict[str, object]:
        """Return what a heartbeat carries as JSON."""
        names = ("ranges", "replays", "verified", "repairs", "repaired_rows", "lost_records", "fenced", "sessions")
        return {
            **{name: getattr(self, name) for name in names},
            "records": self.records,
            "inserts": self.inserts.count,
            "insert_seconds": round(self.inserts.total, 3),
            "retries": dict(self.retries),
            "paused": {str(position): reason for position, reason in self.paused.items()},
        }


def _kind(reason: str) -> str:
    return reason.partition(":")[0]
