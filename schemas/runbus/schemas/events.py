"""The other records of the log: the start and end of a stream, episodes, live metrics, heartbeats."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, Self

import fastavro

from runbus.schemas.avsc import AvroSchema, schema
from runbus.schemas.batch import read_record
from runbus.schemas.errors import InvalidValue

Outcome = Literal["", "completed", "failed", "interrupted"]
EndReason = Literal["terminated", "truncated", "abandoned", "interrupted"]


class Event:
    """A record whose dataclass fields are the fields of its Avro schema (a trailing `_` avoids a keyword)."""

    SCHEMA: ClassVar[str]
    __slots__ = ()

    def encode(self) -> bytes:
        """Return the Avro body. Raises InvalidValue where a field does not fit the schema."""
        out = io.BytesIO()
        try:
            fastavro.schemaless_writer(out, schema(self.SCHEMA).parsed, _plain(self))
        except (ValueError, TypeError, OverflowError, AttributeError) as error:
            raise InvalidValue(f"{self.SCHEMA}: {error}") from error
        return out.getvalue()

    @classmethod
    def decode(cls, body: bytes, writer: AvroSchema | None = None) -> Self:
        """Return the event of an Avro body. Raises InvalidValue if it is not exactly one record."""
        known = schema(cls.SCHEMA)
        record = read_record(body, writer or known, known)
        return cls(**{_attribute(name): value for name, value in record.items()})


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


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeFinalized(Event):
    """One finished episode; see episode_finalized.avsc for each field."""

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
    """What one stream does now; see live_metrics.avsc for each field."""

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
        known = schema(cls.SCHEMA)
        record: dict[str, Any] = read_record(body, writer or known, known)
        return cls(**{**record, "windows": tuple(Window(**w) for w in record["windows"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat(Event):
    """Where one component stands; see heartbeat.avsc for each field."""

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
