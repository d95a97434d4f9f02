"""Encodes and decodes the records of the log that are no steps: starts and ends, episodes, live metrics, ..."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, Self

from fastavro.validation import ValidationError, validate

from runbus.config.errors import InvalidValue
from runbus.kafka.topics import check_id
from runbus.schemas.avsc import AvroSchema, schema
from runbus.schemas.record import read_record, write_record

Outcome = Literal["", "completed", "failed", "interrupted"]
#: RunEvent.role of a source of metrics alone, which has no steps
METRICS_ROLE = "metrics"
EndReason = Literal["terminated", "truncated", "abandoned", "interrupted"]

_IDS: Mapping[str, tuple[str, ...]] = {"Annotation": ("kind",)}  # the others: run_id and agent_id, where they have them
_MAY_BE_EMPTY: Mapping[str, tuple[str, ...]] = {"Annotation": ("run_id", "agent_id")}


class Event:
    """A record whose dataclass fields are the fields of its Avro schema (a trailing `_` avoids a keyword)."""

    SCHEMA: ClassVar[str]
    __slots__ = ()

    def encode(self) -> bytes:
        """Return the Avro body. Raises InvalidValue if a field does not fit the schema."""
        record = _plain(self)
        _check(self.SCHEMA, record)
        return write_record(schema(self.SCHEMA), record)

    @classmethod
    def decode(cls, body: bytes, writer: AvroSchema | None = None) -> Self:
        """Return the event of an Avro body. Raises InvalidValue if it is not exactly one record."""
        return cls(**{_attribute(name): value for name, value in _fields_of(cls.SCHEMA, body, writer).items()})


def _fields_of(name: str, body: bytes, writer: AvroSchema | None) -> dict[str, Any]:
    known = schema(name)
    record = read_record(body, writer or known, known)
    _check(name, record)
    return record


def _check(name: str, record: Mapping[str, Any]) -> None:
    """Check what fastavro's writer and reader do not: ranges of integers, floats where integers belong, and ids."""
    try:
        validate(record, schema(name).parsed)
    except (ValidationError, OverflowError) as error:
        raise InvalidValue(f"{name}: {error}") from error
    for field_name in _IDS.get(name, ("run_id", "agent_id")):
        if field_name in record:
            check_id(field_name, record[field_name])
    for field_name in _MAY_BE_EMPTY.get(name, ()):
        if record[field_name]:
            check_id(field_name, record[field_name])
    missing = [record[end] for end in ("missing_from", "missing_to") if end in record]
    if missing and len(missing[0]) != len(missing[1]):
        raise InvalidValue(f"{name}: {len(missing[0])} missing ranges begin and {len(missing[1])} end")


def _attribute(name: str) -> str:
    return "return_" if name == "return" else name


def _plain(event: Event) -> dict[str, object]:
    record: dict[str, object] = {}
    for f in fields(event):  # type: ignore[arg-type]  # every subclass is a dataclass
        value = getattr(event, f.name)
        record[f.name.rstrip("_")] = [_plain_window(w) for w in value] if f.name == "windows" else value
    return record


def _plain_window(window: object) -> object:
    return {f.name: getattr(window, f.name) for f in fields(window)} if isinstance(window, Window) else window


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvent(Event):
    """The start or end of one stream. Times are microseconds since the epoch; see run_event.avsc for each field."""

    SCHEMA: ClassVar[str] = "RunEvent"
    run_id: str
    agent_id: str
    attempt: int
    kind: Literal["STARTED", "FINISHED"]
    sent_at: int
    started_at: int
    config: str = "{}"
    observation_space: str = ""
    action_space: str = ""
    produced: int = 0
    dropped: int = 0
    episodes: int = 0
    outcome: Outcome = ""
    error: str = ""
    summary: str = "{}"
    host: str = ""
    pid: int = 0
    version: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    parent: str = ""
    parent_seq: int = -1
    logged: Mapping[str, list[float]] = field(default_factory=dict)
    commands: str = ""
    role: str = ""
    metrics: int = 0
    metrics_dropped: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeFinalized(Event):
    """One revision of a finalised episode; see episode_finalized.avsc for each field."""

    SCHEMA: ClassVar[str] = "EpisodeFinalized"
    id: str
    revision: int
    run_id: str
    agent_id: str
    attempt: int
    env: int
    episode: int
    reason: EndReason
    complete: bool
    missing_from: list[int]
    missing_to: list[int]
    return_: float
    length: int
    first_seq: int
    last_seq: int
    first_ts: int
    last_ts: int
    min_reward: float
    max_reward: float
    extras_sum: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    stop: str = ""
    has_reset: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One mergeable sketch of LiveMetrics: what was measured over `seconds` from `start` (microseconds)."""

    name: str
    seconds: int
    start: int
    count: int
    sum: float
    sum_squares: float
    min: float
    max: float
    quantiles: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveMetrics(Event):
    """Live figures of one stream; see live_metrics.avsc for each field."""

    SCHEMA: ClassVar[str] = "LiveMetrics"
    run_id: str
    agent_id: str
    attempt: int
    sent_at: int
    newest_ts: int
    steps: int
    steps_per_second: float
    episodes: int
    last_return: float
    running_return: float
    last_length: int
    running_length: int
    dropped: int
    reasons: Mapping[str, int]
    positions: Mapping[str, int]
    windows: tuple[Window, ...] = ()

    @classmethod
    def decode(cls, body: bytes, writer: AvroSchema | None = None) -> Self:
        """Return the metrics of an Avro body. Raises InvalidValue if it is not exactly one record."""
        record = _fields_of(cls.SCHEMA, body, writer)
        return cls(**{**record, "windows": tuple(Window(**w) for w in record["windows"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat(Event):
    """State of one component; see heartbeat.avsc for each field."""

    SCHEMA: ClassVar[str] = "Heartbeat"
    component_id: str
    kind: str
    sent_at: int
    started_at: int
    version: str
    total_events: int = 0
    dropped_events: int = 0
    lag_ms: int = 0
    lag_events: int = 0
    last_seq_id: Mapping[str, int] = field(default_factory=dict)
    committed: Mapping[str, int] = field(default_factory=dict)
    detail: str = "{}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlCommand(Event):
    """What an operator asks of the agents of a run; see control_command.avsc for each field."""

    SCHEMA: ClassVar[str] = "ControlCommand"
    id: str
    run_id: str
    agent: str
    command: str
    key: str
    value: str
    sent_at: int
    sent_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation(Event):
    """A note, a tag or a pin on a run, an agent, an episode or a step; see annotation.avsc for each field."""

    SCHEMA: ClassVar[str] = "Annotation"
    run_id: str
    agent_id: str = ""
    attempt: int = 0
    env: int = -1
    episode: int = -1
    step: int = -1
    kind: str
    name: str = ""
    text: str = ""
    author: str = ""
    sent_at: int
    removed: bool = False
