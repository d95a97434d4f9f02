"""The contract between the protocol and the world: a log, a store, a clock.

The protocol (protocol.py) touches nothing else, so a run is decided by what these return, and in which order.
`memory.py` implements all three without an engine; `log.py` and `store.py` are Kafka and ClickHouse.

What every `async` method here may do: take for ever (the caller bounds it), be cancelled, or raise what its docstring
names. A cancelled call may still take effect later: that is why inserts carry tokens and commits are fenced.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from runbus.config.errors import RunBusError
from runbus.schemas.avsc import AvroSchema
from runbus.schemas.codec import SchemaRef
from runbus.schemas.dead_letters import Headers, letter_headers, position_key
from runbus.sink.container import Container
from runbus.sink.poison import NONE_YET, Poison

#: what kind of component this is, in heartbeats and dead letters
KIND = "sink"


class Fenced(Exception):
    """The partition is no longer ours: drop its work. Its next owner finds the intent and replays it."""


class LogUnavailable(Exception):
    """The log did not answer. The request may have been carried out; the same call can be made again."""


class LostRange(RunBusError):
    """Records between the committed offset and the start of the log were deleted before they were stored."""


class Position(NamedTuple):
    """One partition of one topic, by name."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}"


class Record(NamedTuple):
    """One record of the log.

    Attributes:
        offset: its offset.
        key, value: its bytes.
        timestamp_ms: what its producer set.
        size: bytes it holds in memory.
        ref: the schema that its framing names; None = not framed.
        start: where the Avro body starts in `value`.
        steps: rows it will become, read from its header without decoding it: an estimate.
    """

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    size: int = 0
    ref: SchemaRef | None = None
    start: int = 0
    steps: int = 1


@dataclass(frozen=True, slots=True)
class Intent:
    """What an owner is about to store, kept in the metadata of the committed offset `lo`.

    Attributes:
        topic_id: of the topic that the offset counts in; a re-created topic has another one.
        hi: last offset of the range, or -1 = nothing is pending.
        salt: a part of every token of this range; new for each announcement, so that a range that is cut at the same
            places again (the group's offset was moved back) does not meet the tokens of the former one.
        repair: counts the repairs of this range that were lost. A new number is only valid once it was committed.
        poison: what the records before `lo` were like.
        overlaps: rows of [lo, hi] were stored before under other ranges (the group's offset was moved back): only
            what is missing is inserted, as a repair is.
    """

    topic_id: str
    hi: int = -1
    salt: str = ""
    poison: Poison = NONE_YET
    overlaps: bool = False
    repair: int = 0

    @property
    def pending(self) -> bool:
        """Whether a range was announced that may or may not be stored."""
        return self.hi >= 0

    def again(self) -> Intent:
        """Return the same range with another name for its repairs."""
        return replace(self, repair=self.repair + 1)

    def encode(self) -> str:
        """Return the commit metadata (JSON, about 100 bytes; a broker takes 4096)."""
        fields: dict[str, object] = {
            "v": 1,
            "topic": self.topic_id,
            "hi": self.hi,
            "salt": self.salt,
            "poison": list(self.poison),
        }
        if self.overlaps:
            fields["overlaps"] = True
        if self.repair:
            fields["repair"] = self.repair
        return json.dumps(fields, separators=(",", ":"))

    @classmethod
    def decode(cls, metadata: str | None) -> Intent | None:
        """Return the intent of a commit's metadata, or None where another tool wrote the commit."""
        try:
            fields = json.loads(metadata or "")
            run, letters, records = fields.get("poison", NONE_YET)
            poison = Poison(int(run), float(letters), float(records))
            overlaps, repair = bool(fields.get("overlaps", False)), int(fields.get("repair", 0))
            return cls(str(fields["topic"]), int(fields["hi"]), str(fields["salt"]), poison, overlaps, repair)
        except (ValueError, KeyError, TypeError, AttributeError):
            return None


class Committed(NamedTuple):
    """What the group committed for a partition: next offset and its intent, if this sink wrote it."""

    offset: int
    intent: Intent | None


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """The range [lo, hi] of one partition: the unit of an intent and of an insert. `records` may have gaps."""

    lo: int
    hi: int
    records: tuple[Record, ...]

    @property
    def steps(self) -> int:
        """Steps of its records."""
        return sum(record.steps for record in self.records)


