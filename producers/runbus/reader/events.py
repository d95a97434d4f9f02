"""Defines the events that a reader hands out: what a record says, and where it lies in the log.

A kind of event joins by one class with `KINDS[topic] = (schema, class)`: see `register`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, TypeVar

from runbus.kafka import topics
from runbus.kafka.topics import Topic
from runbus.schemas import events
from runbus.schemas.annotations import removed_by
from runbus.schemas.avsc import AvroSchema
from runbus.schemas.events import Event


class At(NamedTuple):
    """Where a record lies in the log.

    Attributes:
        topic: with its prefix.
        timestamp_ms: as the topic keeps it: the broker's time on `steps` and `runs`, else the producer's.
        key: its bytes; empty = none. For the topics of a run it begins with `run_id/agent_id`.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset}"


class LogEvent:
    """What every event of a reader has: `at`, the place of its record."""

    __slots__ = ()
    at: At


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(events.RunEvent, LogEvent):
    """A stream has begun: its run's config, spaces, labels and origin."""

    at: At


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished(events.RunEvent, LogEvent):
    """A stream has ended: what RunStarted said, and how many steps it has, dropped ones included, and the outcome."""

    at: At


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeFinalized(events.EpisodeFinalized, LogEvent):
    """One revision of a finalised episode."""

    at: At


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveMetrics(events.LiveMetrics, LogEvent):
    """Live figures of one stream."""

    at: At


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat(events.Heartbeat, LogEvent):
    """State of one component."""

    at: At


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlCommand(events.ControlCommand, LogEvent):
    """What an operator asks of the agents of a run."""

    at: At


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation(events.Annotation, LogEvent):
    """A note, a tag or a pin, or its removal (`removed`): by its author, and then by a tombstone, which has none."""

    at: At


@dataclass(frozen=True, slots=True)
class Unreadable(LogEvent):
    """A record that cannot be decoded here, as it was, and why.

    Attributes:
        value: its bytes; None = it has none.
        reason: why, in words.
        unknown_schema: nothing is wrong with it: who knows the schema that wrote it can read it, a newer RunBus say.
    """

    at: At
    value: bytes | None
    reason: str
    unknown_schema: bool = False


@dataclass(frozen=True, slots=True)
class RecordsDeleted(LogEvent):
    """Records that were deleted before this reader came to them: retention is faster than it.

    `at` is the place where it goes on, without time and key.

    Attributes:
        first, last: the offsets that are not in the log any more, both included.
    """

    at: At
    first: int
    last: int


#: Makes the event of a record from its place, its Avro body and the schema that wrote it. Raises InvalidValue.
MakeEvent = Callable[[At, bytes, AvroSchema], LogEvent]


class Kind(NamedTuple):
    """What the records of a topic are.

    Attributes:
        topic: of the catalogue.
        schema: name of the record's schema.
        make: the event of a record.
        removed: the event of a record without a value; None = there are no such records. Raises InvalidValue.
    """

    topic: Topic
    schema: str
    make: MakeEvent
    removed: Callable[[At], LogEvent] | None = None


#: Topic, without its prefix -> what its records are. Open: see `register`.
KINDS: dict[str, Kind] = {}
E = TypeVar("E", bound=LogEvent)


def register(topic: Topic, make: MakeEvent, removed: Callable[[At], LogEvent] | None = None) -> None:
    """Let readers hand out the records of a topic as `make` returns them, those without a value as `removed` does."""
    if topic.schema is None:
        raise ValueError(f"the values of {topic.name} have no schema")
    KINDS[topic.name] = Kind(topic, topic.schema, make, removed)


def located(event: Event, cls: Callable[..., E], at: At) -> E:
    """Return a decoded event as the class that also says where it lies."""
    known: Mapping[str, Any] = {f.name: getattr(event, f.name) for f in fields(event)}  # type: ignore[arg-type]
    return cls(at=at, **known)


def _run_event(at: At, body: bytes, writer: AvroSchema) -> LogEvent:
    event = events.RunEvent.decode(body, writer)
    return located(event, RunStarted if event.kind == "STARTED" else RunFinished, at)


def _plain(schema: type[Event], cls: Callable[..., LogEvent]) -> MakeEvent:
    return lambda at, body, writer: located(schema.decode(body, writer), cls, at)


register(topics.RUNS, _run_event)
register(topics.EPISODES, _plain(events.EpisodeFinalized, EpisodeFinalized))
register(topics.LIVE_METRICS, _plain(events.LiveMetrics, LiveMetrics))
register(topics.HEARTBEATS, _plain(events.Heartbeat, Heartbeat))
register(topics.CONTROL, _plain(events.ControlCommand, ControlCommand))
register(
    topics.ANNOTATIONS,
    _plain(events.Annotation, Annotation),
    lambda at: located(removed_by(at.key, at.timestamp_ms), Annotation, at),
)
