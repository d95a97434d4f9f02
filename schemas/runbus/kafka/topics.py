"""Lists the topics of RunBus: one typed catalogue. Names, keys and cleanup are a contract (docs/topics.md)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from runbus.config.errors import InvalidValue

MIB = 1024 * 1024
MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS

MAX_MESSAGE_BYTES = 4 * MIB
DEAD_LETTER_BYTES = 5 * MIB  # the largest message, and room for the headers that say where it came from
MAX_ID_BYTES = 255
#: The run of the watchdog's canary: the only one that no person has begun (docs/decisions/0019).
CANARY_RUN = "runbus-canary"

# "/" separates the parts of a key; control characters and half surrogate pairs break logs, shells and UTF-8.
_NOT_IN_AN_ID = re.compile(r"[/\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic.

    Attributes:
        name: without the prefix.
        key: what its key is, in words.
        schema: record name of its values, or None (dead letters keep the original bytes, changelogs an app's state).
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


# Only closed segments expire or are compacted: without a short segment a quiet topic would keep seven days.
_SMALL_SEGMENTS = {"segment.ms": str(10 * MINUTE_MS)}

# Stream time is the broker's clock. With the producer's, one agent whose clock is an hour ahead would let the open
# episodes of all others in its partition go idle; and the broker would refuse its records (more than an hour ahead,
# log.message.timestamp.after.max.ms) or delete them too early or too late. A step's own time is in the batch (`ts`).
_BROKER_TIME = {"message.timestamp.type": "LogAppendTime"}

# How long a restart takes follows the number of records in the changelog, not the number of keys. Only what is closed
# is compacted, so a segment closes after a minute, or when it is as large as one message may be (a smaller one would
# refuse it); and a tenth of stale records is enough to compact. With segments of 16 MiB a day of work made a restart
# with 100,000 streams five times as long (benchmarks/stream_apps_restart.py). Tombstones stay for ten minutes, a bound
# for reading the topic from its start: a reader that is slower may have read a value and miss that it was deleted. The
# entries of a partition of steps are in the partition of the same number, whatever their keys: the app names the
# partition.
_STATE = {
    **_BROKER_TIME,
    "segment.ms": str(MINUTE_MS),
    "segment.bytes": str(MAX_MESSAGE_BYTES),
    "min.cleanable.dirty.ratio": "0.1",
    "delete.retention.ms": str(10 * MINUTE_MS),
}
_STATE_KEY = "run_id/agent_id/attempt or a reserved key"


def state_topic(app: str, key: str = _STATE_KEY) -> Topic:
    """Return the topic that holds the state of a stream app."""
    return Topic(f"{app}-state-changelog", key, None, True, "compact", -1, _STATE)


RUNS = Topic("runs", "run_id/agent_id/attempt", "RunEvent", True, "compact", -1, _BROKER_TIME)
STEPS = Topic("steps", "run_id/agent_id", "StepBatch", True, "delete", 7 * DAY_MS, _BROKER_TIME)
METRICS = Topic("metrics", "run_id/source", "MetricBatch", True, "delete", 30 * DAY_MS, _BROKER_TIME)
EPISODES = Topic("episodes", "run_id/agent_id", "EpisodeFinalized", True, "delete", 30 * DAY_MS)
LIVE_METRICS = Topic(
    "live-metrics", "run_id/agent_id", "LiveMetrics", True, "compact,delete", 60 * MINUTE_MS, _SMALL_SEGMENTS
)
# Who is silent is told by the broker's clock too: an agent whose own is behind is not lost.
HEARTBEATS = Topic(
    "heartbeats",
    "component_id",
    "Heartbeat",
    False,
    "compact,delete",
    DAY_MS,
    {**_BROKER_TIME, **_SMALL_SEGMENTS},
)
DEAD_LETTERS = Topic(
    "dead-letters",
    "topic-partition-offset",
    None,
    False,
    "delete",
    30 * DAY_MS,
    {"max.message.bytes": str(DEAD_LETTER_BYTES)},
)
CONTROL = Topic(
    "control",
    "run_id/agent_id or empty/command",
    "ControlCommand",
    False,
    "compact,delete",
    30 * DAY_MS,
    {**_BROKER_TIME, **_SMALL_SEGMENTS},
)
# Who reads an annotation and then nothing for a month may miss that it was removed: so long Kafka keeps tombstones.
ANNOTATIONS = Topic(
    "annotations",
    "run_id/agent_id or empty/attempt/env/episode/step/kind/name",
    "Annotation",
    False,
    "compact",
    -1,
    {**_BROKER_TIME, **_SMALL_SEGMENTS, "delete.retention.ms": str(30 * DAY_MS)},
)
EPISODES_STATE = state_topic("episodes")
LIVE_METRICS_STATE = state_topic("live-metrics")

TOPICS: tuple[Topic, ...] = (
    RUNS,
    STEPS,
    METRICS,
    EPISODES,
    LIVE_METRICS,
    HEARTBEATS,
    DEAD_LETTERS,
    CONTROL,
    ANNOTATIONS,
    EPISODES_STATE,
    LIVE_METRICS_STATE,
)


def check_id(name: str, value: object) -> None:
    """Check a run_id, an agent_id or a source (`name` says which).

    Raises:
        InvalidValue: not 1 to 255 bytes of UTF-8, or it has a "/" (two streams could share a key) or a control
            character in it.
    """
    if not isinstance(value, str) or not value:
        raise InvalidValue(f"{name} is empty or not text: give it a name")
    found = _NOT_IN_AN_ID.search(value)
    if found is not None:
        raise InvalidValue(f"{name} {value[:100]!r} has {found[0]!r} in it: leave out '/' and control characters")
    if len(value.encode()) > MAX_ID_BYTES:
        raise InvalidValue(f"{name} {value[:40]!r}... has {len(value.encode())} bytes: at most {MAX_ID_BYTES}")


def stream_key(run_id: str, agent_id: str) -> bytes:
    """Return the Kafka key of an agent's streams: with murmur2 everywhere they are in one partition, in order.

    Raises:
        InvalidValue: see `check_id`; without it two streams could have the same key.
    """
    check_id("run_id", run_id)
    check_id("agent_id", agent_id)
    return f"{run_id}/{agent_id}".encode()


def run_event_key(run_id: str, agent_id: str, attempt: int) -> bytes:
    """Return the Kafka key of a RunEvent: compaction keeps the newest of each stream. Raises as above."""
    return stream_key(run_id, agent_id) + f"/{attempt}".encode()


def control_key(run_id: str, agent_id: str, what: str) -> bytes:
    """Return the Kafka key of a command: compaction keeps the newest about each thing (`pause`, `set/lr`, ...).

    Args:
        run_id: name of the run.
        agent_id: empty = every agent of the run.
        what: may have a "/" in it, as it stands last.

    Raises:
        InvalidValue: see `check_id`.
    """
    check_id("run_id", run_id)
    if agent_id:
        check_id("agent_id", agent_id)
    return f"{run_id}/{agent_id}/{what}".encode()