@dataclass(frozen=True, slots=True)
class Route:
    """Where one topic's records go.

    Attributes:
        topic: name without prefix.
        schema: record name its values must have.
        landing: table that takes the wrapped records.
        target: table that the landing's view fills, one row a step (or a record).
        batched: a record holds several rows (`count` of them), else one.
        wrapped: values are any bytes: each record is wrapped into one of `schema` as it is read (letters.py).
    """

    topic: str
    schema: str
    landing: str
    target: str
    batched: bool = False
    wrapped: bool = False


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A value that cannot be stored, as it was, and why."""

    topic: str
    topic_id: str
    partition: int
    record: Record
    error: str
    schema_id: str

    @property
    def key(self) -> str:
        """The dead letter's own key: the source position."""
        return position_key(self.topic, self.partition, self.record.offset)

    @property
    def headers(self) -> Headers:
        """What the dead letter says about its source."""
        return letter_headers(
            KIND,
            self.topic,
            self.error,
            topic_id=self.topic_id,
            partition=self.partition,
            offset=self.record.offset,
            key=self.record.key,
            schema_id=self.schema_id,
        )


@dataclass(frozen=True, slots=True)
class Gone:
    """Offsets [lo, hi] of a partition that were deleted before they were stored."""

    topic: str
    topic_id: str
    partition: int
    lo: int
    hi: int
    reason: str = "retention passed the committed offset"


class Clock(Protocol):
    """Time as a value."""

    def now(self) -> float:
        """Return monotonic seconds."""

    async def sleep(self, seconds: float) -> None:
        """Return after that time."""


class Source(Protocol):
    """One partition of one topic, which a re-created one of the same name is not."""

    @property
    def position(self) -> Position:
        """The partition."""

    @property
    def topic_id(self) -> str:
        """Id of the topic that the records come from."""


class Lease(Source, Protocol):
    """One ownership of one partition, from its assignment to its loss."""

    async def commit(self, offset: int, intent: Intent) -> None:
        """Commit the next offset with its intent, synchronously.

        A normal return promises that the group's coordinator took it while this lease was the owner, and that every
        later owner reads it. Raises Fenced where it is not ours any more, LogUnavailable where nobody answered: it may
        then be committed or not.
        """

    async def confirm(self) -> None:
        """Make sure that what was read so far came from the topic `topic_id`.

        Raises Fenced where the topic was deleted or re-created under its name, LogUnavailable where nobody answered.
        """


class Log(Protocol):
    """What the protocol writes to the log besides commits."""

    async def dead_letter(self, letter: DeadLetter) -> None:
        """Append a dead letter and wait until the log has it. Raises LogUnavailable; may then be there twice."""


class Store(Protocol):
    """The tables. Errors are those of runbus.clickhouse.errors, by what the caller does next."""

    async def insert(self, table: str, container: Container, token: str) -> None:
        """Insert one Avro container as one block under a deduplication token.

        A normal return says that the server acknowledged it. It does NOT promise that the rows are there when the
        token was ever sent before: the server then answers from its log of tokens, which it writes before the rows.
        Raises the five classes of StoreError. After any of them the insert may have happened, may happen later, or
        never: only the same token again is safe.
        """

    async def rows(self, route: Route, lease: Source, lo: int, hi: int) -> dict[int, int]:
        """Return offset -> number of rows in `route.target` for the offsets [lo, hi]; absent = none."""

    async def newest(self, route: Route, lease: Source, lo: int) -> int:
        """Return the highest offset, `lo` or above, of which `route.target` has rows; -1 = none."""

    async def sequence(self, route: Route, lease: Source, offset: int) -> set[int]:
        """Return the `seq` of the rows of one record of a batched route."""

    async def record_lost(self, gone: Gone) -> None:
        """Keep a lost range by its position: the same again changes nothing. Raises like `insert`."""


class Schemas(Protocol):
    """Finds the schema that wrote a value."""

    async def resolve(self, ref: SchemaRef) -> AvroSchema:
        """Return the writer schema. May ask a registry. Raises like `Codec.resolve`."""
