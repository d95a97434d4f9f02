"""Finds the streams of one run in the topic `runs`, and where in the log their steps may begin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from confluent_kafka import Message

from runbus.kafka.partitioner import partition_of
from runbus.kafka.topic_log import TopicLog, record_position
from runbus.kafka.topics import DAY_MS, stream_key

#: How wrong the clock of an agent may be before all of the log is searched for its records.
CLOCK_MARGIN_MS = DAY_MS


class StreamEvent(NamedTuple):
    """A record of `runs`, and the stream that its key names."""

    agent_id: str
    attempt: int
    message: Message


def stream_events(log: TopicLog, run_id: str) -> Iterator[StreamEvent]:
    """Yield every event of a run, from the topic `runs`."""
    start = run_id + "/"
    for message in log.records():
        key = key_text(message.key())
        if key.startswith(start):
            _, agent, attempt = key.split("/")
            yield StreamEvent(agent, int(attempt), message)


@dataclass(slots=True)
class RunStarts:
    """What `runs` says of where a run begins.

    Attributes:
        started_ms: agent -> its first start, by its own clock.
        events: partition of `runs` -> offset of the run's first event there.
    """

    started_ms: dict[str, int] = field(default_factory=dict)
    events: dict[int, int] = field(default_factory=dict)

    def take(self, event: StreamEvent) -> None:
        """Take one event."""
        partition, offset = record_position(event.message)
        self.events.setdefault(partition, offset)
        started_ms = event.attempt // 1000
        self.started_ms[event.agent_id] = min(started_ms, self.started_ms.get(event.agent_id, started_ms))

    def by_partition(self, run_id: str, partitions: int) -> dict[int, int]:
        """Return partition -> the first start of an agent that is in it, of a topic keyed by run and agent."""
        starts: dict[int, int] = {}
        for agent, started_ms in self.started_ms.items():
            partition = partition_of(stream_key(run_id, agent), partitions)
            starts[partition] = min(started_ms, starts.get(partition, started_ms))
        return starts


def key_text(key: bytes | str | None) -> str:
    """Return a key as text."""
    return key.decode(errors="replace") if isinstance(key, bytes) else key or ""
