"""The topics of RunBus: one typed catalogue. Names, keys and cleanup are a contract (docs/topics.md)."""

from __future__ import annotations

from dataclasses import dataclass, field

MIB = 1024 * 1024
MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS

MAX_MESSAGE_BYTES = 4 * MIB


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic.

    Attributes:
        name: without the prefix.
        key: what its key is, in words.
        schema: record name of its values, or None (dead letters keep the original bytes).
        partitioned: has as many partitions as steps; else one.
        cleanup: Kafka's cleanup.policy.
        retention_ms: -1 = for ever.
        extra: further topic configuration.
    """

    name: str
    key: str
    schema: str | None
    partitioned: bool
    cleanup: str
    retention_ms: int
    extra: dict[str, str] = field(default_factory=dict)

    def config(self) -> dict[str, str]:
        """Return the topic's configuration as Kafka names it."""
        return {
            "cleanup.policy": self.cleanup,
            "retention.ms": str(self.retention_ms),
            "max.message.bytes": str(MAX_MESSAGE_BYTES),
            "message.timestamp.type": "CreateTime",
            **self.extra,
        }


RUNS = Topic("runs", "run_id/agent_id/attempt", "RunEvent", True, "compact", -1)
STEPS = Topic("steps", "run_id/agent_id", "StepBatch", True, "delete", 7 * DAY_MS)
EPISODES = Topic("episodes", "run_id/agent_id", "EpisodeFinalized", True, "delete", 30 * DAY_MS)
LIVE_METRICS = Topic("live-metrics", "run_id/agent_id", "LiveMetrics", True, "compact,delete", 60 * MINUTE_MS)
HEARTBEATS = Topic("heartbeats", "component_id", "Heartbeat", False, "compact,delete", DAY_MS)
DEAD_LETTERS = Topic("dead-letters", "topic-partition-offset", None, False, "delete", 30 * DAY_MS)
TICKS = Topic("ticks", "(partition)", None, True, "delete", MINUTE_MS, {"segment.ms": str(MINUTE_MS)})

TOPICS: tuple[Topic, ...] = (RUNS, STEPS, EPISODES, LIVE_METRICS, HEARTBEATS, DEAD_LETTERS, TICKS)


def stream_key(run_id: str, agent_id: str) -> bytes:
    """Return the Kafka key of a stream: with murmur2 everywhere, one stream is one partition, in order."""
    return f"{run_id}/{agent_id}".encode()


def run_event_key(run_id: str, agent_id: str, attempt: int) -> bytes:
    """Return the Kafka key of a RunEvent: compaction keeps the newest per stream and attempt."""
    return f"{run_id}/{agent_id}/{attempt}".encode()
