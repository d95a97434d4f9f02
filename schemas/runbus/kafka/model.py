"""Defines the nouns of the log, each once. Imports no client: the agent's process imports it too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from runbus.config.errors import RunBusError
from runbus.kafka.headers import Headers, letter_headers, position_key


class Fenced(Exception):
    """The partition has another owner: drop its work. The owner does it again from the last commit on."""


class LogUnavailable(Exception):
    """The log did not answer. The request may have been carried out; the same call can be made again."""


class LogShrank(RunBusError):
    """The log ends before an offset that it held: the broker lost records."""


class TopicPartition(NamedTuple):
    """One partition of one topic, by name."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}"


@dataclass(frozen=True, slots=True)
class TopicIdPartition:
    """One partition of one topic. `topic_id` tells a topic from one that is re-created under its name."""

    topic: str
    topic_id: str
    partition: int

    @property
    def position(self) -> TopicPartition:
        """The same by name."""
        return TopicPartition(self.topic, self.partition)

    def __str__(self) -> str:
        return str(self.position)


class Record(NamedTuple):
    """One record of the log; `timestamp_ms` is what the topic keeps: when it was appended, or the producer's time."""

    offset: int
    timestamp_ms: int
    value: bytes | None
    key: bytes | None = None


class StreamId(NamedTuple):
    """One stream: what one recorder instance sends. `seq` counts its steps."""

    run_id: str
    agent_id: str
    attempt: int

    def __str__(self) -> str:
        return f"{self.run_id}/{self.agent_id}/{self.attempt}"


class Lag(NamedTuple):
    """The lag of a consumer in one partition.

    Attributes:
        events: offsets that can be read and are not processed.
        milliseconds: age of the oldest of them; it grows while nothing moves, and is 0 if nothing is left.
    """

    events: int
    milliseconds: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that could not be used, whole or in part, as it was, and why.

    Attributes:
        component: kind of the component that gives it up, as in its heartbeats.
        source: the partition of the record.
        record: with its bytes as they were.
        error: why.
        schema_id: the schema that its framing names, as text; "" = none.
    """

    component: str
    source: TopicIdPartition
    record: Record
    error: str
    schema_id: str

    @property
    def key(self) -> str:
        """The dead letter's own key: the source position."""
        return position_key(self.source.topic, self.source.partition, self.record.offset)

    @property
    def headers(self) -> Headers:
        """The dead letter's headers, about its source."""
        return letter_headers(
            self.component,
            self.source.topic,
            self.error,
            topic_id=self.source.topic_id,
            partition=self.source.partition,
            offset=self.record.offset,
            key=self.record.key,
            schema_id=self.schema_id,
        )
